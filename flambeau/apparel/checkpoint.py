"""Checkpoints: everything a run needs to go on, in one file that is replaced as a whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flambeau import serialization
from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.files import make_folder
from flambeau.apparel.trainer import Recipe

NAME = "checkpoint.pt"
FORMAT = 1


def save_checkpoint(out: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt`` into the folder `out`."""
    make_folder(out)
    serialization.save({"format": FORMAT, **state}, out / NAME)


def load_checkpoint(out: Path) -> dict[str, Any]:
    """Read ``checkpoint.pt`` from the folder `out`.

    Raises:
        ApparelError: if there is none.
        DataError: if it is damaged or not of this program.
    """
    path = out / NAME
    if not path.is_file():
        raise ApparelError(f"there is no {path}: run `flambeau apparel train` first, or point --out to a trained run")
    try:
        state = serialization.load(path)
    except Exception as error:  # a damaged file can fail anywhere in the reader
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise DataError(path, f"is not a readable checkpoint ({reason})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(path, "is not a checkpoint of `flambeau apparel train`")
    return state


def recipe_of(state: dict[str, Any]) -> Recipe:
    return Recipe(**state["recipe"])


def check_same(old: Recipe, asked: dict[str, Any]) -> None:
    """Refuse to continue a run with other options than it was started with; None means "as it was"."""
    started = asdict(old)
    wrong = [name for name, value in asked.items() if value is not None and value != started[name]]
    if wrong:
        found = ", ".join(f"{name}={started[name]}" for name in wrong)
        wish = ", ".join(f"{name}={asked[name]}" for name in wrong)
        raise ApparelError(f"the run to resume was started with {found}, not {wish}: leave these options away")
