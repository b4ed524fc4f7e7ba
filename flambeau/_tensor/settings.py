"""Process-wide settings that `torch.` offers, and answers about the build. What has nothing to change here says so."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import device as devices
from flambeau._core import dtypes, errors
from flambeau._core.config import config
from flambeau._ir.recording import TensorBase
from flambeau._tensor import creation, queries


def get_default_device() -> devices.device:
    """Where tensors are made by default: on the CPU.

    Example::

        >>> get_default_device()
        device(type='cpu')
    """
    return devices.cpu


def set_default_device(device: Any) -> None:
    """Say where tensors are made by default; RuntimeError for a device that there is no backend for.

    Example::

        >>> set_default_device("cpu")
    """
    devices.resolve(device)


def set_default_tensor_type(t: Any, /) -> None:
    """Make the dtype of a legacy type (`torch.DoubleTensor`, or its name) the default; TypeError for integers.

    Example::

        >>> set_default_tensor_type("torch.FloatTensor")
    """
    dtypes.set_default_dtype(creation.dtype_of_legacy(t))


def get_device_module(device: Any = None) -> Any:
    """The module for a kind of device; RuntimeError, since only the CPU has a backend and it has no module.

    Example::

        >>> get_device_module("cuda")
        Traceback (most recent call last):
        ...
        RuntimeError: device 'cuda' is not available: Flambeau has no cuda backend yet; ...
    """
    devices.resolve(device)
    raise RuntimeError("the CPU has no device module; what it can do is in torch itself")


# ---------------------------------------------------------------------------------------------- determinism, precision


class _Settings:
    warn_only = False
    warn_always = False
    matmul = "highest"
    interop_threads = 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default": as it comes; 1, "warn", 2 or "error": deterministic algorithms, which all are here.

    Example::

        >>> set_deterministic_debug_mode(0)
        >>> get_deterministic_debug_mode()
        0
    """
    names = {"default": 0, "warn": 1, "error": 2}
    mode = names.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, 2 or {', '.join(names)}, but got {debug_mode}")
    queries.use_deterministic_algorithms(mode > 0)
    _Settings.warn_only = mode == 1


def get_deterministic_debug_mode() -> int:
    """The mode that `set_deterministic_debug_mode` set."""
    return 0 if config.compile == "auto" else 1 if _Settings.warn_only else 2


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Would an algorithm that is not deterministic only warn? There is none.

    Example::

        >>> is_deterministic_algorithms_warn_only_enabled()
        False
    """
    return _Settings.warn_only


def set_float32_matmul_precision(precision: str) -> None:
    """ "highest", "high" or "medium": how float32 products may be computed. They are always computed in float32, which
    every one of these allows.

    Example::

        >>> set_float32_matmul_precision("high")
        >>> get_float32_matmul_precision()
        'high'
        >>> set_float32_matmul_precision("highest")
    """
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'")
    _Settings.matmul = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` allowed."""
    return _Settings.matmul


def set_flush_denormal(mode: bool) -> bool:
    """Whether tiny numbers may be rounded to zero: they are not, so False for True.

    Example::

        >>> set_flush_denormal(False)
        True
    """
    return not mode


def set_num_interop_threads(n: int) -> None:
    """How many operations may run at a time. They run in order, each on `get_num_threads()` threads.

    Example::

        >>> set_num_interop_threads(1)
    """
    if n < 1:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, got {n}")
    _Settings.interop_threads = n


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` allowed.

    Example::

        >>> get_num_interop_threads()
        1
    """
    return _Settings.interop_threads


def init_num_threads() -> None:
    """Start the threads of kernels: they start when they are needed.

    Example::

        >>> init_num_threads()
    """


def set_warn_always(b: bool, /) -> None:
    """Say whether a warning is given each time or once for a line.

    Example::

        >>> set_warn_always(False)
    """
    if b != _Settings.warn_always:
        warnings.simplefilter("always" if b else "default", UserWarning, append=True)
    _Settings.warn_always = b


def is_warn_always_enabled() -> bool:
    """Is a warning given each time?

    Example::

        >>> is_warn_always_enabled()
        False
    """
    return _Settings.warn_always


# ---------------------------------------------------------------------------------------------- the build


def compiled_with_cxx11_abi() -> bool:
    """Was the library compiled with the C++11 ABI? There is no C++ in it; True, as extensions expect.

    Example::

        >>> compiled_with_cxx11_abi()
        True
    """
    return True


def is_vulkan_available() -> bool:
    """Is there a Vulkan backend? No.

    Example::

        >>> is_vulkan_available()
        False
    """
    return False


def cudnn_is_acceptable(tensor: Any) -> bool:
    """Could cuDNN compute with this tensor? There is no CUDA backend.

    Example::

        >>> cudnn_is_acceptable(None)
        False
    """
    return False


def get_file_path(*path_components: str) -> str:
    """A path below the folder that the package is installed in.

    Example::

        >>> get_file_path("flambeau", "py.typed").endswith("py.typed")
        True
    """
    return os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), *path_components)


def typename(obj: Any, /) -> str:
    """The name of an object's type with its module: of tensors the legacy name.

    Example::

        >>> import flambeau as torch
        >>> torch.typename(torch.ones(1)), torch.typename([])
        ('torch.FloatTensor', 'list')
    """
    if isinstance(obj, TensorBase):
        return obj.type()
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", "")
    return named.__qualname__ if module in ("", "builtins", None) else f"{module}.{named.__qualname__}"


# ---------------------------------------------------------------------------------------------- sizes as numbers


class SymInt:
    """A size that is not known yet. Sizes are plain integers here, also under `compile`, so nothing is one, and making
    one is NotImplementedError."""

    def __init__(self, node: Any = None) -> None:
        fact = f"{type(self).__name__} cannot be made: sizes are plain Python numbers, also in compiled functions"
        raise NotImplementedError(errors.explain(fact, hint="use int, float or bool"))


class SymFloat(SymInt):
    """A number that is not known yet; nothing is one (see `SymInt`)."""


class SymBool(SymInt):
    """A condition that is not known yet; nothing is one (see `SymInt`)."""


def sym_int(a: Any) -> int:
    """A number's integer part.

    Example::

        >>> sym_int(3.7)
        3
    """
    return int(a)


def sym_float(a: Any) -> float:
    """A number as a float.

    Example::

        >>> sym_float(3)
        3.0
    """
    return float(a)


def sym_not(a: Any) -> bool:
    """The opposite of a condition.

    Example::

        >>> sym_not(True)
        False
    """
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The greater of two numbers; a float if one of them is.

    Example::

        >>> sym_max(3, 2.0)
        3.0
    """
    return float(max(a, b)) if isinstance(a, float) or isinstance(b, float) else max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The lesser of two numbers; a float if one of them is.

    Example::

        >>> sym_min(3, 2.0)
        2.0
    """
    return float(min(a, b)) if isinstance(a, float) or isinstance(b, float) else min(a, b)


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """`t` if the condition holds, else `f`.

    Example::

        >>> sym_ite(True, 1, 2)
        1
    """
    return t if b else f


def sym_sqrt(a: Any) -> float:
    """A number's square root.

    Example::

        >>> sym_sqrt(4)
        2.0
    """
    return math.sqrt(a)


def sym_sum(args: Sequence[Any]) -> Any:
    """The sum of numbers.

    Example::

        >>> sym_sum([1, 2])
        3
    """
    return sum(args)


def sym_constrain_range(size: Any, *, min: int | None = None, max: int | None = None) -> None:  # noqa: A002
    """RuntimeError unless a number lies in a range.

    Example::

        >>> sym_constrain_range(3, min=0, max=5)
    """
    if (min is not None and size < min) or (max is not None and size > max):
        raise RuntimeError(f"Invalid value range for {size} between [{min}, {max}].")


sym_constrain_range_for_size = sym_constrain_range


# ---------------------------------------------------------------------------------------------- control flow


def cond(pred: Any, true_fn: Callable, false_fn: Callable, operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` if the condition (a number or a tensor of one) holds, else `false_fn(*operands)`.

    Example::

        >>> import flambeau as torch
        >>> torch.cond(torch.tensor(True), torch.sin, torch.cos, (torch.zeros(1),))
        tensor([0.])
    """
    return (true_fn if bool(pred) else false_fn)(*operands)


def while_loop(cond_fn: Callable, body_fn: Callable, carried_inputs: Sequence[Any]) -> Any:
    """`carried_inputs` after `body_fn` has been applied while `cond_fn` of them holds.

    Example::

        >>> import flambeau as torch
        >>> torch.while_loop(lambda x: x < 10, lambda x: (x * 2,), (torch.tensor(3),))
        (tensor(12),)
    """
    state = tuple(carried_inputs)
    while bool(cond_fn(*state)):
        made = body_fn(*state)
        state = tuple(made) if isinstance(made, (tuple, list)) else (made,)
    return state


class classproperty:  # noqa: N801 (PyTorch's name)
    """Decorates a function of the class, which is then an attribute of the class and of its objects.

    Example::

        >>> class Point:
        ...     @classproperty
        ...     def kind(cls):
        ...         return cls.__name__.lower()
        >>> Point.kind, Point().kind
        ('point', 'point')
    """

    def __init__(self, func: Any) -> None:
        self.func = func.__func__ if isinstance(func, staticmethod | classmethod) else func

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.func(type(instance) if owner is None else owner)


# What PyTorch was built with, or not; of NumPy here.
BUILD = {"has_lapack": True, "has_spectral": True, "has_mkl": False, "has_openmp": False}

FUNCTIONS = (
    SymBool, SymFloat, SymInt, compiled_with_cxx11_abi, classproperty, cond,
    cudnn_is_acceptable, get_default_device, get_deterministic_debug_mode, get_device_module, get_file_path,
    get_float32_matmul_precision, get_num_interop_threads, init_num_threads,
    is_deterministic_algorithms_warn_only_enabled, is_vulkan_available, is_warn_always_enabled, set_default_device,
    set_default_tensor_type, set_deterministic_debug_mode, set_float32_matmul_precision, set_flush_denormal,
    set_num_interop_threads, set_warn_always, sym_constrain_range, sym_float, sym_int, sym_ite, sym_max, sym_min,
    sym_not, sym_sqrt, sym_sum, typename, while_loop,
)  # fmt: skip
