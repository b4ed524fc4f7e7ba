"""Plans: compiled windows, found by their signature and run through native calls.

A window seen for the first time runs on the reference backend: most are never seen again, and compiling costs
milliseconds. At the second sight it is compiled; so is a window whose structure was seen with other sizes, and one
with so much work that the reference would take as long as the compiler.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau._compiler.capture import operands_of
from flambeau._compiler.generic import Pattern, pattern_of
from flambeau._core.collecting import paused
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import warn
from flambeau._engine.formula import written_out
from flambeau._engine.memory import Buffer, allocator, arena, size_class
from flambeau._engine.offsets import without_offsets
from flambeau._engine.signature import Owner, Signature, signature
from flambeau._ir.meta import Meta
from flambeau._ir.program import Instruction, Value

if TYPE_CHECKING:
    from flambeau._compiler import outline
    from flambeau._compiler.outline import Part
    from flambeau._compiler.pipeline import Program
else:
    outline = lazy_module("flambeau._compiler.outline")
cpu = lazy_module("flambeau._backends.cpu.lower")
native = lazy_module("flambeau._backends.cpu.plan")
pathlib = lazy_module("pathlib")

FEW_INSTRUCTIONS, FEW_BYTES = 3, 4096  # of a small window
# Half the bytes of results that NumPy makes while a window is compiled of kernels that are on the disk: while that
# begins, and for each instruction. Half, as much work is seldom done only once.
BYTES_TO_BEGIN, BYTES_AN_INSTRUCTION = 32 << 20, 256 << 10
REMEMBERED = 512  # plans, and signatures that were seen once
_UNKNOWN = object()  # in the place of a plan: never seen
_SIGHTED = object()  # seen once

_plans: OrderedDict[tuple, Any] = OrderedDict()
_patterns: OrderedDict[tuple, Pattern] = OrderedDict()


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


def never_compiled(queue: Collection[Instruction], nbytes: int, now: bool) -> bool:
    """Does the reference run a window whenever it is seen? If nothing is to be compiled, and if it holds so little that
    NumPy is as quick: looking twice at the same operation on a few numbers then gives the very same bits."""
    if config.compile == "auto" and not now:
        return len(queue) <= FEW_INSTRUCTIONS and nbytes <= FEW_BYTES and _is_little(list(queue))
    return config.compile == "never"


def _is_little(queue: Sequence[Instruction]) -> bool:
    """Is no operand large, and the work not what a kernel does in a fraction of NumPy's time? A sum is a single number,
    of however many."""
    for i in queue:
        if _is_many_steps(i.op, len(queue) == 1):
            return False
        if i.inference is None:
            if any([type(m) is Meta and m.nbytes > FEW_BYTES for m in i.metas]):
                return False
        elif i.inference.largest > FEW_BYTES:
            return False
    return True


def _is_many_steps(op: Any, alone: bool) -> bool:
    """Is that much for NumPy? A formula is many operations, and so is a normalisation; a matrix product with others
    around it is a layer of a small network."""
    if op.family == "library":
        return op.category == "norm" or (not alone and op.category == "contract")
    return op.family == "formula"


def run(queue: Sequence[Instruction], owner: Owner, now: bool = False) -> bool:
    """Run a window by its plan; False if it has none yet and the reference is to run it. `now` asks to compile at first
    sight."""
    queue = without_offsets(queue)
    found = signature(queue, owner)
    if found is None:
        return False
    plan = _plans.get(found.key, _UNKNOWN)
    if plan is not _UNKNOWN:
        _plans.move_to_end(found.key)  # the least recently used one is forgotten first
    if plan is _UNKNOWN or plan is _SIGHTED:
        at_once = now or plan is _SIGHTED or _is_heavy(queue)
        plan = _remember(_plans, found.key, _compile(queue, found, at_once))
    if plan is None or plan is _SIGHTED:
        _statistics.reference += 1
        owner.lasting = frozenset([id(found.values[slot]) for slot in found.live])
        return False
    return plan.run(queue, found, owner)


def renew_locks() -> None:
    """In a forked child: the threads that ran plans are not here."""
    for plan in _plans.values():
        if type(plan) is Plan:
            plan.lock = threading.Lock()


class Compiled(NamedTuple):
    """A window with its plan. `parts` are the values that stand for parts of others, as `without_offsets` made them."""

    queue: Sequence[Instruction]
    found: Signature
    plan: Plan
    parts: dict[tuple[Value, Meta], Value]


def compiled(queue: Sequence[Instruction], owner: Owner) -> Compiled | None:
    """A window with its plan, compiled at first sight; None if an operand has no memory or the reference is to run
    it."""
    parts: dict[tuple[Value, Meta], Value] = {}
    queue = without_offsets(queue, parts)
    found = signature(queue, owner)
    if found is None:
        return None
    plan = _plans.get(found.key)
    if plan is None or plan is _SIGHTED:
        plan = _remember(_plans, found.key, _compile(queue, found, True))
    return None if plan is None else Compiled(queue, found, plan, parts)


def _is_heavy(queue: Sequence[Instruction]) -> bool:
    """At first sight: is the work so much that NumPy would take about as long as a compilation? Then little is lost
    if the window is never seen again, and all that NumPy would have taken is saved if it is. Whether the kernels are on
    the disk must not matter, as NumPy rounds otherwise."""
    if config.compile == "always":
        return True
    nbytes = sum([i.inference.nbytes for i in queue if i.inference])
    return nbytes > BYTES_TO_BEGIN + BYTES_AN_INSTRUCTION * len(queue)


def _remember(table: OrderedDict, key: tuple, entry: Any) -> Any:
    table[key] = entry
    if len(table) > REMEMBERED:
        table.popitem(last=False)
    return entry


def _compile(queue: Sequence[Instruction], found: Signature, at_once: bool) -> Any:
    """The plan of a window; None if it is to stay with the reference. Unless `at_once`, only a window whose pattern was
    seen with other numbers is compiled."""
    nbytes = [v.nbytes for v in found.values[: found.inputs]]
    key, numbers = pattern_of(queue, found.ties, nbytes, (found.live, found.dying))
    pattern = _patterns.get(key)
    if pattern is None:
        pattern = _remember(_patterns, key, Pattern(numbers))
        if not at_once:
            return _SIGHTED
    _patterns.move_to_end(key)
    start = time.perf_counter()
    try:
        with paused():  # what a compilation makes is needed until its end
            program = pattern.program(lambda: _window(queue, found, nbytes), numbers, cpu.backend(), _dumper())
            frame = program.lowering.frame
            if frame is None:
                frame = program.lowering.frame = Frame(program, queue, found)
            plan = Plan(frame, program) if frame.possible else None
    except Exception as error:
        _remember(_plans, found.key, None)
        _warn_of(error, queue)
        return None
    _statistics.plans += 1
    _statistics.seconds += time.perf_counter() - start
    return plan


def _warn_of(error: Exception, queue: Sequence[Instruction]) -> None:
    """The compiler is wrong, or cannot write where FLAMBEAU_DUMP says: the program goes on with NumPy."""
    names = " ".join(dict.fromkeys([i.op.name for i in queue]))
    warn(
        f"the compiler failed, {type(error).__name__}: {error}\n  NumPy computes these operations instead, which takes "
        f"longer: {names}\n  hint: please report it with the program; FLAMBEAU_COMPILE=never avoids the compiler",
        RuntimeWarning,
    )


def _window(queue: Sequence[Instruction], found: Signature, nbytes: Sequence[int]) -> outline.Window:
    """What the compiler is to know of a window, with its formulas written out."""
    instructions, _ = written_out(queue)
    slots = _with_inner_results(found.slots, instructions)
    return outline.Window(instructions, slots, nbytes, found.live, found.dying, len(found.scalars))


def _with_inner_results(slots: dict[Value, int], instructions: Sequence[Instruction]) -> dict[Value, int]:
    """The slots of all values, those within formulas last."""
    slots = dict(slots)
    for instruction in instructions:
        for value in instruction.outputs:
            slots.setdefault(value, len(slots))
    return slots


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


class Frame:
    """What the plans of an outline share, whatever the sizes.

    The table of words that kernels find their addresses in: the inputs, fresh results, host results, then the arena,
    scratch memory and run-time scalars, those that follow from sizes last."""

    def __init__(self, program: Program, queue: Sequence[Instruction], found: Signature) -> None:
        shared = program.outline
        self.inputs, self.hosted = shared.inputs, shared.hosted
        self.host_slots, self.results = shared.host_slots, shared.results
        dtypes = {place: dtype for _, place, dtype in self.results}
        self.dtypes = [dtypes.get(place) for place in range(self.inputs, self.inputs + len(program.fresh))]
        numbers = "".join(["d" if type(s) is float else "n" for s in found.scalars]) + "n" * len(program.scalars)
        self.slots = self.inputs + len(program.fresh) + self.hosted + 2
        self.segments: list[Any] = self._segments(shared.parts, queue, numbers)
        hosts = [s for s in self.segments if type(s) is int]
        self.host_operands = {s: self._operands(queue[s], found) for s in hosts}
        for number in hosts:
            if queue[number].op.family == "formula":
                queue[number].op.apart = True  # from now on its instructions are recorded one by one
        # A write that the reference does may move memory about, behind the back of native code.
        self.possible = not any([queue[s].op.family in ("write", "formula") for s in hosts])

    def _segments(self, parts: Sequence[Part], queue: Sequence[Instruction], numbers: str) -> list[Segment | int]:
        """Segments of parts that run natively and, between them, numbers of host instructions."""
        origins = written_out(queue)[1] if any([type(p.work) is outline.HostPart for p in parts]) else []
        segments: list[Segment | int] = []
        first = 0

        def close(last: int) -> None:
            if first < last:
                sites = native.Sites([(p.places, p.scalars) for p in parts[first:last]], self.slots, numbers)
                segments.append(Segment(first, last, sites, tuple([p.what for p in parts[first:last]])))

        for i, part in enumerate(parts):
            if type(part.work) is outline.HostPart:
                close(i)
                segments.append(origins[part.work.instruction])
                first = i + 1
        close(len(parts))
        return segments

    def _operands(self, instruction: Instruction, found: Signature) -> list[tuple[int, int, Any]]:
        """The results of a plan that a host instruction reads."""
        read = {found.slots[v] for v in operands_of(instruction)}
        return [r for r in self.results if r[0] in read]


class Segment(NamedTuple):
    """The parts from `first` to before `last`: their sites, and what they do."""

    first: int
    last: int
    sites: Any
    names: tuple[str, ...]


class Plan:
    """A program in native calls: a frame, and what differs between sizes."""

    def __init__(self, frame: Frame, program: Program) -> None:
        self.frame = frame
        self.inputs, self.results = frame.inputs, frame.results
        self.arena = program.arena
        scratch = max([block.scratch for block in program.blocks if block is not None], default=0)
        self.temporary = self.arena + scratch + 64 if self.arena or scratch else 0
        self.segments: list[Any] = [  # native plans and, between them, numbers of host instructions
            s if type(s) is int else native.NativePlan(s.sites, program.blocks[s.first : s.last], program.offsets)
            for s in frame.segments
        ]
        self.derived: list[float | int] = [bits_of(s) for s in program.scalars]
        self.lock = threading.Lock()
        # bytes, capacity and NumPy dtype of each new block
        self.fresh = [_place_of(n, dtype) for n, dtype in zip(program.fresh, frame.dtypes, strict=True)]

    def names_of(self, segment: Any) -> tuple[str, ...]:
        """What the steps of a native plan do."""
        return self.frame.segments[self.segments.index(segment)].names

    def run(self, queue: Sequence[Instruction], found: Signature, owner: Owner) -> bool:
        """Run a window; False if a kernel met something wrong and the reference is to say what."""
        _statistics.runs += 1
        values = found.values
        inputs = [v.address if v.buffer is None else v.buffer.address for v in values[: self.inputs]]
        fresh, words = self._prepare(inputs, self.words_of(found.scalars))
        run = owner.running = Run(self, values, fresh)
        if not self._run_segments(queue, found, run, words, owner):
            run.withdraw()
            return False
        run.tell()
        return True

    def _prepare(self, addresses: list[int], scalars: list[float | int]) -> tuple[list[Buffer], list[float | int]]:
        """Memory for the results, and the table of words, of which `addresses` becomes the beginning."""
        fresh, words = allocator.allocate_all(self.fresh), addresses
        temporary = arena.address(self.temporary) if self.temporary else 0
        words += [b.address for b in fresh]
        words += [0] * self.frame.hosted
        words += (temporary, temporary + self.arena)
        words += scalars  # type: ignore[arg-type]
        return fresh, words  # type: ignore[return-value]

    def words_of(self, scalars: Sequence[float | int]) -> list[float | int]:
        """Run-time scalars, and after them those of the plan's sizes, as they are put into the table."""
        return [s if type(s) is float else bits_of(s) for s in scalars] + self.derived

    def launch(self, run: Run, addresses: list[int], scalars: list[float | int]) -> bool:
        """Run a plan without host instructions on inputs at `addresses`, which are used up, with what `words_of` made;
        False if a kernel met something wrong. The run gets the memory of the fresh results."""
        _statistics.runs += 1
        run.fresh, words = self._prepare(addresses, scalars)
        with self.lock:
            return all(self._run_native(segment, words, run) for segment in self.segments)

    def _run_segments(self, queue: Sequence[Instruction], found: Signature, run: Run, words: list[Any],
                      owner: Owner) -> bool:  # fmt: skip
        frame = self.frame
        with self.lock:
            for segment in self.segments:
                if type(segment) is not int:
                    if not self._run_native(segment, words, run):
                        return False
                    continue
                instruction = queue[segment]
                self.deliver(frame.host_operands[segment], found.values, run.fresh)
                try:
                    owner.interpret(instruction)
                except Exception:
                    return False  # the reference repeats the window and says what was wrong
                for value in instruction.outputs:
                    words[frame.host_slots[found.slots[value]]] = value.address
        return True

    def _run_native(self, segment: Any, words: list[Any], run: Run) -> bool:
        """Run kernels; False if one of them met something wrong."""
        last = segment is self.segments[-1]
        segment.wait()
        try:
            if profile is not None:
                seconds = segment.run_profiled(words)
                if seconds is None:
                    return False
                profile(self, segment, seconds)
            elif segment.run(words):
                return False
            run.complete = last
        except BaseException:  # Ctrl-C, before the kernels ran or after
            run.complete = last and segment.has_run()
            raise
        return True

    def deliver(self, results: Sequence[tuple[int, int, Any]], values: list[Value], fresh: list[Buffer]) -> None:
        """Give results their memory: a fresh buffer, or that of an input which died."""
        inputs = self.inputs
        for slot, place, dtype in results:
            value = values[slot]
            if place >= inputs:
                value.buffer = fresh[place - inputs]
            else:
                dead = values[place]
                value.buffer, value.array = dead.buffer, dead.array
                if not value.buffer.shared:
                    value.array = None
                    value.buffer.dtype = dtype


@lru_cache(REMEMBERED)
def _place_of(n: int, dtype: Any) -> tuple[int, int, Any]:
    """What is asked of the allocator for a result of `n` bytes: most are those of other sizes, too."""
    return n, size_class(n), dtype


class Run:
    """One run of a plan, for whoever finds it interrupted. Once it is `complete` all kernels have run, and inputs may
    have been written over: the results must be told, which may be done twice. Until then the window can be repeated."""

    __slots__ = ("plan", "values", "fresh", "complete")

    def __init__(self, plan: Plan, values: list[Value], fresh: list[Buffer]) -> None:
        self.plan = plan
        self.values = values
        self.fresh = fresh
        self.complete = False

    def tell(self) -> None:
        """Give the results their memory; they wait in no window any more."""
        self.plan.deliver(self.plan.results, self.values, self.fresh)
        for value in self.values[self.plan.inputs :]:
            value.window = None

    def withdraw(self) -> None:
        """Take back what the instructions between kernels were given and have made."""
        for value in self.values[self.plan.inputs :]:
            value.buffer = value.array = None


def bits_of(number: float | int) -> int:
    """A number as a signed 64-bit word: the bits of a double, or an integer that wraps around.

    Example::

        >>> bits_of(2**64 - 1), bits_of(1.0) == 0x3FF0000000000000
        (-1, True)
    """
    if type(number) is float:
        return _WORD.unpack(_DOUBLE.pack(number))[0]
    return ((int(number) + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


_DOUBLE, _WORD = struct.Struct("<d"), struct.Struct("<q")
