"""Operands with any strides: dimensions as words, where an item of some number lies, copies from layout to layout."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.kernel import Address, Launch, Scratch, Step, Word, Words
from flambeau._backends.cpu.nest_lower import lower as lower_nest
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Expr, Loops, Nest, Operand
from flambeau._ir.meta import Meta, contiguous_strides, passing

Dim = tuple[int, ...]  # a dimension's size, then its stride in each of several arrays


def dims_of(shape: Sequence[int], *strides: Sequence[int]) -> list[Dim]:
    """The dimensions, outermost first, without those of size 1, neighbours as one where all strides allow it.

    Example::

        >>> dims_of((2, 3, 4), (12, 4, 1), (24, 4, 1))
        [(2, 12, 24), (12, 1, 1)]
    """
    merged: list[Dim] = []
    for dim in zip(shape, *strides, strict=True):
        size = dim[0]
        if size == 1:
            continue
        if merged and all(outer == inner * size for outer, inner in zip(merged[-1][1:], dim[1:], strict=True)):
            dim = (merged.pop()[0] * size, *dim[1:])
        merged.append(dim)
    return merged


def dims_words(dims: Sequence[Dim]) -> dict[str, Word]:
    """The fields `dims` (how many) and `dims_at` (they, the innermost first)."""
    return {"dims": len(dims), "dims_at": Words(tuple([x for dim in reversed(dims) for x in dim]))}


def places(f: Function, dims: Val, dims_at: Val, number: Val, arrays: int) -> list[Val]:
    """How many elements item `number` of the dimensions, in row-major order, lies from the first in each array."""
    with f.loop(0, dims, 1, [number, *[f.int(0)] * arrays]) as dim:
        rest, *sums = dim.carried
        at = f.offset(dims_at, f.mul(dim.index, 1 + arrays), "i64")
        size = f.word(at, 0)
        position = f.urem(rest, size)
        moved = [f.add(s, f.mul(position, f.word(at, 1 + i))) for i, s in enumerate(sums)]
        dim.next = [f.udiv(rest, size), *moved]
    return dim.results[1:]


def at_operand(number: int, m: Meta) -> Address:
    """The address of the first element of an operand."""
    return Address(number, m.offset * m.dtype.itemsize)


def copy(target: Target, source: Meta, source_at: Word, to: Meta, to_at: Word) -> tuple[Launch, ...] | None:
    """Launches that copy elements from one layout to another of the same shape and dtype. The addresses are those of
    the first elements."""
    d, dims = source.dtype.name, dims_of(source.shape, source.strides, to.strides)
    sizes, strides = tuple([dim[0] for dim in dims]), [tuple([dim[i] for dim in dims]) for i in (1, 2)]
    known = [tuple([s if s in (0, 1) else None for s in x]) for x in strides]
    operands = Operand(d, known[0], False), Operand(d, known[1], True)
    body = Expr("load", (), d, 0), Expr("store", (0,), d, 1)
    loops = Loops(len(dims), 0, operands, (), body)
    step = lower_nest(target, Nest(loops, sizes, tuple(strides), (0, 0), (None, None)))
    return None if step is None else readdressed(step, (source_at, to_at)).launches


def readdressed(step: Step, at: Sequence[Word]) -> Step:
    """The step with its operands at other addresses: those of another step's operands or in its scratch memory."""

    def word(w: Word) -> Word:
        if isinstance(w, Words):
            return Words(tuple([word(x) for x in w.words]))
        if not isinstance(w, Address):
            return w
        base = at[w.operand]
        assert isinstance(base, Address | Scratch)
        return base._replace(offset=base.offset + w.offset)

    return step._replace(launches=tuple([x._replace(words=tuple([word(w) for w in x.words])) for x in step.launches]))


class Dense:
    """Operands as dense row-major arrays: as they are, or copied into scratch memory.

    `launches` are the copies so far, `scratch` the bytes they need; `supported` turns False at a dtype that cannot be
    copied.
    """

    def __init__(self, target: Target, scratch: int = 0) -> None:
        self.target = target
        self.launches: list[Launch] = []
        self.scratch = scratch
        self.supported = True

    def reserve(self, bytes: int) -> Scratch:
        """That much scratch memory."""
        place = Scratch(self.scratch)
        self.scratch += -(-bytes // 64) * 64
        return place

    def read(self, number: int, m: Meta, order: Sequence[int] | None = None) -> Word:
        """The address of operand `number` with dimensions in `order`, row-major."""
        order = range(m.ndim) if order is None else order
        turned = permuted(m, order)
        if turned.is_contiguous:
            return at_operand(number, m)
        place = self.reserve(m.nbytes)
        self._copy(turned, at_operand(number, m), dense(turned), place)
        return place

    def write(self, place: Word, number: int, m: Meta, order: Sequence[int]) -> None:
        """Copy a dense array with dimensions in `order` to the dense operand `number`."""
        turned = permuted(m, order)
        self._copy(dense(turned), place, turned, at_operand(number, m))

    def _copy(self, source: Meta, source_at: Word, to: Meta, to_at: Word) -> None:
        launches = copy(self.target, source, source_at, to, to_at)
        self.supported = self.supported and launches is not None
        self.launches += launches or ()


def permuted(m: Meta, order: Sequence[int]) -> Meta:
    """The layout with its dimensions in another order."""
    return passing(m.dtype, [m.shape[d] for d in order], [m.strides[d] for d in order], m.offset)


def dense(m: Meta) -> Meta:
    """The row-major layout of the same shape."""
    return passing(m.dtype, m.shape, contiguous_strides(m.shape))


def grain(tasks: int, work: int, least: int = 1 << 15) -> int:
    """How many tasks make a chunk of at least that much work."""
    return max(1, -(-tasks * least // max(1, work)))


def rows_of(m: Meta, dim: int) -> int:
    """How many rows there are along a dimension."""
    return math.prod([n for d, n in enumerate(m.shape) if d != dim])
