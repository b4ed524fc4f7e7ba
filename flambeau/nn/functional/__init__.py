"""The functions behind the layers (`torch.nn.functional`): every operation of the namespace `nn.functional` in the op
table, and those of `torch` that PyTorch also offers here."""

from __future__ import annotations

from typing import Any

from flambeau import _api
from flambeau._api import operations
from flambeau._core.unsupported import refuse

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
    if name[0] != "_" and name not in ("annotations", "Any", "SHARED", "operations", "refuse")
]


def has_torch_function(relevant_args: Any) -> bool:
    """Does any argument have a `__torch_function__`, which in PyTorch would take the call over?

    Example::

        >>> has_torch_function((1, 2))
        False
    """
    return any(hasattr(type(a), "__torch_function__") for a in relevant_args)


def has_torch_function_unary(arg: Any) -> bool:
    """`has_torch_function` of one argument.

    Example::

        >>> has_torch_function_unary(1)
        False
    """
    return has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of several arguments.

    Example::

        >>> has_torch_function_variadic(1, 2)
        False
    """
    return has_torch_function(args)


def assert_int_or_pair(arg: Any, arg_name: str, message: str) -> None:
    """AssertionError, with the message and the argument's name in it, unless `arg` is an integer or two of them.

    Example::

        >>> assert_int_or_pair((1, 2), "size", "{} must be a number or a pair")
    """
    assert isinstance(arg, int) or len(arg) == 2, message.format(arg_name)


__all__ += ["assert_int_or_pair", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"]


def __getattr__(name: str) -> Any:
    raise refuse("torch.nn.functional", name)
