"""What Flambeau says to common mistakes: the pages beside this file, word for word, and PyTorch's kinds of errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from cases import Case, cases, kinds, outcome, pages  # noqa: E402

pytestmark = pytest.mark.usefixtures("usual_window")  # which decides at which line some errors are raised
CASES = cases()
# What Flambeau raises is an instance of PyTorch's kind, under another name.
NAMES = {"IndexOutOfBoundsError": ("IndexError", "RuntimeError"), "LinAlgError": ("_LinAlgError",)}
# Where PyTorch raises another kind, and why Flambeau does not.
DIFFERENT = {
    "A GPU that is not there": "every missing backend is a RuntimeError",
    "A model for a GPU that is not there": "every missing backend is a RuntimeError",
    "A tensor made for a GPU that is not there": "every missing backend is a RuntimeError",
    "A Function that was called instead of applied": "one error says what PyTorch says in a warning and an error",
    "Arrays of different shapes in a list": "PyTorch's warning is that such lists are slow, which they are not here",
    "A list as a parameter": "an argument of a wrong type is a TypeError; PyTorch's AttributeError comes from inside",
    "An LSTM with one tensor as its state": "a state of a wrong type is a TypeError; PyTorch's error comes from inside",
    "A GRU with the state of an LSTM": "a state of a wrong type is a TypeError; PyTorch's error comes from inside",
    "An optimizer class that was not made": "a TypeError, as of every call without self; PyTorch's IndexError "
    "comes from an empty tuple inside",
    "A name as an index": "PyTorch's warning is about a sequence, which a name is not meant to be",
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
