"""The body of a nest at one place of its space: expressions as scalars or vectors, loads and stores through strides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce

from flambeau._backends.cpu.casts import HALVES, MEMORY, REGISTER, cast, to_memory, to_register
from flambeau._backends.cpu.emit import Function, Number, Val, element_of, vector
from flambeau._backends.cpu.nest_structure import Structure
from flambeau._backends.cpu.primitives import primitive
from flambeau._compiler.loops import Expr, Loops

MOST_LANES = 128  # of a vector: of bytes, in two registers
LANE_STEPS = 6  # that it may take to compute an index for each lane by itself
LANE_OPS = {"add": "add", "sub": "sub", "mul": "mul"}  # such steps on 64-bit integers, as instructions


class Layout:
    """Where a kernel finds what among its words: operands, scalars, sizes, strides, (stride, size) of gathers, status,
    then the length of a block."""

    def __init__(self, loops: Loops) -> None:
        self.scalars = len(loops.operands)
        self.sizes = self.scalars + len(loops.scalars)
        following = self.sizes + loops.parallel + loops.reduced
        self.strides: dict[tuple[int, int], int] = {}
        for i, operand in enumerate(loops.operands):
            for d, stride in enumerate(operand.strides):
                if stride is None:
                    self.strides[i, d] = following
                    following += 1
        self.gathers: dict[int, int] = {}
        for i, operand in enumerate(loops.operands):
            if operand.gathered:
                self.gathers[i] = following
                following += 2
        self.status, self.block = following, following + 1


@dataclass
class Point:
    """A place in the space, or with `lanes` a vector of places, of which `mask` are inside.

    `index` are the positions in every dimension (of the first lane), `pointers` the addresses of the operands there,
    `values` what has been computed for here, `splats` scalars in so many lanes by their names. `tiles` are addresses to
    use in place of an operand's own: its elements along the lanes lie there one after the other. `slot` numbers the
    places of a row. `found` are the gathered operands that the addresses lead to already.
    """

    index: list[Val]
    pointers: list[Val]
    values: dict[int, Val]
    lanes: int = 0
    mask: Val | None = None
    slot: Val | None = None
    splats: dict[tuple[str, int], Val] = field(default_factory=dict)
    tiles: dict[int, Val] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)

    def inner(self) -> Point:
        """The same place in an inner scope: what is computed there is not known outside."""
        return replace(self, index=list(self.index), pointers=list(self.pointers), values=dict(self.values),
                       splats=dict(self.splats), found=set(self.found))  # fmt: skip


class Body:
    """Computes expressions at points; lanes run along dimension `along`."""

    def __init__(self, f: Function, args: Val, loops: Loops, structure: Structure, along: int, checked: bool) -> None:
        self.f = f
        self.loops = loops
        self.structure = structure
        self.along = along
        self.checked = checked
        layout = Layout(loops)
        self.pointers = [f.word(args, i, "ptr") for i in range(len(loops.operands))]
        self.sizes = [f.word(args, layout.sizes + d) for d in range(loops.parallel + loops.reduced)]
        self.strides = {key: f.word(args, w) for key, w in layout.strides.items()}
        self.gathers = {i: (f.word(args, w), f.word(args, w + 1)) for i, w in layout.gathers.items()}
        self.addresses = f.stack("ptr", MOST_LANES)
        self.status = f.word(args, layout.status, "ptr")
        self.block = f.word(args, layout.block)
        self.numbers = {
            i: self._number(e, args, layout) for i, e in enumerate(loops.body) if e.op in ("const", "scalar")
        }

    def _number(self, e: Expr, args: Val, layout: Layout) -> Val:
        """A constant, or a run-time scalar."""
        f, register = self.f, REGISTER[e.dtype]
        if e.op == "scalar":
            arrives = self.loops.scalars[e.param]
            word = f.word(args, layout.scalars + e.param, "double" if arrives == "float64" else "i64")
            return cast(f, word, arrives, e.dtype)
        if e.dtype in HALVES:
            return cast(f, f.float(float(e.param), "float"), "float32", e.dtype)
        if register in ("float", "double"):
            return f.float(float(e.param), register)
        return f.int(int(e.param), register)

    # ------------------------------------------------------------------------------------------ points

    def origin(self) -> Point:
        return Point([self.f.int(0)] * len(self.sizes), list(self.pointers), dict(self.numbers))

    def stride(self, operand: int, dim: int) -> Val | int:
        """The stride of an operand along a dimension: 0, 1 and -1 are known."""
        stride = self.loops.operands[operand].strides[dim]
        return self.strides[operand, dim] if stride is None else stride

    def move(self, point: Point, dim: int, position: Val) -> None:
        """Go on from position 0 to `position` in a dimension."""
        point.index[dim] = position
        for i in range(len(point.pointers)):
            self.advance(point, i, dim, position)

    def advance(self, point: Point, operand: int, dim: int, distance: Number) -> None:
        """Move the address of one operand."""
        stride = self.stride(operand, dim)
        if isinstance(stride, Val) or stride:
            step = distance if stride == 1 else self.f.mul(distance, stride)
            element = MEMORY[self.loops.operands[operand].dtype]
            point.pointers[operand] = self.f.offset(point.pointers[operand], step, element)

    def vector(self, point: Point, lanes: int, number: int = 0, mask: Val | None = None) -> Point:
        """The vector of places that begins `number` vectors after a point."""
        found = point.inner()
        found.lanes, found.mask = lanes, mask
        if number:
            found.index[self.along] = self.f.add(point.index[self.along], number * lanes)
            for i in range(len(found.pointers)):
                self.advance(found, i, self.along, number * lanes)
            if found.slot is not None:
                found.slot = self.f.add(found.slot, number * lanes)
        return found

    # ------------------------------------------------------------------------------------------ values

    def compute_ahead(
        self, point: Point, known: Collection[int], stage: int, among: Sequence[int] | None = None
    ) -> None:
        """Compute what varies only over the `known` dimensions and waits for no more than `stage` passes."""
        for i in range(len(self.loops.body)) if among is None else among:
            e = self.loops.body[i]
            if i in point.values or e.op in ("store", "reduce") or self.structure.stage[i] > stage:
                continue
            if self.structure.dims[i] <= set(known) and all(a in point.values for a in e.args):
                self.value(point, i)

    def look_up_ahead(self, point: Point) -> None:
        """Go to the places of gathered operands whose index does not vary along the lanes, if each has one index: two
        rows of an image, between which is interpolated, are looked up in one operand."""
        gathers = [(i, e) for i, e in enumerate(self.loops.body) if e.op == "load" and e.args]
        often = Counter([e.param for _, e in gathers])
        for i, e in gathers:
            if often[e.param] == 1 and self._is_known(point, e.args[0]) and i not in point.values:
                place = self._looked_up(point, e)
                point.pointers[e.param] = self.f.offset(point.pointers[e.param], place, MEMORY[e.dtype])
                point.found.add(e.param)

    def splat_ahead(self, point: Point, users: Sequence[int], lanes: int) -> None:
        """Put the known scalars that expressions take into all lanes."""
        for i in users:
            if self.along in self.structure.dims[i] or self.loops.body[i].op == "reduce":
                for a in self.loops.body[i].args:
                    if a in point.values and not point.values[a].lanes:
                        self._splat(point, point.values[a], lanes)

    def _splat(self, point: Point, value: Val, lanes: int) -> Val:
        if value.name[0] != "%":  # a literal
            return Val(f"splat ({value})", vector(value.type, lanes))
        found = point.splats.get((value.name, lanes))
        if found is None:
            found = point.splats[value.name, lanes] = self.f.splat(value, lanes)
        return found

    def value(self, point: Point, i: int) -> Val:
        """The value of an expression: a scalar if it does not vary along the lanes."""
        found = point.values.get(i)
        if found is None:
            found = point.values[i] = self._compute(point, self.loops.body[i])
        return found

    def spread(self, point: Point, i: int) -> Val:
        """The value of an expression, in all lanes where there are lanes."""
        value = self.value(point, i)
        return self._splat(point, value, point.lanes) if point.lanes and not value.lanes else value

    def _compute(self, point: Point, e: Expr) -> Val:
        f = self.f
        if e.op == "load":
            return self._load(point, e)
        if e.op == "index":
            return self.position(point, e.param)
        args = [self.value(point, a) for a in e.args]
        if any(a.lanes for a in args):
            args = [self.spread(point, a) for a in e.args]
        if e.op == "checked":
            return self._inside(point, args[0], args[1])
        if e.op == "cast":
            return cast(f, args[0], self.loops.body[e.args[0]].dtype, e.dtype)
        return primitive(f, e.op, self.loops.body[e.args[-1]].dtype, args)

    def position(self, point: Point, dim: int) -> Val:
        """The position along a dimension; of every lane if lanes run along it."""
        position = point.index[dim]
        if not point.lanes or dim != self.along:
            return position
        return self.f.add(self.f.splat(position, point.lanes), self.f.lane_numbers(vector("i64", point.lanes)))

    def _inside(self, point: Point, index: Val, size: Val) -> Val:
        """The index; 0 in place of one that is not below `size`, which the status tells."""
        f = self.f
        inside = f.compare("ult", index, size)
        bad = f.binary("xor", inside, f.int(-1, inside.type))
        if index.lanes:
            if point.mask is not None:
                bad = f.binary("and", bad, point.mask)
            bad = self._any(bad)
        with f.when(bad):
            self._tell()
        return f.select(inside, index, f.int(0, index.type))

    def _any(self, condition: Val) -> Val:
        """Does a condition hold in any lane?"""
        f = self.f
        bits = f.op(f"i{condition.lanes}", f"bitcast {condition} to i{condition.lanes}")
        return f.compare("ne", bits, f.int(0, bits.type))

    def _tell(self) -> None:
        """An index is out of range."""
        self.f.store(self.f.int(1), self.status)

    # ------------------------------------------------------------------------------------------ memory

    def _load(self, point: Point, e: Expr) -> Val:
        f, i, lanes = self.f, e.param, point.lanes
        operand = self.loops.operands[i]
        element, type = MEMORY[operand.dtype], vector(MEMORY[operand.dtype], lanes)
        if i in point.tiles:
            return to_register(f, f.load(type, point.tiles[i]), operand.dtype)
        pointer, at = point.pointers[i], None
        gathered = operand.gathered and i not in point.found
        if gathered and lanes and point.mask is None and self._is_in_lanes(point, e.args[0]):
            return to_register(f, self._load_lanes(point, e), operand.dtype)
        if gathered:
            at = self._looked_up(point, e)
            if not at.lanes:
                pointer, at = f.offset(pointer, at, element), None
        stride = self.stride(i, self.along) if lanes else 0
        if at is None and isinstance(stride, int):
            loaded = self._load_dense(point, type, pointer, stride < 0) if stride else f.load(element, pointer)
        elif at is None and point.mask is None:
            loaded = self._load_apart(pointer, element, stride, lanes)
        else:
            addresses = self._lane_addresses(pointer, element, stride, at, lanes)
            if point.mask is None:
                loaded = f.load_each(type, addresses, self.addresses)
            else:
                loaded = f.load_gathered(type, addresses, point.mask)
        return to_register(f, loaded, operand.dtype)

    def _load_dense(self, point: Point, type: str, pointer: Val, backwards: bool) -> Val:
        """Neighbours, from the pointer on or in reverse order up to there."""
        f, mask, lanes = self.f, point.mask, point.lanes
        if not backwards:
            return f.load(type, pointer) if mask is None else f.load_masked(type, pointer, mask)
        pointer, order = f.offset(pointer, 1 - lanes, element_of(type)), range(lanes - 1, -1, -1)
        if mask is None:
            loaded = f.load(type, pointer)
        else:
            loaded = f.load_masked(type, pointer, f.shuffle(mask, mask, order))
        return f.shuffle(loaded, loaded, order)

    def _load_apart(self, pointer: Val, element: str, stride: Val | int, lanes: int) -> Val:
        """Elements that lie `stride` apart."""
        found = Val("poison", vector(element, lanes))
        for lane in range(lanes):
            found = self.f.insert(found, self.f.load(element, pointer), lane)
            pointer = self.f.offset(pointer, stride, element)
        return found

    def _looked_up(self, point: Point, e: Expr) -> Val:
        """How many elements further on a gathered operand lies."""
        f, operand = self.f, self.loops.operands[e.param]
        stride, size = self.gathers[e.param]
        index = self.value(point, e.args[0])
        if index.lanes:
            stride, size = self._splat(point, stride, index.lanes), self._splat(point, size, index.lanes)
        if self.checked and not operand.sound:
            index = self._inside(point, index, size)
        return index if operand.dense else f.mul(index, stride)

    def _load_lanes(self, point: Point, e: Expr) -> Val:
        """A gathered load whose index is computed for each lane by itself, from what is in memory: numbers that were
        computed in a vector take longer to get where addresses are made. If one is out of range, nobody wants the
        result."""
        f, i = self.f, e.param
        operand, (stride, size), along = self.loops.operands[i], self.gathers[i], self.stride(i, self.along)
        element = MEMORY[operand.dtype]
        bad = [self._beyond(point, *self.loops.body[c].args) for c in self._checks(e.args[0])]
        if self.checked and not operand.sound:
            index = self.spread(point, e.args[0])
            bad.append(f.compare("uge", index, self._splat(point, size, index.lanes)))
        uniform, place = self._parted(point, e.args[0])
        pointer = point.pointers[i]
        for number in uniform:
            pointer = f.offset(pointer, number if operand.dense else f.mul(number, stride), element)

        def loaded() -> tuple[Val, str]:
            found = Val("poison", vector(element, point.lanes))
            for lane in range(point.lanes):
                at = self._in_lane(point, place, lane)
                at = f.offset(pointer, at if operand.dense else f.mul(at, stride), element)
                if isinstance(along, Val) or along:
                    at = f.offset(at, f.mul(along, lane) if isinstance(along, Val) else along * lane, element)
                found = f.insert(found, f.load(element, at), lane)
            return found, f.block

        if not bad:
            return loaded()[0]
        found: list[tuple[Val, str]] = []
        with f.when(self._any(reduce(partial(f.binary, "or"), bad)), lambda: found.append(loaded())):
            self._tell()
            stopped = f.block
        return f.phi(found[0][0].type, (Val("zeroinitializer", found[0][0].type), stopped), found[0])

    def _is_in_lanes(self, point: Point, i: int) -> bool:
        """Can an index, which varies along the lanes, be computed for each by itself in a few steps?"""
        if self.along not in self.structure.dims[i]:
            return False
        left, pending = LANE_STEPS, [i]
        while pending and left:
            i = pending.pop()
            e = self.loops.body[i]
            if self._is_known(point, i):
                continue
            left -= 1
            loads = e.op == "load" and not self.loops.operands[e.param].gathered and e.param not in point.tiles
            if not (loads and e.dtype in ("int64", "int32")):
                if e.dtype != "int64" or e.op not in ("index", "cast", "checked", *LANE_OPS):
                    return False
                pending += e.args[:1] if e.op == "checked" else e.args
        return left > 0

    def _is_known(self, point: Point, i: int) -> bool:
        """Is a value a scalar that has been computed?"""
        return i in point.values and not point.values[i].lanes

    def _parted(self, point: Point, i: int) -> tuple[list[Val], int]:
        """An index as a sum of known scalars and another index."""
        found: list[Val] = []
        while self.loops.body[i].op == "add" and any(self._is_known(point, a) for a in self.loops.body[i].args):
            a, b = self.loops.body[i].args
            i, known = (b, a) if self._is_known(point, a) else (a, b)
            found.append(point.values[known])
        return found, i

    def _checks(self, i: int) -> list[int]:
        """The checked indices among what an index is computed from."""
        e = self.loops.body[i]
        return [i] * (e.op == "checked") + [c for a in e.args for c in self._checks(a)]

    def _beyond(self, point: Point, index: int, size: int) -> Val:
        """The lanes where an index is not below its size."""
        return self.f.compare("uge", self.spread(point, index), self.spread(point, size))

    def _in_lane(self, point: Point, i: int, lane: int) -> Val:
        """The value of an index in one lane."""
        f, e = self.f, self.loops.body[i]
        if self._is_known(point, i):
            return point.values[i]
        if e.op == "index":
            return f.add(point.index[e.param], lane) if e.param == self.along else point.index[e.param]
        if e.op == "load":
            stride = self.stride(e.param, self.along)
            place = f.mul(stride, lane) if isinstance(stride, Val) else stride * lane
            x = f.load(MEMORY[e.dtype], f.offset(point.pointers[e.param], place, MEMORY[e.dtype]))
            return x if e.dtype == "int64" else f.cast("sext", x, "i64")
        args = [self._in_lane(point, a, lane) for a in e.args[: 1 if e.op == "checked" else None]]
        return f.binary(LANE_OPS[e.op], *args) if e.op in LANE_OPS else args[0]

    def _lane_addresses(self, pointer: Val, element: str, stride: Val | int, at: Val | None, lanes: int) -> Val:
        """The address of every lane: `stride` elements apart, `at` elements further on."""
        f = self.f
        if isinstance(stride, Val) or stride:
            steps = f.lane_numbers(vector("i64", lanes))
            if isinstance(stride, Val):
                steps = f.mul(steps, f.splat(stride, lanes))
            elif stride < 0:
                steps = f.sub(f.int(0, steps.type), steps)
            at = steps if at is None else f.add(at, steps)
        assert at is not None
        return f.op(vector("ptr", lanes), f"getelementptr {element}, {pointer}, {at}")

    def store_all(self, point: Point, stores: Sequence[int]) -> None:
        """Compute all values, then store them: a result may lie where an operand was."""
        spread = [self.spread(point, self.loops.body[i].args[0]) for i in stores]
        for i, value in zip(stores, spread, strict=True):
            self._store(point, self.loops.body[i], value)

    def _store(self, point: Point, e: Expr, value: Val) -> None:
        f, i = self.f, e.param
        operand = self.loops.operands[i]
        value = to_memory(f, value, operand.dtype)
        pointer = point.pointers[i]
        stride = self.stride(i, self.along) if value.lanes else 0
        if i in point.tiles:
            f.store(value, point.tiles[i])
        elif not value.lanes:
            f.store(value, pointer)
        elif stride == 1:
            if point.mask is None:
                f.store(value, pointer)
            else:
                f.store_masked(value, pointer, point.mask)
        elif point.mask is None:  # instructions that scatter take longer
            for lane in range(value.lanes):
                f.store(f.extract(value, lane), pointer)
                pointer = f.offset(pointer, stride, MEMORY[operand.dtype])
        else:
            addresses = self._lane_addresses(pointer, MEMORY[operand.dtype], stride, None, value.lanes)
            f.store_scattered(value, addresses, point.mask)
