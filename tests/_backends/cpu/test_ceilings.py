"""The kernels that measure what the machine can do do what they are counted for."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu import ceilings
from flambeau._backends.cpu.target import aarch64, x86_64

sys.path.append(str(Path(__file__).parent))
from steps import name_of, run, targets  # noqa: E402

TARGETS = targets()


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_every_chain_of_every_task_runs(target):
    step = ceilings.products_step(target, 3)
    out = np.zeros(3 * target.lanes(4), np.float32)
    run(step, [out], target, one_by_one=True)
    assert out.tolist() == [ceilings.chains(target)] * len(out)
    assert step.flops == 3 * ceilings.ROUNDS * ceilings.chains(target) * target.lanes(4) * 2


@pytest.mark.parametrize("target", [x86_64("v4"), x86_64("v3"), aarch64()], ids=lambda t: t.cpu)
def test_rounds_are_multiplications_with_additions_in_registers(target, assembly):
    text = assembly(ceilings.products_step(target, 1).launches[0].kernel, target)
    bodies = re.split(r"^\.?L\w+:.*$|^\s+(?:j\w+|b\.\w+)\s.*$", text, flags=re.MULTILINE)  # at labels and jumps
    found = [len(re.findall(r"^\s+(?:vfmadd\d+ps|fmla)\b", body, re.MULTILINE)) for body in bodies]
    assert max(found) == ceilings.chains(target)
    body = bodies[found.index(max(found))]
    assert not re.search(r"\b(rsp|rbp|sp)\b", body), "something is kept on the stack"


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_all_is_copied(target):
    size = 3 * ceilings.PIECE
    source, to = np.random.default_rng(0).integers(0, 256, size, np.uint8), np.zeros(size + 64, np.uint8)
    run(ceilings.copy_step(size), [to, source], target, one_by_one=True)
    assert (to[:size] == source).all() and not to[size:].any()
