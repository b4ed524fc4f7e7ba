"""The benchmarks' arithmetic and their list of workloads; nothing is said about time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

SMALL = ("calls: a + b, 10 floats, with gradient", "networks: network from scratch, an epoch",
         "networks: tiny network, Adam, a step", "networks: guide's CNN, one picture",
         "rows: softmax, 128 × 10", "networks: GPT, a step", "fresh: texts of any length, a step")  # fmt: skip


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks are scripts, which import one another by their bare names."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def module(name: str) -> Any:
    return importlib.import_module(name)


def test_every_workload_is_found_by_its_key() -> None:
    workloads = module("workloads")
    for group, members in workloads.GROUPS.items():
        for member in members:
            assert workloads.find(f"{group}: {member.name}") is member


@pytest.mark.parametrize("key", SMALL)
def test_small_workloads_run(key: str) -> None:
    worker = module("worker")
    step = module("workloads").find(key).build(flambeau, worker.as_it_is)
    first = worker.sample(step())
    assert first and all(np.isfinite(numbers).all() for _, numbers in first)


def test_data_are_the_same_each_time() -> None:
    workload = module("workloads.workload")
    assert (workload.initial("0.weight", (3, 4)) == workload.initial("0.weight", (3, 4))).all()
    assert not (workload.initial("0.weight", (3, 4)) == workload.initial("1.weight", (3, 4))).all()
    assert workload.initial("bn1.weight", (2,)).tolist() == [1, 1]
    assert workload.initial("bn1.bias", (2,)).tolist() == [0, 0]


def test_ratios_are_taken_within_rounds() -> None:
    tables, row = module("tables"), module("harness").Row
    measured = row("rows", "softmax", {"flambeau": [1.0, 10.0, 2.0], "eager": [2.0, 20.0, 2.0]}, {})
    assert tables.ratio(measured, "eager") == 2.0
    assert tables.ratio(measured, "jax") is None
    assert "× 2.00" in tables.summary([measured])


@pytest.mark.parametrize("seconds, text", [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (2e-6, "2 µs"), (5e-9, "5 ns")])
def test_durations(seconds: float, text: str) -> None:
    assert module("tables").duration(seconds) == text


def test_disagreement_is_named() -> None:
    harness = module("harness")
    right, wrong = [((2,), np.array([1.0, 4.0]))], [((2,), np.array([1.0, 3.0]))]
    shape = [((1, 2), np.array([1.0, 4.0]))]
    results = {"eager": [right], "flambeau": [right], "compile": [wrong], "jax": [shape]}
    problems = harness.disagreement(results, 1e-3)
    assert problems.keys() == {"compile", "jax"}
    assert "2.5e-01" in problems["compile"]
    assert "shapes" in problems["jax"]


def test_a_worker_answers_and_survives_a_mistake() -> None:
    harness = module("harness")
    worker = harness.Worker("flambeau", harness.Options(threads=1, patience=60))
    try:
        with pytest.raises(harness.Failed, match="AttributeError"):
            worker.ask("no such method")
        samples, seconds = worker.ask("prepare", "networks: tiny network, Adam, a step")
        assert len(samples) == 3 and seconds > 0
        assert worker.ask("block", 2) > 0
    finally:
        worker.close()
