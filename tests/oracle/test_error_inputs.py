"""Mistakes beside PyTorch: the calls that its database says are errors raise the same kinds of exceptions here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, tensors_of  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

# Where Flambeau raises something else, or nothing, on purpose: (operation, number of the mistake) and why.
DIFFERENT = {
    **dict.fromkeys(
        [(f"__{name}__", 0) for name in ("radd", "rdiv", "rmul", "rand", "ror", "rxor")],
        "a method called on a number by hand",
    ),
    ("__rdiv__", 1): "a method called on a number by hand",
    **dict.fromkeys(
        [(name, number) for name in ("amax", "amin", "aminmax") for number in (1, 2)],
        "65 dimensions, which NumPy refuses in its own words",
    ),
    ("narrow_copy", 1): "IndexError for a dimension out of range, as narrow raises in PyTorch too",
}
WITH_ERRORS = [o for o in OPERATIONS if o.info.error_inputs_func is not None]


def mistakes(operation: Any) -> Iterator[tuple[int, str]]:
    """The numbers of the mistakes that came out differently, and how."""
    for number, sample in enumerate(samples(operation)):
        theirs = attempt(operation.info.op, sample.input, *sample.args, **sample.kwargs)
        tensors = tensors_of([sample.input, *sample.args, *sample.kwargs.values()])
        if not isinstance(theirs, Exception) or any(t.device.type != "cpu" for t in tensors) or share_memory(tensors):
            continue
        try:
            given, named = here([sample.input, *sample.args]), here(sample.kwargs)
        except pytest.skip.Exception:
            continue
        ours = attempt(looked_at, operation.here, given, named)
        kind = next(k for k in type(theirs).__mro__ if k.__module__ == "builtins")
        if not isinstance(ours, kind):
            yield number, f"{theirs!r:.200}\n  here {ours!r:.200}\n  for {sample!r:.300}"


def samples(operation: Any) -> Iterator[Any]:
    """The samples of the database, up to one that needs another device."""
    try:
        for mistake in operation.info.error_inputs("cpu"):
            yield mistake.sample_input
    except RuntimeError:
        return


def share_memory(tensors: list) -> bool:
    """Do tensors share memory? Values come over one by one; `test_out.py` is about such outs."""
    places = [t.untyped_storage().data_ptr() for t in tensors if t.numel()]
    return len(set(places)) < len(places)


def looked_at(function: Any, given: list, named: dict) -> Any:
    """The result of a call that has run."""
    result = function(*given, **named)
    for tensor in tensors_of(result):
        tensor.detach().tolist()
    flambeau.synchronize()
    return result


@pytest.mark.parametrize("operation", WITH_ERRORS, ids=lambda o: o.name)
def test_mistakes(operation):
    found = dict(mistakes(operation))
    expected = {number for name, number in DIFFERENT if name == operation.name}
    assert not {number: found[number] for number in found.keys() - expected}
    assert expected <= found.keys(), "no difference any more: drop it from the table"
