"""Sorting along one dimension, and the first k of the order: which way rows are sorted, how they are shared out.

Rows are sorted where their elements are neighbours; along another dimension they are copied there and back.
"""

from __future__ import annotations

from flambeau._backends.cpu.kernel import Launch, Step, Word
from flambeau._backends.cpu.sort_keys import SUPPORTED, Keys
from flambeau._backends.cpu.sort_rows import LIMIT, NETWORK, RADIX, WITNESSES, network_kernel, radix_kernel
from flambeau._backends.cpu.strided import Dense, at_operand, grain, rows_of
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

LONGEST = 2**31 - 1  # elements of a row whose positions fit beside their keys
BUFFER_BYTES = 64 << 20  # for records of rows that are sorted at a time
SPARE = 4  # a buffer for the best has room for so many times as many
WIDE_DIGITS = 1 << 15  # from so many elements on, fewer passes with larger digits


def lower_sort(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """x -> values in order, int64 positions. params = (dim, descending, stable); the order is always stable."""
    dim, descending, _ = params
    return _lower(target, dim, inputs[0].shape[dim], descending, inputs[0], outputs)


def lower_topk(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """x -> the k greatest or smallest values, int64 positions; in order, of equals those that come first.
    params = (k, dim, largest, sorted)."""
    k, dim, largest, _ = params
    return _lower(target, dim, k, largest, inputs[0], outputs)


def _lower(target: Target, dim: int, kept: int, descending: bool, x: Meta, outputs: tuple[Meta, ...]) -> Step | None:
    steps = x.shape[dim]
    if x.dtype.name not in SUPPORTED or steps > LONGEST:
        return None
    if not outputs[0].numel:
        return Step(())
    last = x.ndim - 1
    order = [d for d in range(x.ndim) if d != dim] + [dim]
    dense = Dense(target)
    x_at = dense.read(0, x, order)
    if dim == last:
        places: list[Word] = [at_operand(1 + i, m) for i, m in enumerate(outputs)]
    else:
        places = [dense.reserve(m.nbytes) for m in outputs]
    rows = _Rows(target, x.dtype.name, descending, steps, kept, rows_of(x, dim))
    dense.launches += rows.launches(dense, x_at, places)
    if dim != last:
        for i, m in enumerate(outputs):
            dense.write(places[i], 1 + i, m, order)
    moved = x.nbytes + sum([m.nbytes for m in outputs])
    return Step(tuple(dense.launches), dense.scratch, moved, x.numel) if dense.supported else None


class _Rows:
    """The launches for `rows` dense rows of `steps` elements, `kept` of which are wanted in order."""

    def __init__(self, target: Target, dtype: str, descending: bool, steps: int, kept: int, rows: int) -> None:
        self.lanes = target.lanes(8)
        self.dtype, self.descending, self.steps, self.kept, self.rows = dtype, descending, steps, kept, rows
        self.words = Keys(dtype, descending).words

    def launches(self, dense: Dense, x_at: Word, places: list[Word]) -> list[Launch]:
        fields: dict[str, Word] = {"x_at": x_at, "values_at": places[0], "positions_at": places[1], "steps": self.steps,
                                   "kept": self.kept}  # fmt: skip
        room = max(64, SPARE * self.kept)
        if room < self.steps and room <= LIMIT:
            return [self._network("few" if 2 * self.kept <= WITNESSES else "top", room, fields)]
        if self.steps <= LIMIT:
            return [self._network("sort", self.steps, fields)]
        return self._radix(dense, fields)

    def _network(self, entry: str, places: int, fields: dict[str, Word]) -> Launch:
        levels = (-(-places // self.lanes) - 1).bit_length()
        kernel = network_kernel(self.dtype, self.descending)
        work = self.rows * self.steps * (8 if entry == "sort" else 1)
        return Launch(kernel, entry, NETWORK.words(**fields, levels=levels), self.rows, grain(self.rows, work))

    def _radix(self, dense: Dense, fields: dict[str, Word]) -> list[Launch]:
        bytes = 2 * 8 * self.words * self.steps
        at_once = max(1, min(self.rows, BUFFER_BYTES // bytes))
        buffers = dense.reserve(at_once * bytes)
        kernel = radix_kernel(self.dtype, self.descending, 11 if self.steps >= WIDE_DIGITS else 8)
        launches = []
        for first in range(0, self.rows, at_once):
            words = RADIX.words(**fields, first=first, buffers_at=buffers)
            launches.append(Launch(kernel, "sort", words, min(at_once, self.rows - first), 1))
        return launches
