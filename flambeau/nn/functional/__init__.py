"""The functions behind the layers (`torch.nn.functional`): every operation of the namespace `nn.functional` in the op
table, and those of `torch` that PyTorch also offers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _api
from flambeau._api import operations
from flambeau._core.homes import absent
from flambeau._core.overriding import handle_torch_function as handle_torch_function
from flambeau._core.overriding import has_torch_function as has_torch_function
from flambeau._core.overriding import has_torch_function_unary as has_torch_function_unary
from flambeau._core.overriding import has_torch_function_variadic as has_torch_function_variadic
from flambeau._ops.scaled import ScalingType as ScalingType
from flambeau._ops.scaled import SwizzleType as SwizzleType

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
    if name[0] != "_" and name not in ("annotations", "Any", "Callable", "SHARED", "operations", "absent")
]


def boolean_dispatch(
    arg_name: str,
    arg_index: int,
    default: bool,
    if_true: Callable[..., Any],
    if_false: Callable[..., Any],
    module_name: str = "",
    func_name: str = "",
) -> Callable[..., Any]:
    """A function that calls one of two, as the argument `arg_name` (by position the one at `arg_index`) says.

    Example::

        >>> chosen = boolean_dispatch("up", 1, False, lambda x, up: x + 1, lambda x, up=False: x - 1)
        >>> chosen(1), chosen(1, True), chosen(1, up=True)
        (0, 2, 2)
    """

    def dispatch(*args: Any, **kwargs: Any) -> Any:
        positional = args[arg_index] if arg_index < len(args) else default
        return (if_true if kwargs.get(arg_name, positional) else if_false)(*args, **kwargs)

    dispatch.__module__ = module_name or dispatch.__module__
    dispatch.__name__ = func_name or dispatch.__name__
    return dispatch


def assert_int_or_pair(arg: Any, arg_name: str, message: str) -> None:
    """AssertionError, with the message and the argument's name in it, unless `arg` is an integer or two of them.

    Example::

        >>> assert_int_or_pair((1, 2), "size", "{} must be a number or a pair")
    """
    assert isinstance(arg, int) or len(arg) == 2, message.format(arg_name)


__all__ += ["assert_int_or_pair", "boolean_dispatch"]

__getattr__ = absent("torch.nn.functional")
