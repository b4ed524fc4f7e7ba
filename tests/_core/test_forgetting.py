"""Tables that forget what nobody else refers to."""

from __future__ import annotations

import flambeau as torch
from flambeau._core.config import config
from flambeau._core.dtypes import float32
from flambeau._core.forgetting import forget_unused
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


def test_layouts_in_use_are_the_same_objects_however_many_others_there_were(monkeypatch):
    monkeypatch.setattr(metas, "_limit", metas._limit)
    held, strided = contiguous(float32, (3, 7919)), meta(float32, (3, 7919), (1, 3), 5)
    for n in range(3 * metas.INTERNED):
        contiguous(float32, (n, 7919, 3))
    assert len(metas._interned) <= 2 * metas.INTERNED + 1
    assert contiguous(float32, (3, 7919)) is held
    assert meta(float32, (3, 7919), (1, 3), 5) is strided


def test_operations_remember_what_plans_use_and_little_else(monkeypatch):
    monkeypatch.setattr(config, "compile", "auto")
    monkeypatch.setattr(registry, "INFERENCES", 64)
    monkeypatch.setattr(registry, "_inferences", registry._Inferences())
    add = registry.OPS["add"]
    monkeypatch.setattr(add, "cache", {})  # without what the plans of other tests use
    monkeypatch.setattr(registry, "OPS", {"add": add})

    def planned():
        return ((torch.ones(7919) + 1.5) * 2).sum().item()

    planned(), planned()
    runs, compiled = plans.statistics().runs, plans.statistics().plans
    for n in range(200):
        (torch.zeros(n, 2) + 1).tolist()  # so little that it gets no plan
    assert len(add.cache) <= 64
    assert planned() == 7919 * 5
    assert (plans.statistics().runs, plans.statistics().plans) == (runs + 1, compiled)
