from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from flambeau.apparel.errors import DataError
from flambeau.apparel.idx import read_idx, read_pair, write_idx

HEAD = bytes([0, 0, 8, 1, 0, 0, 0, 3])


@pytest.mark.parametrize("name", ["a.gz", "a"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name, 3), array)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"", "not an IDX file"),
        (b"hello, world", "not an IDX file"),
        (HEAD + b"ab", "holds 10 bytes"),
        (HEAD + b"abcd", "holds 12 bytes"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "element type 0xd"),
        (bytes([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0]), "found 2 dimensions"),
        (gzip.compress(HEAD + b"abc")[:-4], "cannot be read"),
    ],
)
def test_what_is_not_idx_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "labels"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "labels", "problem"),
    [
        ((2, 28, 27), [1, 2], "28x27, expected 28x28"),
        ((2, 28, 28), [1, 2, 3], "3 labels for 2 pictures"),
        ((2, 28, 28), [1, 10], "label 10 of item 1 is outside 0..9"),
    ],
)
def test_pictures_and_labels_must_fit(tmp_path: Path, shape: tuple[int, ...], labels: list[int], problem: str) -> None:
    write_idx(tmp_path / "images", np.zeros(shape, np.uint8))
    write_idx(tmp_path / "labels", np.array(labels, np.uint8))
    with pytest.raises(DataError, match=problem):
        read_pair(tmp_path / "images", tmp_path / "labels")
