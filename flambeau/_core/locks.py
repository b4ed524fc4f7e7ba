"""Locks that must be free when a process forks, since its child has no other threads to free them."""

from __future__ import annotations

import threading

modes = threading.RLock()  # of what is counted over all threads: modes, mixed precision
drawing = threading.RLock()  # of random numbers, from whatever generator
compilation = threading.RLock()  # of kernels: LLVM has locks of its own, which nobody holds meanwhile
exposure = threading.RLock()  # of what says which memory outsiders see
memory = threading.Lock()  # of the allocator's free blocks
structures = threading.Lock()  # of what was lowered with many sizes
imports = threading.RLock()  # of modules that are imported at their first use


def acquire() -> None:
    """Before a fork."""
    modes.acquire()  # in the order in which they are held inside each other
    drawing.acquire()
    compilation.acquire()
    exposure.acquire()
    memory.acquire()
    structures.acquire()
    imports.acquire()


def release() -> None:
    """After a fork, in both processes."""
    imports.release()
    structures.release()
    memory.release()
    exposure.release()
    compilation.release()
    drawing.release()
    modes.release()
