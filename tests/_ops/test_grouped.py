"""Products of groups of matrices, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn.functional import grouped_mm

RNG = np.random.default_rng(0)
ENDS = [2, 2, 6]
PARTS = [slice(0, 2), slice(2, 2), slice(2, 6)]
A, B = RNG.normal(size=(6, 5)), RNG.normal(size=(3, 5, 4))
STACK, WIDE = RNG.normal(size=(3, 2, 5)), RNG.normal(size=(5, 6))
TALL = RNG.normal(size=(6, 4))

CASES = {
    "rows": (A, B, np.concatenate([A[p] @ B[i] for i, p in enumerate(PARTS)])),
    "columns": (STACK, WIDE, np.concatenate([STACK[i] @ WIDE[:, p] for i, p in enumerate(PARTS)], 1)),
    "summed": (A.T.copy(), TALL, np.stack([A.T[:, p] @ TALL[p] for p in PARTS])),
}


@pytest.mark.parametrize("name", CASES)
def test_split(name):
    a, b, expected = CASES[name]
    a, b = torch.tensor(a, requires_grad=True), torch.tensor(b)
    found = grouped_mm(a, b, offs=torch.tensor(ENDS, dtype=torch.int32))
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
    found.sum().backward()
    assert a.grad.shape == a.shape


def test_stacks_and_errors():
    a, b = torch.ones(3, 2, 5), torch.ones(3, 5, 4)
    assert grouped_mm(a, b, out_dtype=torch.float64).equal(torch.full((3, 2, 4), 5.0, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="offs missing"):
        grouped_mm(a[0], b)
