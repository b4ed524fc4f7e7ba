"""Reading the CSV files, with errors that name the file and the row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from flambeau.apparel.classes import CLASSES
from flambeau.apparel.errors import ApparelError, DataError


@dataclass(frozen=True)
class Table:
    """Ids in file order, their labels where the file has them, and the row each stands in (the header is row 1)."""

    path: Path
    ids: list[int]
    labels: list[int]
    rows: list[int]


def read_table(path: Path, labelled: bool) -> Table:
    """Read a table with the columns ``id,label`` (or ``id`` alone, if not `labelled`).

    Raises:
        ApparelError: if the file is missing.
        DataError: for a wrong header, a row with too few or too many fields, an id that is no whole number or comes
            twice, a label outside 0..9.
    """
    if not path.is_file():
        raise ApparelError(f"{path} is missing: run `flambeau apparel prepare` first, or point --data to the data set")
    columns = ["id", "label"] if labelled else ["id"]
    table = Table(path, [], [], [])
    seen: dict[int, int] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = [name.strip().lower() for name in next(reader, [])]
            if header != columns:
                raise DataError(path, f"expected the header {','.join(columns)}, found {','.join(header)!r}", row=1)
            for fields in reader:
                if fields:  # blank lines mean nothing
                    _append(table, fields, reader.line_num, len(columns), seen)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(path, f"cannot be read as CSV ({error})") from error
    if not table.ids:
        raise DataError(path, "has a header but no rows")
    return table


def _append(table: Table, fields: list[str], row: int, width: int, seen: dict[int, int]) -> None:
    if len(fields) != width:
        raise DataError(table.path, f"expected {width} fields, found {len(fields)}: {','.join(fields)!r}", row)
    identity = _whole(fields[0])
    if identity is None:
        raise DataError(table.path, f"the id {fields[0]!r} is not a whole number", row)
    if identity in seen:
        raise DataError(table.path, f"the id {identity} stands in row {seen[identity]} already", row)
    seen[identity] = row
    table.ids.append(identity)
    table.rows.append(row)
    if width == 1:
        return
    label = _whole(fields[1])
    if label is None or label >= len(CLASSES):
        raise DataError(table.path, f"the label {fields[1]!r} is not one of 0..{len(CLASSES) - 1}", row)
    table.labels.append(label)


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None
