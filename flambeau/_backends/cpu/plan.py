"""A plan in native form: blocks of words, what to fill into them at every run, and launches; one call runs it all."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import cache
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


class Block(NamedTuple):
    """A step laid out in words: which of them are filled in when it is known where its operands are.

    Places are indices into `words`. `addresses` are (word, the operand whose address it gets, bytes to add), `scalars`
    (word, the scalar that it gets), `places` (word, bytes to add to the address of scratch memory), `references` (word,
    the word whose address it is, or STATUS), `launches` (address of the entry, first word, tasks, grain)."""

    words: tuple[int, ...]
    addresses: tuple[tuple[int, int, int], ...]
    scalars: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, int], ...]
    references: tuple[tuple[int, int], ...]
    launches: tuple[tuple[int, int, int, int], ...]
    scratch: int
    bytes: int
    flops: int


def block_of(step: Step) -> Block:
    """The step laid out; its kernels are compiled."""
    layout = _Layout()
    launches = tuple([
        (driver().address(launch.kernel, launch.entry), layout.add(launch.words), launch.tasks, max(1, launch.grain))
        for launch in step.launches
    ])  # fmt: skip
    return Block(tuple(layout.words), tuple(layout.addresses), tuple(layout.scalars), tuple(layout.places),
                 tuple(layout.references), launches, step.scratch, step.bytes, step.flops)  # fmt: skip


class _Layout:
    """The lists of a block as they grow."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.addresses: list[tuple[int, int, int]] = []
        self.scalars: list[tuple[int, int]] = []
        self.places: list[tuple[int, int]] = []
        self.references: list[tuple[int, int]] = []

    def add(self, block: Sequence[Word]) -> int:
        """Append words, and the blocks they refer to; the index of the first."""
        first = len(self.words)
        self.words += [0] * len(block)
        for i, word in enumerate(block, first):
            if isinstance(word, Address):
                self.addresses.append((i, word.operand, word.offset))
            elif isinstance(word, Scalar):
                self.scalars.append((i, word.scalar))
            elif isinstance(word, Scratch):
                self.places.append((i, word.offset))
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
    """A block with the table slot and the offset in bytes of each of its operands, and the slot of each scalar."""

    block: Block
    slots: Sequence[int]
    offsets: Sequence[int]
    scalars: Sequence[int]


def placed(step: Step, slots: Sequence[int], scalars: Sequence[int] = ()) -> Placed:
    """A step whose operands begin where the addresses in their slots say."""
    return Placed(block_of(step), slots, [0] * len(slots), scalars)


class NativePlan:
    """Steps with their operands in a table of `slots` words, and one more for each of `numbers`.

    `run(words)` takes the table's words, addresses and bits of scalars, and returns the status: 0, or what a kernel
    that met something wrong has stored. Of the last words `numbers` says how they are given, as `struct` does: "d"
    stands for a float, "n" for an integer. The words belong to the plan, so one thread at a time may run it.
    """

    def __init__(self, steps: Sequence[Placed], slots: int, scratch_slot: int, numbers: str = "") -> None:
        self.blocks = [p.block for p in steps]
        self._parallel = any([tasks > grain for p in steps for _, _, tasks, grain in p.block.launches])
        self._table = struct.Struct(f"{slots}n{numbers}")  # in half the time of "q"
        self._memory = _laid_out(steps, slots + len(numbers), scratch_slot)
        self._address = ctypes.addressof(self._memory)
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
        whole = self._memory[LAUNCHES : LAUNCHES + 2]
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


def _laid_out(steps: Sequence[Placed], slots: int, scratch_slot: int) -> Any:
    """One array of words with everything that native code needs to run a plan."""
    content: list[int] = [0] * (TABLE + slots)
    patches: list[int] = []  # a word, the slot whose content it gets, bytes to add to that
    records: list[int] = []
    references: list[tuple[int, int]] = []
    for block, operands, offsets, scalars in steps:
        base = len(content)
        content += block.words
        for i, operand, offset in block.addresses:
            patches += (base + i, operands[operand], offset + offsets[operand])
        for i, scalar in block.scalars:
            patches += (base + i, scalars[scalar], 0)
        for i, offset in block.places:
            patches += (base + i, scratch_slot, offset)
        references += [(base + i, j if j == STATUS else base + j) for i, j in block.references]
        for entry, first, tasks, grain in block.launches:
            records += (entry, base + first, tasks, grain)
    return _linked(content, patches, records, references)


def _linked(
    content: list[int], patches: list[int], records: list[int], references: Sequence[tuple[int, int]]
) -> Any:
    """The parts of a plan behind each other, with addresses in the place of indices."""
    first_patch = len(content)
    first_record = first_patch + len(patches)
    status = first_record + len(records)
    memory = (ctypes.c_int64 * (status + 1))()
    base = ctypes.addressof(memory)
    header = (base + 8 * TABLE, base + 8 * first_patch, len(patches) // PATCH_WORDS, base + 8 * first_record,
              len(records) // LAUNCH_WORDS, base + 8 * status)  # fmt: skip
    content[: len(header)] = header
    for i, j in references:
        content[i] = base + 8 * (status if j == STATUS else j)
    patches[::PATCH_WORDS] = [base + 8 * i for i in patches[::PATCH_WORDS]]
    records[1::LAUNCH_WORDS] = [base + 8 * i for i in records[1::LAUNCH_WORDS]]
    memory[:status] = content + patches + records
    return memory


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
    slots = count + 1 + len(scalars)
    plan = NativePlan([placed(step, range(count), range(count + 1, slots))], slots, scratch_slot=count)
    scratch = np.empty(step.scratch + 64, np.uint8)
    addresses = [a.__array_interface__["data"][0] for a in (*arrays, scratch)]
    addresses[-1] = (addresses[-1] + 63) & ~63
    return plan.run([*addresses, *[double_bits(s) if isinstance(s, float) else s for s in scalars]])
