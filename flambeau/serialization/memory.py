"""Where checkpoints touch the tensors' memory; everything else sees storages, dtypes and numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flambeau import _api as torch
from flambeau._core.dtypes import BY_NAME, dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import meta
from flambeau._ir.program import Storage, new_storage, new_value
from flambeau._tensor.dispatch import make_tensor
from flambeau._tensor.interop import TypedStorage, UntypedStorage

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

# What PyTorch calls the storage of each dtype. The dtypes that came after typed storages have none: their tensors name
# the dtype, and their storage is untyped.
STORAGE_NAMES = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int8": "CharStorage", "uint8": "ByteStorage", "int16": "ShortStorage", "int32": "IntStorage",
    "int64": "LongStorage", "bool": "BoolStorage", "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
}  # fmt: skip
STORAGE_DTYPES = {storage: BY_NAME[name] for name, storage in STORAGE_NAMES.items()}


def bytes_of(storage: Storage) -> np.ndarray:
    """All bytes of a storage as they are now, to be read only."""
    return UntypedStorage(storage)._array()


def storage_over(array: np.ndarray, d: dtype | None) -> UntypedStorage:
    """The storage whose bytes are a flat array of uint8 that nobody else uses, typed if a dtype is given."""
    value = new_value()
    value.data = array if d is None else array.view(d.numpy)
    storage = new_storage(value, array.nbytes)
    return UntypedStorage(storage) if d is None else TypedStorage(storage, d)


def tensor_over(
    cls: type, storage: UntypedStorage, d: dtype, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    """A tensor that looks at a storage through a layout; RuntimeError unless the layout stays within the storage.

    The numbers come from a file, which may be wrong or malicious: nothing later checks them again.
    """
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise RuntimeError(f"a tensor has an impossible layout: size {size}, stride {stride}, offset {offset}")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    needed = (last + 1) * d.itemsize if math.prod(size) else 0
    if needed > storage.nbytes():
        raise RuntimeError(
            f"a tensor of size {tuple(size)}, stride {tuple(stride)}, offset {offset} and dtype {d} needs a storage of "
            f"{needed} bytes, but has one of {storage.nbytes()} bytes"
        )
    return make_tensor(cls, meta(d, size, stride, offset), storage._storage)
