"""What a pass did wrong is found before code is made of it."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as torch
from flambeau._compiler import checks, outline
from flambeau._compiler.placement import Placement
from flambeau._core.config import config
from flambeau._engine import plans


@pytest.fixture
def found(monkeypatch):
    """The units, nests and placement of the last compilation."""
    seen = {}
    monkeypatch.setattr(config, "compile", "always")
    monkeypatch.setattr(plans, "_patterns", OrderedDict())  # else they are not compiled again
    monkeypatch.setattr(plans, "_plans", OrderedDict())
    monkeypatch.setattr(checks, "check_units", lambda units, free: seen.update(units=units, free=free))
    monkeypatch.setattr(checks, "check_nests", lambda pieces: seen.update(pieces=pieces))
    monkeypatch.setattr(checks, "check_memory", lambda placement: seen.update(placement=placement))
    x = torch.linspace(-1, 1, 4000).reshape(40, 100)
    products = x @ x.t()
    y = products.softmax(1) @ x
    ((y.cumsum(0) * 2 + y).sum() + products.cumsum(1).sum()).item()
    monkeypatch.undo()
    return seen


def test_units_out_of_order(found):
    checks.check_units(found["units"], found["free"])
    with pytest.raises(AssertionError, match="computed before its operand"):
        checks.check_units(found["units"][::-1], found["free"])
    with pytest.raises(AssertionError, match="in two units"):
        checks.check_units([*found["units"], found["units"][0]], found["free"])


def test_a_nest_that_leaves_its_memory(found):
    checks.check_nests(found["pieces"])
    fused = next(p for unit in found["pieces"] for p in unit if hasattr(p, "nest"))
    for offset in (-1, 1):
        nest = fused.nest._replace(offsets=(offset, *fused.nest.offsets[1:]))
        with pytest.raises(AssertionError, match="is read from"):
            checks.check_nests([[fused._replace(nest=nest)]])


def test_memory_that_is_given_away_too_early(found, monkeypatch):
    placement, lies_at = found["placement"], Placement.lies_at
    checks.check_memory(placement)
    assert len(placement.intervals) > 1
    with pytest.raises(AssertionError, match="writes over what it reads"):  # all that is temporary lies in one place
        monkeypatch.setattr(Placement, "lies_at", lambda self, place: max(lies_at(self, place), -1))
        checks.check_memory(placement)
    monkeypatch.setattr(checks, "_in_step", lambda part: True)
    with pytest.raises(AssertionError, match="not in its memory any more"):
        checks.check_memory(placement)


def test_an_input_that_is_needed_is_not_written_over(found):
    placement = found["placement"]
    inputs, placement.inputs = placement.inputs, 1 + max(placement.slots.values())  # as if all results lay in some
    with pytest.raises(AssertionError, match="written over an input that is needed"):
        checks.check_memory(placement)
    placement.inputs = inputs
    checks.check_memory(placement)


def test_all_is_checked_when_a_compilation_is_dumped(monkeypatch, tmp_path):
    monkeypatch.setattr(outline, "thorough", False)
    monkeypatch.setattr(config, "compile", "always")
    calls = []
    monkeypatch.setattr(checks, "check_memory", calls.append)
    for dump_dir in (None, str(tmp_path)):
        monkeypatch.setattr(plans, "_patterns", OrderedDict())
        monkeypatch.setattr(plans, "_plans", OrderedDict())
        monkeypatch.setattr(config, "dump_dir", dump_dir)
        torch.linspace(0, 3, 7).exp().sum().item()
        assert bool(calls) == bool(dump_dir)
