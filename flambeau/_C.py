"""`torch._C`: what programs that extend tensors take from PyTorch's extension module."""

from __future__ import annotations

from types import SimpleNamespace

from flambeau import _api as torch
from flambeau._api import Generator as Generator
from flambeau._api import Size as Size
from flambeau._core.overriding import DisableTorchFunction as DisableTorchFunction
from flambeau._core.overriding import DisableTorchFunctionSubclass as DisableTorchFunctionSubclass
from flambeau._core.overriding import has_torch_function as _has_torch_function
from flambeau._core.overriding import has_torch_function_unary as _has_torch_function_unary
from flambeau._core.overriding import has_torch_function_variadic as _has_torch_function_variadic
from flambeau._core.overriding import skip_override as _disabled_torch_function_impl
from flambeau._core.unsupported import UnsupportedName
from flambeau._ir.recording import TensorBase as TensorBase
from flambeau._tensor import batched
from flambeau.nn.modules._convert import parse_to

_has_cuda = _has_mps = _has_xpu = False  # kinds of devices that the program was built for
_nn = SimpleNamespace(_parse_to=parse_to)  # libraries read the arguments of a `to` of their own with it
_TensorMeta = type(TensorBase)  # the class of tensor classes

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "Size",
    "TensorBase",
    "_TensorMeta",
    "_disabled_torch_function_impl",
    "_has_torch_function",
    "_has_torch_function_unary",
    "_has_torch_function_variadic",
    "_log_api_usage_once",
]


def _log_api_usage_once(event: str) -> None:
    """Count the first use of an interface: nothing is counted, and nothing sent anywhere."""


def _get_tracing_state() -> None:
    """The tracer that records the program now: there is none."""


def _are_functorch_transforms_active() -> bool:
    """Does `vmap` run now? Libraries then write into no tensor, since that may not be one of a batch.

    Example::

        >>> _are_functorch_transforms_active()
        False
    """
    return bool(batched.levels)


def _get_default_device() -> str:
    """The kind of device that tensors are made on if nobody says another.

    Example::

        >>> _get_default_device()
        'cpu'
    """
    return torch.get_default_device().type


def __getattr__(name: str) -> object:
    raise UnsupportedName(
        f"torch._C.{name} is not implemented: there is no extension module, whose insides these are\n"
        "  hint: nearest is the public function of the same purpose, if there is one"
    )
