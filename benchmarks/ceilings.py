"""What this machine can do at most, for one thread and for all: floating-point operations, and bytes read and written,
in a second.

    python benchmarks/ceilings.py
"""

from __future__ import annotations

from flambeau._backends.cpu.threads import get_num_threads, set_num_threads
from flambeau._engine.ceilings import Ceilings, measured

PATIENCE = 1.0  # seconds for each measurement


def ceilings(threads: int) -> Ceilings:
    """For so many threads."""
    before = get_num_threads()
    set_num_threads(threads)
    try:
        return measured(PATIENCE)
    finally:
        set_num_threads(before)


if __name__ == "__main__":
    for threads in sorted({1, get_num_threads()}):
        found = ceilings(threads)
        print(f"{threads} threads: {found.flops / 1e9:.0f} GFLOP/s, {found.bandwidth / 1e9:.1f} GB/s")
