"""Matrix products: which kernels do the work, and how it is split into tasks.

C [*B, m, n] = A [*B, m, k] B [*B, k, n] (+ bias). B is packed into panels of two vectors' width, rows of A are read as
they lie if their elements are neighbours and are packed into panels otherwise (Goto & van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", 2008). A task computes a block of C: for every stretch of k, every panel of B
(which stays in the first-level cache) meets every panel of A.

How k is cut depends on k alone, so a row has the same bits whatever rows are computed with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu import matmul_kernels as kernels
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scratch, Step, Word
from flambeau._backends.cpu.nest import lower as lower_nest
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Expr, Loops, Nest, Operand
from flambeau._ir.meta import Meta

STRETCH = 384  # elements of k between two visits of C
BLOCK_ROWS = 96  # rows of C in one task, at most
BLOCK_BYTES = 192 << 10  # of packed B that a task goes through for one stretch
PARALLEL_FROM = 1 << 18  # multiplications that are worth waking a thread for
FEW_TASKS = 8
LONG_K = 4096  # from here on k is split over tasks if there are few tiles


def lower(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """The launches of a product; operands are A, B, perhaps a bias that broadcasts to C, and C."""
    a, b, out = inputs[0], inputs[1], outputs[0]
    m, n, k = out.shape[-2], out.shape[-1], a.shape[-1]
    if out.numel == 0:
        return Step(())
    bias_fits = len(inputs) < 3 or inputs[2].strides[-1] == 1 or n == 1
    batch = _batch(a, b, out)
    if out.dtype.name not in ("float32", "float64") or min(m, n) == 1 or k == 0 or not bias_fits or batch is None:
        return _as_nest(target, inputs, out)
    return _Product(target, inputs, out, batch).step()


def _batch(a: Meta, b: Meta, out: Meta) -> list[tuple[int, int, int]] | None:
    """The leading dimensions as at most two of (size, stride in A, stride in B); None if there are more."""
    merged: list[tuple[int, int, int]] = []
    for size, sa, sb in zip(out.shape[:-2], a.strides, b.strides, strict=False):
        if size == 1:
            continue
        if merged:
            last = merged[-1]
            if last[1] == sa * size and last[2] == sb * size:
                merged[-1] = (last[0] * size, sa, sb)
                continue
        merged.append((size, sa, sb))
    if len(merged) > 2:
        return None
    return [(1, 0, 0)] * (2 - len(merged)) + merged


def _as_nest(target: Target, inputs: Sequence[Meta], out: Meta) -> Step | None:
    """The product as sums over k: for vectors, whose products are limited by memory, for integers, and for k = 0."""
    *batch, m, n = out.shape
    a, b = inputs[0], inputs[1]
    sizes = (*out.shape, a.shape[-1])
    spread = [(*a.strides[:-1], 0, a.strides[-1]), (*b.strides[:-2], 0, b.strides[-1], b.strides[-2])]
    spread += [(*bias.strides, 0) for bias in inputs[2:]]
    spread.append((*out.strides, 0))
    kept = [i for i, size in enumerate(sizes[:-1]) if size != 1]
    strides = [tuple([s[i] for i in kept] + [s[-1]]) for s in spread]
    d = out.dtype.name
    body = [Expr("load", (), d, 0), Expr("load", (), d, 1), Expr("mul", (0, 1), d), Expr("reduce", (2,), d, "sum")]
    if len(inputs) > 2:
        body += [Expr("load", (), d, 2), Expr("add", (3, 4), d)]
    body.append(Expr("store", (len(body) - 1,), d, len(inputs)))
    operands = tuple([
        Operand(d, tuple([x if x in (0, 1) else None for x in s]), i == len(inputs)) for i, s in enumerate(strides)
    ])  # fmt: skip
    loops = Loops(len(kept), 1, operands, (), tuple(body))
    offsets = tuple([x.offset for x in inputs] + [0])
    nest = Nest(loops, tuple([sizes[i] for i in kept] + [sizes[-1]]), tuple(strides), offsets, (None,) * len(operands))
    return lower_nest(target, nest)


class _Product:
    """The plan of one product on the micro-kernels."""

    def __init__(
        self, target: Target, inputs: Sequence[Meta], out: Meta, batch: list[tuple[int, int, int]], parts: int = 1
    ) -> None:
        self.target = target
        self.inputs = inputs
        self.out = out
        self.batch = batch
        self.a, self.b = inputs[0], inputs[1]
        self.m, self.n, self.k = out.shape[-2], out.shape[-1], self.a.shape[-1]
        self.dtype = out.dtype.name
        self.itemsize = out.dtype.itemsize
        self.tile = kernels.Tile.of(target, self.dtype)
        self.panels = -(-self.m // self.tile.rows)
        self.columns = -(-self.n // self.tile.width)
        self.count = batch[0][0] * batch[1][0]
        self.pack_a = self.a.strides[-1] != 1
        self.scratch = 0

    def step(self) -> Step:
        launches: list[Launch] = []
        a_word, a_strides = self._left(launches)
        b_word, b_strides = self._right(launches)
        launches.append(self._compute(a_word, a_strides, b_word, b_strides))
        elements = self.a.numel + self.b.numel + self.out.numel
        return Step(tuple(launches), self.scratch, elements * self.itemsize, 2 * self.count * self.m * self.n * self.k)

    def _reserve(self, elements: int) -> Scratch:
        place = Scratch(self.scratch)
        self.scratch += -(-elements * self.itemsize // 64) * 64
        return place

    def _operand(self, i: int) -> Address:
        return Address(i, self.inputs[i].offset * self.itemsize)

    def _left(self, launches: list[Launch]) -> tuple[Word, tuple[int, int, int]]:
        """A as the micro-kernels read it: (its address, (stride of a row, of the two batch dimensions))."""
        if not self.pack_a:
            return self._operand(0), (self.a.strides[-2], self.batch[0][1], self.batch[1][1])
        rows = self.tile.rows
        place = self._reserve(self.count * self.panels * rows * self.k)
        words = (self._operand(0), place, self.m, self.k, self.a.strides[-2], self.a.strides[-1], self.panels,
                 self.batch[1][0], self.batch[0][1], self.batch[1][1])  # fmt: skip
        kernel = Kernel(kernels.pack_left, (self.dtype,), ("pack",))
        tasks = self.count * self.panels
        launches.append(Launch(kernel, "pack", words, tasks, self._grain(tasks, self.k * rows * 4)))
        each = self.panels * rows * self.k
        return place, (0, each * self.batch[1][0], each)

    def _right(self, launches: list[Launch]) -> tuple[Word, tuple[int, int, int, int]]:
        """B as the micro-kernels read it: (its address, (stride of k, of a panel, of the two batch dimensions))."""
        by_rows, by_columns = self.b.strides[-1] == 1, self.b.strides[-2] == 1
        if by_rows and self.n % self.tile.width == 0 and self.panels <= 4:
            return self._operand(1), (self.b.strides[-2], self.tile.width, self.batch[0][2], self.batch[1][2])
        each = self.columns * self.tile.width * self.k
        shared = all(size == 1 or stride == 0 for size, _, stride in self.batch)
        count = 1 if shared else self.count
        place = self._reserve(count * each)
        order = "rows" if by_rows else "columns" if by_columns else "any"
        inner = 1 if shared else self.batch[1][0]
        words = (self._operand(1), place, self.n, self.k, self.b.strides[-2], self.b.strides[-1], self.columns,
                 inner, self.batch[0][2], self.batch[1][2])  # fmt: skip
        kernel = Kernel(kernels.pack_right, (self.dtype, order), ("pack",))
        tasks = count * self.columns
        launches.append(Launch(kernel, "pack", words, tasks, self._grain(tasks, self.k * self.tile.width * 2)))
        strides = (self.tile.width, self.tile.width * self.k)
        return place, (*strides, 0, 0) if shared else (*strides, each * self.batch[1][0], each)

    def _compute(
        self, a_word: Word, a_strides: tuple[int, int, int], b_word: Word, b_strides: tuple[int, int, int, int]
    ) -> Launch:
        stretches = max(1, round(self.k / STRETCH + 0.3))
        stretch = -(-self.k // stretches)
        rows, columns = self._blocks(stretch)
        row_blocks, column_blocks = -(-self.panels // rows), -(-self.columns // columns)
        tasks = self.count * row_blocks * column_blocks
        bias = len(self.inputs) > 2
        bias_word = self._operand(2) if bias else 0
        bias_strides = self._bias_strides() if bias else (0, 0, 0)
        words = (a_word, b_word, Address(len(self.inputs)), bias_word, self.m, self.n, self.k, *a_strides, *b_strides,
                 *bias_strides, self.panels, self.columns, rows, columns, row_blocks, column_blocks, stretch,
                 self.batch[1][0])  # fmt: skip
        kernel = Kernel(kernels.compute, (self.dtype, self.pack_a, bias), ("compute",))
        return Launch(kernel, "compute", words, tasks, self._grain(tasks, 2 * self.m * self.n * self.k // max(1, row_blocks * column_blocks)))  # noqa: E501

    def _bias_strides(self) -> tuple[int, int, int]:
        """The strides of a row and of the two batch dimensions of the bias."""
        bias = self.inputs[2]
        batch = [s for size, s in zip(bias.shape[:-2], bias.strides, strict=False) if size != 1]
        if len(batch) > 2:
            batch = batch[-2:] if not any(batch[:-2]) else batch
        padded = [0] * (2 - len(batch)) + batch
        return bias.strides[-2], padded[0], padded[1]

    def _blocks(self, stretch: int) -> tuple[int, int]:
        """How many panels of A and of B make a task's block."""
        rows = min(self.panels, max(1, BLOCK_ROWS // self.tile.rows))
        columns = min(self.columns, max(1, BLOCK_BYTES // (stretch * self.tile.width * self.itemsize)))
        work = self.count * self.m * self.n * self.k
        while work >= PARALLEL_FROM and self.count * -(-self.panels // rows) * -(-self.columns // columns) < FEW_TASKS:
            if columns > 1 and (columns >= rows or rows == 1):
                columns = -(-columns // 2)
            elif rows > 1:
                rows = -(-rows // 2)
            else:
                break
        return rows, columns

    def _grain(self, tasks: int, each: int) -> int:
        return max(1, PARALLEL_FROM // max(1, each), math.ceil(tasks / 64))
