"""A plan in native form: blocks of words, what to fill into them at every run, and launches; one call runs it all."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

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

PlacedStep = tuple[Step, Sequence[int], Sequence[int]]  # with the slot of each operand and of each scalar


class NativePlan:
    """Steps with their operands in a table of `slots` words, and one more for each of `numbers`.

    `steps` are (step, the slot of each operand, the slot of each scalar). `run(words)` takes the table's words,
    addresses and bits of scalars, and returns the status: 0, or what a kernel that met something wrong has stored. Of
    the last words `numbers` says which are given as floats, as `struct` does: "d" stands for a float, "n" for an
    integer. The words belong to the plan, so one thread at a time may run it.
    """

    def __init__(self, steps: Sequence[PlacedStep], slots: int, scratch_slot: int, numbers: str = "") -> None:
        self.steps = steps
        blocks = _Blocks(scratch_slot)
        launches: list[tuple[int, int, int, int]] = []  # entry, index of its first word, tasks, grain
        for step, operands, scalars in steps:
            for launch in step.launches:
                entry = driver().address(launch.kernel, launch.entry)
                words = blocks.add(launch.words, operands, scalars)
                launches.append((entry, words, launch.tasks, max(1, launch.grain)))
        self._parallel = any(tasks > grain for _, _, tasks, grain in launches)
        self._table = struct.Struct(f"{slots}n{numbers}")  # in half the time of "q"
        self._memory = _laid_out(blocks, launches, slots + len(numbers))
        self._address = ctypes.addressof(self._memory)
        self._run, self._worker = _runner()

    def run(self, words: Sequence[float]) -> int:
        """Fill the table and run all launches."""
        self._table.pack_into(self._memory, 8 * TABLE, *words)
        # Who finds the workers busy, for another Python thread, does without.
        if not self._parallel or not pool.lock.acquire(blocking=False):
            return self._run(None, self._address)
        try:
            return self._run(pool.block(self._worker), self._address)
        finally:
            pool.lock.release()

    def run_profiled(self, words: Sequence[float]) -> list[float]:
        """Run step by step; the seconds of each."""
        first, count = self._memory[LAUNCHES : LAUNCHES + 2]
        seconds = []
        try:
            for step, _, _ in self.steps:
                self._memory[LAUNCHES + 1] = len(step.launches)
                start = time.perf_counter()
                self.run(words)
                seconds.append(time.perf_counter() - start)
                self._memory[LAUNCHES] += 8 * LAUNCH_WORDS * len(step.launches)
        finally:
            self._memory[LAUNCHES : LAUNCHES + 2] = first, count
        return seconds


class _Blocks:
    """Blocks of words as they are collected. Places are indices into `words`, until it is known where these will be."""

    def __init__(self, scratch_slot: int) -> None:
        self.scratch_slot = scratch_slot
        self.words: list[int] = []
        self.patches: list[tuple[int, int, int]] = []  # a word, the slot whose content it gets, bytes to add to that
        self.references: list[tuple[int, int]] = []  # a word, the word whose address it is

    def add(self, block: Sequence[Word], operands: Sequence[int], scalars: Sequence[int]) -> int:
        """Append a block, and those it refers to; the index of its first word."""
        first = len(self.words)
        self.words += [0] * len(block)
        for i, word in enumerate(block, first):
            if isinstance(word, int):
                self.words[i] = word
            elif isinstance(word, Address):
                self.patches.append((i, operands[word.operand], word.offset))
            elif isinstance(word, Scalar):
                self.patches.append((i, scalars[word.scalar], 0))
            elif isinstance(word, Scratch):
                self.patches.append((i, self.scratch_slot, word.offset))
            elif isinstance(word, Entry):
                self.words[i] = driver().address(word.kernel, word.name)
            elif isinstance(word, Words):
                self.references.append((i, self.add(word.words, operands, scalars)))
            elif isinstance(word, Status):
                self.references.append((i, STATUS))
        return first


def _laid_out(blocks: _Blocks, launches: Sequence[tuple[int, int, int, int]], slots: int) -> Any:
    """One array of words with everything that native code needs to run a plan."""
    words = TABLE + slots
    patches = words + len(blocks.words)
    records = patches + PATCH_WORDS * len(blocks.patches)
    status = records + LAUNCH_WORDS * len(launches)
    memory = (ctypes.c_int64 * (status + 1))()
    base = ctypes.addressof(memory)
    header = (TABLE, patches, len(blocks.patches), records, len(launches), status)
    counts = (2, 4)
    content = [word if i in counts else base + 8 * word for i, word in enumerate(header)]
    content += [0] * (words - len(content))
    content += blocks.words
    for i, word in blocks.references:
        content[words + i] = base + 8 * (status if word == STATUS else words + word)
    for i, slot, offset in blocks.patches:
        content += (base + 8 * (words + i), slot, offset)
    for entry, word, tasks, grain in launches:
        content += (entry, base + 8 * (words + word), tasks, grain)
    memory[: len(content)] = content
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
    plan = NativePlan([(step, range(count), range(count + 1, slots))], slots, scratch_slot=count)
    scratch = np.empty(step.scratch + 64, np.uint8)
    addresses = [a.__array_interface__["data"][0] for a in (*arrays, scratch)]
    addresses[-1] = (addresses[-1] + 63) & ~63
    return plan.run([*addresses, *[double_bits(s) if isinstance(s, float) else s for s in scalars]])
