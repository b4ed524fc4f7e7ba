"""Operations on boxes, regions and pictures that detectors are made of, with torchvision's names."""

from __future__ import annotations

from flambeau.vision.ops.boxes import (
    batched_nms,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    complete_box_iou,
    distance_box_iou,
    generalized_box_iou,
    masks_to_boxes,
    nms,
    remove_small_boxes,
)
from flambeau.vision.ops.ciou_loss import complete_box_iou_loss
from flambeau.vision.ops.deform_conv import DeformConv2d, deform_conv2d
from flambeau.vision.ops.diou_loss import distance_box_iou_loss
from flambeau.vision.ops.drop_block import DropBlock2d, DropBlock3d, drop_block2d, drop_block3d
from flambeau.vision.ops.feature_pyramid_network import FeaturePyramidNetwork
from flambeau.vision.ops.focal_loss import sigmoid_focal_loss
from flambeau.vision.ops.giou_loss import generalized_box_iou_loss
from flambeau.vision.ops.misc import (
    MLP,
    Conv2dNormActivation,
    Conv3dNormActivation,
    FrozenBatchNorm2d,
    Permute,
    SqueezeExcitation,
)
from flambeau.vision.ops.poolers import MultiScaleRoIAlign
from flambeau.vision.ops.ps_roi_align import PSRoIAlign, ps_roi_align
from flambeau.vision.ops.ps_roi_pool import PSRoIPool, ps_roi_pool
from flambeau.vision.ops.roi_align import RoIAlign, roi_align
from flambeau.vision.ops.roi_pool import RoIPool, roi_pool
from flambeau.vision.ops.stochastic_depth import StochasticDepth, stochastic_depth

__all__ = [
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "DeformConv2d",
    "DropBlock2d",
    "DropBlock3d",
    "FeaturePyramidNetwork",
    "FrozenBatchNorm2d",
    "MLP",
    "MultiScaleRoIAlign",
    "PSRoIAlign",
    "PSRoIPool",
    "Permute",
    "RoIAlign",
    "RoIPool",
    "SqueezeExcitation",
    "StochasticDepth",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "complete_box_iou_loss",
    "deform_conv2d",
    "distance_box_iou",
    "distance_box_iou_loss",
    "drop_block2d",
    "drop_block3d",
    "generalized_box_iou",
    "generalized_box_iou_loss",
    "masks_to_boxes",
    "nms",
    "ps_roi_align",
    "ps_roi_pool",
    "remove_small_boxes",
    "roi_align",
    "roi_pool",
    "sigmoid_focal_loss",
    "stochastic_depth",
]
