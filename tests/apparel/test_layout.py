from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flambeau.apparel import ApparelError, layout, prepare
from flambeau.apparel.console import Console
from flambeau.apparel.idx import read_idx
from flambeau.apparel.reading import read_pictures
from flambeau.apparel.tables import read_table


def test_the_layout_is_the_guides(data: Path, idx_folder: Path) -> None:
    lines = {name: (data / name).read_text().split("\n") for name in ("train.csv", "test.csv", "sample_submission.csv")}
    labels = read_idx(idx_folder / "train-labels-idx1-ubyte.gz", 1)
    assert lines["train.csv"][:3] == ["id,label", f"1,{labels[0]}", f"2,{labels[1]}"]
    assert lines["test.csv"] == ["id", *map(str, range(60001, 60011)), ""]
    assert lines["sample_submission.csv"] == ["id,label", *(f"{i},0" for i in range(60001, 60011)), ""]
    answers = read_table(data / "test_labels.csv", labelled=True)
    assert answers.labels == read_idx(idx_folder / "t10k-labels-idx1-ubyte.gz", 1)[:10].tolist()
    pictures = read_pictures(answers, data / "test", Console(quiet=True))
    np.testing.assert_array_equal(pictures, read_idx(idx_folder / "t10k-images-idx3-ubyte.gz", 3)[:10])
    assert len(list((data / "train").iterdir())) == 60
    assert json.loads((data / "dataset.json").read_text())["train"] == 60


def test_preparing_again_changes_nothing_unless_forced(
    data: Path, idx_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (data / "train.csv").stat().st_mtime_ns
    prepare(data, source=idx_folder, limit=60)
    assert "already prepared" in capsys.readouterr().out
    assert (data / "train.csv").stat().st_mtime_ns == before
    with pytest.raises(ApparelError, match="--force"):
        prepare(data, source=idx_folder, limit=120)
    prepare(data, source=idx_folder, limit=120, force=True, quiet=True)
    assert len(list((data / "train").iterdir())) == 120


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_other_files_are_not_replaced(tmp_path: Path, idx_folder: Path, obstacle: str) -> None:
    target = tmp_path / "mine"
    if obstacle == "folder":
        target.mkdir()
        (target / "thesis.tex").write_text("years of work")
    else:
        target.write_text("years of work")
    with pytest.raises(ApparelError):
        prepare(target, source=idx_folder, force=True, quiet=True)
    assert (target / "thesis.tex" if obstacle == "folder" else target).read_text() == "years of work"


def test_nothing_is_left_half_written(tmp_path: Path, idx_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "_write_pictures", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "data", source=idx_folder, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_limit_is_refused(tmp_path: Path, idx_folder: Path) -> None:
    with pytest.raises(ApparelError, match="at least 60"):
        prepare(tmp_path / "data", source=idx_folder, limit=5)
