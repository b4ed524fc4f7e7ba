"""Programs for windows that differ only in their numbers: sizes, strides, whole numbers among the arguments.

Windows with the same *pattern* are the same computation on tensors of other sizes. The first size of a pattern is
compiled for itself. The second shows which numbers change, and which of these change together: they become symbols, and
the outline that is made with them holds for all sizes for which every decision of the compiler is the same; a size in
which others change widens the pattern. What changes from then on is only arithmetic; a part with numbers that were
there before is not lowered anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau._compiler.capture import is_static
from flambeau._core.forgetting import Remembered
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, meta
from flambeau._ir.program import Inference, Instruction, Value, new_instruction
from flambeau._ir.symbols import Trace, like

if TYPE_CHECKING:
    from flambeau._compiler import outline, pipeline
    from flambeau._compiler.outline import Dump, Outline, Window
    from flambeau._compiler.pipeline import Backend, Lowering, Program
else:  # not needed until something is compiled
    outline, pipeline = lazy_module("flambeau._compiler.outline"), lazy_module("flambeau._compiler.pipeline")

PATTERNS = 4096  # with so many of single instructions, those are forgotten that nothing in use has
MOST_SAMPLES, MOST_WAYS = 8, 16  # with more, windows are compiled each for itself


def pattern_of(
    queue: Sequence[Instruction], ties: tuple[int, ...], nbytes: Sequence[int], lives: tuple
) -> tuple[tuple, tuple[int, ...]]:
    """What a window is apart from its numbers (a key, if its arguments can be one), and its numbers. `ties` are the
    slots of all operands in a row, `lives` says what lives on and what dies."""
    key: list[Any] = []
    numbers: list[int] = []
    for instruction in queue:
        if instruction.op.family == "formula":
            _add_formula(instruction, key, numbers)
        else:
            _add(instruction, key, numbers)
    return (tuple(key), ties, len(nbytes), lives), (*numbers, *nbytes)


def _add(instruction: Instruction, key: list[Any], numbers: list[int]) -> None:
    """An instruction's part of the key and of the numbers; what follows from its metas is kept with the inference."""
    inference, metas = instruction.inference, instruction.metas
    if inference is None:
        key += (instruction.op, *[_pattern(m, numbers) for m in metas[:2]], instruction.args[2])
        return
    known = inference.pattern
    if known is None or known[0] != metas:  # of the same computation, parts of other values may have been read
        found: list[int] = []
        pattern = instruction.op, inference.compute, *[_pattern(m, found) for m in (*metas, *inference.outputs)]
        known = inference.pattern = metas, _one(pattern), tuple(found)
    key.append(known[1])
    numbers += known[2]
    if not inference.plain and instruction.op.family == "pointwise":  # whose other numbers arrive when it runs
        for a in instruction.args:
            if type(a) is not Value:
                key.append(_pattern(a, numbers) if is_static(a) else ("arrives", type(a)))


class _Kind:
    """What stands for the pattern of an instruction, as a key that is compared and found in no time: there are as many
    as operations, not as sizes."""

    __slots__ = ()


_kinds = Remembered(PATTERNS)


def _one(pattern: tuple) -> _Kind:
    """The one kind of this pattern."""
    return _kinds.get(pattern) or _kinds.keep(pattern, _Kind())


def _add_formula(instruction: Instruction, key: list[Any], numbers: list[int]) -> None:
    """The same for a formula: that of the instructions it stands for."""
    inference, constants = instruction.inference, instruction.args[-1].key
    known = inference.pattern
    if known is None or known[0] != constants:
        patterns: list[Any] = [instruction.op]
        found: list[int] = []
        for written in instruction.op.instructions(instruction):
            _add(written, patterns, found)
        known = inference.pattern = constants, _one(tuple(patterns)), tuple(found)
    key.append(known[1])
    numbers += known[2]


def _pattern(m: Any, numbers: list[int]) -> Any:
    """A meta or a plain argument without its numbers, which are appended."""
    kind = type(m)
    if kind is Meta:
        numbers += (*m.shape, *m.strides, m.offset)
        return m.dtype, m.ndim
    if isinstance(m, (tuple, list)):
        return kind, *[_pattern(x, numbers) for x in m]
    if kind is int:
        numbers.append(m)
        return kind
    return kind, repr(m) if kind is float else m  # 0.0 equals -0.0


def with_numbers(window: Window, numbers: Sequence[Any]) -> Window:
    """The window with other numbers, in the order of `pattern_of`; its formulas are written out."""
    rest = iter(numbers)
    instructions = [_renewed(instruction, rest) for instruction in window.instructions]
    return window._replace(instructions=instructions, nbytes=tuple(rest))


def _renewed(instruction: Instruction, rest: Iterator[Any]) -> Instruction:
    """The instruction with the next numbers in it."""
    op, args, inference, metas = instruction.op, instruction.args, instruction.inference, instruction.metas
    if inference is None:
        metas = (*[_renewed_item(m, rest) for m in metas[:2]], *metas[2:])
        return new_instruction(op, args, metas, None, instruction.outputs, instruction.site)
    metas = tuple([_renewed_item(m, rest) for m in metas])
    outputs = tuple([_renewed_item(m, rest) for m in inference.outputs])
    inference = Inference(outputs, inference.compute, inference.fallible)
    if op.family == "pointwise":
        args = tuple([_renewed_item(a, rest) if type(a) is not Value and is_static(a) else a for a in args])
    else:
        args = tuple([_with_statics(a, m) for a, m in zip(args, metas, strict=True)])
    return new_instruction(op, args, metas, inference, instruction.outputs, instruction.site)


def _renewed_item(m: Any, rest: Iterator[Any]) -> Any:
    """A meta or a plain argument with the next numbers in it."""
    kind = type(m)
    if kind is Meta:
        shape, strides = ([next(rest) for _ in range(m.ndim)] for _ in range(2))
        return meta(m.dtype, shape, strides, next(rest))
    if isinstance(m, (tuple, list)):
        return like(m, [_renewed_item(x, rest) for x in m])
    return next(rest) if kind is int else m


def _with_statics(a: Any, m: Any) -> Any:
    """An argument whose values stay; all else is what stands among the metas."""
    if type(a) is Value:
        return a
    if isinstance(a, (tuple, list)):
        return like(a, [_with_statics(x, y) for x, y in zip(a, m, strict=True)])
    return m


def _picked(places: list[int]) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """A function that gives the items in these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda numbers: tuple([numbers[i] for i in places])


class _Way(NamedTuple):
    """An outline with symbols, and the function that gives its numbers for the values of these."""

    outline: Outline
    numbers: Callable[[Sequence[int]], tuple | None]
    lowering: Lowering


class Pattern:
    """What is known of the windows with one pattern: the numbers that some of them had, and the ways to compile them.

    `samples` are different numbers, `leader_of` has for every place among them the first one that always had the same
    number, `leaders` the places whose number changes, one for each symbol. `whole` gives all numbers for those of the
    leaders, if they are followed by `fixed`, the ones that never changed."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.samples = [numbers]
        self.ways: list[_Way] = []
        self.abandoned: Exception | None = None  # why there can be no outline with symbols

    def program(
        self, window: Callable[[], Window], numbers: tuple[int, ...], backend: Backend, dump: Dump | None
    ) -> Program:
        """The program of a window of this pattern with these numbers; the window is asked for if it must be looked
        at."""
        if not self._learnt(numbers) or self.abandoned:
            return pipeline.compile_window(window(), backend, dump)
        values = self.values(numbers)
        return self._known(values) or self._new(window(), numbers, values, backend, dump)

    def _learnt(self, numbers: tuple[int, ...]) -> bool:
        """Is it known, perhaps from these numbers, which ones change, and do they differ from the others in these
        alone?"""
        samples = self.samples
        if len(samples) > 1 and self._covers(numbers):
            return True
        if numbers in samples or len(samples) >= MOST_SAMPLES:
            return False
        samples.append(numbers)
        self._learn()
        return True

    def _learn(self) -> None:
        """Find out from the samples which numbers change, and which of these together."""
        first: dict[tuple[int, ...], int] = {}
        columns = list(zip(*self.samples, strict=True))
        self.leader_of = [first.setdefault(column, i) for i, column in enumerate(columns)]
        self.leaders = [i for i in first.values() if len(set(columns[i])) > 1]
        self.values = _picked(self.leaders)
        others = [i for i in first.values() if len(set(columns[i])) == 1]
        self.fixed = _picked(others)(self.samples[0])
        place = {leader: i for i, leader in enumerate([*self.leaders, *others])}
        self.whole = _picked([place[leader] for leader in self.leader_of])
        self.ways.clear()

    def _covers(self, numbers: tuple[int, ...]) -> bool:
        """Do only those numbers differ from the samples which may?"""
        return self.whole(self.values(numbers) + self.fixed) == numbers

    def _known(self, values: Sequence[int]) -> Program | None:
        """The program by a way that holds for these values; it is tried first the next time."""
        for i, way in enumerate(self.ways):
            numbers = way.numbers(values)
            if numbers is not None:
                self.ways.insert(0, self.ways.pop(i))
                try:
                    return pipeline.realised(way.outline, outline.Numbers(*numbers), way.lowering)
                except pipeline.Refused:
                    return None
        return None

    def _new(self, window: Window, numbers: tuple[int, ...], values: Sequence[int], backend: Backend,
             dump: Dump | None) -> Program:  # fmt: skip
        """The program by a new way, or by none if there are too many or symbols cannot go it."""
        if len(self.ways) < MOST_WAYS:
            refused: set[int] = set()
            try:
                while True:
                    way = self._traced(window, numbers, values, backend, refused, dump)
                    found = way.numbers(values)
                    assert found is not None
                    try:
                        program = pipeline.realised(way.outline, outline.Numbers(*found), way.lowering)
                    except pipeline.Refused as refusal:
                        refused |= refusal.origins
                        continue
                    self.ways.insert(0, way)
                    return program
            except Exception as error:  # whatever is wrong with the window itself shows without symbols too
                self.abandoned = error
        return pipeline.compile_window(window, backend, dump)

    def _traced(self, window: Window, numbers: tuple[int, ...], values: Sequence[int], backend: Backend,
                refused: set[int], dump: Dump | None) -> _Way:  # fmt: skip
        trace = Trace(values, interning=True)  # metas, equal nodes, equal operands
        symbols: list[Any] = list(numbers)
        symbol_at = dict(zip(self.leaders, trace.parameters, strict=True))
        for i, leader in enumerate(self.leader_of):
            symbols[i] = symbol_at.get(leader, numbers[i])
        traced = outline.outline_of(with_numbers(window, symbols), backend.supports, refused, dump, check=False)
        return _Way(traced, trace.function(traced.numbers), pipeline.Lowering(backend, traced))
