"""What this machine can do at most: floating-point operations, and bytes read and written, in a second.

    python benchmarks/ceilings.py

Both are NumPy's for now: a product of large matrices, and copies of memory that no cache holds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

SIZE = 1536  # of the matrices
FLOATS = 1 << 24  # to copy, 64 MiB
PATIENCE = 1.5  # seconds to look for the quickest call


class Ceilings(NamedTuple):
    """Floating-point operations and bytes in a second."""

    flops: float
    bandwidth: float


def quickest(function: Callable[[], object]) -> float:
    """Seconds of the quickest of some calls: a ceiling is what is possible, not what is usual."""
    function()
    best, begun = float("inf"), time.perf_counter()
    while (start := time.perf_counter()) < begun + PATIENCE:
        function()
        best = min(best, time.perf_counter() - start)
    return best


def peak_flops() -> float:
    """With as many threads as NumPy's BLAS was started with."""
    a = np.ones((SIZE, SIZE), np.float32)
    out = np.empty_like(a)
    return 2 * SIZE**3 / quickest(lambda: np.matmul(a, a, out=out))


def copy_bandwidth(threads: int) -> float:
    """Each thread copies its part; bytes read and bytes written both count."""
    source, target = np.ones(FLOATS, np.float32), np.zeros(FLOATS, np.float32)
    pairs = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        seconds = quickest(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
    return 2 * source.nbytes / seconds


def ceilings(threads: int) -> Ceilings:
    """For so many threads; NumPy's BLAS must have been started with as many."""
    return Ceilings(peak_flops(), copy_bandwidth(threads))


if __name__ == "__main__":
    found = ceilings(int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1))
    print(f"{found.flops / 1e9:.0f} GFLOP/s, {found.bandwidth / 1e9:.1f} GB/s")
