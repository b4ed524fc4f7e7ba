"""Runs a step of a plan for a given target, one launch after the other, without threads, caches and plans."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator, Sequence

import llvmlite.binding as llvm
import numpy as np
import pytest

from flambeau._backends.cpu.driver import driver
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Scratch, Step, Word, Words
from flambeau._backends.cpu.objects import machine
from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._backends.cpu.threads import get_num_threads, set_num_threads

Run = Callable[..., None]


def runnable_targets() -> list[Target]:
    """Targets whose code this machine can run; x86-64-v3 also has code for wide vectors, in two halves each."""
    if platform.machine() in ("arm64", "aarch64"):
        return [aarch64(llvm.get_default_triple())]
    targets = [x86_64("v2")._replace(triple=llvm.get_default_triple())]
    features = llvm.get_host_cpu_features()
    if features.get("avx2") and features.get("fma"):
        targets += [x86_64("v3")._replace(triple=llvm.get_default_triple())]
        targets += [x86_64("v4", "x86-64-v3")._replace(lookups=0, triple=llvm.get_default_triple())]
    if features.get("avx512bw"):
        targets += [x86_64("v4")._replace(triple=llvm.get_default_triple())]
    return targets


@pytest.fixture(params=runnable_targets(), ids=lambda t: f"{t.cpu}-{t.vector_bytes}")
def target(request: pytest.FixtureRequest) -> Target:
    return request.param


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for one test."""
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


class _Runner:
    """One run of a step: blocks of words with addresses filled in, scratch memory full of NaN."""

    def __init__(self, step: Step, arrays: Sequence[np.ndarray], target: Target) -> None:
        self.arrays, self.target = arrays, target
        self.memory = np.full(step.scratch // 8 + 16, np.nan)
        self.blocks: list[ctypes.Array] = []

    def word(self, word: Word) -> int:
        if isinstance(word, Address):
            return self.arrays[word.operand].ctypes.data + word.offset
        if isinstance(word, Scratch):
            return (self.memory.ctypes.data + 63 & ~63) + word.offset
        if isinstance(word, Entry):
            return driver(self.target).address(word.kernel, word.name)
        if isinstance(word, Words):
            return self.block(word.words)
        assert isinstance(word, int)
        return word

    def block(self, words: Sequence[Word]) -> int:
        self.blocks.append((ctypes.c_int64 * len(words))(*[self.word(w) for w in words]))
        return ctypes.addressof(self.blocks[-1])


@pytest.fixture
def run() -> Run:
    """`run(step, arrays, target, one_by_one=False)`: all tasks in order, or one at a time, the last one first."""

    def run(step: Step, arrays: Sequence[np.ndarray], target: Target, one_by_one: bool = False) -> None:
        runner = _Runner(step, arrays, target)
        for launch in step.launches:
            address = driver(target).address(launch.kernel, launch.entry)
            entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
            words = runner.block(launch.words)
            for task in reversed(range(launch.tasks)) if one_by_one else ():
                entry(words, task, task + 1)
            if not one_by_one:
                entry(words, 0, launch.tasks)

    return run


@pytest.fixture
def assembly() -> Callable[[Kernel, Target], str]:
    """`assembly(kernel, target)`: what a kernel becomes on any target."""

    def assembly(kernel: Kernel, target: Target) -> str:
        module = llvm.parse_assembly(kernel.text(target))
        module.verify()
        return machine(target).emit_assembly(module)

    return assembly
