"""The functions behind the layers (`torch.nn.functional`): every operation of the namespace `nn.functional` in the op
table, and those of `torch` that PyTorch also offers here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import _api
from flambeau._api import operations

# Functions of `torch` that are functions here too.
SHARED = (
    "adaptive_avg_pool1d",
    "avg_pool1d",
    "bilinear",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_similarity",
    "elu_",
    "hardshrink",
    "leaky_relu_",
    "native_channel_shuffle",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu_",
    "rrelu_",
    "selu_",
    "sigmoid",
    "tanh",
    "threshold_",
)

globals().update({name: getattr(_api, name) for name in SHARED if hasattr(_api, name)})
globals().update(operations("nn.functional"))

__all__ = [
    name
    for name in globals()
    if name[0] != "_" and name not in ("annotations", "TYPE_CHECKING", "Any", "SHARED", "operations")
]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
