"""A plan in native form: blocks of words, what to fill into them at every run, and launches; one call runs it all."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from flambeau._backends.cpu import threads
from flambeau._backends.cpu.driver import compile_text, driver
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import Address, Entry, Launch, Scalar, Scratch, Status, Step, Word, Words
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")
np = lazy_module("numpy")


class _Native:
    """The pool's functions, linked."""

    def __init__(self) -> None:
        target = host_target()
        found = driver(target).link(compile_text(threads.text(target), target), threads.ENTRIES)
        self.worker = found["worker"]
        signature = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        self.run_plan = signature(found["run_plan"])


@cache
def _native() -> _Native:
    return _Native()


class NativePlan:
    """Steps with their operands in a table of `slots` words.

    `steps` are (step, the slot of each operand, the slot of each scalar). `run(words)` takes the table's words, addresses
    and bits of scalars, and returns the status: 0, or what a kernel that met something wrong has stored.
    """

    def __init__(
        self, steps: Sequence[tuple[Step, Sequence[int], Sequence[int]]], slots: int, scratch_slot: int
    ) -> None:
        self.steps = steps
        self.scratch_slot = scratch_slot
        self._words: list[int] = []
        self._patches: list[int] = []  # destination (a word's index), slot, offset; three to a patch
        self._internal: list[tuple[int, int]] = []  # words that are addresses of other words: (index, index)
        launches: list[list[int]] = []
        for step, operands, scalars in steps:
            for launch in step.launches:
                launches.append(self._launch(launch, operands, scalars))
        self.parallel = any(tasks > grain for _, _, tasks, grain in launches)
        self._table = struct.Struct(f"<{slots}q")
        self._finish(launches, slots)

    def _launch(self, launch: Launch, operands: Sequence[int], scalars: Sequence[int]) -> list[int]:
        address = driver().address(launch.kernel, launch.entry)
        return [address, self._block(launch.words, operands, scalars), launch.tasks, max(1, launch.grain)]

    def _block(self, words: Sequence[Word], operands: Sequence[int], scalars: Sequence[int]) -> int:
        """Lay out a block of words; the index of its first."""
        first = len(self._words)
        self._words += [0] * max(1, len(words))
        for i, word in enumerate(words, first):
            if isinstance(word, int):
                self._words[i] = word
            elif isinstance(word, Address):
                self._patches += (i, operands[word.operand], word.offset)
            elif isinstance(word, Scalar):
                self._patches += (i, scalars[word.scalar], 0)
            elif isinstance(word, Scratch):
                self._patches += (i, self.scratch_slot, word.offset)
            elif isinstance(word, Entry):
                self._words[i] = driver().address(word.kernel, word.name)
            elif isinstance(word, Words):
                self._internal.append((i, self._block(word.words, operands, scalars)))
            elif isinstance(word, Status):
                self._internal.append((i, -1))
        return first

    def _finish(self, launches: list[list[int]], slots: int) -> None:
        """Put everything into one native block: header, table, words, patches, launches, status."""
        table = 8
        words = table + slots
        patches = words + len(self._words)
        records = patches + len(self._patches)
        status = records + 4 * len(launches)
        self._memory = (ctypes.c_int64 * (status + 1))()
        base = ctypes.addressof(self._memory)

        def address(i: int) -> int:
            return base + 8 * i

        content = [address(table), address(patches), len(self._patches) // 3, address(records), len(launches),
                   address(status), 0, 0, *[0] * slots, *self._words]  # fmt: skip
        for where, target in self._internal:
            content[words + where] = address(status if target < 0 else words + target)
        for i in range(0, len(self._patches), 3):
            content += (address(words + self._patches[i]), self._patches[i + 1], self._patches[i + 2])
        for function, block, tasks, grain in launches:
            content += (function, address(words + block), tasks, grain)
        self._memory[: len(content)] = content
        self._address = base
        self._run = _native().run_plan
        self._offset = 8 * table

    def run(self, words: Sequence[int]) -> int:
        """Fill the table and run all launches."""
        self._table.pack_into(self._memory, self._offset, *words)
        if not self.parallel:
            return self._run(None, self._address)
        if not threads.pool.lock.acquire(blocking=False):  # another Python thread has the workers
            return self._run(None, self._address)
        try:
            return self._run(threads.pool.start(_native().worker) or None, self._address)
        finally:
            threads.pool.lock.release()

    def run_profiled(self, words: Sequence[int]) -> list[float]:
        """Run step by step; the seconds of each."""
        count = self._memory[4]
        first = self._memory[3]
        seconds, done = [], 0
        try:
            for step, _, _ in self.steps:
                self._memory[3] = first + 32 * done
                self._memory[4] = len(step.launches)
                start = time.perf_counter()
                self.run(words)
                seconds.append(time.perf_counter() - start)
                done += len(step.launches)
        finally:
            self._memory[3], self._memory[4] = first, count
        return seconds


def run_step(step: Step, arrays: Sequence[Any], scalars: Sequence[float | int] = ()) -> int:
    """Run one step with NumPy arrays as its operands; the status. For tests and experiments.

    Scalars that are floats arrive as the bits of a double.
    """
    count = len(arrays)
    plan = NativePlan([(step, range(count), range(count + 1, count + 1 + len(scalars)))], count + 1 + len(scalars), count)
    scratch = np.empty(step.scratch + 64, np.uint8)
    bits = [struct.unpack("<q", struct.pack("<d", s))[0] if isinstance(s, float) else s for s in scalars]
    aligned = (scratch.ctypes.data + 63) & ~63
    return plan.run([*[a.__array_interface__["data"][0] for a in arrays], aligned, *bits])
