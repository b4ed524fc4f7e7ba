"""Plans: compiled windows, found by their signature and run through native calls.

A window seen for the first time runs on the reference backend: most are never seen again, and compiling costs
milliseconds. At the second sight it is compiled; so is a window whose structure was seen with other sizes.
"""

from __future__ import annotations

import gc
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau._compiler.capture import operands_of
from flambeau._compiler.pipeline import Program, Window, Work, compile_window
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau._engine.memory import Buffer, allocator, arena
from flambeau._engine.offsets import without_offsets
from flambeau._engine.signature import Signature, signature
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value

cpu = lazy_module("flambeau._backends.cpu.lower")
native = lazy_module("flambeau._backends.cpu.plan")
pathlib = lazy_module("pathlib")

FEW_INSTRUCTIONS, FEW_BYTES = 3, 4096  # of a small window
HEAVY_BYTES = 160 << 20  # of results: more is compiled at first sight
REMEMBERED = 1024  # plans, and signatures that were seen once
_UNKNOWN = object()  # in the place of a plan: never seen
_SIGHTED = object()  # seen once

_plans: OrderedDict[tuple, Any] = OrderedDict()
_structures: OrderedDict[tuple, None] = OrderedDict()


# Called with (plan, native plan, seconds of each of its steps) when somebody measures; see `explain`.
profile: Callable[[Any, Any, list[float]], None] | None = None


class Statistics:
    """What the compiler did in this process so far."""

    def __init__(self) -> None:
        self.plans = 0  # windows compiled
        self.seconds = 0.0  # spent compiling them
        self.runs = 0  # windows run by a plan
        self.reference = 0  # windows run by the reference backend


_statistics = Statistics()


def statistics() -> Statistics:
    """What the compiler did in this process so far."""
    return _statistics


def never_compiled(instructions: int, nbytes: int, now: bool) -> bool:
    """Does the reference run a window whenever it is seen? If nothing is to be compiled, and if it holds so little that
    NumPy is as quick: looking twice at the same operation on a few numbers then gives the very same bits."""
    if config.compile == "auto" and not now:
        return instructions <= FEW_INSTRUCTIONS and nbytes <= FEW_BYTES
    return config.compile == "never"


def run(queue: Sequence[Instruction], interpret: Callable[[Instruction], None], now: bool = False) -> bool:
    """Run a window by its plan; False if it has none yet and the reference is to run it. `interpret` runs a single
    instruction on the reference, `now` asks to compile at first sight."""
    queue = without_offsets(queue)
    found = signature(queue)
    if found is None:
        return False
    plan = _plans.get(found.key, _UNKNOWN)
    if plan is not _UNKNOWN:
        _plans.move_to_end(found.key)  # the least recently used one is forgotten first
    if plan is _UNKNOWN and not now and not _worth_compiling(queue):
        plan = _remember(_plans, found.key, _SIGHTED)
    elif plan is _UNKNOWN or plan is _SIGHTED:
        plan = _remember(_plans, found.key, _compile(queue, found))
    if plan is None or plan is _SIGHTED:
        _statistics.reference += 1
        return False
    _statistics.runs += 1
    return plan.run(queue, found, interpret)


class Compiled(NamedTuple):
    """A window with its plan. `parts` are the values that stand for parts of others, as `without_offsets` made them."""

    queue: Sequence[Instruction]
    found: Signature
    plan: Plan
    parts: dict[tuple[Value, Meta], Value]


def compiled(queue: Sequence[Instruction]) -> Compiled | None:
    """A window with its plan, compiled at first sight; None if an operand has no memory or the reference is to run
    it."""
    parts: dict[tuple[Value, Meta], Value] = {}
    queue = without_offsets(queue, parts)
    found = signature(queue)
    if found is None:
        return None
    plan = _plans.get(found.key)
    if plan is None or plan is _SIGHTED:
        plan = _remember(_plans, found.key, _compile(queue, found))
    return None if plan is None else Compiled(queue, found, plan, parts)


def _worth_compiling(queue: Sequence[Instruction]) -> bool:
    """At first sight: is the structure known from other sizes, or the work so much that NumPy would take longer than a
    compilation?"""
    if config.compile == "always" or sum([i.inference.nbytes for i in queue if i.inference]) > HEAVY_BYTES:
        return True
    structure = tuple([
        (i.op, i.inference and tuple([(m.dtype, m.ndim) for m in i.inference.outputs])) for i in queue
    ])  # fmt: skip
    if structure in _structures:
        return True
    _remember(_structures, structure, None)
    return False


def _remember(table: OrderedDict, key: tuple, entry: Any) -> Any:
    table[key] = entry
    if len(table) > REMEMBERED:
        table.popitem(last=False)
    return entry


def _compile(queue: Sequence[Instruction], found: Signature) -> Plan | None:
    """The plan of a window; None if it is to stay with the reference."""
    start = time.perf_counter()
    collecting = gc.isenabled()
    gc.disable()  # a compilation makes many small objects that are all needed until its end
    try:
        plan = _compiled(queue, found)
    finally:
        if collecting:
            gc.enable()
    _statistics.plans += 1
    _statistics.seconds += time.perf_counter() - start
    return plan


def _compiled(queue: Sequence[Instruction], found: Signature) -> Plan | None:
    window = Window(queue, found.slots, found.inputs, found.live, found.dying)
    program = compile_window(window, cpu.backend(), _dumper())
    # A write that the reference does may move memory about, behind the back of native code.
    written = any(w.host is not None and queue[w.host].op.family == "write" for w in program.works)
    return None if written else Plan(program, queue, found)


def _dumper() -> Callable[[str, str], None] | None:
    """What writes the stages of a compilation into FLAMBEAU_DUMP; None if nobody asked."""
    if config.dump_dir is None:
        return None
    folder = pathlib.Path(config.dump_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = _statistics.plans

    def dump(stage: str, text: str) -> None:
        (folder / f"{number:04d}-{stage}.txt").write_text(text + "\n")

    return dump


class Plan:
    """A program with its native calls. The table of words that kernels find their addresses in: the program's slots,
    then the arena, scratch memory and run-time scalars."""

    def __init__(self, program: Program, queue: Sequence[Instruction], found: Signature) -> None:
        self.program = program
        self.inputs = program.inputs
        self.hosted = program.inputs + len(program.fresh)
        self.arena_slot = self.hosted + program.hosted
        self.scratch_slot = self.arena_slot + 1
        self.scalar_slot = self.scratch_slot + 1
        self.slots = self.scalar_slot + len(found.scalars)
        self.scratch = max([w.step.scratch for w in program.works if w.step is not None], default=0)
        self.temporary = program.arena + self.scratch + 64 if program.arena or self.scratch else 0
        self.hosted_words = [0] * program.hosted
        self.segments = self._segments(program.works)
        self.floating = tuple([type(s) is float for s in found.scalars])
        self.lock = threading.Lock()
        self.dtypes: list[Any] = [None] * len(program.fresh)
        self.results: list[tuple[int, int, Any]] = []  # (value slot, table slot, NumPy dtype)
        self._bind(queue, found)
        self.host_operands = {s: self._operands(queue[s], found) for s in self.segments if type(s) is int}

    def _operands(self, instruction: Instruction, found: Signature) -> list[tuple[int, int, Any]]:
        """The results of this plan that a host instruction reads."""
        read = {found.slots[v] for v in operands_of(instruction)}
        return [r for r in self.results if r[0] in read]

    def _bind(self, queue: Sequence[Instruction], found: Signature) -> None:
        """Learn where results are, and their NumPy dtypes."""
        of_value: dict[int, Any] = {}
        for instruction in queue:
            inference = instruction.inference
            metas = instruction.metas[:1] if inference is None else inference.outputs
            for value, m in zip(instruction.outputs, metas, strict=True):
                of_value[found.slots[value]] = m.dtype.numpy
        hosted = self.program.host_slots
        self.results = [
            (slot, place, of_value[slot]) for slot, place in self.program.results.items() if slot not in hosted
        ]
        for _, place, dtype in self.results:
            if place >= self.inputs:
                self.dtypes[place - self.inputs] = dtype
        self.fresh = tuple(zip(self.program.fresh, self.dtypes, strict=True))

    def _segments(self, works: Sequence[Work]) -> list[Any]:
        """Native plans and, between them, numbers of host instructions."""
        segments: list[Any] = []
        steps: list[tuple] = []
        names: list[str] = []
        self.names: dict[Any, tuple[str, ...]] = {}  # what the steps of a native plan do

        def close() -> None:
            if steps:
                segments.append(native.NativePlan(tuple(steps), self.slots, self.scratch_slot))
                self.names[segments[-1]] = tuple(names)
                steps.clear()
                names.clear()

        for work in works:
            if work.host is not None:
                close()
                segments.append(work.host)
                continue
            offsets = tuple([place.offset for place in work.locations])
            slots = tuple([place.slot for place in work.locations])
            scalars = tuple([self.scalar_slot + s for s in work.scalars])
            steps.append((cpu.rebased(work.step, offsets), slots, scalars))
            names.append(work.what)
        close()
        return segments

    def run(self, queue: Sequence[Instruction], found: Signature, interpret: Callable[[Instruction], None]) -> bool:
        """Run a window; False if a kernel met something wrong and the reference is to say what."""
        values = found.values
        fresh, words = self._prepare([v.address for v in values[: self.inputs]], self.words_of(found.scalars))
        if not self._run_segments(queue, found, fresh, words, interpret):
            for instruction in queue:
                for value in instruction.outputs:
                    value.buffer = value.array = None
            return False
        self._deliver(self.results, values, fresh)
        for instruction in queue:
            for value in instruction.outputs:
                value.window = None
        return True

    def _prepare(self, addresses: list[int], scalars: list[int]) -> tuple[list[Buffer], list[int]]:
        """Memory for the results, and the table of words, of which `addresses` becomes the beginning."""
        words, allocate = addresses, allocator.allocate
        fresh = [allocate(n, d) for n, d in self.fresh]
        words += [b.address for b in fresh]
        words += self.hosted_words
        temporary = arena.address(self.temporary) if self.temporary else 0
        words += (temporary, temporary + self.program.arena)
        words += scalars
        return fresh, words

    def words_of(self, scalars: Sequence[float | int]) -> list[int]:
        """Run-time scalars as words."""
        return [word_of(number, floating) for number, floating in zip(scalars, self.floating, strict=True)]

    def launch(self, addresses: list[int], scalars: list[int]) -> list[Buffer] | None:
        """Run a plan without host instructions on inputs at `addresses`, which are used up; the memory of its fresh
        results, or None if a kernel met something wrong."""
        fresh, words = self._prepare(addresses, scalars)
        with self.lock:
            for segment in self.segments:
                if self._run_native(segment, words):
                    return None
        _statistics.runs += 1
        return fresh

    def _run_native(self, segment: Any, words: list[int]) -> int:
        """Run one native plan; its status."""
        if profile is None:
            return segment.run(words)
        profile(self, segment, segment.run_profiled(words))
        return 0

    def _run_segments(self, queue: Sequence[Instruction], found: Signature, fresh: list[Buffer], words: list[int],
                      interpret: Callable[[Instruction], None]) -> bool:  # fmt: skip
        with self.lock:
            for segment in self.segments:
                if type(segment) is not int:
                    if self._run_native(segment, words):
                        return False
                    continue
                instruction = queue[segment]
                self._deliver(self.host_operands[segment], found.values, fresh)
                try:
                    interpret(instruction)
                except Exception:
                    return False  # the reference repeats the window and says what was wrong
                for value in instruction.outputs:
                    words[self.program.host_slots[found.slots[value]]] = value.address
        return True

    def _deliver(self, results: Sequence[tuple[int, int, Any]], values: list[Value], fresh: list[Buffer]) -> None:
        """Give results their memory: a fresh buffer, or that of an input which died."""
        for slot, place, dtype in results:
            value = values[slot]
            if place >= self.inputs:
                value.buffer = fresh[place - self.inputs]
            else:
                dead = values[place]
                value.buffer, value.array = dead.buffer, dead.array
                if value.buffer is not None:
                    value.buffer.dtype = dtype


def word_of(number: float | int, floating: bool) -> int:
    """A run-time scalar as a word: the bits of a double, or an integer."""
    return _UNPACK.unpack(_PACK.pack(number))[0] if floating else wrapped(int(number))


def wrapped(number: int) -> int:
    """An integer as a signed 64-bit word.

    Example::

        >>> wrapped(2**64 - 1)
        -1
    """
    return ((number + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


_PACK = struct.Struct("<d")
_UNPACK = struct.Struct("<q")
