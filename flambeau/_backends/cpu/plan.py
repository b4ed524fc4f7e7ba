"""A plan in native form: blocks of words, what to fill into them at every run, and launches; one call runs it all."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
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
    kernels_of,
)
from flambeau._backends.cpu.threads import pool
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")
np = lazy_module("numpy")

# A plan in memory, in words: a header (see `launch`), the table, the blocks, the patches, the launches, the status.
LAUNCHES, TABLE, LAUNCH_WORDS, PATCH_WORDS = 3, 8, 4, 3
STATUS = -1  # in the place of the index of a word
WAITING = -1  # the status until the kernels run
KEPT = 512  # forms of blocks
SKELETONS = 16  # plans without their sizes that are kept for the same sites


class Form:
    """What blocks of the same step in other sizes share: which words are filled in when it is known where operands are.

    It has `size` words; places are indices into them. `addresses` are (word, the operand whose address it gets),
    `scalars` (word, the scalar that it gets), `places` the words that get an address in scratch memory, `references`
    (word, the word whose address it is, or STATUS), `launches` the first word of each launch. `form_of` keeps each only
    once."""

    __slots__ = ("size", "addresses", "scalars", "places", "references", "launches", "pack", "pack_launches")

    def __init__(
        self, size: int, addresses: tuple[tuple[int, int], ...], scalars: tuple[tuple[int, int], ...],
        places: tuple[int, ...], references: tuple[tuple[int, int], ...], launches: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.size = size
        self.addresses = addresses
        self.scalars = scalars
        self.places = places
        self.references = references
        self.launches = launches
        self.pack = struct.Struct(f"{size + len(addresses) + len(places)}n").pack  # in half the time of "q"
        self.pack_launches = struct.Struct("n8x2n" * len(launches)).pack


form_of = lru_cache(KEPT)(Form)


class Layout(NamedTuple):
    """A step laid out: its form, its `size` words, then bytes to add to each address of the form and to each of its
    places, and all launches in a row, (address of the entry, tasks, grain) each. The numbers may be symbols."""

    form: Form
    words: tuple[int, ...]
    launches: tuple[int, ...]
    scratch: int
    bytes: int
    flops: int


class Block(NamedTuple):
    """A layout whose numbers are packed into bytes as they will lie in a plan's memory: the words, what is added to
    addresses, the launches with room for the address of their words. `parallel` says whether one has chunks for several
    threads."""

    form: Form
    words: bytes
    added: bytes
    launches: bytes
    parallel: bool
    scratch: int
    bytes: int
    flops: int


def packed(layout: Layout) -> Block:
    """The block of a layout that has no symbols."""
    form, numbers, launches, *costs = layout
    memory = form.pack(*numbers)
    parallel = any([tasks > grain for tasks, grain in zip(launches[1::3], launches[2::3], strict=True)])
    words, added = memory[: 8 * form.size], memory[8 * form.size :]
    return Block(form, words, added, form.pack_launches(*launches), parallel, *costs)


class Lowered(NamedTuple):
    """A step, and what makes its block once its kernels are compiled."""

    step: Step
    block: Callable[[], Block]


def blocks_of(lowered: Sequence[Lowered]) -> list[Block]:
    """The steps laid out and packed. Their kernels are compiled together, and with what runs plans."""
    driver().load([_runner_kernel(), *[kernel for step, _ in lowered for kernel in kernels_of(step)]])
    return [found.block() for found in lowered]


def block_of(step: Step) -> Block:
    """The step laid out and packed; its kernels are compiled."""
    return packed(layout_of(step))


def layout_of(step: Step) -> Layout:
    """The step laid out; its kernels are compiled."""
    laid = _Laying()
    firsts = tuple([laid.add(launch.words) for launch in step.launches])
    launches: list[int] = []
    for launch in step.launches:
        launches += (driver().address(launch.kernel, launch.entry), launch.tasks, max(1, launch.grain))
    form = form_of(len(laid.words), tuple(laid.addresses), tuple(laid.scalars), tuple(laid.places),
                   tuple(laid.references), firsts)  # fmt: skip
    words = (*laid.words, *laid.offsets, *laid.place_offsets)
    return Layout(form, words, tuple(launches), step.scratch, step.bytes, step.flops)


class _Laying:
    """The lists of a layout as they grow."""

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


class Sites:
    """Where the steps of a plan find what they work on, whatever the sizes. Of each step: where its operands are (table
    slots, or ~ the numbers of intervals in the arena), and which of the run-time numbers its scalars are.

    The table has `slots` words, the last two of which are the addresses of the arena and of scratch memory, and one
    more for each of `numbers`, which says how they are given, as `struct` does: "d" stands for a float, "n" for an
    integer."""

    def __init__(
        self, steps: Sequence[tuple[Sequence[int], Sequence[int]]], slots: int, numbers: str = ""
    ) -> None:  # fmt: skip
        self.steps = steps
        self.slots = slots
        self.numbers = len(numbers)
        self.pack_into = struct.Struct(f"{slots}n{numbers}").pack_into
        self._skeletons: dict[tuple[Form, ...], _Skeleton] = {}

    def skeleton(self, forms: tuple[Form, ...]) -> _Skeleton:
        """The skeleton of plans whose steps have these forms."""
        found = self._skeletons.get(forms)
        if found is None:
            if len(self._skeletons) >= SKELETONS:
                self._skeletons.clear()
            found = self._skeletons[forms] = _Skeleton(forms, self)
        return found


class NativePlan:
    """Blocks at their sites, with the intervals of the arena at `offsets`.

    `run(words)` takes the table's words, addresses and bits of scalars, and returns the status: 0, or what a kernel
    that met something wrong has stored. The words belong to the plan, so one thread at a time may run it.
    """

    def __init__(self, sites: Sites, blocks: Sequence[Block], offsets: Sequence[int] = ()) -> None:
        self.blocks = blocks
        self._parallel = any([block.parallel for block in blocks])
        self._pack_into = sites.pack_into
        self._memory, self._address = sites.skeleton(tuple([b.form for b in blocks])).filled(blocks, offsets)
        self._run, self._worker = _runner()

    def run(self, words: Sequence[float]) -> int:
        """Fill the table and run all launches."""
        held = False
        self._pack_into(self._memory, 8 * TABLE, *words)
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
        counts = [len(block.form.launches) for block in self.blocks]
        before, some = sum(counts[:first]), sum(counts[first:last])
        self._memory[LAUNCHES : LAUNCHES + 2] = whole[0] + 8 * LAUNCH_WORDS * before, some
        return self.run(words)


class _Skeleton:
    """The memory of a plan without what differs between sizes: one array of words with everything that native code
    needs to run it, addresses counted from its beginning."""

    def __init__(self, forms: Sequence[Form], sites: Sites) -> None:
        slots = sites.slots
        self.words = TABLE + slots + sites.numbers
        patches: list[int] = []  # a word, the slot whose content it gets, bytes to add to that
        records: list[int] = []
        references: list[tuple[int, int]] = []
        arena_slot, scratch_slot, first_scalar = slots - 2, slots - 1, slots
        in_arena: list[tuple[int, int]] = []  # patches, and the numbers of intervals
        passed: list[int] = []
        base = self.words
        for form, (places, scalars) in zip(forms, sites.steps, strict=True):
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
            base += form.size
        self.patches = base
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
        memory = self.content.copy()
        memory[self.words : self.patches] = _joined([b.words for b in blocks])
        memory[self.patches + 2 : self.added : PATCH_WORDS] = _joined([b.added for b in blocks])
        memory[self.in_arena] += np.array(offsets, np.int64)[self.intervals]
        memory[self.records : self.status] = _joined([b.launches for b in blocks])
        address = memory.__array_interface__["data"][0]
        memory[self.addresses] = self.targets + address
        return memory, address


def _joined(parts: list[bytes]) -> Any:
    """The words in some bytes, one after the other."""
    return np.frombuffer(b"".join(parts), np.int64)


@cache
def _runner() -> tuple[Any, int]:
    """The native functions: `run_plan`, to be called with a pool's block and a plan, and the address of `worker`."""
    kernel = _runner_kernel()
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(driver().address(kernel, "run_plan"))
    return run, driver().address(kernel, "worker") if "worker" in kernel.entries else 0


def _runner_kernel() -> Kernel:
    return Kernel(native.text, (), native.entries(host_target()))


def run_step(step: Step, arrays: Sequence[Any], scalars: Sequence[float | int] = ()) -> int:
    """Run one step with NumPy arrays as its operands; the status. For tests and experiments.

    Scalars that are floats arrive as the bits of a double.
    """
    return prepared(step, arrays, scalars)()


def prepared(step: Step, arrays: Sequence[Any], scalars: Sequence[float | int] = ()) -> Callable[[], int]:
    """What runs one step, as `run_step` does, as often as it is called: no more than a native call."""
    count = len(arrays)
    sites = Sites([(range(count), range(len(scalars)))], count + 2, "n" * len(scalars))
    plan = NativePlan(sites, [block_of(step)])
    scratch = np.empty(step.scratch + 64, np.uint8)
    addresses = [a.__array_interface__["data"][0] for a in (*arrays, scratch, scratch)]
    addresses[-1] = (addresses[-1] + 63) & ~63
    words = [*addresses, *[double_bits(s) if isinstance(s, float) else s for s in scalars]]

    def run(kept: tuple[Any, ...] = (scratch, arrays)) -> int:
        return plan.run(words)

    return run
