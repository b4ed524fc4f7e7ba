"""Questions about tensors, dtypes and the machine that `torch.` answers as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau._ir.recording import TensorBase
from flambeau._tensor.interop import UntypedStorage

if TYPE_CHECKING:
    import ml_dtypes
    import numpy as np
else:
    np = lazy_module("numpy")
    ml_dtypes = lazy_module("ml_dtypes")
threads: Any = lazy_module("flambeau._backends.cpu.threads")


def is_tensor(obj: Any) -> bool:
    """Is `obj` a tensor?

    Example::

        >>> is_tensor([1])
        False
    """
    return isinstance(obj, TensorBase)


def is_storage(obj: Any) -> bool:
    """Is `obj` a storage?

    Example::

        >>> is_storage([1])
        False
    """
    return isinstance(obj, UntypedStorage)


def is_floating_point(input: Any) -> bool:
    """Is the dtype of `input` a real floating-point one?

    Example::

        >>> import flambeau as torch
        >>> torch.is_floating_point(torch.ones(1))
        True
    """
    return input.dtype.is_floating_point


def is_complex(input: Any) -> bool:
    """Is the dtype of `input` complex?

    Example::

        >>> import flambeau as torch
        >>> torch.is_complex(torch.ones(1))
        False
    """
    return input.dtype.is_complex


def is_signed(input: Any) -> bool:
    """Can the dtype of `input` hold negative numbers?

    Example::

        >>> import flambeau as torch
        >>> torch.is_signed(torch.ones(1))
        True
    """
    return input.dtype.is_signed


def is_conj(input: Any) -> bool:
    """Is conjugation of `input` pending? Never: it is done at once.

    Example::

        >>> import flambeau as torch
        >>> torch.is_conj(torch.ones(1))
        False
    """
    return False


def is_neg(input: Any) -> bool:
    """Is negation of `input` pending? Never: it is done at once.

    Example::

        >>> import flambeau as torch
        >>> torch.is_neg(torch.ones(1))
        False
    """
    return False


def is_nonzero(input: Any) -> bool:
    """Is the only element of `input` different from zero? RuntimeError if there are several.

    Example::

        >>> import flambeau as torch
        >>> torch.is_nonzero(torch.tensor([0.]))
        False
    """
    return bool(input)


def numel(input: Any) -> int:
    """The number of elements.

    Example::

        >>> import flambeau as torch
        >>> torch.numel(torch.ones(2, 3))
        6
    """
    return input.numel()


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype that arithmetic between two tensors or numbers gives.

    Example::

        >>> import flambeau as torch
        >>> torch.result_type(torch.tensor([1]), 1.0)
        torch.float32
    """
    return dtypes.result_type_of(
        [(t.dtype, t.dim()) if isinstance(t, TensorBase) else type(t) for t in (tensor1, tensor2)]
    )


class finfo:  # noqa: N801 (PyTorch's name)
    """The limits of a floating-point dtype: `bits`, `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`.

    Example::

        >>> import flambeau as torch
        >>> torch.finfo(torch.float32).eps
        1.1920928955078125e-07
    """

    def __init__(self, type: dtypes.dtype | None = None) -> None:  # noqa: A002
        d = (type or dtypes.get_default_dtype()).to_real()
        if not d.is_floating_point:
            raise TypeError(
                f"torch.finfo() requires a floating point input type, got {type!r}. Use torch.iinfo to handle integers."
            )
        limits = ml_dtypes.finfo(d.numpy) if d in dtypes.FOREIGN else np.finfo(d.numpy)
        self.bits, self.dtype = d.itemsize * 8, d.name
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = 1.0 if d in dtypes.FLOAT8 else float(limits.resolution)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")
        return (
            "finfo("
            + ", ".join(f"{n}={getattr(self, n):.6g}" if n != "dtype" else f"dtype={self.dtype}" for n in names)
            + ")"
        )


class iinfo:  # noqa: N801 (PyTorch's name)
    """The limits of an integer dtype: `bits`, `max`, `min`.

    Example::

        >>> import flambeau as torch
        >>> torch.iinfo(torch.int8).max
        127
    """

    def __init__(self, type: dtypes.dtype) -> None:  # noqa: A002
        if type.category != dtypes.INTEGER:
            raise TypeError(
                f"torch.iinfo() requires an integer input type, got {type!r}. Use torch.finfo for floating point."
            )
        limits = np.iinfo(type.numpy)
        self.bits, self.dtype, self.max, self.min = type.itemsize * 8, type.name, int(limits.max), int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def get_num_threads() -> int:
    """How many threads kernels use: by default as many as there are processors for this process, within its affinity
    mask and the quota of its control group, or FLAMBEAU_THREADS.

    Example::

        >>> set_num_threads(2)
        >>> get_num_threads()
        2
    """
    return threads.get_num_threads()


def set_num_threads(n: int) -> None:
    """Let kernels use `n` threads, the calling one among them. Results have the same bits for every `n`.

    RuntimeError for n < 1.

    Example::

        >>> set_num_threads(1)
    """
    if n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n}")
    threads.set_num_threads(n)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Let the same computation give the same bits at every sight: everything is compiled at once, as with
    FLAMBEAU_COMPILE=always, instead of being run by NumPy the first time. All algorithms are deterministic anyway, so
    `warn_only` has nothing to change.

    Example::

        >>> use_deterministic_algorithms(True)
        >>> are_deterministic_algorithms_enabled()
        True
        >>> use_deterministic_algorithms(False)
    """
    config.compile = "always" if mode else "auto"


def are_deterministic_algorithms_enabled() -> bool:
    """Do equal computations give equal bits at every sight?

    Example::

        >>> are_deterministic_algorithms_enabled()
        False
    """
    return config.compile != "auto"
