"""When windows are compiled, and what their keys tell apart."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext

import numpy as np
import pytest

import flambeau as torch
from flambeau._compiler import generic
from flambeau._core.config import config
from flambeau._engine import plans, window
from flambeau._tensor import interop


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    window.flush()
    monkeypatch.setattr(plans, "_plans", type(plans._plans)())
    monkeypatch.setattr(plans, "_patterns", type(plans._patterns)())
    monkeypatch.setattr(plans, "_statistics", plans.Statistics())
    monkeypatch.setattr(config, "compile", "auto")
    yield
    window.flush()


def work(n):
    x = torch.ones(n)
    return ((x + 1.5) * 2).sum().item()


def test_compiled_at_the_second_sight():
    for runs in (0, 1, 2):
        assert work(10) == 50
        assert plans.statistics().runs == runs


@pytest.mark.parametrize(
    "function, runs",
    [(lambda x, w: x @ w, 0), (lambda x, w: (x * w[0]).relu(), 0), (lambda x, w: (x @ w).relu(), 2)],
    ids=["a product", "elementwise", "a layer"],
)
def test_what_is_small_stays_with_numpy_unless_it_is_a_layer(function, runs):
    x, w = torch.ones(1, 4), torch.ones(4, 4)
    window.flush()
    before = plans.statistics().runs
    for _ in range(3):
        assert len(function(x, w).tolist()) == 1
    assert plans.statistics().runs - before == runs


@pytest.mark.parametrize("few, runs", [(3, 1), (30, 0)])
def test_much_work_for_its_instructions_is_compiled_at_first_sight(monkeypatch, few, runs):
    monkeypatch.setattr(plans, "BYTES_TO_BEGIN", 50_000)
    monkeypatch.setattr(plans, "BYTES_AN_INSTRUCTION", 5_000)
    large, small = torch.arange(10_000.0), torch.arange(10.0)
    window.flush()
    before = plans.statistics().runs
    for _ in range(3):  # 120 KB of results
        large = large + 0.25
    for _ in range(few):  # next to none
        small = small * 1.5
    window.flush()
    assert plans.statistics().runs - before == runs
    assert large[4].item() == 4.75 and small[2].item() == pytest.approx(2 * 1.5**few, rel=1e-5)


def test_other_sizes_of_a_known_structure_are_compiled_at_once():
    work(10)
    work(11)
    assert plans.statistics().runs == 1


def test_batches_of_one_tensor_share_a_plan():
    x = torch.arange(20000.0).reshape(1000, 20)
    window.flush()
    sums = [((x[i : i + 100] + 0.5) * 2).sum().item() for i in range(0, 1000, 100)]
    assert sums == [sum(2 * (j + 0.5) for j in range(20 * i, 20 * i + 2000)) for i in range(0, 1000, 100)]
    assert plans.statistics().plans == 1


def test_a_part_of_what_is_overwritten_is_read_before(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    x = torch.arange(64.0) * 1
    window.flush()
    tail = x[32:] * 2
    x.add_(1.0)
    total = (x * 3).sum()
    assert tail.tolist() == [2.0 * i for i in range(32, 64)] and total.item() == 3 * (63 * 32 + 64)


def test_compile_asks_for_it_at_first_sight():
    function = torch.compile(lambda x: (x * 2).tanh())
    x = torch.ones(3)
    np.testing.assert_allclose(function(x).numpy(), np.tanh(np.full(3, 2.0)), 1e-6)
    assert plans.statistics().runs == 1


def test_what_lives_on_is_part_of_the_key():
    x = torch.ones(3)
    for _ in range(3):
        y = x + 1
        z = y * 2
        assert z.tolist() == [4] * 3
    for _ in range(3):
        z = (x + 1) * 2
        assert z.tolist() == [4] * 3
    assert y.tolist() == [2] * 3


def test_numpy_does_what_the_compiler_fails_at(monkeypatch):
    def fail(*_):
        raise ValueError("of the compiler")

    monkeypatch.setattr(config, "compile", "always")
    monkeypatch.setattr(generic.Pattern, "program", fail)
    told = pytest.warns(RuntimeWarning, match="ValueError: of the compiler(.|\n)*: filled mul lgamma\n")
    for expected in (told, nullcontext()):
        with expected:
            assert torch.lgamma(torch.ones(3) * 5.0).tolist() == pytest.approx([math.lgamma(5.0)] * 3)


def test_a_failed_run_leaves_the_inputs(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    w, index = torch.zeros(4), torch.tensor([7])
    w.add_(1.0)
    bad = w[index]
    w.add_(1.0)
    with pytest.raises(IndexError, match="index 7 is out of bounds"):
        bad.tolist()
    assert w.tolist() == [2] * 4


def test_threads_share_plans():
    results = []

    def loop():
        for _ in range(20):
            results.append(work(1000))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [5000] * 80


def test_results_have_the_same_bits_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    before = torch.get_num_threads()
    generator = np.random.default_rng(0)
    a, b = (torch.tensor(generator.normal(size=(300, 300)).astype(np.float32)) for _ in range(2))
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            h = torch.tanh(a @ b)
            found.append([h.numpy().copy(), h.sum().item(), h.softmax(1).sum(0).numpy().copy()])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for x, y in zip(found[0], other, strict=True):
            assert np.array_equal(x, y)


def test_explain_tells_what_was_fused():
    x = torch.ones(50, 40)
    text = torch.explain(lambda: torch.softmax(x * 2, 1).sum())
    assert text.startswith("1 plan") and "exp" in text and "of peak" in text


def test_explain_tells_what_was_left_to_the_reference():
    array = np.ones((64, 100), np.float32)
    x = torch.from_numpy(array)
    for function, kernels, left in [
        (lambda: torch.lgamma(x) * 2, 1, ["lgamma"]),
        (lambda: torch.special.i0(x), 0, ["i0"]),  # a window without a plan
        (lambda: x.mul_(1.0), 1, ["write"]),  # memory that NumPy sees
        (lambda: x * 2, 1, []),
    ]:
        lines = torch.explain(function).splitlines()
        assert f"{kernels} kernel" in lines[0] and f" {len(left)} instructions left" in lines[0], lines[0]
        assert [line.split()[-1] for line in lines if "NumPy  " in line] == left
        assert (lines[-1].split()[-1] == "NumPy") == bool(left)
    assert window.watcher is None


@pytest.mark.parametrize("function", [torch.clamp, torch.nn.functional.threshold, torch.nn.functional.softplus])
def test_a_number_in_the_key_does_not_stand_for_another_one(function, monkeypatch):
    x = torch.linspace(-10, 10, 8)
    wanted = [function(x, *numbers).tolist() for numbers in ((2.0, 7.3), (7.3, 2.0))]  # small: run by the reference
    monkeypatch.setattr(config, "compile", "always")
    found = [function(x, *numbers).tolist() for numbers in ((2.0, 7.3), (7.3, 2.0))]
    assert plans.statistics().runs == 2
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_a_number_made_from_many_is_compiled():
    x = torch.ones(3000)
    window.flush()
    before = plans.statistics().runs
    for _ in range(2):
        assert x.sum().item() == 3000
    assert plans.statistics().runs == before + 1


def test_looking_at_a_tensor_does_not_change_its_plan(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    x = torch.ones(2000)
    seen = []
    for looks in range(6):
        x.mul_(2.0).add_(1.0)
        window.flush()
        if looks > 1:
            seen.append(x.tolist()[0])
    assert seen == [15.0, 31.0, 63.0, 127.0]
    assert plans.statistics().plans <= 2  # the first one reads what `ones` made


def test_what_an_array_still_shows_is_not_written_over(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")
    x = torch.ones(2000) * 3
    for _ in range(3):
        window.flush()
        part = interop.array(x)[5:7]
        before = part.tolist()
        x.mul_(2.0)
        window.flush()
        assert part.tolist() == before
    assert x[0].item() == 24
