"""The data set as files, the way the guide's competition hands it out.

::

    train.csv               id,label      60,000 rows, ids from 1
    train/<id>.png          28x28 grey
    test.csv                id            10,000 rows, ids from 60001
    test/<id>.png
    sample_submission.csv   id,label      the form to fill in; every label is 0
    test_labels.csv         id,label      the answers, which a competition would keep: only `report` reads them
    dataset.json            where the pictures come from
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import FIRST_TEST_ID, FIRST_TRAIN_ID
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError
from flambeau.apparel.extras import require
from flambeau.apparel.files import whole_folder, write_text
from flambeau.apparel.sources import Pictures, find_pictures

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

DESCRIPTION = "dataset.json"
CHUNK = 500  # pictures a thread writes at a time
MINIMUM = 60  # fewer training pictures than this cannot be split and tested sensibly


def prepare(
    data: str | Path = "data/apparel",
    *,
    source: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    force: bool = False,
    quiet: bool = False,
) -> Path:
    """Write the data set in the guide's layout.

    Args:
        data: folder to write; it appears complete or not at all.
        source: folder with the four IDX files of Fashion-MNIST (or another set of the same shape). Without it the
            first of these is taken: the folder in FLAMBEAU_DATA, Debian's package, a download, drawings.
        limit: keep only so many training pictures and a sixth as many test pictures.
        seed: seed of the drawings, should it come to that.
        force: replace a data set that was prepared with other options.
        quiet: print nothing.

    Returns:
        The folder.

    Raises:
        ApparelError: if the source or the folder cannot be used.
    """
    folder, console = Path(data), Console(quiet)
    if limit is not None and limit < MINIMUM:
        raise ApparelError(f"--limit {limit}: at least {MINIMUM} training pictures are needed")
    wanted = {"source": None if source is None else str(source), "limit": limit, "seed": seed}
    if _already_there(folder, wanted, force):
        console.say(f"{folder} is already prepared; nothing to do.")
        return folder
    pictures = find_pictures(source, _cache(folder), seed, limit, console)
    console.say(f"Pictures: {pictures.origin}.")
    with whole_folder(folder) as temporary:
        write_layout(temporary, pictures, console)
        about = {"asked": wanted, "origin": pictures.origin, "synthetic": pictures.synthetic}
        counts = {"train": len(pictures.train_labels), "test": len(pictures.test_labels)}
        write_text(temporary / DESCRIPTION, json.dumps({**about, **counts}, indent=2) + "\n")
    console.say(f"Wrote {counts['train']} training and {counts['test']} test pictures to {folder}.")
    return folder


def describe(folder: Path) -> dict[str, Any]:
    """What `prepare` noted about a data set; empty for a folder that came from elsewhere."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_layout(folder: Path, pictures: Pictures, console: Console) -> None:
    """Write the tables and the pictures into an empty folder."""
    train_ids = range(FIRST_TRAIN_ID, FIRST_TRAIN_ID + len(pictures.train_labels))
    test_ids = range(FIRST_TEST_ID, FIRST_TEST_ID + len(pictures.test_labels))
    write_table(folder / "train.csv", ("id", "label"), zip(train_ids, pictures.train_labels.tolist(), strict=True))
    write_table(folder / "test.csv", ("id",), ((i,) for i in test_ids))
    write_table(folder / "sample_submission.csv", ("id", "label"), ((i, 0) for i in test_ids))
    write_table(folder / "test_labels.csv", ("id", "label"), zip(test_ids, pictures.test_labels.tolist(), strict=True))
    _write_pictures(folder / "train", train_ids, pictures.train_images, console)
    _write_pictures(folder / "test", test_ids, pictures.test_images, console)


def write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[int, ...]]) -> None:
    """Write a CSV file of whole numbers, atomically."""
    lines = [",".join(header)]
    lines += [",".join(map(str, row)) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def _write_pictures(folder: Path, ids: range, images: np.ndarray, console: Console) -> None:
    folder.mkdir()
    fromarray = require("PIL.Image", "pillow").fromarray

    def write(start: int) -> int:
        part = images[start : start + CHUNK]
        for offset, image in enumerate(part):
            fromarray(np.ascontiguousarray(image)).save(folder / f"{ids[start + offset]}.png", compress_level=6)
        return len(part)

    starts = range(0, len(images), CHUNK)
    with ThreadPoolExecutor() as pool, console.bar(len(images), f"writing {folder.name}/") as bar:
        for count in pool.map(write, starts):
            bar.update(count)


def _already_there(folder: Path, wanted: dict[str, Any], force: bool) -> bool:
    """Whether the very data set wanted stands in `folder`; refuses to replace what it did not write."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise ApparelError(f"{folder} is a file; give --data a folder that can be made")
    if not any(folder.iterdir()):
        return False
    about = describe(folder)
    if not about:
        raise ApparelError(f"{folder} holds other files and was not prepared here: choose another folder with --data")
    if force:
        return False
    if about.get("asked") != wanted:
        found = about.get("asked")
        raise ApparelError(f"{folder} was prepared with other options ({found}): add --force to replace it")
    return True


def _cache(folder: Path) -> Path:
    return folder.parent / "fashion-mnist"
