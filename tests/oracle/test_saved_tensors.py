"""Which tensors an operation saves for backward: those whose change in place makes backward refuse, here and there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, spread, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SAMPLES = 4
# Refused by PyTorch alone, which multiplies views where a product of flattened copies is computed here.
ALLOWED_HERE = {"tensordot"}
FAILING_HERE = {  # for other reasons
    "nn.functional.linear_cross_entropy", "nn.functional.linear_cross_entropy.chunked",
    "nn.functional.linear_cross_entropy.chunked_none", "nn.functional.batch_norm",
}  # fmt: skip
DIFFERENTIABLE = [
    o for o in OPERATIONS
    if o.info.supports_autograd and torch.float64 in o.info.dtypes and o.name not in FAILING_HERE
]  # fmt: skip
REFUSAL = "modified by an inplace operation"


def refusals(ns, function, given, named):
    """For each tensor argument and each result: does backward refuse after a change of it?"""
    found = []
    leaves = [t for t in tensors_of([*given, *named.values()])]
    for place in range(len(leaves) + 3):
        copies = {id(t): t.clone() if t.dtype.is_floating_point or t.dtype.is_complex else t for t in leaves}
        args, options = replaced(ns, given, copies), replaced(ns, named, copies)
        results = tensors_of(function(*args, **options))
        changeable = [*copies.values(), *[None] * (len(leaves) - len(copies)), *results]
        if place >= len(changeable):
            break
        changed = changeable[place]
        wanted = [r for r in results if r.requires_grad]
        if changed is None or not wanted:
            continue
        ns.autograd.graph.increment_version(changed)
        error = attempt(ns.autograd.backward, wanted, [ns.ones_like(r) for r in wanted])
        if isinstance(error, Exception) and REFUSAL not in str(error):
            raise error
        where = f"argument {place}" if place < len(leaves) else f"result {place - len(leaves)}"
        found.append((where, isinstance(error, Exception)))
    return dict(found)


def replaced(ns, value, copies):
    if isinstance(value, ns.Tensor):
        return copies[id(value)]
    if type(value) in (list, tuple):
        return type(value)(replaced(ns, v, copies) for v in value)
    if isinstance(value, dict):
        return {k: replaced(ns, v, copies) for k, v in value.items()}
    return value


def compare(operation):
    """What of the operation's samples is refused in only one of the two."""
    only_here, only_there = set(), set()
    for sample in spread(list(operation.info.sample_inputs("cpu", torch.float64, requires_grad=True)), SAMPLES):
        given, named = [sample.input, *sample.args], sample.kwargs
        ours, ours_named = here(given), here(named)
        theirs = attempt(refusals, torch, operation.info.op, given, named)
        if isinstance(theirs, Exception):
            continue
        found = refusals(flambeau, operation.here, ours, ours_named)
        for where in theirs.keys() & found.keys():
            if theirs[where] != found[where]:
                (only_here if found[where] else only_there).add(where)
    return only_here, only_there


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=lambda o: o.name)
def test_refusals(operation):
    only_here, only_there = compare(operation)
    assert not only_here
    assert bool(only_there) == (operation.name in ALLOWED_HERE)
