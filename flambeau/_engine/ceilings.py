"""What this machine can do at most: floating-point operations, and bytes read and written, in a second.

Both are measured on the threads that kernels run on, and are what is possible, not what is usual: the quickest of many
short runs counts, so that other work on the machine does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from flambeau._backends.cpu.ceilings import PIECE, copy_step, products_step
from flambeau._backends.cpu.host import host_target, largest_cache
from flambeau._backends.cpu.plan import prepared
from flambeau._backends.cpu.threads import get_num_threads
from flambeau._core.lazy import lazy_module

np = lazy_module("numpy")

PATIENCE = 0.1  # seconds for each of the three measurements
TASKS = 16  # for each thread: less than half a millisecond
SMALLEST, LARGEST = 64 << 20, 256 << 20  # bytes that are copied, at least and at most


class Ceilings(NamedTuple):
    """Floating-point operations of float32 and bytes in a second."""

    flops: float
    bandwidth: float


_found: dict[int, Ceilings] = {}


def measured(patience: float = PATIENCE) -> Ceilings:
    """The ceilings for as many threads as kernels use now. They are measured once a process for each such number, for
    `patience` seconds each."""
    threads = get_num_threads()
    if threads not in _found:
        _found[threads] = Ceilings(peak_flops(patience), copy_bandwidth(patience))
    return _found[threads]


def peak_flops(patience: float = PATIENCE) -> float:
    """Multiplications and additions that stay in registers, a second."""
    target, tasks = host_target(), TASKS * get_num_threads()
    step = products_step(target, tasks)
    return step.flops / quickest(prepared(step, [np.zeros(tasks * target.lanes(4), np.float32)]), patience)


def copy_bandwidth(patience: float = PATIENCE) -> float:
    """Bytes read and bytes written a second, both counted, in copying memory that no cache holds: by a kernel or by
    NumPy, whichever is quicker."""
    threads = get_num_threads()
    size = max(SMALLEST, min(2 * largest_cache(), LARGEST)) // PIECE * PIECE
    source, to = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    step = copy_step(size)
    seconds = quickest(prepared(step, [to, source]), patience)
    parts = list(zip(np.array_split(to, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        copied = quickest(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)), patience)
    return step.bytes / min(seconds, copied)


def quickest(function: Callable[[], object], patience: float) -> float:
    """Seconds of the quickest of the calls that fit into so many, after a first one that does not count."""
    function()
    best, begun = float("inf"), time.perf_counter()
    while (start := time.perf_counter()) < begun + patience or best == float("inf"):
        function()
        best = min(best, time.perf_counter() - start)
    return best
