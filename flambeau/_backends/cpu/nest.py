"""From a nest to launches: which way its lanes run, how its work is split into tasks, what its words are.

All choices follow from sizes and strides, never from the number of threads.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.codegen import Layout, Shape, Structure, generate
from flambeau._backends.cpu.combine import Combiner
from flambeau._backends.cpu.emit import BYTES
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scalar, Scratch, Status, Step, Word
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Expr, Loops, Nest, Operand

CHUNK = 1 << 15  # element operations that one chunk of tasks should do at least
BLOCK = 1 << 12  # elements of the innermost dimension that are one task of a map
FEW_TASKS = 16  # with fewer tasks than that, long reductions are split
SPLIT_FROM = 1 << 15  # elements
PART = 1 << 13  # elements of one part of a split reduction, about


def lower(target: Target, nest: Nest) -> Step | None:
    """The launches of a nest; its operands and scalars are those of the step."""
    loops = nest.loops
    dtypes = {o.dtype for o in loops.operands} | {e.dtype for e in loops.body}
    if not dtypes <= MEMORY.keys():
        return None
    shape = choose(target, nest)
    cost = 1 + sum(_cost(e) for e in loops.body)
    if shape.split:
        return _lower_split(target, nest, shape, cost)
    launch = _launch(nest, shape, cost, [Address(i, _offset(nest, i)) for i in range(len(loops.operands))])
    return Step((launch,) if launch.tasks else (), 0, least_bytes(nest), math.prod(nest.sizes) * len(loops.body))


def _cost(e: Expr) -> int:
    return {"load": 1, "store": 1, "const": 0, "scalar": 0, "cast": 1, "index": 1}.get(e.op, 2)


def choose(target: Target, nest: Nest) -> Shape:
    """Where the lanes run."""
    loops, sizes = nest.loops, nest.sizes
    narrow = any(o.dtype not in ("float64", "int64") for o in loops.operands)
    lanes = target.lanes(4 if narrow else 8)
    if not loops.reduced:
        short = not loops.parallel or sizes[-1] < lanes
        return Shape("map", 0 if short else lanes)
    row, column = _contiguous(nest, len(sizes) - 1), False
    if loops.parallel and sizes[loops.parallel - 1] >= lanes:
        column = _contiguous(nest, loops.parallel - 1)
    if column and not (row and sizes[-1] >= lanes):
        wide = 4 if sizes[loops.parallel - 1] >= 4 * lanes and _is_light(loops) else 1
        shape = Shape("columns", lanes, wide)
    else:
        shape = Shape("rows", lanes if sizes[-1] >= lanes else 0)
    return shape._replace(split=_is_split(nest, shape))


def _contiguous(nest: Nest, dim: int) -> bool:
    """Does an operand that is read have neighbours along the dimension?"""
    return any(o.strides[dim] == 1 and not o.written for o in nest.loops.operands)


def _is_light(loops: Loops) -> bool:
    return sum(e.op == "reduce" for e in loops.body) <= 2 and len(loops.body) <= 12


def _is_split(nest: Nest, shape: Shape) -> bool:
    """Is a long reduction to few rows to be done by several tasks and a second launch?"""
    loops, structure = nest.loops, Structure(nest.loops)
    if any(e.op == "reduce" and e.param.startswith("arg") for e in loops.body):
        return False
    if any(structure.stage[r] != 1 for r in structure.reductions()):
        return False
    if any(structure.element[i] for i in structure.sinks()):
        return False
    tasks = _tasks(nest, shape)
    total = math.prod(nest.sizes)
    return 0 < tasks < FEW_TASKS and total >= SPLIT_FROM and nest.sizes[loops.parallel] >= 2


def _tasks(nest: Nest, shape: Shape) -> int:
    """The number of tasks of a nest that is not split."""
    parallel = nest.sizes[: nest.loops.parallel]
    if shape.mode == "columns":
        return math.prod(parallel[:-1]) * -(-parallel[-1] // (max(1, shape.lanes) * shape.width))
    if shape.mode == "map" and parallel:
        return math.prod(parallel[:-1]) * -(-parallel[-1] // _block(parallel[-1]))
    return math.prod(parallel)


def _block(size: int) -> int:
    return max(1, min(BLOCK, size))


def _launch(nest: Nest, shape: Shape, cost: int, operands: list[Word]) -> Launch:
    loops = nest.loops
    tasks = _tasks(nest, shape)
    words = _words(nest, operands)
    words += [Status(), _block(nest.sizes[loops.parallel - 1]) if loops.parallel else 1]
    if shape.split:
        raise AssertionError("split nests have words of their own")
    return Launch(Kernel(generate, (loops, shape), ("nest",)), "nest", tuple(words), tasks, _grain(nest, tasks, cost))


def _grain(nest: Nest, tasks: int, cost: int) -> int:
    """How many tasks make a chunk that is worth handing out."""
    each = max(1, math.prod(nest.sizes) * cost // max(1, tasks))
    return max(1, CHUNK * 2 // each)


def _words(nest: Nest, operands: list[Word]) -> list[Word]:
    loops, layout = nest.loops, Layout(nest.loops)
    words: list[Word] = [*operands, *(Scalar(i) for i in range(len(loops.scalars))), *nest.sizes]
    words += [nest.strides[i][d] for i, d in layout.strides]
    for i in layout.gathers:
        gather = nest.gathers[i]
        assert gather is not None
        words += gather
    return words


def _offset(nest: Nest, i: int) -> int:
    return nest.offsets[i] * BYTES[MEMORY[nest.loops.operands[i].dtype]]


def least_bytes(nest: Nest) -> int:
    """The memory traffic that the nest cannot do without: each operand's elements once."""
    total = 0
    for operand, strides in zip(nest.loops.operands, nest.strides, strict=True):
        count = math.prod(n for n, s in zip(nest.sizes, strides, strict=True) if s)
        total += count * BYTES[MEMORY[operand.dtype]]
    return total


# ---------------------------------------------------------------------------------------------- split reductions


def _lower_split(target: Target, nest: Nest, shape: Shape, cost: int) -> Step:
    """Two launches: partial results of parts of the outermost reduced dimension, then all that follows."""
    loops = nest.loops
    structure = Structure(loops)
    rows = math.prod(nest.sizes[: loops.parallel])
    length, chunks = _parts(nest)
    first, states = _partial_nest(nest, structure)
    offsets, scratch = _scratch(states, rows * chunks)
    operands: list[Word] = [Address(i, _offset(nest, i)) for i in range(len(loops.operands))]
    kept = [i for i, o in enumerate(loops.operands) if not o.written]
    words = _words(first, [operands[i] for i in kept] + [Scratch(o) for o in offsets])
    words += [Status(), length, chunks, *[rows] * len(states)]
    tasks = _tasks(nest, shape) * chunks
    kernel = Kernel(generate, (first.loops, shape), ("nest",))
    partial = Launch(kernel, "nest", tuple(words), tasks, _grain(nest, tasks, cost))
    second = _combining_nest(nest, structure, states, rows, chunks)
    final_shape = choose(target, second)._replace(split=False)
    final_operands = [*operands, *(Scratch(o) for o in offsets)]
    final = _launch(second, final_shape, cost, final_operands)
    return Step((partial, final), scratch, least_bytes(nest), math.prod(nest.sizes) * len(loops.body))


def _parts(nest: Nest) -> tuple[int, int]:
    """(positions of the outermost reduced dimension in one part, the number of parts)."""
    size = nest.sizes[nest.loops.parallel]
    inner = math.prod(nest.sizes) // max(1, size)
    length = max(1, -(-PART // max(1, inner)))
    length = max(length, -(-size // 256))
    return length, -(-size // length)


def _scratch(states: list[str], count: int) -> tuple[list[int], int]:
    """The offset of each reduction's partial results, and the bytes of them all."""
    offsets, at = [], 0
    for dtype in states:
        offsets.append(at)
        at += -(-count * BYTES[MEMORY[dtype]] // 64) * 64
    return offsets, at


def _partial_nest(nest: Nest, structure: Structure) -> tuple[Nest, list[str]]:
    """The nest without its stores, and one more operand for each reduction's partial results; their dtypes."""
    loops = nest.loops
    reductions = structure.reductions()
    kept = [i for i, o in enumerate(loops.operands) if not o.written]
    renumbered = {old: new for new, old in enumerate(kept)}
    states = [Combiner.of(loops.body[r], loops.body).state_dtype for r in reductions]
    needed = _needed(loops, reductions)
    numbers: dict[int, int] = {}
    body: list[Expr] = []
    for i in needed:
        e = loops.body[i]
        param = renumbered[e.param] if e.op == "load" else e.param
        numbers[i] = len(body)
        body.append(e._replace(args=tuple([numbers[a] for a in e.args]), param=param))
    strides = _row_strides(nest)
    flags = tuple([s if s in (0, 1) else None for s in strides])
    operands = tuple([loops.operands[i] for i in kept] + [Operand(d, flags, True) for d in states])
    partial = nest._replace(
        loops=loops._replace(operands=operands, body=tuple(body)),
        strides=tuple([nest.strides[i] for i in kept] + [strides] * len(states)),
        offsets=tuple([nest.offsets[i] for i in kept] + [0] * len(states)),
        gathers=tuple([nest.gathers[i] for i in kept] + [None] * len(states)),
    )
    return partial, states


def _needed(loops: Loops, roots: list[int]) -> list[int]:
    """The expressions that the roots are computed from, in order."""
    found = set(roots)
    for i in reversed(range(len(loops.body))):
        if i in found:
            found.update(loops.body[i].args)
    return sorted(found)


def _row_strides(nest: Nest) -> tuple[int, ...]:
    """Strides of one number a row, row-major."""
    strides, step = [], 1
    for n in reversed(nest.sizes[: nest.loops.parallel]):
        strides.append(step if n > 1 else 0)
        step *= n
    return tuple(reversed(strides)) + (0,) * nest.loops.reduced


def _combining_nest(nest: Nest, structure: Structure, states: list[str], rows: int, chunks: int) -> Nest:
    """The nest over the partial results: reduces them, then computes and stores what depends on that."""
    loops = nest.loops
    parallel = loops.parallel
    row_strides = _row_strides(nest)[:parallel]
    reductions = structure.reductions()
    base = len(loops.operands)
    body: list[Expr] = []
    numbers: dict[int, int] = {}

    def add(e: Expr) -> int:
        body.append(e)
        return len(body) - 1

    for i, e in enumerate(loops.body):
        if structure.element[i]:
            continue
        if e.op == "reduce":
            k = reductions.index(i)
            loaded = add(Expr("load", (), states[k], base + k))
            total = add(Expr("reduce", (loaded,), states[k], e.param))
            numbers[i] = total if states[k] == e.dtype else add(Expr("cast", (total,), e.dtype))
        elif all(a in numbers for a in e.args):
            numbers[i] = add(e._replace(args=tuple([numbers[a] for a in e.args])))
    strides = tuple([s[:parallel] + (0,) for s in nest.strides] + [(*row_strides, rows)] * len(states))
    operands = [o._replace(strides=o.strides[:parallel] + (0,)) for o in loops.operands]
    flags = tuple([s if s in (0, 1) else None for s in (*row_strides, rows)])
    operands += [Operand(d, flags, False) for d in states]
    combined = Loops(parallel, 1, tuple(operands), loops.scalars, tuple(body))
    return Nest(combined, (*nest.sizes[:parallel], chunks), strides, nest.offsets + (0,) * len(states),
                nest.gathers + (None,) * len(states), nest.checked)  # fmt: skip
