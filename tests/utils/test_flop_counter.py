"""Counts of floating-point operations."""

from __future__ import annotations

import threading

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.utils.flop_counter import FlopCounterMode


def count(run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


x = torch.ones(2, 3, 4, requires_grad=True)
q = torch.ones(2, 2, 5, 4, requires_grad=True)
images = torch.ones(2, 4, 8, 8, requires_grad=True)


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        (lambda: x @ x.mT, 144),
        (lambda: x @ x[0].T, 144),
        (lambda: x[0] @ x[0, 0], 24),
        (lambda: torch.addmm(torch.ones(3), x[0], x[0].T), 72),
        (lambda: torch.einsum("bij,bkj->bik", x, x), 144),
        (lambda: torch.nn.Linear(4, 5)(x), 240),
        (lambda: torch.nn.Linear(4, 5)(x).sum().backward(), 720),
        (lambda: torch.nn.Conv2d(4, 6, 3, padding=1, stride=2)(images), 13824),
        (lambda: torch.nn.Conv2d(4, 6, 3, padding=1, stride=2)(images).sum().backward(), 3 * 13824),
        (lambda: torch.nn.Conv2d(4, 8, 3, groups=2)(images).sum().backward(), 3 * 20736),
        (lambda: torch.nn.ConvTranspose2d(4, 6, 3, stride=2)(images).sum().backward(), 3 * 55296),
        (lambda: F.scaled_dot_product_attention(q, q, q), 1600),
        (lambda: F.scaled_dot_product_attention(q, q, q).sum().backward(), 5600),
        (lambda: torch.nn.LSTM(4, 3)(x), 1008),
        (lambda: torch.nn.LSTM(4, 3)(x)[0].sum().backward(), 3024),
        (lambda: torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)(x).sum().backward(), 5472),
        (lambda: x + 1, 0),
    ],
)
def test_totals(run, wanted):
    assert count(run) == wanted


def test_counts_of_modules_and_their_table(capsys):
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Sequential(torch.nn.Linear(8, 2)))
    with FlopCounterMode() as counter:
        model(x)
        x @ x.mT
    counts = counter.get_flop_counts()
    assert counts["Global"] == {"aten.addmm": 576, "aten.bmm": 144}
    assert counts["Sequential"] == {"aten.addmm": 576} and counts["Sequential.1.0"] == {"aten.addmm": 192}
    assert capsys.readouterr().out.splitlines() == [
        "Module          FLOP    % Total",
        "------------  ------  ---------",
        "Global           720    100.00%",
        "- aten.addmm     576     80.00%",
        "- aten.bmm       144     20.00%",
        "Sequential       576     80.00%",
        "- aten.addmm     576     80.00%",
        "Sequential.0     384     53.33%",
        "- aten.addmm     384     53.33%",
        "Sequential.1     192     26.67%",
        "- aten.addmm     192     26.67%",
    ]
    assert "Sequential.1.0" in counter.get_table(depth=3)


def test_large_counts_and_none():
    with FlopCounterMode(display=False) as counter:
        torch.ones(100, 100) @ torch.ones(100, 100)
    assert counter.get_table().splitlines()[-1].split() == ["-", "aten.mm", "2000.000K", "100.00%"]
    with FlopCounterMode(display=False) as counter:
        pass
    assert counter.get_table().splitlines()[-1].split() == ["Global", "0", "0%"]


def test_what_is_replayed_is_counted():
    step = torch.compile(torch.nn.Linear(4, 5))
    for _ in range(3):
        step(x)
    assert count(lambda: step(x)) == 240


def test_a_batch_of_vmap_is_counted_once():
    assert count(lambda: torch.vmap(lambda a: a @ a.T)(x)) == 144


def test_other_threads_do_not_count_and_nothing_counts_afterwards():
    def beside():
        other = threading.Thread(target=lambda: x @ x.mT)
        other.start()
        other.join()

    assert count(beside) == 0
    with FlopCounterMode(display=False) as counter:
        pass
    x @ x.mT
    assert counter.get_total_flops() == 0


def test_formulas_of_ones_own_are_refused():
    with pytest.raises(NotImplementedError, match="built in"):
        FlopCounterMode(custom_mapping={torch.mm: len})
