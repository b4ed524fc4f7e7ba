"""Wrong shapes, dtypes and arguments raise the same kind of exception as in PyTorch, by its own database of errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, error_kind, here, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.info.error_inputs_func is not None], ids=lambda o: o.name
)
def test_errors_of_the_database(operation):
    wrong = []
    for case in operation.info.error_inputs("cpu"):
        sample = case.sample_input
        try:
            args, kwargs = (here(sample.input), *here(sample.args)), here(sample.kwargs)
        except (TypeError, ValueError):  # an operand that has no counterpart here
            continue
        theirs = attempt(operation.info.op, sample.input, *sample.args, **sample.kwargs)
        if not isinstance(theirs, Exception):  # meant for another device
            continue
        ours = attempt(operation.here, *args, **kwargs)
        if not isinstance(ours, Exception) or error_kind(ours) != error_kind(theirs):
            shown = f"{ours!r:.160}"
            wrong.append(f"{sample.summary():.200}\n  PyTorch: {theirs!r:.160}\n  here:    {shown}")
    assert not wrong, "\n".join(wrong)


assert torch
