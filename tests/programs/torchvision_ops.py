"""A detector: a feature pyramid, regions pooled from it, a focal and a box loss, and suppression of what overlaps."""

from collections import OrderedDict

import torch
import torchvision
from torch import nn
from torchvision import ops
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        body = nn.Sequential(OrderedDict(
            stem=ops.Conv2dNormActivation(3, 8, stride=2),
            fine=ops.Conv2dNormActivation(8, 16, stride=2, activation_layer=nn.Hardswish),
            squeeze=ops.SqueezeExcitation(16, 4),
            coarse=ops.Conv2dNormActivation(16, 32, stride=2, norm_layer=ops.FrozenBatchNorm2d),
        ))
        self.body = IntermediateLayerGetter(body, {"squeeze": "fine", "coarse": "coarse"})
        self.pyramid = ops.FeaturePyramidNetwork([16, 32], 8, LastLevelMaxPool())
        self.pool = ops.MultiScaleRoIAlign(["fine", "coarse"], 3, 2, canonical_scale=24, canonical_level=3)
        self.depth = ops.StochasticDepth(0.2, "row")
        self.head = ops.MLP(72, [32, 5], dropout=0.1)

    def forward(self, pictures, boxes):
        maps = self.pyramid(self.body(pictures))
        found = self.depth(self.pool(maps, boxes, [pictures.shape[-2:]] * len(pictures)))
        return self.head(found.flatten(1))


def some_boxes(count):
    low = torch.rand(count, 2) * 40
    return torch.cat((low, low + 4 + torch.rand(count, 2) * 20), 1)


torch.manual_seed(0)
pictures = torch.randn(2, 3, 64, 64)
boxes = [some_boxes(6), some_boxes(4)]
targets = torch.cat(boxes) + torch.randn(10, 4)
labels = (torch.arange(10) % 2).float()
model = Detector()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
for step in range(4):
    found = model(pictures, boxes)
    moved = torch.cat(boxes) + found[:, 1:]
    losses = {
        "focal": ops.sigmoid_focal_loss(found[:, 0], labels, reduction="mean"),
        "giou": ops.generalized_box_iou_loss(moved, targets, reduction="mean"),
        "diou": ops.distance_box_iou_loss(moved, targets, reduction="mean"),
        "ciou": ops.complete_box_iou_loss(moved, targets, reduction="mean"),
    }
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    print(step, *(f"{name} {loss.item():.4f}" for name, loss in losses.items()))

model.eval()
with torch.no_grad():
    found = model(pictures, boxes)
    moved = ops.clip_boxes_to_image(torch.cat(boxes) + found[:, 1:], (64, 64))
    print(moved.sum().item().__format__(".2f"), ops.remove_small_boxes(moved, 12).tolist())
    crowd = torch.cat([moved + shift for shift in (0, 1, 3)])
    scores = torch.sigmoid(torch.cat([found[:, 0]] * 3) + torch.arange(30) * 0.01)
    print(ops.nms(crowd, scores, 0.6).tolist())
    print(ops.batched_nms(crowd, scores, torch.arange(30) % 3, 0.6).tolist())
    centres = ops.box_convert(crowd, "xyxy", "cxcywh")
    print(f"{ops.box_area(centres, fmt='cxcywh').mean().item():.2f}", f"{ops.box_iou(crowd, crowd).mean().item():.4f}")

offsets = nn.Conv2d(3, 18, 3, padding=1)
deformed = ops.DeformConv2d(3, 4, 3, padding=1)
result = deformed(pictures, offsets(pictures), torch.rand(2, 9, 64, 64))
result.square().mean().backward()
print(f"{result.std().item():.4f} {offsets.weight.grad.norm().item():.4f} {deformed.weight.grad.norm().item():.4f}")
print([tuple(ops.roi_pool(pictures, boxes, 2, 0.5).shape), tuple(ops.ps_roi_align(result, boxes, 2).shape)])
print(f"{ops.drop_block2d(pictures, 0.2, 3).abs().mean().item():.4f}", torchvision.__version__ >= "0.28")
