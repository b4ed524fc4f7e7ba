"""The functions behind the layers (`torch.nn.functional`): every operation of the namespace `nn.functional` in the op
table, and those of `torch` that PyTorch also offers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _api
from flambeau._api import operations
from flambeau._core.homes import absent
from flambeau._ops.scaled import ScalingType, SwizzleType

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


def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """What the first of the arguments' `__torch_function__` gives that does not answer NotImplemented; those of
    subclasses are asked first. TypeError if there is none. Operations here do not call it; functions of your own may.

    Example::

        >>> class Logged:
        ...     @classmethod
        ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
        ...         return func.__name__
        >>> handle_torch_function(abs, (Logged(),), Logged())
        'abs'
    """
    asked: list[Any] = []
    for argument in relevant_args:
        kind = type(argument)
        if hasattr(kind, "__torch_function__") and kind not in map(type, asked):
            before = [i for i, other in enumerate(asked) if issubclass(kind, type(other))]
            asked.insert(before[0] if before else len(asked), argument)
    kinds = tuple(map(type, asked))
    for argument in asked:
        result = argument.__torch_function__(public_api, kinds, args, kwargs)
        if result is not NotImplemented:
            return result
    named = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(f"no implementation found for '{named}' on types that implement __torch_function__: {list(kinds)}")


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


__all__ += ["ScalingType", "SwizzleType", "assert_int_or_pair", "boolean_dispatch", "handle_torch_function"]
__all__ += ["has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"]

__getattr__ = absent("torch.nn.functional")
