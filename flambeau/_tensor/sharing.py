"""Memory of tensors that several processes see: `share_memory_`, and how such tensors reach another process.

A forked process has the memory from its parent; otherwise it travels as a file descriptor, when `multiprocessing`
pickles the tensor for a process, a queue or a pipe. Whoever sees the memory counts as an outsider (see
`_engine.exposure`): nothing is delayed, and writes go to that very memory.
"""

from __future__ import annotations

import importlib
import weakref
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._engine.window import flush_all, look
from flambeau._ir.meta import meta
from flambeau._ir.program import Storage, new_value
from flambeau._tensor import dispatch

if TYPE_CHECKING:
    from multiprocessing import heap, reduction

    import numpy as np
else:
    heap, reduction = lazy_module("multiprocessing.heap"), lazy_module("multiprocessing.reduction")
    np = lazy_module("numpy")

_shared: weakref.WeakKeyDictionary[Storage, Any] = weakref.WeakKeyDictionary()  # with what keeps the memory


def is_shared(t: Any) -> bool:
    """Can other processes see the tensor's memory?"""
    return t._storage in _shared


def share(t: Any) -> None:
    """Move the tensor's storage, which others may look at too, into memory that processes share."""
    storage = t._storage
    if storage in _shared:
        return
    # pickling needs it: imported by the thread of a queue while the process forks, it would be locked in the child
    importlib.import_module("multiprocessing.resource_sharer")
    flush_all()
    old = look(storage.value)
    buffer = heap.BufferWrapper(max(storage.nbytes, 1))
    flat = np.frombuffer(buffer.create_memoryview(), np.uint8, storage.nbytes).view(old.dtype)
    flat[...] = old
    value = new_value()
    value.data = flat
    storage.value, storage.exposed = value, True
    _shared[storage] = buffer
    reduction.ForkingPickler.register(type(t), _reduce)


def _reduce(t: Any) -> Any:
    """How `multiprocessing` takes a tensor apart; what is not shared is copied."""
    buffer = _shared.get(t._storage)
    if buffer is None:
        return t.__reduce_ex__(2)
    m = t._meta
    kept = look(t._storage.value).dtype
    layout = m.dtype, m.shape, m.strides, m.offset
    return _rebuilt, (type(t), buffer, t._storage.nbytes, dtypes.from_numpy(kept), layout, t.requires_grad)


def _rebuilt(
    cls: type, buffer: Any, nbytes: int, kept: dtypes.dtype, layout: tuple[Any, ...], requires_grad: bool
) -> Any:
    flat = np.frombuffer(buffer.create_memoryview(), np.uint8, nbytes).view(kept.numpy)
    m = meta(*layout)
    t = dispatch.from_flat(flat, m, exposed=True)
    _shared[t._storage] = buffer
    reduction.ForkingPickler.register(cls, _reduce)
    return dispatch.make_tensor(cls, m, t._storage).requires_grad_(requires_grad)
