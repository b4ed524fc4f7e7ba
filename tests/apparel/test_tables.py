from __future__ import annotations

from pathlib import Path

import pytest

from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.tables import read_table


def test_ids_labels_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(b"\xef\xbb\xbfid,label\r\n7,9\r\n\r\n3, 0\r\n")  # as a spreadsheet saves it
    table = read_table(path, labelled=True)
    assert (table.ids, table.labels, table.rows) == ([7, 3], [9, 0], [2, 4])


@pytest.mark.parametrize(
    ("content", "row", "problem"),
    [
        (b"", 1, "expected the header id,label"),
        (b"label,id\n1,2\n", 1, "found 'label,id'"),
        (b"id,label\n", None, "no rows"),
        (b"id,label\n1,2\n2\n", 3, "expected 2 fields, found 1"),
        (b"id,label\n1,2,3\n", 2, "found 3"),
        (b"id,label\nx,2\n", 2, "'x' is not a whole number"),
        (b"id,label\n../1,2\n", 2, "not a whole number"),
        (b"id,label\n1,2\n2,2\n1,3\n", 4, "the id 1 stands in row 2 already"),
        (b"id,label\n1,10\n", 2, "'10' is not one of 0..9"),
        (b"id,label\n1,-1\n", 2, "'-1' is not one of 0..9"),
        (b"id,label\n1,2.0\n", 2, "'2.0' is not one of 0..9"),
        (b"id,label\n1,\xff\n", None, "cannot be read as CSV"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, content: bytes, row: int | None, problem: str) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path, labelled=True)
    assert problem in str(caught.value) and str(path) in str(caught.value)
    assert caught.value.row == row and (row is None or f"row {row}" in str(caught.value))


def test_a_missing_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ApparelError, match="flambeau apparel prepare"):
        read_table(tmp_path / "train.csv", labelled=True)
