"""Programs for windows that differ only in their numbers: sizes, strides, whole numbers among the arguments.

Windows with the same *pattern* are the same computation on tensors of other sizes. The first two sizes of a pattern are
compiled each for itself. With the third it is clear which numbers change, and which of these change together: they
become symbols, and the outline that is made with them holds for all sizes for which every decision of the compiler is
the same. What changes from then on is only arithmetic; a part with numbers that were there before is not lowered anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from flambeau._compiler.capture import is_static
from flambeau._compiler.outline import Dump, Numbers, Outline, Window, outline_of
from flambeau._compiler.pipeline import Backend, Lowering, Program, Refused, compile_window, realised
from flambeau._ir.meta import Meta, meta
from flambeau._ir.program import Inference, Instruction, Value
from flambeau._ir.symbols import Trace, like

SAMPLES = 3  # with how many a pattern gets an outline for all
MOST_SAMPLES, MOST_WAYS = 8, 16  # with more, windows are compiled each for itself


def pattern_of(window: Window) -> tuple[tuple, tuple[int, ...]]:
    """What a window is apart from its numbers (a key, if its arguments can be one), and its numbers."""
    numbers: list[int] = []
    patterns = []
    for instruction in window.instructions:
        loose = instruction.op.family == "pointwise"  # whose other numbers arrive when it runs
        inference = instruction.inference
        pattern = [instruction.op, inference and inference.compute]
        for a, m in zip(instruction.args, instruction.metas, strict=True):
            pattern.append(_pattern(a, m, loose, window.slots, numbers))
        if inference is not None:
            pattern += [_pattern(m, m, loose, window.slots, numbers) for m in inference.outputs]
        patterns.append(tuple(pattern))
    key = tuple(patterns), window.live, window.dying, window.scalars
    return key, (*numbers, *window.nbytes)


def _pattern(a: Any, m: Any, loose: bool, slots: dict[Value, int], numbers: list[int]) -> Any:
    """An argument without its numbers, which are appended."""
    kind = type(a)
    if kind is Value:
        return slots[a], _pattern(m, m, loose, slots, numbers)
    if kind is Meta:
        numbers += (*a.shape, *a.strides, a.offset)
        return a.dtype, a.ndim
    if isinstance(a, (tuple, list)):
        return kind, *[_pattern(x, y, loose, slots, numbers) for x, y in zip(a, m, strict=True)]
    if loose and not is_static(a):
        return kind
    if kind is int:
        numbers.append(a)
        return kind
    return kind, repr(a) if kind is float else a  # 0.0 equals -0.0


def with_numbers(window: Window, numbers: Sequence[Any]) -> Window:
    """The window with other numbers, in the order of `pattern_of`."""
    rest = iter(numbers)
    instructions = []
    for instruction in window.instructions:
        loose = instruction.op.family == "pointwise"
        pairs = [_renewed(a, m, loose, rest) for a, m in zip(instruction.args, instruction.metas, strict=True)]
        inference = instruction.inference
        if inference is not None:
            outputs = tuple([_renewed_meta(m, rest) for m in inference.outputs])
            inference = Inference(outputs, inference.compute, inference.fallible)
        args, metas = (tuple([pair[i] for pair in pairs]) for i in (0, 1))
        instructions.append(
            Instruction(instruction.op, args, metas, inference, instruction.outputs, instruction.site)
        )
    return window._replace(instructions=instructions, nbytes=tuple(rest))


def _renewed(a: Any, m: Any, loose: bool, rest: Iterator[Any]) -> tuple[Any, Any]:
    """An argument and its Meta with the next numbers in them."""
    kind = type(a)
    if kind is Value:
        return a, _renewed_meta(m, rest)
    if kind is Meta:
        return (_renewed_meta(a, rest),) * 2
    if isinstance(a, (tuple, list)):
        pairs = [_renewed(x, y, loose, rest) for x, y in zip(a, m, strict=True)]
        return like(a, [x for x, _ in pairs]), like(m, [y for _, y in pairs])
    if kind is int and not (loose and not is_static(a)):
        number = next(rest)
        return number, number
    return a, m


def _renewed_meta(m: Meta, rest: Iterator[Any]) -> Meta:
    shape, strides = ([next(rest) for _ in range(m.ndim)] for _ in range(2))
    return meta(m.dtype, shape, strides, next(rest))


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
    number, `leaders` the places whose number changes, one for each symbol. `fixed` gives the numbers that never
    changed, `followers` those that change, `followed` those of their leaders."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.samples = [numbers]
        self.ways: list[_Way] = []
        self.abandoned: Exception | None = None  # why there can be no outline with symbols
        self._learn()

    def program(self, window: Window, numbers: tuple[int, ...], backend: Backend, dump: Dump | None) -> Program:
        """The program of a window of this pattern with these numbers."""
        few = len(self.samples) < SAMPLES and numbers not in self.samples
        if few or (not self._covers(numbers) and len(self.samples) < MOST_SAMPLES):
            self.samples.append(numbers)
            self._learn()
        if len(self.samples) < SAMPLES or not self._covers(numbers) or self.abandoned:
            return compile_window(window, backend, dump)
        values = self.values(numbers)
        return self._known(values) or self._new(window, numbers, values, backend, dump)

    def _learn(self) -> None:
        """Find out from the samples which numbers change, and which of these together."""
        first: dict[tuple[int, ...], int] = {}
        columns = list(zip(*self.samples, strict=True))
        self.leader_of = [first.setdefault(column, i) for i, column in enumerate(columns)]
        changing = [len(set(column)) > 1 for column in columns]
        places = range(len(columns))
        self.leaders = [i for i in first.values() if changing[i]]
        self.values = _picked(self.leaders)
        self.fixed = _picked([i for i in places if not changing[i]])
        self.followers = _picked([i for i in places if changing[i]])
        self.followed = _picked([self.leader_of[i] for i in places if changing[i]])
        self.ways.clear()

    def _covers(self, numbers: tuple[int, ...]) -> bool:
        """Do only those numbers differ from the samples which may?"""
        fixed = self.fixed(numbers) == self.fixed(self.samples[0])
        return fixed and self.followers(numbers) == self.followed(numbers)

    def _known(self, values: Sequence[int]) -> Program | None:
        """The program by a way that holds for these values; it is tried first the next time."""
        for i, way in enumerate(self.ways):
            numbers = way.numbers(values)
            if numbers is not None:
                self.ways.insert(0, self.ways.pop(i))
                try:
                    return realised(way.outline, Numbers(*numbers), way.lowering)
                except Refused:
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
                        program = realised(way.outline, Numbers(*found), way.lowering)
                    except Refused as refusal:
                        refused |= refusal.origins
                        continue
                    self.ways.insert(0, way)
                    return program
            except Exception as error:  # whatever is wrong with the window itself shows without symbols too
                self.abandoned = error
        return compile_window(window, backend, dump)

    def _traced(self, window: Window, numbers: tuple[int, ...], values: Sequence[int], backend: Backend,
                refused: set[int], dump: Dump | None) -> _Way:  # fmt: skip
        trace = Trace(values, interning=True)  # metas, equal nodes, equal operands
        symbols: list[Any] = list(numbers)
        symbol_at = dict(zip(self.leaders, trace.parameters, strict=True))
        for i, leader in enumerate(self.leader_of):
            symbols[i] = symbol_at.get(leader, numbers[i])
        outline = outline_of(with_numbers(window, symbols), backend.supports, refused, dump, check=False)
        return _Way(outline, trace.function(outline.numbers), Lowering(backend, outline))
