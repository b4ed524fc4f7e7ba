"""The worker threads of plans: how many there are, where they run, when they come and go.

What they do is native code (see `launch`), and they never run Python. They are made when first needed and ended before
a fork and at exit. Where there are no futexes or no POSIX threads there are no workers.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import Any

from flambeau._backends.cpu import launch
from flambeau._backends.cpu.host import default_threads, host_target, processors
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")

SPIN = 200_000  # nanoseconds that a worker watches for the next launch before it sleeps
STACK = 8 << 20  # bytes of a worker's stack: kernels keep small blocks there, and musl's default is 128 KB


class Pool:
    """Worker threads beside the caller. Who holds `lock` may launch with them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.spin = SPIN
        self.threads = 0  # 0 until it is asked for: the default takes some looking up
        self._workers: Workers | None = None

    def count(self) -> int:
        """How many threads a launch may use, the caller among them."""
        if not self.threads:
            self.threads = default_threads()
        return self.threads

    def resize(self, threads: int) -> None:
        """Use that many threads from now on."""
        with self.lock:
            self._end()
            self.threads = threads

    def block(self, worker: int) -> int:
        """The address of the block for `run_plan`, with workers that run the function `worker`; 0 without workers. The
        lock is held."""
        if self._workers is None:
            if self.count() == 1 or not launch.has_futex(host_target()):
                return 0
            self._workers = Workers(self.count() - 1, worker, self.spin)
        return self._workers.block

    def before_fork(self) -> None:
        """End the workers, unless there is a launch under way; the next one makes new ones."""
        if self.lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self.lock.release()

    def after_fork(self) -> None:
        """In a child: neither the workers nor who held the lock are here."""
        self.lock = threading.Lock()
        self._workers = None

    def _end(self) -> None:
        if self._workers is not None:
            self._workers.stop()
            self._workers = None


class Workers:
    """Running threads and the block that they share with their caller."""

    def __init__(self, count: int, worker: int, spin: int) -> None:
        self._memory = ctypes.create_string_buffer(launch.WORKERS + launch.WORKER_BYTES * count + 64)
        self.block = (ctypes.addressof(self._memory) + 63) & ~63
        self._libc = ctypes.CDLL(None)
        self._set(launch.SPIN, spin)
        self._set(launch.HOME, -1)
        self._set(launch.THREADS, count + 1)
        self._handles: list[Any] = []
        self._start(count, worker)
        if count + 1 >= len(processors()) > 1:
            self._pin(processors())

    def stop(self) -> None:
        """Tell the threads to end, and wait until they have."""
        self._set(launch.STOP, 1)
        ticket = ctypes.c_int64.from_address(self.block + launch.TICKET)
        ticket.value += 1 << 32
        futex = launch.FUTEX[host_target().triple.split("-")[0]]
        generation = ctypes.c_void_p(self.block + launch.TICKET + 4)
        self._libc.syscall(ctypes.c_long(futex), generation, launch.FUTEX_WAKE, launch.ALL, None)
        for handle in self._handles:
            self._libc.pthread_join(handle, None)

    def _set(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self.block + offset).value = value

    def _start(self, count: int, worker: int) -> None:
        """Make threads; fewer if the system allows no more. Signals are the business of Python's threads."""
        attributes = ctypes.create_string_buffer(256)
        self._libc.pthread_attr_init(attributes)
        self._libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for _ in range(count):
                handle = ctypes.c_ulong()
                function, block = ctypes.c_void_p(worker), ctypes.c_void_p(self.block)
                if self._libc.pthread_create(ctypes.byref(handle), attributes, function, block):
                    break
                self._handles.append(handle)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._libc.pthread_attr_destroy(attributes)

    def _pin(self, own: list[int]) -> None:
        """Keep each worker on a processor of its own, since every one is to be used: a thread that is woken would be
        put on its waker's, and wait there. The last of them is left to the caller."""
        if own[-1] >= 8 * launch.MASK_BYTES:
            return
        for i, handle in enumerate(self._handles):
            processor = own[i % len(own)]
            mask = (1 << processor).to_bytes(launch.MASK_BYTES, "little")
            if self._libc.pthread_setaffinity_np(handle, ctypes.c_size_t(launch.MASK_BYTES), mask):
                return
            worker = launch.WORKERS + launch.WORKER_BYTES * i
            self._set(worker, handle.value)
            self._set(worker + 8, processor)
        self._set(launch.HOME, own[-1])
        self._set(launch.PINNED, len(self._handles))


pool = Pool()
atexit.register(pool.resize, 1)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=pool.before_fork, after_in_child=pool.after_fork)


def set_num_threads(n: int) -> None:
    """Use `n` threads for what is launched from now on."""
    pool.resize(n)


def get_num_threads() -> int:
    """How many threads a launch may use."""
    return pool.count()
