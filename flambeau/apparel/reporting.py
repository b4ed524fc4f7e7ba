"""`report`: accuracies, charts and a page about a trained run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.apparel.charts import draw_confusion, draw_curves, draw_mistakes
from flambeau.apparel.checkpoint import NAME, load_checkpoint, recipe_of
from flambeau.apparel.classes import CLASSES
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.files import whole_file, write_text
from flambeau.apparel.layout import describe
from flambeau.apparel.page import build_page
from flambeau.apparel.predicting import SUBMISSION
from flambeau.apparel.reading import read_pictures
from flambeau.apparel.scores import accuracy, class_scores, confusion
from flambeau.apparel.tables import Table, read_table
from flambeau.apparel.trainer import Recipe

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

MISTAKES_SHOWN = 18


def report(
    data: str | Path = "data/apparel", out: str | Path = "runs/apparel", *, quiet: bool = False
) -> dict[str, Any]:
    """Say how good the run in `out` is, in numbers and pictures.

    Writes ``curves.png``, ``confusion.png`` (where the answers are known), ``report.json`` and the self-contained page
    ``report.html``.

    Args:
        data: folder that `prepare` wrote.
        out: folder with the results of `train` and `predict`.
        quiet: print nothing.

    Returns:
        The content of ``report.json``: the accuracies and the scores of each kind of garment. A test accuracy is there
        only if the data set has ``test_labels.csv``.

    Raises:
        ApparelError: if the run is not trained or has no predictions newer than its checkpoint.
    """
    folder, results, console = Path(data), Path(out), Console(quiet)
    state = load_checkpoint(results)
    history = state["history"]
    if not history:
        raise ApparelError(f"the run in {results} has no finished epoch yet: continue it with `train --resume`")
    guesses = _submission(results)
    numbers: dict[str, Any] = {
        "train_accuracy": history[-1]["train_accuracy"],
        "validation_accuracy": history[-1]["validation_accuracy"],
    }
    figures = [("Learning curves", "Loss and accuracy after each epoch.", draw_curves(history))]
    scores = []
    truth = folder / "test_labels.csv"
    if truth.exists():
        answers = _match(read_table(truth, labelled=True), guesses)
        matrix = confusion(answers, guesses.labels)
        scores = class_scores(matrix)
        numbers |= {"test_accuracy": accuracy(matrix), "classes": [asdict(score) for score in scores]}
        numbers["confusion"] = matrix.tolist()
        figures.append(("What is taken for what", "Rows are true, columns predicted.", draw_confusion(matrix)))
        figures += _mistakes(folder, guesses, answers, console)
    notes, recipe = _notes(folder, truth), recipe_of(state)
    page = build_page(_facts(numbers), notes, _settings(recipe, folder, history), scores, figures)
    _write(results, numbers, figures, page)
    _tell(console, numbers, notes, results)
    return numbers


def _submission(out: Path) -> Table:
    path = out / SUBMISSION
    if not path.exists() or path.stat().st_mtime_ns < (out / NAME).stat().st_mtime_ns:
        what = "is older than the checkpoint" if path.exists() else "is missing"
        raise ApparelError(f"{path} {what}: run `flambeau apparel predict` first")
    return read_table(path, labelled=True)


def _match(truth: Table, guesses: Table) -> list[int]:
    """The true labels in the order of the guesses."""
    known = dict(zip(truth.ids, truth.labels, strict=True))
    for identity, row in zip(guesses.ids, guesses.rows, strict=True):
        if identity not in known:
            raise DataError(guesses.path, f"the id {identity} is not among those of {truth.path}", row)
    return [known[identity] for identity in guesses.ids]


def _mistakes(folder: Path, guesses: Table, answers: list[int], console: Console) -> list[tuple[str, str, bytes]]:
    wrong = [i for i, (answer, guess) in enumerate(zip(answers, guesses.labels, strict=True)) if answer != guess]
    if not wrong:
        return []
    images = read_pictures(guesses, folder / "test", console)
    shown = wrong[:: max(1, len(wrong) // MISTAKES_SHOWN)][:MISTAKES_SHOWN]
    captions = [f"{CLASSES[answers[i]]}\nnot {CLASSES[guesses.labels[i]]}" for i in shown]
    heading = f"Some of the {len(wrong)} mistakes"
    return [(heading, "What the picture shows, and what it was taken for.", draw_mistakes(images[shown], captions))]


def _notes(folder: Path, truth: Path) -> list[str]:
    notes = []
    if describe(folder).get("synthetic"):
        notes.append("These pictures were drawn by the program itself; the accuracies say nothing about Fashion-MNIST.")
    if not truth.exists():
        notes.append(f"There is no {truth.name}, so the accuracy on the test pictures is unknown.")
    return notes


def _facts(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    names = {"test_accuracy": "of the test pictures right", "validation_accuracy": "of the held-out pictures right"}
    names["train_accuracy"] = "right while learning, last epoch"
    return [(label, f"{numbers[key]:.2%}") for key, label in names.items() if key in numbers]


def _settings(recipe: Recipe, folder: Path, history: list[dict[str, float]]) -> list[tuple[str, str]]:
    rows = [(name, str(value)) for name, value in asdict(recipe).items() if value is not None]
    rows.append(("epochs done", str(len(history))))
    rows.append(("time to train", f"{sum(entry['seconds'] for entry in history):.0f} s"))
    origin = describe(folder).get("origin")
    return [*rows, ("pictures", str(origin))] if origin else rows


def _write(out: Path, numbers: dict[str, Any], figures: list[tuple[str, str, bytes]], page: str) -> None:
    for name, (_, _, png) in zip(("curves.png", "confusion.png"), figures, strict=False):
        with whole_file(out / name) as file:
            file.write(png)
    write_text(out / "report.json", json.dumps(numbers, indent=2) + "\n")
    write_text(out / "report.html", page)


def _tell(console: Console, numbers: dict[str, Any], notes: list[str], out: Path) -> None:
    for note in notes:
        console.say(f"NOTE: {note}")
    for score in numbers.get("classes", []):
        console.say(f"{score['name']:<12} precision {score['precision']:6.1%}  recall {score['recall']:6.1%}")
    for label, value in _facts(numbers):
        console.say(f"{value} {label}")
    console.say(f"Wrote {out / 'report.html'}")
