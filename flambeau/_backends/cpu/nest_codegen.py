"""Loop nests as LLVM text.

One generator writes pointwise chains, reductions and row kernels. Which dimension the vector lanes run along makes the
difference:

* nothing is reduced (a *map*): along a parallel dimension, which is cut into blocks;
* a reduced dimension (*rows*): several accumulators are merged and their lanes combined at the row's end;
* a parallel dimension (*columns*): every lane reduces on its own, a block of columns at a time.

Along the lanes a loop over whole vectors, `width` of them side by side, is followed by one over masked vectors. Side
by side means as one wide vector, so the same instruction follows for each register: a processor that looks some hundred
instructions ahead finds enough that need not wait for each other. A row is run through in passes: each computes the
reductions that can be, given those before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from flambeau._backends.cpu.casts import MEMORY, to_memory, to_register
from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.nest_body import Body, Point
from flambeau._backends.cpu.nest_combine import Combiner
from flambeau._backends.cpu.nest_structure import Structure
from flambeau._backends.cpu.nest_tile import TILES, Tiling
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Loops

KEPT_ELEMENTS = 8192  # the longest row of which values are kept, in elements of all kept values together
TOGETHER = 4  # values of a column that are added before the sum is widened
LIGHT = 8  # what a pass may cost whose body is written for several places at once
KEPT_SLACK = 256  # elements that whole vectors may reach beyond a row's end

Work = Callable[[Point, list[Point], list[Val]], list[Val]]


class Shape(NamedTuple):
    """What the text of a kernel depends on beside its loops. Lanes run along dimension `along` (-1: there are none);
    `short`: that fits one vector; `keeping`: costly values are kept for later passes; `tiled`: operands that lie along
    the dimension before it are transposed in tiles; `checked`: so are the indices of gathers."""

    along: int
    lanes: int
    width: int = 1
    short: bool = False
    keeping: bool = False
    tiled: bool = False
    checked: bool = True


def generate(target: Target, loops: Loops, shape: Shape) -> str:
    """The text of the kernel `nest`."""
    module = Module(target)
    f, args, lo, hi = module.entry("nest")
    _Generator(f, args, loops, shape).write(lo, hi)
    f.ret()
    f.close()
    return module.text()


def generate_epilogue(target: Target, loops: Loops, shape: Shape) -> str:
    """The text of a map over rows and columns as `epilogue(words, row_lo, row_hi, column_lo, column_hi)`."""
    module = Module(target)
    bounds = ("row_lo", "row_hi", "column_lo", "column_hi")
    f = module.function("epilogue", "void", [("args", "ptr"), *[(b, "i64") for b in bounds]])
    args, *limits = f.parameters
    _Generator(f, args, loops, shape).write_block(*limits)
    f.ret()
    f.close()
    return module.text()


class _Generator:
    def __init__(self, f: Function, args: Val, loops: Loops, shape: Shape) -> None:
        self.f = f
        self.loops = loops
        self.shape = shape
        self.structure = Structure(loops, shape.keeping)
        self.body = Body(f, args, loops, self.structure, shape.along, shape.checked)
        self.parallel = range(loops.parallel)
        self.reduced = range(loops.parallel, loops.parallel + loops.reduced)
        self.in_rows = shape.along in self.reduced
        self.in_columns = bool(self.reduced) and shape.along in self.parallel
        self.outer = [d for d in self.parallel if d != shape.along]
        self.buffers = {i: self._buffer(i) for i in self.structure.kept}

    def write(self, lo: Val, hi: Val) -> None:
        """The tasks lo..hi-1."""
        origin = self.body.origin()
        self.body.compute_ahead(origin, (), 0)
        if self.shape.tiled:
            self._tiles(origin, lo, hi)
        elif not self.loops.reduced:
            self._map(origin, lo, hi)
        elif self.in_rows or not self.shape.lanes:
            with self._tasks(origin, lo, hi, self.outer, None) as (row, _):
                self._row(row)
        else:
            self._columns(origin, lo, hi)

    def write_block(self, row_lo: Val, row_hi: Val, column_lo: Val, column_hi: Val) -> None:
        """A map over part of its two dimensions."""
        origin = self.body.origin()
        self.body.compute_ahead(origin, (), 0)
        with self.f.loop(row_lo, row_hi) as loop:
            row = origin.inner()
            self.body.move(row, 0, loop.index)
            self._map_line(row, column_lo, column_hi)

    # ------------------------------------------------------------------------------------------ tasks

    @contextmanager
    def _tasks(self, origin: Point, lo: Val, hi: Val, dims: Sequence[int], blocks: Val | None
               ) -> Iterator[tuple[Point, Val]]:  # fmt: skip
        """For each task: a point at its positions in `dims`, and its number among the `blocks` of the innermost."""
        f = self.f
        sizes = [self.body.sizes[d] for d in dims] + ([] if blocks is None else [blocks])
        with f.loop(lo, hi, 1, self._first(lo, sizes)) as loop:
            point = origin.inner()
            for d, position in zip(dims, loop.carried, strict=False):
                self.body.move(point, d, position)
            yield point, loop.carried[-1] if blocks is not None else f.int(0)
            loop.next = self._next(loop.carried, sizes)

    def _first(self, task: Val, sizes: Sequence[Val]) -> list[Val]:
        """The positions of a task's number in a space of these sizes."""
        f, found, rest = self.f, [], task
        for size in reversed(sizes[1:]):
            found.append(f.urem(rest, size))
            rest = f.udiv(rest, size)
        return [rest, *reversed(found)] if sizes else []

    def _next(self, positions: Sequence[Val], sizes: Sequence[Val]) -> list[Val]:
        """The positions of the next task."""
        f, found, carry = self.f, [], self.f.int(1)
        for position, size in zip(reversed(positions), reversed(sizes), strict=True):
            following = f.add(position, carry)
            over = f.compare("eq", following, size)
            found.append(f.select(over, f.int(0), following))
            carry = f.cast("zext", over, "i64")
        return found[::-1]

    def _blocks(self, dim: int, length: Val | int) -> Val:
        """How many blocks of `length` cover a dimension."""
        f = self.f
        return f.udiv(f.add(self.body.sizes[dim], f.sub(length, 1)), length)

    # ------------------------------------------------------------------------------------------ along the lanes

    def _along(self, point: Point, start: Val, end: Val, states: list[Val], width: int, work: Work) -> list[Val]:
        """Run `work` over the vectors from `start` to `end`. It gets the point where they begin, the vectors (columns
        are looked at one by one, else there is a wide one) and a state for each of `width`, and gives the following
        states."""
        f, lanes = self.f, self.shape.lanes
        if self.shape.short:
            return self._masked(point, start, end, states, work)
        one = len(states) // width
        middle = f.add(start, f.binary("and", f.sub(end, start), -width * lanes))
        with f.loop(start, middle, width * lanes, states) as loop:
            base = self._at(point, loop.index)
            sizes = [lanes] * width if self.in_columns else [width * lanes]
            loop.next = work(base, [self.body.vector(base, n, k) for k, n in enumerate(sizes)], loop.carried)
        states, rest = loop.results[:one], loop.results[one:]
        with f.loop(middle, end, lanes, states) as loop:
            loop.next = self._masked(point, loop.index, end, loop.carried, work)
        return loop.results + rest

    def _masked(self, point: Point, start: Val, end: Val, states: list[Val], work: Work) -> list[Val]:
        base = self._at(point, start)
        mask = self.f.mask_below(self.f.sub(end, start), self.shape.lanes)
        return work(base, [self.body.vector(base, self.shape.lanes, 0, mask)], states)

    def _at(self, point: Point, position: Val) -> Point:
        """The point moved along the lanes' dimension."""
        base, along = point.inner(), self.shape.along
        self.body.move(base, along, position)
        if self.buffers and self.in_rows:
            base.slot = self._slot(point, along, position)
        return base

    def _slot(self, point: Point, dim: int, position: Val) -> Val:
        if point.slot is None:
            return position
        return self.f.add(self.f.mul(point.slot, self.body.sizes[dim]), position)

    # ------------------------------------------------------------------------------------------ maps

    def _map(self, origin: Point, lo: Val, hi: Val) -> None:
        f, along = self.f, self.shape.along
        if not self.shape.lanes:
            with self._tasks(origin, lo, hi, self.parallel, None) as (point, _):
                self.body.store_all(point, self.structure.stores)
            return
        blocks = None if self.shape.short else self._blocks(along, self.body.block)
        with self._tasks(origin, lo, hi, self.outer, blocks) as (point, number):
            start = f.mul(number, self.body.block) if blocks else f.int(0)
            end = f.min(f.add(start, self.body.block), self.body.sizes[along]) if blocks else self.body.sizes[along]
            self._map_line(point, start, end)

    def _map_line(self, point: Point, start: Val, end: Val) -> None:
        """A map along the lanes."""
        self.body.compute_ahead(point, self.outer, 0)
        self.body.look_up_ahead(point)
        self._splat_ahead(point, range(len(self.loops.body)), self.shape.width)

        def work(_: Point, vectors: list[Point], states: list[Val]) -> list[Val]:
            for v in vectors:
                self.body.store_all(v, self.structure.stores)
            return states

        self._along(point, start, end, [], self.shape.width, work)

    def _splat_ahead(self, point: Point, users: Sequence[int], width: int) -> None:
        """Put known scalars into all lanes of wide vectors and of others."""
        for lanes in {self.shape.lanes, width * self.shape.lanes}:
            self.body.splat_ahead(point, users, lanes)

    def _tiles(self, origin: Point, lo: Val, hi: Val) -> None:
        f, across, length = self.f, self.shape.along - 1, TILES * self.shape.lanes
        tiling = Tiling(f, self.body, across, self.shape.lanes)
        dims = [d for d in self.outer if d != across]
        with self._tasks(origin, lo, hi, dims, self._blocks(across, length)) as (point, number):
            start = f.mul(number, length)
            tiling.write(point, start, f.min(f.add(start, length), self.body.sizes[across]))

    # ------------------------------------------------------------------------------------------ rows

    def _row(self, row: Point) -> None:
        """All passes over a row, then what is left once every reduction is known."""
        self.line: dict[int, Val] = {}
        for number in range(self.structure.passes):
            self.body.compute_ahead(row, self.parallel, number)
            combiners = self._combiners(number)
            width = self._width(number)
            states = self._starts(combiners) * width
            dims = [d for d in self.reduced if d != self.shape.along]
            states = self._nested(dims, row, number, states, 1, partial(self._line, number))
            one = len(states) // width
            for r, c in combiners.items():
                parts, states = self._split(states, c.parts, one, width)
                one -= c.parts
                total = self._merged(c, parts)
                row.values[r] = c.result(self.f, c.across(self.f, total) if self.shape.lanes else total)
        self.body.compute_ahead(row, self.parallel, self.structure.passes)
        self.body.store_all(row, self.structure.row_stores())

    @staticmethod
    def _split(states: list[Val], parts: int, one: int, width: int) -> tuple[list[list[Val]], list[Val]]:
        """The first `parts` values of each of `width` states of `one` values; and the states without them."""
        each = [states[k * one : (k + 1) * one] for k in range(width)]
        return [s[:parts] for s in each], [v for s in each for v in s[parts:]]

    def _merged(self, c: Combiner, states: list[list[Val]]) -> list[Val]:
        """The states of one combiner as one, by pairs."""
        while len(states) > 1:
            pairs = [c.merge(self.f, a, b) for a, b in zip(states[::2], states[1::2], strict=False)]
            states = pairs + (states[-1:] if len(states) % 2 else [])
        return states[0]

    def _combiners(self, number: int) -> dict[int, Combiner]:
        body = self.loops.body
        return {r: Combiner.of(body[r], body) for r in self.structure.of_pass(number)[0]}

    def _starts(self, combiners: dict[int, Combiner]) -> list[Val]:
        return [s for c in combiners.values() for s in c.start(self.f, self.shape.lanes)]

    def _line(self, number: int, points: list[Point], states: list[Val]) -> list[Val]:
        """One pass along the lanes of a row."""
        if not self.shape.lanes:
            return self._accumulate(number, points, states)
        users = [*self.structure.needed(number), *self.structure.of_pass(number)[0]]
        point = points[0].inner()
        self._splat_ahead(point, users, self._width(number))

        def work(_: Point, vectors: list[Point], s: list[Val]) -> list[Val]:
            if not self.shape.short or len(self.reduced) > 1:
                return self._accumulate(number, vectors, s)
            vectors[0].values = self.line | vectors[0].values  # the only vector of the row: all is still known
            s = self._accumulate(number, vectors, s)
            self.line = dict(vectors[0].values)
            return s

        end = self.body.sizes[self.shape.along]
        return self._along(point, self.f.int(0), end, states, self._width(number), work)

    def _width(self, number: int) -> int:
        return min(self.shape.width, self.structure.width_of(number))

    def _nested(self, dims: Sequence[int], point: Point, number: int, states: list[Val], together: int,
                innermost: Callable[[list[Point], list[Val]], list[Val]]) -> list[Val]:  # fmt: skip
        """Loops over reduced `dims` round the innermost work, carrying states; it is done for `together` places of the
        last of `dims` at once. Values are computed as far out as can be."""
        if not dims:
            return innermost([point], states)
        f, size, start = self.f, self.body.sizes[dims[0]], self.f.int(0)
        if len(dims) == 1 and together > 1:
            whole = f.binary("and", size, -together)
            with f.loop(start, whole, together, states) as loop:
                places = [self._entered(point, dims[0], f.add(loop.index, k), number) for k in range(together)]
                loop.next = innermost(places, loop.carried)
            start, states = whole, loop.results
        with f.loop(start, size, 1, states, guard=start.name != "0") as loop:
            inside = self._entered(point, dims[0], loop.index, number)
            loop.next = self._nested(dims[1:], inside, number, loop.carried, together, innermost)
        return loop.results

    def _entered(self, point: Point, dim: int, position: Val, number: int) -> Point:
        """A place further in along a reduced dimension."""
        inside = point.inner()
        self.body.move(inside, dim, position)
        if self.buffers:
            inside.slot = self._slot(point, dim, position)
        known = set(self.parallel) - ({self.shape.along} if not self.in_rows else set())
        entered = known | {d for d in self.reduced if d <= dim and d != self.shape.along}
        self.body.compute_ahead(inside, entered, number, self.structure.needed(number))
        return inside

    def _accumulate(self, number: int, points: list[Point], states: list[Val]) -> list[Val]:
        """What a pass does at some points: take values into states, store, keep. The vectors of the points are those of
        each state in turn, several times for several places; of a row, sums that add pairs take them all at once."""
        found, rest = [], iter(states)
        combiners, stores = self._combiners(number).values(), self.structure.of_pass(number)[1]
        for point in points:
            self._recall(point, number)
        vectors = [(p, k) for p in points for k in range(0, max(1, p.lanes), max(1, self.shape.lanes))]
        count = len(states) // sum(c.parts for c in combiners) if states else 0
        for k in range(count):
            for c in combiners:
                state = [next(rest) for _ in range(c.parts)]
                together = self.in_rows and c.adds_pairs
                found += self._taken(c, state, vectors[k::count] if not together else vectors if k == 0 else [])
        for point in points:
            self.body.store_all(point, stores)
            for i in self.structure.kept_from(number):
                dtype = self.loops.body[i].dtype
                self.f.store(to_memory(self.f, self.body.spread(point, i), dtype), self._kept_at(point, i))
        return found

    def _taken(self, c: Combiner, state: list[Val], vectors: list[tuple[Point, int]]) -> list[Val]:
        """A state with the values of some vectors, each those of a point from some lane on, in their order."""

        def value(point: Point, lane: int) -> Val:
            return self._part(self.body.spread(point, c.value), lane)

        if c.adds_pairs and len(vectors) > 1:
            return c.step(self.f, state, c.pairwise(self.f, [value(*v) for v in vectors]), None, None)
        for point, lane in vectors:
            position = self._part(self._reduced_position(point), lane) if c.with_position else None
            # along columns nobody looks at the lanes outside
            state = c.step(self.f, state, value(point, lane), position, point.mask if self.in_rows else None)
        return state

    def _part(self, wide: Val, lane: int) -> Val:
        """The vector from a lane of a wide one on."""
        lanes = self.shape.lanes
        return wide if wide.lanes == lanes else self.f.shuffle(wide, wide, range(lane, lane + lanes))

    def _reduced_position(self, point: Point) -> Val:
        """How many elements are reduced before this one."""
        f, (*outer, last) = self.f, self.reduced
        position = self.body.position(point, last)
        if outer:
            before = self.body.position(point, outer[0])
            for d in outer[1:]:
                before = f.add(f.mul(before, self.body.sizes[d]), self.body.position(point, d))
            before = f.mul(before, self.body.sizes[last])
            position = f.add(f.splat(before, position.lanes) if position.lanes else before, position)
        return self.f.splat(position, point.lanes) if point.lanes and not position.lanes else position

    # ------------------------------------------------------------------------------------------ columns

    def _columns(self, origin: Point, lo: Val, hi: Val) -> None:
        f, along, length = self.f, self.shape.along, self.shape.lanes * self.shape.width
        blocks = None if self.shape.short else self._blocks(along, length)
        with self._tasks(origin, lo, hi, self.outer, blocks) as (point, number):
            self.body.compute_ahead(point, self.outer, 0)
            start = f.mul(number, length)
            end = f.min(f.add(start, length), self.body.sizes[along])
            self._along(point, start, end, [], self.shape.width, self._block)

    def _block(self, base: Point, columns: list[Point], states: list[Val]) -> list[Val]:
        """All passes over some vectors of columns."""
        for number in range(self.structure.passes):
            for column in columns:
                self.body.compute_ahead(column, self.parallel, number)
            combiners = self._combiners(number)
            work, together = partial(self._across, columns, number), self._together(number)
            starts = self._starts(combiners) * len(columns)
            results = iter(self._nested(self.reduced, base, number, starts, together, work))
            for column in columns:
                for r, c in combiners.items():
                    column.values[r] = c.result(self.f, [next(results) for _ in range(c.parts)])
        for column in columns:
            self.body.compute_ahead(column, self.parallel, self.structure.passes)
            self.body.store_all(column, self.structure.row_stores())
        return states

    def _together(self, number: int) -> int:
        """How many places of the columns a pass does at once: some, where it adds them before it widens the sum."""
        pairs = any(c.adds_pairs for c in self._combiners(number).values())
        return TOGETHER if pairs and self.structure.cost_of_pass(number) <= LIGHT else 1

    def _across(self, columns: list[Point], number: int, places: list[Point], states: list[Val]) -> list[Val]:
        """One pass at some places of the columns."""
        vectors = [self._column(base, column, k) for base in places for k, column in enumerate(columns)]
        return self._accumulate(number, vectors, states)

    def _column(self, base: Point, column: Point, k: int) -> Point:
        """The vector of column number `k` at a place."""
        v = self.body.vector(base, self.shape.lanes, k, column.mask)
        v.values = base.values | column.values
        v.splats = base.splats | column.splats
        if base.slot is not None:
            place = self.f.mul(base.slot, self.shape.lanes * self.shape.width)
            v.slot = self.f.add(place, k * self.shape.lanes)
        return v

    # ------------------------------------------------------------------------------------------ kept values

    def _buffer(self, i: int) -> Val:
        element = MEMORY[self.loops.body[i].dtype]
        return self.f.stack(element, KEPT_ELEMENTS // len(self.structure.kept) + KEPT_SLACK)

    def _kept_at(self, point: Point, i: int) -> Val:
        slot = point.slot
        if slot is None:
            slot = self.f.int(0)
        return self.f.offset(self.buffers[i], slot, MEMORY[self.loops.body[i].dtype])

    def _recall(self, point: Point, number: int) -> None:
        """Take kept values of earlier passes from their buffers."""
        for i in self.structure.needed(number):
            if self.structure.kept.get(i, number) < number and i not in point.values:
                dtype = self.loops.body[i].dtype
                loaded = self.f.load(vector(MEMORY[dtype], point.lanes), self._kept_at(point, i))
                point.values[i] = to_register(self.f, loaded, dtype)
