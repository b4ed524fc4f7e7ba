"""Memory for results: blocks that are kept when they become free, because fresh pages cost more than most kernels.

Asking the system for memory means page faults, about 2 us for every 4 KB; a training step asks for the same sizes
again and again. Sizes are rounded up to classes (four to each doubling), free blocks of a class wait in a list, and
large ones go back to the system when more of them wait than were ever in use at once.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from flambeau._core import locks
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np

    from flambeau._ir.program import Value
else:
    np = lazy_module("numpy")
mmap = lazy_module("mmap")
ctypes = lazy_module("ctypes")

ALIGNMENT = 64
SLAB = 1 << 20
LARGE = SLAB >> 2  # smaller blocks are cut from slabs
HUGE_PAGE = 2 << 20
KEPT = 24 << 20  # bytes of free large blocks that are always kept
SIZES = 1 << 10  # whose class is remembered
SETTLED = 1 << 14  # bytes of arrays that are worth a block
LARGEST_ON_HEAP = (32 << 20) - (64 << 10)  # bytes; glibc raises its threshold to no more than 32 MB


class Buffer:
    """A block in use: its address, the bytes asked for, and the NumPy dtype of what is in it. It becomes free when the
    last reference to it goes."""

    __slots__ = ("address", "nbytes", "capacity", "dtype")

    shared = False

    def __init__(self, address: int, nbytes: int, capacity: int, dtype: Any) -> None:
        self.address = address
        self.nbytes = nbytes
        self.capacity = capacity
        self.dtype = dtype

    def __del__(self) -> None:
        if allocator is not None:  # None when the interpreter ends
            allocator.release(self.address, self.capacity)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": (self.address, False)}

    def array(self) -> np.ndarray:
        """The memory as a flat array, which keeps the buffer alive."""
        return np.asarray(self).view(self.dtype)


class Allocator:
    """Free blocks by their capacity."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._regions: dict[int, Any] = {}  # address -> the mapping of a large block
        self._slab = self._slab_end = 0
        self.live = self.peak = self.waiting = 0  # bytes of large blocks in use, at most in use, free

    def allocate(self, nbytes: int, dtype: Any) -> Buffer:
        """A block of at least `nbytes`, its contents undefined."""
        return self.allocate_all([(nbytes, size_class(nbytes), dtype)])[0]

    def allocate_all(self, wanted: list[tuple[int, int, Any]]) -> list[Buffer]:
        """A block for each (bytes, their `size_class`, dtype)."""
        blocks = []
        for nbytes, capacity, dtype in wanted:
            try:
                address = self._free[capacity].pop()
            except IndexError:
                address = self._fresh(capacity)
            else:
                if capacity >= LARGE:
                    self.waiting -= capacity
            if capacity >= LARGE:
                self.live += capacity
                if self.live > self.peak:
                    self.peak = self.live
            blocks.append(Buffer(address, nbytes, capacity, dtype))
        return blocks

    def release(self, address: int, capacity: int) -> None:
        """Take a block back."""
        self._free[capacity].append(address)
        if capacity >= LARGE:
            self.live -= capacity
            self.waiting += capacity
            if self.waiting > max(KEPT, self.peak):
                self.trim()

    def trim(self) -> None:
        """Give all free large blocks back to the system."""
        with locks.memory:
            for capacity, addresses in self._free.items():
                if capacity >= LARGE:
                    while addresses:
                        region = self._regions.pop(addresses.pop())
                        self.waiting -= capacity
                        region[1] = None  # the view goes before the mapping
                        region[0].close()

    def _fresh(self, capacity: int) -> int:
        with locks.memory:
            if capacity >= LARGE:
                return self._map(capacity)
            if self._slab_end - self._slab < capacity:
                self._slab = self._map(SLAB)
                self._slab_end = self._slab + SLAB
            address = self._slab
            self._slab += capacity
            return address

    def _map(self, capacity: int) -> int:
        # private, so that a forked child gets a copy
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
        region = mmap.mmap(-1, capacity, **private)
        if capacity >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            region.madvise(mmap.MADV_HUGEPAGE)
        view = ctypes.c_char.from_buffer(region)
        address = ctypes.addressof(view)
        self._regions[address] = [region, view]
        return address


def settle(value: Value) -> None:
    """Move an array that nobody else sees to a block; worth it from `SETTLED` bytes on. NumPy aligns its memory to 16
    bytes, which splits every wide load in two, and a parameter that is changed in place stays where it was made."""
    array = value.array
    assert array is not None
    buffer = allocator.allocate(array.nbytes, array.dtype)
    buffer.array()[...] = array
    value.array, value.buffer = None, buffer


@cache
def reuse_pages() -> None:
    """Let glibc keep the pages of what NumPy frees, for what it asks for next. It does by itself, up to the size of the
    largest block that was ever freed; until then most temporary results come with new pages."""
    np.empty(LARGEST_ON_HEAP, np.uint8)  # freed at once, and never touched


@lru_cache(SIZES)
def size_class(nbytes: int) -> int:
    """The capacity of the block for a size: a multiple of 64, at most a quarter more than needed.

    Example::

        >>> [size_class(n) for n in (0, 64, 65, 1000, 1025)]
        [64, 64, 128, 1024, 1280]
    """
    if nbytes <= ALIGNMENT:
        return ALIGNMENT
    step = max(ALIGNMENT, 1 << max(0, (nbytes - 1).bit_length() - 3))
    return -(-nbytes // step) * step


class Arena(threading.local):
    """A thread's block for the temporary results of plans: one that is as large as the largest plan needs."""

    buffer: Buffer | None = None

    def address(self, nbytes: int) -> int:
        """The address of at least `nbytes`."""
        if self.buffer is None or self.buffer.nbytes < nbytes:
            self.buffer = None  # free the old one first
            self.buffer = allocator.allocate(nbytes, None)
        return self.buffer.address


allocator = Allocator()
arena = Arena()
