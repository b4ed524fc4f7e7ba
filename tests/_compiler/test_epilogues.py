"""Maps that become part of the product before them: which do, and that the numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau._compiler import epilogues
from flambeau._core.config import config
from flambeau._engine import plans, window

F = torch.nn.functional


@pytest.fixture(autouse=True)
def small_products_too(monkeypatch):
    window.flush()
    monkeypatch.setattr(epilogues, "LARGE", 1)
    monkeypatch.setattr(config, "compile", "always")
    monkeypatch.setattr(plans, "_plans", type(plans._plans)())
    monkeypatch.setattr(plans, "_patterns", type(plans._patterns)())
    yield
    window.flush()


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def works(function, *arrays):
    """What the kernels of a function do, and its result."""
    tensors = [torch.tensor(a) for a in arrays]
    window.flush()
    made = []
    real = plans.Plan.__init__

    def init(self, frame, program):
        made.append(program)
        real(self, frame, program)

    plans.Plan.__init__ = init
    try:
        results = function(*tensors)
        results = results if isinstance(results, tuple) else (results,)
        window.flush()
    finally:
        plans.Plan.__init__ = real
    (program,) = made
    return [part.what for part in program.outline.parts], [r.numpy() for r in results]


X, W, B, R = random(70, 33), random(33, 50, seed=1) / 6, random(50, seed=2), random(70, 50, seed=3)
H = X.astype(np.float64) @ W.astype(np.float64)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, 2e-5, 2e-5)


def test_an_activation_joins_its_product():
    what, (result,) = works(lambda x, w, b: torch.relu(F.linear(x, w.T, b)), X, W, B)
    assert what == ["matmul maximum"]
    close(result, np.maximum(H + B, 0))


def test_rows_columns_and_whole_operands_may_take_part():
    scale = random(70, 1, seed=4)
    what, (result,) = works(lambda x, w, b, r, s: ((x @ w) * s + b) * 2 + r, X, W, B, R, scale)
    assert len(what) == 1 and what[0].startswith("matmul")
    close(result, (H * scale + B) * 2 + R)


def test_the_product_itself_may_be_needed():
    what, (result, product) = works(lambda x, w: (torch.sigmoid(y := x @ w), y), X, W)
    assert len(what) == 1 and what[0].startswith("matmul")
    close(product, H)
    close(result, 1 / (1 + np.exp(-H)))


def test_several_results_are_written():
    what, (a, b) = works(lambda x, w: ((y := x @ w).relu(), y > 0), X, W)
    assert len(what) == 1
    close(a, np.maximum(H, 0))
    assert (b == (a > 0)).all()


def test_other_shapes_of_the_same_elements():
    x = X.reshape(7, 10, 33)
    what, (result,) = works(lambda x, w: (x @ w).reshape(7, 500).relu(), x, W)
    assert len(what) == 1
    close(result, np.maximum(H, 0).reshape(7, 500))


def test_a_single_column_and_a_batch():
    x, w = random(3, 40, 70), random(3, 70, 1, seed=1) / 8
    what, (result,) = works(lambda x, w: torch.tanh(x @ w), x, w)
    assert len(what) == 1
    close(result, np.tanh(x.astype(np.float64) @ w))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x @ w)[:35].relu(),  # part of the rows
        lambda x, w: (x @ w).T.contiguous(),  # another order
        lambda x, w: torch.softmax(x @ w, 1),  # reductions
        lambda x, w: (y := x @ w) * y.sum(),  # what depends on the whole product
        lambda x, w: (x @ w).reshape(70, 5, 10) + x[:5, :1],  # varies within a row, but not by columns
    ],
)  # fmt: skip
def test_what_stays_outside(function):
    what, (result,) = works(function, X, W)
    assert "matmul" in what
    wanted = function(torch.tensor(X).double(), torch.tensor(W).double())
    close(result, wanted.numpy())


def test_what_a_product_leads_to_comes_first():
    """The residual depends on the product by way of another one: that cannot be in the epilogue of the first, but it
    is in that of the second."""
    what, (result,) = works(lambda x, w: (y := x @ w) + (y @ y.T) @ y, X, W)
    assert what[:2] == ["matmul", "matmul"] and what[2] == "matmul add"
    close(result / 100, (H + (H @ H.T) @ H) / 100)


def test_a_residual_that_the_product_reads_is_not_written_over():
    square = random(60, 60, seed=5) / 8
    x = torch.tensor(random(60, 60))
    before = x.double().numpy()
    w = torch.tensor(square)
    window.flush()
    x = (x @ w).relu() + x
    close(x.numpy(), np.maximum(before @ square, 0) + before)


def test_gradients_of_a_network():
    def step(x, w, b, r):
        w, b = w.requires_grad_(True), b.requires_grad_(True)
        loss = ((torch.relu(F.linear(x, w.T, b)) - r) ** 2).mean()
        loss.backward()
        return loss.detach(), w.grad, b.grad

    _, found = works(step, X, W, B, R)
    config.compile = "never"
    wanted = step(*[torch.tensor(a).double() for a in (X, W, B, R)])
    for a, b in zip(found, wanted, strict=True):
        close(a, b.numpy())


def test_small_products_are_left_alone(monkeypatch):
    monkeypatch.setattr(epilogues, "LARGE", 16 << 20)
    what, _ = works(lambda x, w: torch.relu(x @ w), X, W)
    assert what == ["matmul", "maximum"]


def test_kernels_hold_for_all_sizes():
    """Also when the compiler runs with symbols."""
    for rows in (20, 31, 47, 58, 64):
        x = random(rows, 33)
        _, (result,) = works(lambda x, w, b: torch.relu(F.linear(x, w.T, b)), x, W, B)
        close(result, np.maximum(x.astype(np.float64) @ W + B, 0))


def test_the_dump_shows_them(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "dump_dir", str(tmp_path))
    works(lambda x, w: torch.relu(x @ w), X, W)
    text = "".join(p.read_text() for p in tmp_path.glob("*-nests.txt"))
    assert "on every block of %" in text and "for 70 x 50" in text
