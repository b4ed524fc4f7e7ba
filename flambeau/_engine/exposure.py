"""Exposed memory: memory of a storage that others see through an array of NumPy's or a capsule of DLPack's.

As long as they do, the window delays nothing that reads or writes it, and writes go to that very memory. Whether they
still do is told by counting references: every view of an array refers to the one that owns the memory or came first.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flambeau._backends.reference.execute import array_of
from flambeau._core import locks
from flambeau._engine.signature import lies_with_others, owns_its_memory
from flambeau._engine.window import look, state
from flambeau._ir.meta import Meta
from flambeau._ir.program import Storage, new_value

if TYPE_CHECKING:
    import numpy as np

# Views of the memory of storages whose address somebody knows, who may keep it as long as the storage lives.
_known_places: WeakKeyDictionary[Storage, np.ndarray] = WeakKeyDictionary()


def expose(storage: Storage, m: Meta) -> np.ndarray:
    """An array over the memory of a storage, seen through a layout, that outsiders may read and write."""
    state.window.looked()
    while True:
        value = storage.value
        data = look(value)
        with locks.exposure:
            # By the storage, the local variable and the argument; or by an instruction or another storage that still
            # reads this value, which is left to them, as is memory in which equal values lie.
            alone = sys.getrefcount(storage.value) <= 3 and not lies_with_others(value)
            own = value if alone or is_exposed(storage) else new_value()
            if own is not value:
                own.data = data.copy()
            array = array_of(own, m)[...]  # not the value's own array, as outsiders may give theirs another shape
            if storage.value is value:  # else another thread has changed it meanwhile
                storage.value, storage.exposed = own, True
                return array


def is_exposed(storage: Storage) -> bool:
    """Does somebody outside see the memory of a storage? Whoever did and does no more is forgotten."""
    if storage.exposed:
        with locks.exposure:
            if owns_its_memory(storage.value):
                storage.exposed = False
    return storage.exposed


def address(storage: Storage, m: Meta) -> int:
    """Where the first element is, and stays as long as the storage lives."""
    array = _known_places[storage] = expose(storage, m)
    return int(array.ctypes.data)
