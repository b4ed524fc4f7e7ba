"""Filling arrays with random numbers: the kernels of `random` run on the state of a NumPy bit generator."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import double_bits
from flambeau._backends.cpu.plan import NativePlan, Sites, block_of
from flambeau._backends.cpu.random import fill_step


@cache
def _plan(kind: str) -> NativePlan | None:
    step = fill_step(host_target(), kind)
    return None if step is None else NativePlan(Sites([((0, 1), (0, 1, 2))], 4, "nnn"), [block_of(step)])


def fill(kind: str, bits: Any, out: Any, a: float, b: float) -> bool:
    """Fill a contiguous array from the stream of a `numpy.random.MT19937`; False where there is no kernel for it.

    ============  =========  ================================================================================
    "uniform"     float32    even in [a, a + b), one word each
    "bernoulli"   float32    b with probability a, else 0; two words each
    "normal"      float32    of mean a and standard deviation b, one word each; a multiple of 16 of them
    "integers"    int64      a + (a word modulo b), for b below 2^31
    ============  =========  ================================================================================
    """
    if kind == "bernoulli":
        first = math.ceil(a * 2.0**53)  # 53 random bits are below it as often as they should be
    else:
        first = int(a) if kind == "integers" else double_bits(a)
    return _run(kind, bits, out, out.size, first, double_bits(b))


def shuffle(bits: Any, out: Any) -> bool:
    """Shuffle an int64 array (Fisher and Yates), one word an element but the last; False where there is no kernel."""
    return _run("permutation", bits, out, max(0, out.size - 1), 0, 0)


def _run(kind: str, bits: Any, out: Any, count: int, a: int, b: int) -> bool:
    plan = _plan(kind)
    if plan is None:
        return False
    with bits.lock:
        plan.run((bits.ctypes.state_address, out.__array_interface__["data"][0], 0, 0, count, a, b))
    return True
