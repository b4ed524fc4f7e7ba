"""Reading the pictures of a table, in threads, with a cache that notices changes."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import SIDE
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.extras import require
from flambeau.apparel.files import whole_file
from flambeau.apparel.tables import Table

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

CHUNK = 500  # pictures a thread reads at a time
GREY = ("L", "1", "LA", "P", "RGB", "RGBA")  # modes of Pillow that convert to 8-bit grey without loss of range


def read_pictures(table: Table, folder: Path, console: Console) -> np.ndarray:
    """Read ``folder/<id>.png`` for every id of `table`, in its order.

    The result is kept beside the folder as ``<folder>.cache.npz`` with a fingerprint of the ids and of every file's
    size and time of change; as long as these are the same, the pictures are taken from there. Where the folder cannot
    be written to there is simply no cache.

    Returns:
        uint8 pictures (N, 28, 28).

    Raises:
        DataError: if a picture is missing, broken or of another size; the message names it and its row in the table.
    """
    mark = fingerprint(table, folder)
    cache = folder.with_name(folder.name + ".cache.npz")
    images = _cached(cache, mark)
    if images is not None:
        console.say(f"{len(images)} pictures of {folder.name}/ taken from {cache.name}")
        return images
    images = _read_all(table, folder, console)
    try:
        with whole_file(cache) as file:
            np.savez(file, images=images, mark=np.array(mark))
    except (OSError, ApparelError):
        console.say(f"(no room for a cache beside {folder}; the pictures will be read again next time)")
    return images


def fingerprint(table: Table, folder: Path) -> str:
    """A digest of the ids and of the size and time of change of every picture they name."""
    if not folder.is_dir():
        raise ApparelError(f"there is no folder {folder}: run `flambeau apparel prepare`, or point --data elsewhere")
    stats = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat()
            stats[entry.name] = (status.st_size, status.st_mtime_ns)
    digest = hashlib.sha256()
    for identity, row in zip(table.ids, table.rows, strict=True):
        name = f"{identity}.png"
        if name not in stats:
            raise DataError(folder / name, f"the picture is missing; {table.path.name} names it in row {row}")
        digest.update(f"{identity} {stats[name]}\n".encode())
    return digest.hexdigest()


def _cached(cache: Path, mark: str) -> np.ndarray | None:
    try:
        with np.load(cache, allow_pickle=False) as content:
            return content["images"] if str(content["mark"]) == mark else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or not a cache: read the pictures


def _read_all(table: Table, folder: Path, console: Console) -> np.ndarray:
    count = len(table.ids)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    read = _reader(table, folder)

    def read_chunk(start: int) -> int:
        stop = min(start + CHUNK, count)
        for i in range(start, stop):
            images[i] = read(i)
        return stop - start

    console.say(f"Reading {count} pictures from {folder} ...")
    with ThreadPoolExecutor() as pool, console.bar(count, f"reading {folder.name}/") as bar:
        try:
            for done in pool.map(read_chunk, range(0, count, CHUNK)):
                bar.update(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return images


def _reader(table: Table, folder: Path) -> Callable[[int], np.ndarray]:
    """A function that reads the picture of the i-th entry."""
    open_image = require("PIL.Image", "pillow").open

    def read(i: int) -> np.ndarray:
        path = folder / f"{table.ids[i]}.png"
        where = f"({table.path.name}, row {table.rows[i]})"
        try:
            with open_image(path, formats=("PNG",)) as image:
                if image.size != (SIDE, SIDE):
                    width, height = image.size
                    raise DataError(path, f"is {width}x{height} pixels, expected {SIDE}x{SIDE} {where}")
                if image.mode not in GREY:
                    raise DataError(path, f"has the pixel format {image.mode}, expected 8-bit grey {where}")
                return np.asarray(image if image.mode == "L" else image.convert("L"))
        except FileNotFoundError as error:
            raise DataError(path, f"the picture is missing {where}") from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for broken files
            raise DataError(path, f"is not a readable PNG picture {where}") from error

    return read
