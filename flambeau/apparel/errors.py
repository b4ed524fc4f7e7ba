"""The one kind of error a user of the case study can cause and cure."""

from __future__ import annotations

from pathlib import Path


class ApparelError(Exception):
    """Something the user can put right: a missing folder, a broken picture, an option that does not fit.

    The message is one line and says what was found, what was expected and, where there is one, the way out.
    The command line prints it without a traceback.
    """


class DataError(ApparelError):
    """A file of the data set is not what it should be; the message names the file and, in a table, the row."""

    def __init__(self, file: Path | str, problem: str, row: int | None = None) -> None:
        self.file = Path(file)
        self.row = row
        where = str(file) if row is None else f"{file}, row {row}"
        super().__init__(f"{where}: {problem}")
