"""Tensors and the outside world: NumPy, DLPack, pickle, copies, storages.

Memory that NumPy or DLPack can see is *exposed* (`_engine.exposure`).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference.execute import array_of
from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._engine.exposure import address, expose
from flambeau._engine.window import look, state
from flambeau._ir.meta import contiguous, meta
from flambeau._ir.program import Storage, new_storage, new_value
from flambeau._tensor import dispatch

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

copyreg = lazy_module("copyreg")


def array(t: Any) -> np.ndarray:
    """The elements of `t` as they are now, to be read only."""
    value = t._storage.value
    look(value)
    return array_of(value, t._meta)


def number(t: Any) -> Any:
    """The only element of `t` as a Python number."""
    value, m = t._storage.value, t._meta
    data = look(value)
    if data.dtype is m.dtype.numpy:
        return data.item(m.offset)
    return array_of(value, m).item()


def numpy(t: Any, force: bool) -> np.ndarray:
    """`Tensor.numpy()`."""
    if t.requires_grad and state.grad_enabled and not force:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if t.dtype in dtypes.FOREIGN:
        name = errors.type_name(t.dtype)
        raise TypeError(f"Got unsupported ScalarType {name}: NumPy has no such type; use .float().numpy()")
    return expose(t._storage, t._meta)


def from_numpy(source: np.ndarray) -> Any:
    """A tensor over the memory of a NumPy array: changes of one show in the other.

    TypeError for what is no array or has a dtype PyTorch lacks; ValueError for negative strides.

    Example::

        >>> import numpy, flambeau as torch
        >>> a = numpy.zeros(2)
        >>> t = torch.from_numpy(a)
        >>> a[0] = 5
        >>> t
        tensor([5., 0.], dtype=torch.float64)
    """
    if not isinstance(source, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(source).__name__})")
    d = dtypes.from_numpy(source.dtype)
    if not source.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order; call "
            ".astype(a.dtype.newbyteorder('='))"
        )
    if any(s < 0 for s in source.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently "
            "supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % source.itemsize for s in source.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate "
            "the memory."
        )
    if not source.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors: writing to "
            "this tensor "
            "has undefined results. You may want to copy the array first.",
            UserWarning,
            stacklevel=3,
        )
    if source.flags.c_contiguous:
        m = contiguous(d, source.shape)
        flat = source.view(np.ndarray).reshape(-1)
    else:
        m = meta(d, source.shape, tuple([s // source.itemsize for s in source.strides]))
        flat = np.lib.stride_tricks.as_strided(source, (m.extent,), (source.itemsize,))
    return dispatch.from_flat(flat, m, exposed=True)


# ---------------------------------------------------------------------------------------------- DLPack


def to_dlpack(
    t: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """The DLPack capsule over the tensor's memory (`Tensor.__dlpack__`)."""
    if t.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    source = t.clone() if copy else t
    return expose(source._storage, source._meta).__dlpack__()


def dlpack_device(t: Any) -> tuple[int, int]:
    """DLPack's (device type, number): 1 is the CPU."""
    return 1, 0


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor over the memory of any object with `__dlpack__` (NumPy, JAX, CuPy on the CPU...).

    Example::

        >>> import numpy, flambeau as torch
        >>> torch.from_dlpack(numpy.arange(3.))
        tensor([0., 1., 2.], dtype=torch.float64)
    """
    source = np.from_dlpack(ext_tensor)
    if source.flags.writeable or isinstance(ext_tensor, np.ndarray):
        return from_numpy(source)
    return from_numpy(np.asarray(_Shared(source)))


class _Shared:
    """Memory that NumPy calls read-only, as it does with what others export, although they share it for writing."""

    def __init__(self, source: np.ndarray) -> None:
        address, _ = source.__array_interface__["data"]
        self.source = source  # keeps the memory
        self.__array_interface__ = {**source.__array_interface__, "data": (address, False)}


# ---------------------------------------------------------------------------------------------- copies and pickles


def rebuild(
    cls: type, data: np.ndarray, dtype: dtypes.dtype, requires_grad: bool, attributes: dict[str, Any] | None
) -> Any:
    """The tensor that `reduce_tensor` took apart."""
    m = contiguous(dtype, data.shape)
    t = dispatch.from_flat(np.ascontiguousarray(data).reshape(-1).view(dtype.numpy), m)
    if cls is not dispatch.Tensor:
        t = dispatch.make_tensor(cls, m, t._storage)
    t.requires_grad_(requires_grad)
    t.__dict__.update(attributes or {})
    return t


def reduce_tensor(t: Any, protocol: int) -> tuple:
    """How pickle takes a tensor apart: its class, its numbers, whether it requires grad."""
    data = np.ascontiguousarray(array(t))
    if t.dtype in dtypes.FOREIGN:
        data = data.view(f"uint{8 * t.dtype.itemsize}")
    attributes = {k: v for k, v in t.__dict__.items() if not k.startswith("_")}
    return rebuild, (type(t), data.reshape(t.shape), t.dtype, t.requires_grad, attributes or None)


def deepcopy_tensor(t: Any, memo: dict[int, Any]) -> Any:
    """A copy with memory of its own; tensors that share a storage share one in the copy too. Only leaves can be
    copied."""
    if id(t) in memo:
        return memo[id(t)]
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment; "
            "use .detach().clone() for a computed tensor"
        )
    key = id(t._storage)
    if key not in memo:
        value = new_value()
        value.data = look(t._storage.value).copy()
        memo[key] = new_storage(value, t._storage.nbytes)
    copy = dispatch.make_tensor(type(t), t._meta, memo[key])
    memo[id(t)] = copy
    copy.requires_grad_(t.requires_grad)
    if t._grad is not None:
        copy._grad = deepcopy_tensor(t._grad, memo) if not t._grad.is_sparse else t._grad.clone()
    copy.__dict__.update({k: v for k, v in t.__dict__.items() if k not in ("_grad", "_silent")})
    return copy


# ---------------------------------------------------------------------------------------------- storages


class StorageBase:
    """What is memory of tensors, whatever it is counted in."""


class UntypedStorage(StorageBase):
    """The memory of tensors, counted in bytes."""

    element_bytes = 1

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def nbytes(self) -> int:
        """The size in bytes."""
        return self._storage.nbytes

    def size(self) -> int:
        """The number of elements."""
        return self._storage.nbytes // self.element_bytes

    __len__ = size

    def _array(self) -> np.ndarray:
        return look(self._storage.value).view(np.uint8)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return address(self._storage, contiguous(dtypes.uint8, (self._storage.nbytes,)))

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._array().tolist()

    def __getitem__(self, index: Any) -> Any:
        return self._array()[index].item()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._storage is other._storage

    def __hash__(self) -> int:
        return id(self._storage)


class TypedStorage(UntypedStorage):
    """The memory of tensors, counted in elements of a dtype."""

    def __init__(self, storage: Storage, dtype: dtypes.dtype) -> None:
        super().__init__(storage)
        self.dtype = dtype
        self.element_bytes = dtype.itemsize

    def _array(self) -> np.ndarray:
        return super()._array().view(self.dtype.numpy)


def resize(t: Any, shape: tuple[int, ...]) -> None:
    """Give `t` another shape; its storage grows if it must, keeping what it held."""
    m = contiguous(t.dtype, shape)
    m = meta(t.dtype, shape, m.strides, t._meta.offset)
    storage = t._storage
    needed = m.extent * t.itemsize
    if needed > storage.nbytes:
        old = look(storage.value).view(np.uint8)
        grown = new_value()
        content = np.zeros(needed, np.uint8)
        content[: old.size] = old
        grown.data = content.view(t.dtype.numpy)
        storage.value, storage.nbytes, storage.exposed = grown, needed, False
    t._meta = m
