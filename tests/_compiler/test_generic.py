"""Programs for all sizes: what symbols say is what the compiler says of the sizes themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau as torch
from flambeau._compiler import generic, pipeline
from flambeau._compiler.outline import outline_of
from flambeau._core.config import config
from flambeau._engine import plans, window

sys.path.insert(0, str(Path(__file__).parent))
import fuzz  # noqa: E402

SEEDS = range(8)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    window.flush()
    monkeypatch.setattr(plans, "_plans", type(plans._plans)())
    monkeypatch.setattr(plans, "_patterns", type(plans._patterns)())
    monkeypatch.setattr(config, "compile", "always")
    yield
    window.flush()


@pytest.fixture
def compared(monkeypatch):
    """Lets every program that comes of symbols be compared with the outline of its window; how many were."""
    found = []
    original = generic.Pattern.program

    def program(self, window, numbers, backend, dump):
        made = []
        monkeypatch.setattr(generic.pipeline, "realised", lambda *args: made.append(args) or pipeline.realised(*args))
        result = original(self, window, numbers, backend, dump)
        if self.abandoned:
            raise self.abandoned
        for outline, ours, _ in made[-1:]:
            hosts = [part.work.instruction for part in outline.parts if type(part.work).__name__ == "HostPart"]
            plain = outline_of(window(), backend.supports, hosts)
            compare(outline, ours, plain)
            found.append(outline)
        return result

    monkeypatch.setattr(generic.Pattern, "program", program)
    return found


def compare(outline, ours, plain):
    """Apart from numbers that arrive where others are known, both outlines are the same."""
    assert [part.what for part in outline.parts] == [part.what for part in plain.parts]
    assert [part.places for part in outline.parts] == [part.places for part in plain.parts]
    assert ours.parts == plain.numbers.parts
    assert (ours.intervals, ours.fresh) == (plain.numbers.intervals, plain.numbers.fresh)
    assert outline._replace(parts=(), numbers=()) == plain._replace(parts=(), numbers=())
    if not ours.scalars:
        assert [part.work for part in outline.parts] == [part.work for part in plain.parts]


def test_random_programs_in_random_sizes(compared):
    checker = fuzz.Checker()
    for seed in SEEDS:
        for variant in range(6):
            assert not checker.check(seed, variant), (seed, variant)
    assert len(compared) > 5


def steps_of_a_network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.ReLU(), torch.nn.Linear(20, 5))
    table = torch.nn.Embedding(30, 12)
    optimizer = torch.optim.Adam([*model.parameters(), *table.parameters()], lr=0.01)
    rng = np.random.default_rng(1)

    def step(batch, length):
        words = torch.tensor(rng.integers(0, 30, (batch, length)))
        kinds = torch.tensor(rng.integers(0, 5, batch))
        loss = torch.nn.functional.cross_entropy(model(table(words).mean(1)), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


SIZES = [(int(b), int(n)) for b, n in np.random.default_rng(5).integers(1, 40, (40, 2))]


def test_training_in_random_sizes(compared):
    step = steps_of_a_network()
    config.compile = "never"
    expected = [step(*size) for size in SIZES]
    config.compile = "always"
    step = steps_of_a_network()
    np.testing.assert_allclose([step(*size) for size in SIZES], expected, rtol=1e-4)
    assert len(compared) > 30
    ways = max(len(pattern.ways) for pattern in plans._patterns.values())
    assert 1 <= ways < 10


def test_convolutions_in_random_sizes(compared):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
                                torch.nn.Flatten(2))  # fmt: skip
    for batch, side in SIZES[:12]:
        x = torch.randn(batch, 3, side + 2, side + 3)
        config.compile = "always"
        compiled = model(x).mean(2).detach().numpy()
        config.compile = "never"
        np.testing.assert_allclose(compiled, model(x).mean(2).detach().numpy(), atol=1e-5)
    assert compared


def counted(monkeypatch):
    """The functions that compile, which note their calls."""
    calls = []
    for module, name in ((generic.pipeline, "compile_window"), (generic.outline, "outline_of")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, f=original, n=name, **k: calls.append(n) or f(*a, **k))
    return calls


def test_the_second_size_is_compiled_for_all(monkeypatch):
    calls = counted(monkeypatch)
    for n in (10, 11, 12, 13, 14):
        assert ((torch.ones(n, 3) + 1.5) * 2).sum().item() == 15 * n
    assert calls == ["compile_window", "outline_of"]


def test_a_size_that_had_been_fixed_widens_the_pattern(monkeypatch):
    calls = counted(monkeypatch)
    for shape in ((10, 3), (11, 3), (12, 3), (12, 4), (9, 5)):
        assert ((torch.ones(shape) + 1.5) * 2).sum().item() == 5 * shape[0] * shape[1]
    assert calls == ["compile_window", "outline_of", "outline_of"]


def test_numbers_among_the_arguments_may_change():
    for n in (7, 8, 9, 10, 11):
        x = torch.arange(float(n))
        assert (x * n).sum().item() == n * n * (n - 1) / 2  # a whole number that is part of the key
        assert x.roll(n // 2).tolist() == np.roll(np.arange(n), n // 2).tolist()


def test_a_number_that_arrives_is_no_number_of_the_pattern(monkeypatch):
    keys = []
    original = generic.pattern_of
    monkeypatch.setattr(plans, "pattern_of", lambda *a: keys.append(original(*a)) or keys[-1])
    x = torch.tensor([0, 1, 2, 3, 4])
    for a, b in ((2, 10**6), (10**6, 2)):  # the small one is part of the program, the large one is handed over
        assert ((x + a) * b).tolist() == [(i + a) * b for i in range(5)]
    (key, numbers), (other, others) = keys
    assert key != other and len(numbers) == len(others)


def test_powers_keep_their_formulas():
    for n in (4, 5, 3, 2, 1, 6):
        assert torch.full((2,), 3.0).pow(n).tolist() == [3.0**n] * 2


def test_a_pattern_that_symbols_cannot_go_is_compiled_for_each_size(monkeypatch):
    monkeypatch.setattr(generic.outline, "outline_of", lambda *a, **k: 1 / 0)
    for n in (10, 11, 12, 13):
        assert ((torch.ones(n) + 1.5) * 2).sum().item() == 5 * n
    (pattern,) = [p for p in plans._patterns.values() if len(p.samples) == 2]
    assert isinstance(pattern.abandoned, ZeroDivisionError)


def test_what_the_backend_refuses_for_some_sizes_only_is_left_to_the_reference(monkeypatch):
    original = pipeline.Lowering._structure

    def structure(self, i, part, numbers):
        return (None, numbers) if "exp" in part.what and 13 in numbers else original(self, i, part, numbers)

    monkeypatch.setattr(pipeline.Lowering, "_structure", structure)
    for n in (10, 11, 12, 13, 14):
        x = torch.arange(float(n))
        np.testing.assert_allclose((x - n).exp().numpy(), np.exp(np.arange(n) - n), rtol=1e-6)


def test_the_gradient_of_a_mean_has_one_pattern_for_all_lengths():
    """Of its numbers none is a power of two by which products would be compiled apart."""
    for n in (3, 2, 4, 7):
        x = torch.ones(5, n, requires_grad=True)
        (x.mean(1) * torch.arange(5.0)).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), np.repeat(np.arange(5.0)[:, None] / n, n, 1), rtol=1e-6)
        if n == 3:
            patterns = len(plans._patterns)
    assert len(plans._patterns) == patterns
