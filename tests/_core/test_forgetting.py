"""Tables that forget what nobody else refers to."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._core.dtypes import float32
from flambeau._core.forgetting import Remembered, forget_unused
from flambeau._engine import plans
from flambeau._ir import meta as metas
from flambeau._ir.meta import contiguous, meta
from flambeau._ops import registry


class Entry:
    pass


def test_what_is_referred_to_from_anywhere_stays():
    names = ["a variable", "a list", "an attribute", "another table", "nobody", "nobody either"]
    table = {name: Entry() for name in names}
    variable, several, holder = table["a variable"], [table["a list"]], Entry()
    holder.entry = table["an attribute"]
    other = {"key": table["another table"]}
    forget_unused(table)
    assert list(table) == names[:4]
    assert variable and several and other
    del variable, holder
    several.clear()
    forget_unused(table)
    assert list(table) == ["another table"]


def test_a_table_grows_with_what_is_in_use():
    follower, table = {}, Remembered(100)
    table.followers = (follower,)
    used = [table.keep(i, Entry()) for i in range(200)]
    follower["made from the table"] = table[0]
    for i in range(200, 1000):
        table.keep(i, Entry())
        assert len(table) <= 250
    assert [table[i] for i in range(200)] == used
    assert not follower


def test_layouts_in_use_are_the_same_objects_however_many_others_there_were():
    held, strided = contiguous(float32, (3, 7919)), meta(float32, (3, 7919), (1, 3), 5)
    for n in range(3 * metas.INTERNED):
        contiguous(float32, (n, 7919, 3))
    assert len(metas._interned) <= metas._interned.now
    assert contiguous(float32, (3, 7919)) is held
    assert meta(float32, (3, 7919), (1, 3), 5) is strided


@pytest.mark.usefixtures("usual_window")
def test_operations_remember_what_plans_use_and_little_else(monkeypatch):
    monkeypatch.setattr(config, "compile", "auto")
    monkeypatch.setattr(registry, "INFERENCES", 64)
    monkeypatch.setattr(registry, "_inferences", registry._Inferences())

    def planned():
        return ((torch.ones(7919) + 1.5) * 2).sum().item()

    torch.synchronize()  # what other tests left in the window
    planned(), planned()
    inferences = registry._inferences
    inferences._limit = 0
    inferences.count()  # from here on there is room for a quarter more
    runs, compiled = plans.statistics().runs, plans.statistics().plans
    for n in range(3 * inferences._limit):
        (torch.zeros(0, n) + 1).tolist()  # so little that it gets no plan
    assert sum(len(op.cache) for op in registry.OPS.values()) <= inferences._limit
    assert planned() == 7919 * 5
    assert (plans.statistics().runs, plans.statistics().plans) == (runs + 1, compiled)
