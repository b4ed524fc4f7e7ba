from __future__ import annotations

import html.parser
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flambeau.apparel import ApparelError, predict, report, train
from flambeau.apparel.page import build_page
from flambeau.apparel.scores import accuracy, class_scores, confusion
from flambeau.apparel.tables import read_table


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(prepared, out, model="mlp", epochs=6, lr=1e-2, batch_size=64, quiet=True)
    predict(prepared, out, quiet=True)
    return out


def test_predictions_follow_the_form(prepared: Path, run: Path, tmp_path: Path) -> None:
    straight = read_table(run / "submission.csv", labelled=True)
    assert straight.ids == read_table(prepared / "test.csv", labelled=False).ids
    data = shutil.copytree(prepared, tmp_path / "data")
    form = (data / "sample_submission.csv").read_text().split()
    (data / "sample_submission.csv").write_text("\n".join([form[0], *reversed(form[1:])]) + "\n")
    shutil.copy(run / "checkpoint.pt", tmp_path)
    backwards = read_table(predict(data, tmp_path, quiet=True), labelled=True)
    assert (backwards.ids, backwards.labels) == (straight.ids[::-1], straight.labels[::-1])


def test_the_report_counts_right(prepared: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = report(prepared, run)
    truth = np.array(read_table(prepared / "test_labels.csv", labelled=True).labels)
    guesses = np.array(read_table(run / "submission.csv", labelled=True).labels)
    assert numbers["test_accuracy"] == pytest.approx((truth == guesses).mean())
    assert 0.3 < numbers["test_accuracy"] < 1
    assert np.array(numbers["confusion"]).sum() == len(truth)
    assert f"{numbers['test_accuracy']:.2%} of the test pictures right" in capsys.readouterr().out
    for name in ("curves.png", "confusion.png"):
        with Image.open(run / name) as image:
            assert image.width > 300


class Checker(html.parser.HTMLParser):
    """Notes what a page loads and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(prepared: Path, run: Path) -> None:
    report(prepared, run, quiet=True)
    checker = Checker()
    checker.feed((run / "report.html").read_text())
    assert checker.open == []
    assert len(checker.sources) == 3 and all(source.startswith("data:image/png;base64,") for source in checker.sources)


def test_text_on_the_page_is_escaped() -> None:
    evil = "<script>alert('&')</script>"
    page = build_page([(evil, evil)], [evil], [(evil, evil)], [], [(evil, evil, b"")])
    assert evil not in page and page.count("&lt;script&gt;") == 8


def test_without_answers_there_is_no_test_accuracy(prepared: Path, run: Path, tmp_path: Path) -> None:
    data = shutil.copytree(prepared, tmp_path / "data")
    (data / "test_labels.csv").unlink()
    assert set(report(data, run, quiet=True)) == {"train_accuracy", "validation_accuracy"}
    assert "unknown" in (run / "report.html").read_text()


def test_old_predictions_are_not_reported(prepared: Path, run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(run, tmp_path / "out")
    os.utime(out / "submission.csv", (1, 1))
    with pytest.raises(ApparelError, match="older than the checkpoint.*predict"):
        report(prepared, out)
    (out / "submission.csv").unlink()
    with pytest.raises(ApparelError, match="missing.*predict"):
        report(prepared, out)


def test_scores_by_hand() -> None:
    matrix = confusion([0, 0, 0, 1, 1], [0, 0, 1, 1, 0])
    first, second, third = class_scores(matrix)[:3]
    assert accuracy(matrix) == pytest.approx(3 / 5)
    assert (first.precision, first.recall, first.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (second.precision, second.recall, second.f1, second.pictures) == pytest.approx((0.5, 0.5, 0.5, 2))
    assert (third.precision, third.recall, third.f1, third.pictures) == (0, 0, 0, 0)
