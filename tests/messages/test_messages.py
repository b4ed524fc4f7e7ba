"""What Flambeau says to common mistakes: the pages beside this file, word for word, and PyTorch's kinds of errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from cases import Case, cases, kinds, outcome, pages  # noqa: E402

CASES = cases()
# What Flambeau raises is an instance of PyTorch's kind, under another name.
NAMES = {"IndexOutOfBoundsError": ("IndexError", "RuntimeError"), "LinAlgError": ("_LinAlgError",)}
# Where PyTorch raises another kind, and why Flambeau does not; "not yet" are defects.
DIFFERENT = {
    "`~` of floats": "not yet",
    "A list of texts": "not yet",
    "`float` of several elements": "not yet",
    "`int` of several elements": "not yet",
    "A NumPy array for a layer": "not yet",
    "A list for a layer": "not yet",
    "A list where a tensor is expected": "not yet",
    "A GPU that is not there": "every missing backend is a RuntimeError",
    "A model for a GPU that is not there": "every missing backend is a RuntimeError",
    "A tensor made for a GPU that is not there": "every missing backend is a RuntimeError",
    "A dtype as a text": "not yet",
    "A size that is a float": "not yet",
    "`.grad` of a result": "not yet",
    "A Function that was called instead of applied": "one error says what PyTorch says in a warning and an error",
    "Gradients in inference mode": "not yet",
    "A name as an index": "PyTorch's warning is about a sequence, which a name is not meant to be",
    "The target before the prediction": "not yet",
    "Classes as a column": "not yet",
    "Integers for `binary_cross_entropy_with_logits`": "not yet",
    "Integers for `binary_cross_entropy`": "not yet",
    "A column of predictions and a row of targets, for MSE": "not yet",
    "Integers for MSE, where both sides are integers": "not yet",
    "`softmax` without a dimension": "not yet",
    "An optimizer class that was not made": "not yet",
    "A gradient scaler that steps before it scaled": "not yet",
}


def name(case: Case) -> str:
    return f"{case.page}: {case.title}"


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({name(case) for case in CASES}) == len(CASES) >= 60
    assert sum(page.read_text(encoding="utf-8").count("\n## ") for page in pages()) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_message_is_the_one_on_the_page(case: Case) -> None:
    assert outcome(case, flambeau) == case.told, "if the new text is better: python tests/messages/cases.py"


def test_docs_lead_to_every_page() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    for page in pages():
        assert f"(../tests/messages/{page.name})" in text


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=name)
def test_pytorch_raises_the_same_kinds(case: Case) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = kinds(outcome(case, torch)), kinds(case.told)
    same = len(ours) == len(theirs) and all(a in NAMES.get(b, (b,)) for a, b in zip(theirs, ours, strict=True))
    assert same != (case.title in DIFFERENT), f"PyTorch: {theirs}, Flambeau: {ours}"
