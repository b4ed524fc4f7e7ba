"""Nests made from nests: dimensions in another order, reductions of nothing, long reductions in parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.nest_combine import accumulated, identity
from flambeau._backends.cpu.nest_structure import Structure
from flambeau._compiler.loops import Expr, Loops, Nest, Operand, known_strides


def permuted(nest: Nest, order: Sequence[int]) -> Nest:
    """The nest with its dimensions in another order, given as their present numbers; parallel ones stay first."""
    if list(order) == list(range(len(order))):
        return nest
    loops = nest.loops
    place = {old: new for new, old in enumerate(order)}
    operands = tuple([o._replace(strides=tuple([o.strides[d] for d in order])) for o in loops.operands])
    body = tuple([e._replace(param=place[e.param]) if e.op == "index" else e for e in loops.body])
    strides = tuple([tuple([s[d] for d in order]) for s in nest.strides])
    sizes = tuple([nest.sizes[d] for d in order])
    return nest._replace(loops=loops._replace(operands=operands, body=body), sizes=sizes, strides=strides)


def needed(body: Sequence[Expr], roots: Sequence[int]) -> list[int]:
    """The expressions that the roots are computed from, with these, in order."""
    found = set(roots)
    for i in reversed(range(len(body))):
        if i in found:
            found.update(body[i].args)
    return sorted(found)


def without_reductions(nest: Nest) -> Nest:
    """A nest that reduces over nothing as a map: every reduction gives its identity, there are no elements."""
    loops = nest.loops
    structure = Structure(loops)
    body = [
        Expr("const", (), e.dtype, 0 if e.param.startswith("arg") else identity(e.param, e.dtype))
        if e.op == "reduce" else e
        for e in loops.body
    ]  # fmt: skip
    numbers: dict[int, int] = {}
    kept: list[Expr] = []
    for i in needed(body, structure.row_stores()):
        numbers[i] = len(kept)
        kept.append(body[i]._replace(args=tuple([numbers[a] for a in body[i].args])))
    operands = tuple([o._replace(strides=o.strides[: loops.parallel]) for o in loops.operands])
    return nest._replace(
        loops=Loops(loops.parallel, 0, operands, loops.scalars, tuple(kept)),
        sizes=nest.sizes[: loops.parallel],
        strides=tuple([s[: loops.parallel] for s in nest.strides]),
    )


# ---------------------------------------------------------------------------------------------- reductions in parts


class Parts(NamedTuple):
    """A nest in two steps: `parts` has a number of parts as its outermost parallel dimension, `rest` is the same for
    what remains of the dimension after whole parts (or None), `total` combines their results.

    The last operands of all three are the partial results, of `dtypes`; `states` elements each. The last two scalars of
    `parts` and `rest` are the length of a part and the position where the first one begins.
    """

    parts: Nest
    rest: Nest | None
    total: Nest
    dtypes: tuple[str, ...]
    states: int


def split(nest: Nest, dim: int, length: int) -> Parts:
    """The reduced dimension `dim` cut into parts of `length` positions. Element stores are done in the parts."""
    loops, structure = nest.loops, Structure(nest.loops)
    whole, left = divmod(nest.sizes[dim], length)
    count = whole + (left > 0)
    builder = _PartBuilder(loops, structure, dim)
    rows = _row_strides(nest.sizes[: loops.parallel])
    per_part = math.prod(nest.sizes[: loops.parallel])
    partial = (per_part, *rows, *[0] * loops.reduced)
    strides = [(s[dim] * length, *s) for s in nest.strides] + [partial] * len(builder.dtypes)
    operands = [o._replace(strides=known_strides(s)) for o, s in zip(loops.operands, strides, strict=False)]
    operands += [Operand(d, known_strides(partial), True) for d in builder.dtypes]
    scalars = (*loops.scalars, "int64", "int64")
    made = Loops(loops.parallel + 1, loops.reduced, tuple(operands), scalars, tuple(builder.body))
    inner = [length if d == dim else n for d, n in enumerate(nest.sizes)]
    gathers = (*nest.gathers, *[None] * len(builder.dtypes))
    offsets = (*nest.offsets, *[0] * len(builder.dtypes))
    parts = Nest(made, (whole, *inner), tuple(strides), offsets, gathers, nest.checked)
    rest = None
    if left:
        inner = [left if d == dim else n for d, n in enumerate(nest.sizes)]
        moved = tuple([o + whole * s[0] for o, s in zip(offsets, strides, strict=True)])
        rest = parts._replace(sizes=(1, *inner), offsets=moved)
    total = _total(nest, structure, builder.partial, (*rows, per_part), count)
    return Parts(parts, rest, total, tuple(builder.dtypes), count * per_part)


def _row_strides(sizes: Sequence[int]) -> tuple[int, ...]:
    """Strides of one element a row, row-major."""
    strides, step = [], 1
    for n in reversed(sizes):
        strides.append(step if n > 1 else 0)
        step *= n
    return tuple(reversed(strides))


class _PartBuilder:
    """The body of a part: what reductions and element stores need, and a store for each partial result. `partial` are
    the numbers of a reduction's partial results: one, or for an extremum with position its value and position."""

    def __init__(self, loops: Loops, structure: Structure, dim: int) -> None:
        self.body: list[Expr] = []
        self.dtypes: list[str] = []
        self.partial: dict[int, list[int]] = {}
        self.loops = loops
        self.dim = dim
        numbers: dict[int, int] = {}
        stores = [i for i in structure.stores if structure.is_element(i)]
        for i in needed(loops.body, structure.reductions + stores):
            e = loops.body[i]
            args = tuple([numbers[a] for a in e.args])
            if e.op == "reduce":
                self._reduction(i, e, args[0])
            elif e.op == "index":
                index = self._add("index", (), "int64", e.param + 1)
                numbers[i] = self._moved(index) if e.param == dim else index
            else:
                numbers[i] = self._add(e.op, args, e.dtype, e.param)

    def _add(self, op: str, args: tuple[int, ...], dtype: str, param: object = None) -> int:
        self.body.append(Expr(op, args, dtype, param))
        return len(self.body) - 1

    def _moved(self, position: int) -> int:
        """A position in a part as one in the whole dimension."""
        scalars = len(self.loops.scalars)
        number = self._add("index", (), "int64", 0)
        length, first = (self._add("scalar", (), "int64", scalars + k) for k in (0, 1))
        begins = self._add("add", (self._add("mul", (number, length), "int64"), first), "int64")
        return self._add("add", (position, begins), "int64")

    def _reduction(self, i: int, e: Expr, value: int) -> None:
        dtype = self.body[value].dtype
        state = accumulated(e.param, dtype)
        if state != dtype:
            value = self._add("cast", (value,), state)
        if not e.param.startswith("arg"):
            self.partial[i] = [self._store(self._add("reduce", (value,), state, e.param))]
            return
        extremum = self._add("reduce", (value,), dtype, e.param[3:])
        position = self._moved(self._add("reduce", (value,), "int64", e.param))
        self.partial[i] = [self._store(extremum), self._store(position)]

    def _store(self, value: int) -> int:
        dtype = self.body[value].dtype
        self._add("store", (value,), dtype, len(self.loops.operands) + len(self.dtypes))
        self.dtypes.append(dtype)
        return len(self.dtypes) - 1


def _total(
    nest: Nest, structure: Structure, partial: dict[int, list[int]], strides: tuple[int, ...], count: int
) -> Nest:
    """The nest over partial results, which lie `strides` apart: it reduces them and does what depends on that."""
    loops = nest.loops
    base = len(loops.operands)
    operands = [o._replace(strides=(*o.strides[: loops.parallel], 0)) for o in loops.operands]
    all_strides = [(*s[: loops.parallel], 0) for s in nest.strides]
    gathers = list(nest.gathers)
    body: list[Expr] = []
    numbers: dict[int, int] = {}

    def add(op: str, args: tuple[int, ...], dtype: str, param: object = None) -> int:
        body.append(Expr(op, args, dtype, param))
        return len(body) - 1

    def operand(dtype: str, own: tuple[int, ...], gather: tuple[int, int] | None = None) -> None:
        operands.append(Operand(dtype, known_strides(own), False, gather is not None))
        all_strides.append(own)
        gathers.append(gather)

    for i in needed(loops.body, structure.row_stores()):
        e = loops.body[i]
        if structure.is_element(i):
            continue
        if e.op != "reduce":
            numbers[i] = add(e.op, tuple([numbers[a] for a in e.args]), e.dtype, e.param)
            continue
        dtype = loops.body[e.args[0]].dtype
        state = accumulated(e.param, dtype)
        value = add("load", (), state, base + partial[i][0])
        if e.param.startswith("arg"):
            part = add("reduce", (value,), "int64", e.param)
            numbers[i] = add("load", (part,), "int64", base + partial[i][1])
        else:
            numbers[i] = add("reduce", (value,), state, e.param)
            if state != e.dtype:
                numbers[i] = add("cast", (numbers[i],), e.dtype)
    for i, own in sorted(partial.items(), key=lambda item: item[1]):
        dtype = loops.body[loops.body[i].args[0]].dtype
        operand(accumulated(loops.body[i].param, dtype), strides)
        if len(own) > 1:
            operand("int64", (*strides[:-1], 0), (strides[-1], count))
    made = Loops(loops.parallel, 1, tuple(operands), loops.scalars, tuple(body))
    offsets = nest.offsets + (0,) * (len(operands) - base)
    sizes = (*nest.sizes[: loops.parallel], count)
    return Nest(made, sizes, tuple(all_strides), offsets, tuple(gathers), nest.checked)
