"""From a nest to launches: which way its lanes run, how its work is cut into tasks, what its words are.

All choices follow from sizes and strides, never from the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu.casts import HALVES, MEMORY, REGISTER
from flambeau._backends.cpu.emit import BYTES
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scalar, Scratch, Status, Step, Word
from flambeau._backends.cpu.nest_body import Layout
from flambeau._backends.cpu.nest_codegen import KEPT_ELEMENTS, Shape, generate, generate_epilogue
from flambeau._backends.cpu.nest_combine import Combiner
from flambeau._backends.cpu.nest_rewrite import Parts, permuted, split, without_reductions
from flambeau._backends.cpu.nest_structure import Structure, cost_of
from flambeau._backends.cpu.nest_tile import TILES, is_turned
from flambeau._backends.cpu.primitives import supported
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Loops, Nest

CHUNK = 1 << 15  # operations on elements that make it worth to hand a chunk of tasks to another thread
BLOCK = 1 << 12  # elements along the lanes that are one task of a map
FEW_TASKS = 16  # with fewer tasks than that, long reductions are done in parts
PART = 1 << 14  # elements that a part has at least
MOST_PARTS = 64
TALL, TALL_PART = 1024, 128  # rows of a tall nest of columns, and of one part of it
LIGHT = 8  # what bodies of maps must cost, and those of columns may, to be run for several vectors side by side
MAP_WIDTH = 4  # vectors of a costly map that are computed side by side
FEW_VECTORS = 16  # in a line of fewer, vectors side by side are not worth a kernel
STRIP = 64  # columns whose sums are worth more registers than there are: memory is read by whole stretches
TILE_LANES = 16  # a tile's rows must fit the registers
OWN = frozenset({"load", "store", "scalar", "const", "index", "reduce", "cast", "checked"})


def lower(target: Target, nest: Nest) -> Step | None:
    """The launches of a nest; its operands and scalars are those of the step. None if something has no code."""
    if not is_supported(nest.loops):
        return None
    scalars: list[Word] = [Scalar(i) for i in range(len(nest.loops.scalars))]
    work = math.prod(nest.sizes) * sum(e.op not in OWN for e in nest.loops.body)
    moved = least_bytes(nest)
    if 0 in nest.sizes[nest.loops.parallel :]:
        nest = without_reductions(nest)
    if 0 in nest.sizes:
        return Step((), 0, 0, 0)
    order, shape = choose(target, nest)
    nest = permuted(nest, order)
    dim = _split_dim(nest, shape)
    if dim is None:
        return Step((_launch(nest, shape, (), scalars),), 0, moved, work)
    length = _part_length(nest, shape, dim)
    launches, scratch = _lower_parts(target, split(nest, dim, length), length, scalars)
    return Step(launches, scratch, moved, work)


def epilogue(target: Target, nest: Nest, first: int = 0) -> tuple[Kernel, str, tuple[Word, ...]]:
    """A map over rows and columns as `void epilogue(words, row_lo, row_hi, column_lo, column_hi)`; its operands
    are those of the step from number `first` on."""
    lanes = lanes_of(target, nest.loops)
    shape = Shape(1, lanes, checked=nest.checked)
    shape = shape._replace(width=_map_width(nest, shape))
    kernel = Kernel(generate_epilogue, (nest.loops, shape), ("epilogue",))
    words = _words(nest, (), [Scalar(i) for i in range(len(nest.loops.scalars))])
    moved = [w._replace(operand=w.operand + first) if type(w) is Address else w for w in words]
    return kernel, "epilogue", tuple(moved)


def is_supported(loops: Loops) -> bool:
    """Is there code for all expressions?"""
    if any(o.dtype not in MEMORY for o in loops.operands) or any(e.dtype not in MEMORY for e in loops.body):
        return False
    if any(e.op == "reduce" and loops.body[e.args[0]].dtype in HALVES for e in loops.body):
        return False
    return all(e.op in OWN or supported(e.op, loops.body[e.args[-1]].dtype) for e in loops.body)


def least_bytes(nest: Nest) -> int:
    """The memory traffic that the nest cannot do without: each operand's elements once."""
    total = 0
    for operand, strides in zip(nest.loops.operands, nest.strides, strict=True):
        count = math.prod(n for n, s in zip(nest.sizes, strides, strict=True) if s)
        total += count * BYTES[MEMORY[operand.dtype]]
    return total


# ---------------------------------------------------------------------------------------------- which way lanes run


def lanes_of(target: Target, loops: Loops) -> int:
    """How many lanes vectors have: as many as a register holds of 4-byte values, or of the widest if there are none."""
    widths = {BYTES[REGISTER[e.dtype]] for e in loops.body if e.dtype != "bool"} or {1}
    return target.lanes(4 if 4 in widths else max(widths))


def choose(target: Target, nest: Nest) -> tuple[list[int], Shape]:
    """The order in which a nest's kernel wants the dimensions, and the kernel's shape."""
    loops, lanes = nest.loops, lanes_of(target, nest.loops)
    dims = range(len(nest.sizes))
    if not dims:
        return [], Shape(-1, 0, checked=nest.checked)
    eligible = [d for d in dims if d < loops.parallel or d == dims[-1] or not _gives_position(loops)]
    along = max(eligible, key=lambda d: (_worth(nest, d, lanes), d))
    across = _across(nest, along, lanes) if not loops.reduced else None
    single = len(dims) == 1  # one line, which is run through once: what several kernels saved would not pay for them
    parallel = [d for d in dims if d < loops.parallel and d not in (along, across)]
    reduced = [d for d in dims if d >= loops.parallel and d != along]
    if across is not None:
        lanes = min(lanes, TILE_LANES)
        parallel.append(across)
    elif not single and lanes < nest.sizes[along] <= 2 * lanes and not _looks_up(loops, along):
        lanes *= 2  # one vector in two registers is better than a loop
    order = [*parallel, along, *reduced] if along < loops.parallel else [*parallel, *reduced, along]
    nest = permuted(nest, order)
    along = order.index(along)
    short = not single and nest.sizes[along] <= lanes and across is None
    shape = Shape(along, lanes, 1, short, False, across is not None, nest.checked)
    shape = shape._replace(width=_width(nest, shape))
    return order, shape._replace(keeping=_is_keeping(nest, shape))


def _looks_up(loops: Loops, along: int) -> bool:
    """Is something gathered lane by lane? That takes less time where all lanes of a vector are inside."""
    return any(o.gathered and o.strides[along] == 0 for o in loops.operands)


def _gives_position(loops: Loops) -> bool:
    """Does a reduction count the elements, so that reduced dimensions must stay in order?"""
    return any(e.op == "reduce" and e.param.startswith("arg") for e in loops.body)


def _worth(nest: Nest, dim: int, lanes: int) -> float:
    """How good it is to let lanes run along a dimension: where operands have their neighbours, lanes are filled, and
    not much must be combined across them."""
    loops, size = nest.loops, nest.sizes[dim]
    filled = size / (-(-size // lanes) * lanes)
    dense = 0.25
    for o, strides in zip(loops.operands, nest.strides, strict=True):
        varies = not loops.reduced or any(strides[loops.parallel :]) or o.gathered
        if o.strides[dim] in (1, -1) and varies:
            moved = [n for n, s in zip(nest.sizes, strides, strict=True) if s or o.gathered]
            weight = math.prod(moved) / math.prod(nest.sizes)
            dense += (1.5 if o.written else 1) * weight
    if dim >= loops.parallel:
        filled *= size / (size + lanes)
    return dense * filled


def _across(nest: Nest, along: int, lanes: int) -> int | None:
    """The dimension along which operands are to be transposed in tiles."""
    found: dict[int, int] = {}
    for o in nest.loops.operands:
        for d in range(nest.loops.parallel):
            if d != along and is_turned(o.strides, d, along) and not o.gathered:
                found[d] = found.get(d, 0) + 1
    fitting = [d for d in found if 2 * nest.sizes[d] >= min(lanes, TILE_LANES)]
    if not fitting or 2 * nest.sizes[along] < min(lanes, TILE_LANES):
        return None
    return max(fitting, key=lambda d: (found[d], nest.sizes[d]))


def _cost(loops: Loops) -> int:
    return sum(cost_of(e, loops) for e in loops.body if e.op not in ("const", "scalar"))


def _width(nest: Nest, shape: Shape) -> int:
    """How many vectors side by side."""
    loops = nest.loops
    if shape.short:
        return 1
    if not loops.reduced:
        return _map_width(nest, shape)
    reductions = sum(e.op == "reduce" for e in loops.body)
    size, width = nest.sizes[shape.along], 4
    if len(nest.sizes) == 1:
        return width if size >= FEW_VECTORS * shape.lanes else 1
    if shape.along < loops.parallel and (reductions > 2 or _cost(loops) > LIGHT):
        width = 2 if reductions <= 4 else 1
    elif shape.along < loops.parallel and _adds_pairs(loops):
        width = max(width, STRIP // shape.lanes)
        width = width if size % (width * shape.lanes) < 4 * shape.lanes else 4
    while width > 1 and size < width * shape.lanes:
        width //= 2
    return width


def _map_width(nest: Nest, shape: Shape) -> int:
    """For long lines of costly maps; and of tables, so that the processor sees the next rows sooner."""
    tables = any(o.gathered and o.strides[shape.along] == 1 for o in nest.loops.operands)
    costly = _cost(nest.loops) > LIGHT and not shape.tiled
    return MAP_WIDTH if (costly or tables) and nest.sizes[shape.along] >= FEW_VECTORS * shape.lanes else 1


def _adds_pairs(loops: Loops) -> bool:
    """Is there one reduction, a sum that adds a few values before it widens them?"""
    reductions = [e for e in loops.body if e.op == "reduce"]
    return len(reductions) == 1 and Combiner.of(reductions[0], loops.body).adds_pairs


def _is_keeping(nest: Nest, shape: Shape) -> bool:
    """Do the costly values of a row (or of a block of columns) fit into a buffer?"""
    loops = nest.loops
    if not loops.reduced or not shape.lanes or (shape.short and loops.reduced == 1 and shape.along >= loops.parallel):
        return False
    kept = len(Structure(loops, True).kept)
    row = math.prod(nest.sizes[loops.parallel :])
    if shape.along < loops.parallel:
        row *= shape.lanes * shape.width
    return 0 < kept and row <= KEPT_ELEMENTS // kept


# ---------------------------------------------------------------------------------------------- launches


def _launch(nest: Nest, shape: Shape, places: Sequence[int], scalars: Sequence[Word]) -> Launch:
    """The launch of a nest; its last operands are in scratch memory, at `places`."""
    tasks = _tasks(nest, shape)
    kernel = Kernel(generate, (nest.loops, shape), ("nest",))
    return Launch(kernel, "nest", _words(nest, places, scalars), tasks, _grain(nest, tasks))


def _tasks(nest: Nest, shape: Shape) -> int:
    loops = nest.loops
    rows = math.prod(nest.sizes[: loops.parallel])
    if shape.along < 0 or shape.along >= loops.parallel:
        return rows
    size = nest.sizes[shape.along]
    outer = rows // size
    if shape.tiled:
        across = nest.sizes[shape.along - 1]
        return outer // across * -(-across // (TILES * shape.lanes))
    if shape.short:
        return outer
    return outer * -(-size // (shape.lanes * shape.width if loops.reduced else BLOCK))


def _grain(nest: Nest, tasks: int) -> int:
    """How many tasks make a chunk that is worth handing out; all of them if there are hardly two chunks."""
    work = math.prod(nest.sizes) * max(1, _cost(nest.loops))
    if work < 2 * CHUNK:
        return tasks
    return max(1, CHUNK * 2 * tasks // work)


def _words(nest: Nest, places: Sequence[int], scalars: Sequence[Word]) -> tuple[Word, ...]:
    """The words that `Layout` describes."""
    layout, own = Layout(nest.loops), len(nest.loops.operands) - len(places)
    words: list[Word] = []
    for i, (operand, offset) in enumerate(zip(nest.loops.operands, nest.offsets, strict=True)):
        offset *= BYTES[MEMORY[operand.dtype]]
        words.append(Address(i, offset) if i < own else Scratch(places[i - own] + offset))
    words += [*scalars, *nest.sizes, *[nest.strides[i][d] for i, d in layout.strides]]
    for i in layout.gathers:
        gather = nest.gathers[i]
        assert gather is not None
        words += gather
    return (*words, Status(), BLOCK)


# ---------------------------------------------------------------------------------------------- reductions in parts


def _split_dim(nest: Nest, shape: Shape) -> int | None:
    """The reduced dimension to be cut into parts, if there are few rows and they are long."""
    loops = nest.loops
    total = math.prod(nest.sizes)
    few = _tasks(nest, shape) < FEW_TASKS or _is_tall(nest, shape)
    if not loops.reduced or total < 2 * PART or not few or (loops.reduced > 1 and _gives_position(loops)):
        return None
    structure = Structure(loops)
    if not structure.reductions or any(structure.stage[r] != 1 for r in structure.reductions):
        return None
    if any(structure.is_element(i) and structure.stage[i] for i in structure.stores):
        return None
    reduced = range(loops.parallel, len(nest.sizes))
    dim = next((d for d in reduced if nest.sizes[d] >= FEW_TASKS), max(reduced, key=lambda d: nest.sizes[d]))
    return dim if _part_length(nest, shape, dim) < nest.sizes[dim] else None


def _is_tall(nest: Nest, shape: Shape) -> bool:
    """Are there so many rows over the columns that running down one block of columns after the other would touch more
    pages than the processor remembers?"""
    loops = nest.loops
    wide = shape.along < loops.parallel and nest.sizes[shape.along] > shape.lanes * shape.width
    return wide and math.prod(nest.sizes[loops.parallel :]) >= TALL


def _part_length(nest: Nest, shape: Shape, dim: int) -> int:
    size = nest.sizes[dim]
    inner = math.prod(nest.sizes) // size
    if _is_tall(nest, shape):
        return max(1, -(-TALL_PART // max(1, inner // nest.sizes[shape.along])), -(-size // 1024))
    length = max(-(-PART // inner), -(-size // MOST_PARTS))
    return -(-length // 256) * 256 if length >= 1024 else length


def _lower_parts(target: Target, parts: Parts, length: int, scalars: Sequence[Word]) -> tuple[tuple[Launch, ...], int]:
    """Launches for the parts, for what is left over, and for the total; the bytes of scratch memory."""
    places, scratch = [], 0
    for dtype in parts.dtypes:
        places.append(scratch)
        scratch += -(-parts.states * BYTES[MEMORY[dtype]] // 64) * 64
    order, shape = choose(target, parts.parts)
    launches = [_launch(permuted(parts.parts, order), shape, places, [*scalars, length, 0])]
    if parts.rest is not None:
        first = parts.parts.sizes[0] * length
        launches.append(_launch(permuted(parts.rest, order), shape, places, [*scalars, length, first]))
    order, shape = choose(target, parts.total)
    launches.append(_launch(permuted(parts.total, order), shape, places, scalars))
    return tuple(launches), scratch
