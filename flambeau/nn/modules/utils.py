"""Small tools for size arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, Iterable) else tuple(repeat(value, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")
_sextuple = _ntuple(6, "_sextuple")


def _reverse_repeat_tuple(sizes: Sequence[int], times: int) -> tuple[int, ...]:
    """`(1, 2)`, 2 -> `(2, 2, 1, 1)`: per-dimension padding in the order that `pad` wants it."""
    return tuple(size for size in reversed(sizes) for _ in range(times))
