"""Runs a step of a plan for a given target, one launch after the other, without threads, caches and plans."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.objects import machine
from flambeau._backends.cpu.target import Target
from flambeau._backends.cpu.threads import get_num_threads, set_num_threads

sys.path.append(str(Path(__file__).parent))
import steps  # noqa: E402

Run = Callable[..., int]


@pytest.fixture(params=steps.targets(), ids=steps.name_of)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for one test."""
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


@pytest.fixture
def run() -> Run:
    """`run(step, arrays, target, one_by_one=False)`: all tasks in order, or one at a time, the last one first."""
    return steps.run


@pytest.fixture
def assembly() -> Callable[[Kernel, Target], str]:
    """`assembly(kernel, target)`: what a kernel becomes on any target."""

    def assembly(kernel: Kernel, target: Target) -> str:
        module = llvm.parse_assembly(kernel.text(target))
        module.verify()
        return machine(target).emit_assembly(module)

    return assembly
