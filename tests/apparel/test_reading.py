from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flambeau.apparel.console import Console
from flambeau.apparel.dataset import read_train, split
from flambeau.apparel.errors import DataError
from flambeau.apparel.reading import read_pictures
from flambeau.apparel.tables import read_table


def read(data: Path) -> np.ndarray:
    return read_pictures(read_table(data / "train.csv", labelled=True), data / "train", Console())


def test_the_cache_is_used_until_something_changes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = read(data)
    assert "Reading 60 pictures" in capsys.readouterr().out
    np.testing.assert_array_equal(read(data), first)
    assert "taken from train.cache.npz" in capsys.readouterr().out
    Image.fromarray(255 - first[4]).save(data / "train" / "5.png")
    os.utime(data / "train" / "5.png", ns=(0, 1))  # a change within the clock's resolution shows in size or here
    np.testing.assert_array_equal(read(data)[4], 255 - first[4])
    (data / "train.cache.npz").write_bytes(b"PK rubbish")
    assert read(data).shape == (60, 28, 28)


def test_colour_becomes_grey(data: Path) -> None:
    picture = np.full((28, 28, 3), 77, np.uint8)
    Image.fromarray(picture).save(data / "train" / "2.png")
    assert (read(data)[1] == 77).all()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: path.unlink(), "the picture is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:90]), "not a readable PNG"),
        (lambda path: path.write_bytes(b"not a picture"), "not a readable PNG"),
        (lambda path: path.write_bytes(b""), "not a readable PNG"),
        (lambda path: Image.new("L", (28, 27)).save(path), "is 28x27 pixels, expected 28x28"),
        (lambda path: Image.new("I;16", (28, 28)).save(path), "pixel format I;16"),
    ],
)
def test_a_broken_picture_is_named_with_its_row(data: Path, damage, problem: str) -> None:
    path = data / "train" / "31.png"
    damage(path)
    with pytest.raises(DataError) as caught:
        read(data)
    assert problem in str(caught.value) and str(path) in str(caught.value) and "row 32" in str(caught.value)
    assert not (data / "train.cache.npz").exists()


def test_the_mark_changes_with_labels_and_limit(data: Path) -> None:
    quiet = Console(quiet=True)
    before = read_train(data, quiet).mark
    assert read_train(data, quiet).mark == before
    assert read_train(data, quiet, limit=30).mark != before
    table = (data / "train.csv").read_text().split("\n")
    (data / "train.csv").write_text("\n".join([table[0], f"1,{(int(table[1][2:]) + 1) % 10}", *table[2:]]))
    assert read_train(data, quiet).mark != before


def test_the_split_is_scikit_learns() -> None:
    # sklearn.model_selection.train_test_split(range(20), test_size=0.1, random_state=0), scikit-learn 1.9
    learn, held_out = split(20, 0.1, seed=0)
    assert held_out.tolist() == [18, 1]
    assert sorted([*learn, *held_out]) == list(range(20))
    assert split(60_000, 0.1, seed=0)[0].shape == (54_000,)
