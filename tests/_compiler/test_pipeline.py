"""Programs of windows: memory shared, hosts, results."""

from __future__ import annotations

import importlib.util
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import flambeau as torch
from flambeau._compiler.memory import Arena
from flambeau._core.config import config
from flambeau._engine import plans, window

spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    window.flush()
    monkeypatch.setattr(config, "compile", "always")
    yield
    window.flush()


@pytest.fixture
def programs(monkeypatch):
    """The plans that are made during a test."""
    made = []
    real = plans.Plan.__init__

    def init(self, frame, program):
        made.append(program)
        real(self, frame, program)

    monkeypatch.setattr(plans.Plan, "__init__", init)
    monkeypatch.setattr(plans, "_plans", type(plans._plans)())
    return made


def test_random_programs_agree_with_single_operations():
    checker = fuzz.Checker()
    wrong = [(seed, variant, message) for seed in range(30) for variant in range(2)
             if (message := checker.check(seed, variant))]  # fmt: skip
    assert not wrong


def test_the_fuzzer_sees_a_wrong_result():
    broken = {"compiled": lambda run: [r._replace(array=r.array + 1) for r in fuzz.compiled(run) if r.array.size],
              "single": fuzz.single}  # fmt: skip
    checker = fuzz.Checker(ways=broken)
    assert any(checker.check(seed, 0) for seed in range(5))


@pytest.mark.parametrize("count", [400, 2000])
def test_long_chains_are_cut(count):
    x, y, ones = torch.zeros(5), torch.full((5,), 0.5), torch.ones(5)
    for _ in range(count):
        x.add_(1.0)  # of numbers that are known
        y = (y + ones).sqrt()  # of memory
    assert x.tolist() == [count] * 5
    np.testing.assert_allclose(y, 1.618034, rtol=1e-6)


def test_parameters_are_updated_where_they_lie(programs):
    w, g = torch.randn(50), torch.randn(50)
    window.flush()
    for _ in range(2):
        w.sub_(g * 0.1)
        window.flush()
    assert programs[-1].fresh == ()  # no memory for the result: it takes that of the old value


def test_what_is_scattered_into_is_not_copied_when_it_dies(programs):
    index, source = torch.tensor([1, 2, 1]), torch.ones(3, 4)
    window.flush()
    total = torch.zeros(5, 4).index_add(0, index, source)
    assert total[:, 0].tolist() == [0, 2, 1, 0, 0]
    fill, add = programs[-1].outline.parts
    assert add.places[-1] == fill.places[-1] and len(add.places) == 3


def test_what_is_scattered_into_is_copied_when_it_lives(programs):
    index, source = torch.tensor([1, 2, 1]), torch.ones(3)
    base = torch.ones(5) * 2
    first, second = base.index_add(0, index, source), base.scatter_add(0, index, source * 2)
    assert first.tolist() == [2, 4, 3, 2, 2] and second.tolist() == [2, 6, 4, 2, 2] and base.tolist() == [2] * 5
    x = torch.zeros(3) + 1
    assert x.index_add(0, index - 1, x).tolist() == [3, 2, 1]  # what is added to is read as well
    x = torch.ones(2, 3) * torch.arange(3.0)
    assert x.t().index_add(0, index - 1, torch.ones(3, 2)).tolist() == [[2, 2], [2, 2], [2, 2]]
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        base.index_add(0, index + 4, source).tolist()
    assert base.tolist() == [2] * 5


def test_very_many_parts_are_joined_by_the_reference(programs):
    parts = [torch.full((2,), float(i)) for i in range(2000)]
    window.flush()
    assert (torch.cat(parts) * 2)[-3:].tolist() == [3996, 3998, 3998]
    assert len(programs[-1].outline.parts) < 10


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.int16])
def test_larger_elements_do_not_take_the_memory_of_smaller_ones(narrow):
    x = torch.arange(600).view(2, 300).float() % 250
    window.flush()
    row = x.to(narrow)[0].float()  # of as many bytes as both rows of smaller elements
    assert row.tolist() == x[0].tolist()


def test_a_value_that_is_still_seen_is_not_written_over(programs):
    w = torch.ones(5)
    old = w + 0
    kept = old.detach()
    w.sub_(1.0)
    old.add_(kept)
    assert w.tolist() == [0] * 5 and old.tolist() == [2] * 5


def test_memory_that_numpy_sees_is_not_reused(programs):
    w = torch.ones(5)
    seen = w.numpy()
    del w
    x = torch.from_numpy(seen) * 2
    assert x.tolist() == [2] * 5 and seen.tolist() == [1] * 5


def test_instructions_without_a_kernel_run_between_kernels(programs):
    x = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    y = torch.linalg.eigvalsh(x * 2) + 1
    np.testing.assert_allclose(y.numpy(), np.linalg.eigvalsh(x.numpy() * 2) + 1, 1e-5)


@pytest.mark.parametrize(
    "made",
    [
        lambda i: torch.full((8,), i + 0.25),
        lambda i: torch.full((8,), i + 2),
        lambda i: torch.full_like(torch.ones(8, dtype=torch.int64), i + 2),
        lambda i: torch.arange(i + 2, i + 10),
        lambda i: torch.arange(2 * i + 4, 2 * i + 28, 3),
        lambda i: torch.arange(i + 0.25, i + 8),
        lambda i: torch.arange(0, 2 * i + 5, (2 * i + 5) / 8),
        lambda i: torch.linspace(0, i + 2.5, 8),
        lambda i: torch.linspace(i + 2, i + 9, 8),
        lambda i: torch.logspace(0, i + 0.25, 8, base=2.0),
        lambda i: torch.fill(torch.ones(8), i + 0.25),
        lambda i: torch.arange(8) * (i + 0.25),
    ],
)
def test_tensors_of_a_changing_number_need_no_new_plan(programs, made):
    """Such as the number of a step, or a position."""
    x = torch.ones(8)
    window.flush()
    found = [((x + made(i)) * 1.5).tolist() for i in range(6)]
    np.testing.assert_allclose(found, [[(1 + n) * 1.5 for n in made(i).tolist()] for i in range(6)], 1e-6)
    assert len(programs) <= 4  # those of looking at the numbers alone included


def test_scalars_may_change_without_a_new_plan(programs):
    x = torch.arange(4.0)
    window.flush()
    programs.clear()
    for factor in (0.125, 7.25, -3.5):
        assert (x * factor).tolist() == [i * factor for i in range(4)]
    for factor in (100, 1000, 12345):
        assert (x * factor).tolist() == [i * factor for i in range(4)]
    assert len(programs) == 2


@pytest.mark.parametrize("rows, columns", [(4, 50), (50, 4), (300, 500)])
def test_the_place_of_an_extremum_in_a_turned_matrix(rows, columns):
    x = torch.randperm(rows * columns).reshape(rows, columns).t() * 3
    assert x.argmax().item() == x.numpy().argmax() and x.argmin().item() == x.numpy().argmin()


def test_zero_and_minus_zero_are_told_apart():
    x = torch.ones(3)
    assert torch.signbit(x * 0.0).tolist() == [False] * 3
    assert torch.signbit(x * -0.0).tolist() == [True] * 3
    assert torch.signbit(torch.full((2,), -0.0)).tolist() == [True] * 2


def test_an_index_out_of_range_names_the_line():
    table, index = torch.ones(3, 2), torch.tensor([0, 3])
    rows = torch.nn.functional.embedding(index, table)
    with pytest.raises(IndexError, match="got 3, the table has 3 rows(.|\n)*test_pipeline.py"):
        rows.tolist()


def test_stages_can_be_written_out(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "dump_dir", str(tmp_path / "dump"))
    (torch.ones(3, 7) * 3.25 + 1).tolist()
    written = {p.name.split("-")[1]: p.read_text() for p in (tmp_path / "dump").glob("*.txt")}
    assert set(written) == {"graph.txt", "units.txt", "nests.txt"}
    assert "map add" in written["graph.txt"] and "for 21" in written["nests.txt"]


def test_the_arena_never_overlaps_what_lives_at_the_same_time():
    rng = random.Random(0)
    for _ in range(50):
        firsts = [rng.randrange(20) for _ in range(rng.randrange(1, 30))]
        spans = [(first, first + rng.randrange(6)) for first in firsts]
        nbytes = [rng.randrange(0, 5000) for _ in firsts]
        arena = Arena(spans, nbytes)
        for sizes in (nbytes, [rng.randrange(0, 5000) for _ in firsts]):  # in those it was made for, and in others
            offsets, size = arena.offsets(sizes)
            assert all(a % 64 == 0 and a + n <= size for a, n in zip(offsets, sizes, strict=True))
            for (a, n, one), (b, k, other) in itertools.combinations(zip(offsets, sizes, spans, strict=True), 2):
                if one[0] <= other[1] and other[0] <= one[1] and n and k:
                    assert a + n <= b or b + k <= a
