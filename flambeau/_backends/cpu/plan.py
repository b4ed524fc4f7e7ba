"""A plan in native form: blocks of words, what to fill into them at every run, and launches; one call runs it all."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from flambeau._backends.cpu import launch as native
from flambeau._backends.cpu.driver import driver
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import (
    Address,
    Entry,
    Kernel,
    Scalar,
    Scratch,
    Status,
    Step,
    Word,
    Words,
    double_bits,
)
from flambeau._backends.cpu.threads import pool
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")
np = lazy_module("numpy")

# A plan in memory, in words: a header (see `launch`), the table, the blocks, the patches, the launches, the status.
LAUNCHES, TABLE, LAUNCH_WORDS, PATCH_WORDS = 3, 8, 4, 3
STATUS = -1  # in the place of the index of a word
WAITING = -1  # the status until the kernels run
KEPT = 512  # forms of blocks, and plans without their sizes


class Form:
    """What blocks of the same step in other sizes share: which words are filled in when it is known where operands are.

    Places are indices into the words. `addresses` are (word, the operand whose address it gets), `scalars` (word, the
    scalar that it gets), `places` the words that get an address in scratch memory, `references` (word, the word whose
    address it is, or STATUS), `launches` the first word of each launch. `form_of` keeps each only once."""

    __slots__ = ("addresses", "scalars", "places", "references", "launches")

    def __init__(
        self, addresses: tuple[tuple[int, int], ...], scalars: tuple[tuple[int, int], ...], places: tuple[int, ...],
        references: tuple[tuple[int, int], ...], launches: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.addresses = addresses
        self.scalars = scalars
        self.places = places
        self.references = references
        self.launches = launches


form_of = lru_cache(KEPT)(Form)


class Block(NamedTuple):
    """A step laid out in words, and its numbers: bytes to add to each address of its form, those to add to each place,
    and of each launch (address of the entry, tasks, grain)."""

    form: Form
    words: tuple[int, ...]
    offsets: tuple[int, ...]
    places: tuple[int, ...]
    launches: tuple[tuple[int, int, int], ...]
    scratch: int
    bytes: int
    flops: int


def block_of(step: Step) -> Block:
    """The step laid out; its kernels are compiled."""
    layout = _Layout()
    firsts = tuple([layout.add(launch.words) for launch in step.launches])
    launches = tuple([
        (driver().address(launch.kernel, launch.entry), launch.tasks, max(1, launch.grain)) for launch in step.launches
    ])  # fmt: skip
    form = form_of(tuple(layout.addresses), tuple(layout.scalars), tuple(layout.places), tuple(layout.references),
                   firsts)  # fmt: skip
    return Block(form, tuple(layout.words), tuple(layout.offsets), tuple(layout.place_offsets), launches,
                 step.scratch, step.bytes, step.flops)  # fmt: skip


class _Layout:
    """The lists of a block as they grow."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.addresses: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        self.scalars: list[tuple[int, int]] = []
        self.places: list[int] = []
        self.place_offsets: list[int] = []
        self.references: list[tuple[int, int]] = []

    def add(self, block: Sequence[Word]) -> int:
        """Append words, and the blocks they refer to; the index of the first."""
        first = len(self.words)
        self.words += [0] * len(block)
        for i, word in enumerate(block, first):
            if isinstance(word, Address):
                self.addresses.append((i, word.operand))
                self.offsets.append(word.offset)
            elif isinstance(word, Scalar):
                self.scalars.append((i, word.scalar))
            elif isinstance(word, Scratch):
                self.places.append(i)
                self.place_offsets.append(word.offset)
            elif isinstance(word, Entry):
                self.words[i] = driver().address(word.kernel, word.name)
            elif isinstance(word, Words):
                self.references.append((i, self.add(word.words)))
            elif isinstance(word, Status):
                self.references.append((i, STATUS))
            else:
                self.words[i] = word
        return first


class Placed(NamedTuple):
    """A block, where its operands are (table slots, or ~ the numbers of intervals in the arena), and which of the
    numbers its scalars are."""

    block: Block
    places: tuple[int, ...]
    scalars: tuple[int, ...]


def placed(step: Step, places: Sequence[int], scalars: Sequence[int] = ()) -> Placed:
    """A step laid out whose operands are in these places."""
    return Placed(block_of(step), tuple(places), tuple(scalars))


class NativePlan:
    """Steps with their operands in a table of `slots` words, the last two of which are the addresses of the arena, in
    which intervals lie at `offsets`, and of scratch memory; one more word for each of `numbers`.

    `run(words)` takes the table's words, addresses and bits of scalars, and returns the status: 0, or what a kernel
    that met something wrong has stored. Of the last words `numbers` says how they are given, as `struct` does: "d"
    stands for a float, "n" for an integer. The words belong to the plan, so one thread at a time may run it.
    """

    def __init__(self, steps: Sequence[Placed], slots: int, offsets: Sequence[int] = (), numbers: str = "") -> None:
        self.blocks = [p.block for p in steps]
        self._parallel = any([tasks > grain for block in self.blocks for _, tasks, grain in block.launches])
        self._table = struct.Struct(f"{slots}n{numbers}")  # in half the time of "q"
        shapes = tuple([(p.block.form, len(p.block.words), p.places, p.scalars) for p in steps])
        self._memory, self._address = _skeleton(shapes, slots, len(numbers)).filled(self.blocks, offsets)
        self._run, self._worker = _runner()

    def run(self, words: Sequence[float]) -> int:
        """Fill the table and run all launches."""
        held = False
        self._table.pack_into(self._memory, 8 * TABLE, *words)
        try:
            # Who finds the workers busy, for another Python thread, does without.
            held = self._parallel and pool.lock.acquire(blocking=False)
            return self._run(pool.block(self._worker) if held else None, self._address)
        finally:
            if held:
                pool.lock.release()

    def wait(self) -> None:
        """Make ready for `has_run`."""
        self._memory[-1] = WAITING

    def has_run(self) -> bool:
        """Have the kernels run since `wait` was called, and met nothing wrong?"""
        return self._memory[-1] == 0

    def run_profiled(self, words: Sequence[float]) -> list[float] | None:
        """Run step by step: the seconds of each, or None if one met something wrong. Inputs may have been written over
        by then, so what Ctrl-C finds undone is done at one go before it goes on."""
        whole = self._memory[LAUNCHES : LAUNCHES + 2].tolist()
        seconds: list[float] = []
        number, begun = 0, -1
        try:
            for number in range(len(self.blocks)):  # noqa: B007
                self.wait()
                begun = number
                start = time.perf_counter()
                if self._run_part(whole, number, number + 1, words):
                    break
                seconds.append(time.perf_counter() - start)
            self._memory[LAUNCHES : LAUNCHES + 2] = whole
        except BaseException:
            done = number + (begun == number and self.has_run())
            if done < len(self.blocks):
                self._run_part(whole, done, len(self.blocks), words)
            self._memory[LAUNCHES : LAUNCHES + 2] = whole
            raise
        return seconds if len(seconds) == len(self.blocks) else None

    def _run_part(self, whole: Sequence[int], first: int, last: int, words: Sequence[float]) -> int:
        """Run the steps from `first` to before `last`, if `whole` says where all launches are."""
        before, some = [sum([len(b.launches) for b in part]) for part in (self.blocks[:first], self.blocks[first:last])]
        self._memory[LAUNCHES : LAUNCHES + 2] = whole[0] + 8 * LAUNCH_WORDS * before, some
        return self.run(words)


class _Skeleton:
    """The memory of a plan without what differs between sizes: one array of words with everything that native code
    needs to run it, addresses counted from its beginning.

    Of each step it knows the form, how many words it has, and the places of its operands and scalars."""

    def __init__(self, steps: Sequence[tuple], slots: int, numbers: int) -> None:
        self.words = TABLE + slots + numbers
        patches: list[int] = []  # a word, the slot whose content it gets, bytes to add to that
        records: list[int] = []
        references: list[tuple[int, int]] = []
        arena_slot, scratch_slot, first_scalar = slots - 2, slots - 1, slots
        in_arena: list[tuple[int, int]] = []  # patches, and the numbers of intervals
        passed: list[int] = []
        base = self.words
        for form, words, places, scalars in steps:
            for i, operand in form.addresses:
                place = places[operand]
                if place < 0:
                    in_arena.append((len(patches) + 2, ~place))
                patches += (8 * (base + i), arena_slot if place < 0 else place, 0)
            for i in form.places:
                patches += (8 * (base + i), scratch_slot, 0)
            for i, scalar in form.scalars:
                passed += (8 * (base + i), first_scalar + scalars[scalar], 0)
            references += [(base + i, j if j == STATUS else base + j) for i, j in form.references]
            for first in form.launches:
                records += (0, 8 * (base + first), 0, 0)
            base += words
        self.patches = base
        self._words_of_blocks = struct.Struct(f"{self.patches - self.words}n")
        self.added = base + len(patches)
        patches += passed
        self.records = base + len(patches)
        self.status = self.records + len(records)
        header = (8 * TABLE, 8 * self.patches, len(patches) // PATCH_WORDS, 8 * self.records,
                  len(records) // LAUNCH_WORDS, 8 * self.status)  # fmt: skip
        content = [*header, *[0] * (self.patches - len(header)), *patches, *records, 0]
        self.content = np.array(content, np.int64)
        places = [0, 1, 3, 5, *range(self.patches, self.records, PATCH_WORDS),
                  *range(self.records + 1, self.status, LAUNCH_WORDS)]  # fmt: skip
        self.addresses = np.array(places + [i for i, _ in references])
        targets = [8 * (self.status if j == STATUS else j) for _, j in references]
        self.targets = np.array([content[i] for i in places] + targets)
        self.in_arena = np.array([base + i for i, _ in in_arena], np.int64)
        self.intervals = np.array([interval for _, interval in in_arena], np.int64)

    def filled(self, blocks: Sequence[Block], offsets: Sequence[int]) -> tuple[Any, int]:
        """The memory for blocks of these forms with intervals at these offsets in the arena, and its address."""
        words: list[int] = []
        added: list[int] = []
        launches: list[int] = []
        for block in blocks:
            words += block.words
            added += block.offsets
            added += block.places
            for launch in block.launches:
                launches += launch
        memory = self.content.copy()
        self._words_of_blocks.pack_into(memory, 8 * self.words, *words)  # in half the time of an assignment
        memory[self.patches + 2 : self.added : PATCH_WORDS] = added
        memory[self.in_arena] += np.array(offsets, np.int64)[self.intervals]
        for i, place in enumerate((0, 2, 3)):
            memory[self.records + place : self.status : LAUNCH_WORDS] = launches[i::3]
        address = memory.__array_interface__["data"][0]
        memory[self.addresses] = self.targets + address
        return memory, address


_skeleton = lru_cache(KEPT)(_Skeleton)


@cache
def _runner() -> tuple[Any, int]:
    """The native functions: `run_plan`, to be called with a pool's block and a plan, and the address of `worker`."""
    entries = native.entries(host_target())
    kernel = Kernel(native.text, (), entries)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(driver().address(kernel, "run_plan"))
    return run, driver().address(kernel, "worker") if "worker" in entries else 0


def run_step(step: Step, arrays: Sequence[Any], scalars: Sequence[float | int] = ()) -> int:
    """Run one step with NumPy arrays as its operands; the status. For tests and experiments.

    Scalars that are floats arrive as the bits of a double.
    """
    count = len(arrays)
    steps = [placed(step, range(count), range(len(scalars)))]
    plan = NativePlan(steps, count + 2, numbers="n" * len(scalars))
    scratch = np.empty(step.scratch + 64, np.uint8)
    addresses = [a.__array_interface__["data"][0] for a in (*arrays, scratch, scratch)]
    addresses[-1] = (addresses[-1] + 63) & ~63
    return plan.run([*addresses, *[double_bits(s) if isinstance(s, float) else s for s in scalars]])
