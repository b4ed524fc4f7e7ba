"""What a matrix product is about once names and needless dimensions are gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.kernel import Address, Word, Words
from flambeau._backends.cpu.strided import dims_of
from flambeau._ir.meta import Meta


class Strided(NamedTuple):
    """A matrix in memory: its address, the elements from one row and from one column to the next."""

    at: Word
    row: int
    column: int

    def transposed(self) -> Strided:
        return Strided(self.at, self.column, self.row)


NOWHERE = Strided(0, 0, 0)


class Problem(NamedTuple):
    """C (m, n) = A (m, k) B (k, n) + bias (m, n), once for every matrix of the batch.

    `batch` has for each batch dimension, outermost first, its size and the strides of A, B and bias in elements. C is
    contiguous. `flipped`: A is what the caller called B, transposed, and the other way round.
    """

    dtype: str
    itemsize: int
    m: int
    n: int
    k: int
    a: Strided
    b: Strided
    bias: Strided
    c: Address
    batch: tuple[tuple[int, int, int, int], ...]
    flipped: bool = False

    @property
    def matrices(self) -> int:
        return math.prod([size for size, *_ in self.batch])

    @property
    def work(self) -> int:
        """Multiplications."""
        return self.matrices * self.m * self.n * self.k

    def batch_words(self) -> dict[str, Word]:
        """The fields `dims` and `batch_at` of kernels, innermost dimension first."""
        return {"dims": len(self.batch), "batch_at": Words(tuple([x for dim in reversed(self.batch) for x in dim]))}


def problem(inputs: Sequence[Meta], out: Meta) -> Problem:
    """The problem of A, B and perhaps a bias with those metas: a batch of A that meets one B is one taller A, and a
    product with a single column is one with a single row."""
    m, n = out.shape[-2:]
    matrices = [
        Strided(Address(i, x.offset * x.dtype.itemsize), x.strides[-2], x.strides[-1]) for i, x in enumerate(inputs)
    ]
    batches = [x.strides[:-2] for x in inputs]
    if len(inputs) < 3:
        matrices.append(NOWHERE)
        batches.append((0,) * (out.ndim - 2))
    batch = [(n, a, b, bias) for n, a, b, bias in dims_of(out.shape[:-2], *batches)]
    a, b, bias = matrices
    c, k = Address(len(inputs)), inputs[0].shape[-1]
    p = _taller(Problem(out.dtype.name, out.dtype.itemsize, m, n, k, a, b, bias, c, tuple(batch)))
    if p.n == 1 and p.m > 1:
        p = p._replace(m=1, n=p.m, a=p.b.transposed(), b=p.a.transposed(), bias=p.bias.transposed(), flipped=True,
                       batch=tuple([(size, b, a, bias) for size, a, b, bias in p.batch]))  # fmt: skip
    return p


def _taller(p: Problem) -> Problem:
    """The innermost batch dimension as more rows, where B does not change along it and rows go on evenly."""
    if not p.batch:
        return p
    size, a, b, bias = p.batch[-1]
    if p.m == 1:
        p = p._replace(a=p.a._replace(row=a), bias=p.bias._replace(row=bias))
    if b or a != p.m * p.a.row or bias != p.m * p.bias.row:
        return p
    return p._replace(m=p.m * size, batch=p.batch[:-1])
