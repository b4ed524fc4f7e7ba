"""Steps run for any target of this machine, and operands in all kinds of layouts."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Sequence

import llvmlite.binding as llvm
import numpy as np

from flambeau._backends.cpu.driver import driver
from flambeau._backends.cpu.host import host_target, level_of
from flambeau._backends.cpu.kernel import Address, Entry, Scratch, Status, Step, Word, Words
from flambeau._backends.cpu.target import Target, x86_64
from flambeau._core import dtypes
from flambeau._ir.meta import Meta, contiguous, meta


def targets() -> list[Target]:
    """Targets whose code this machine can run. The last x86-64 one has wide vectors, in two halves each where the
    machine has none."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return [host_target()]
    level = level_of(llvm.get_host_cpu_features())
    found = [x86_64("v2")]
    if level > "v2":
        halves = x86_64("v4", "x86-64-v3")._replace(lookups=0)
        found += [x86_64("v3"), x86_64("v4") if level == "v4" else halves]
    return [t._replace(triple=llvm.get_process_triple()) for t in found]


def name_of(target: Target) -> str:
    """A target's name in the names of tests."""
    return f"{target.vector_bytes}x{target.registers}"


class _Runner:
    def __init__(self, step: Step, arrays: Sequence[np.ndarray], target: Target) -> None:
        self.arrays, self.target = arrays, target
        self.scratch = np.full(step.scratch + 64, 0xFF, np.uint8)
        self.status = ctypes.c_int64(0)
        self.blocks: list[ctypes.Array] = []

    def word(self, word: Word) -> int:
        if isinstance(word, Address):
            return self.arrays[word.operand].__array_interface__["data"][0] + word.offset
        if isinstance(word, Scratch):
            return (self.scratch.ctypes.data + 63 & ~63) + word.offset
        if isinstance(word, Entry):
            return driver(self.target).address(word.kernel, word.name)
        if isinstance(word, Status):
            return ctypes.addressof(self.status)
        if isinstance(word, Words):
            return self.block(word.words)
        assert isinstance(word, int)
        return word

    def block(self, words: Sequence[Word]) -> int:
        self.blocks.append((ctypes.c_int64 * max(1, len(words)))(*[self.word(w) for w in words]))
        return ctypes.addressof(self.blocks[-1])


def run(step: Step, arrays: Sequence[np.ndarray], target: Target, one_by_one: bool = False) -> int:
    """Run all launches; tasks in order, or one at a time, the last one first. Returns the status."""
    runner = _Runner(step, arrays, target)
    for launch in step.launches:
        address = driver(target).address(launch.kernel, launch.entry)
        entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
        words = runner.block(launch.words)
        for task in reversed(range(launch.tasks)) if one_by_one else ():
            entry(words, task, task + 1)
        if not one_by_one:
            entry(words, 0, launch.tasks)
    return runner.status.value


def result(m: Meta) -> np.ndarray:
    """Memory for a dense output, filled with what is no result."""
    return np.full(m.shape, 77, m.dtype.numpy)


def laid_out(rng: np.random.Generator, values: np.ndarray, how: str) -> tuple[np.ndarray, Meta]:
    """The values in memory: "dense", "turned" (the dimensions in another order), "gaps" or "offset"; and their meta."""
    d = dtypes.from_numpy(values.dtype)
    if how == "dense":
        return np.ascontiguousarray(values), contiguous(d, values.shape)
    order = rng.permutation(values.ndim) if how == "turned" else np.arange(values.ndim)
    strides, step = [0] * values.ndim, 2 if how == "gaps" else 1
    for i in reversed(order):
        strides[i] = step
        step *= max(1, values.shape[i]) + (how == "gaps")
    m = meta(d, values.shape, strides, 0 if how == "turned" else 3)
    flat = np.zeros(m.extent + 3, values.dtype)
    np.lib.stride_tricks.as_strided(flat[m.offset :], values.shape, [s * flat.itemsize for s in strides])[...] = values
    return flat, m


LAYOUTS = ("dense", "turned", "gaps", "offset")
