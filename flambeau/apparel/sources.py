"""Where the pictures come from: a folder of IDX files, a download, or the drawing board."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError, DataError
from flambeau.apparel.files import whole_folder
from flambeau.apparel.idx import read_pair
from flambeau.apparel.synthetic import draw_garments

if TYPE_CHECKING:
    import urllib.request as urllib_request

    import numpy as np
else:
    urllib_request = lazy_module("urllib.request")

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

#: The official files and their SHA-256.
OFFICIAL_FILES = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
#: The official addresses, tried in this order.
ADDRESSES = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer
SYNTHETIC_COUNTS = (60_000, 10_000)  # as many pictures as the real set has


@dataclass(frozen=True)
class Pictures:
    """A data set in memory: uint8 pictures (N, 28, 28) with labels (N,), for training and for the test."""

    origin: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    synthetic: bool = False

    def limited(self, limit: int | None) -> Pictures:
        """The first `limit` training pictures and a sixth as many test pictures, the proportion of the whole set."""
        if limit is None:
            return self
        tests = max(1, limit // 6)
        return Pictures(
            self.origin,
            self.train_images[:limit],
            self.train_labels[:limit],
            self.test_images[:tests],
            self.test_labels[:tests],
            self.synthetic,
        )


def find_pictures(
    source: str | Path | None,
    cache: str | Path,
    seed: int = 0,
    limit: int | None = None,
    console: Console | None = None,
) -> Pictures:
    """Get the pictures from the first source there is.

    The order: `source`; the folder that the variable FLAMBEAU_DATA names; the folder of Debian's package
    dataset-fashion-mnist; a download into `cache` (checked by SHA-256); ten kinds of garment drawn by the program
    itself, which is announced.

    Raises:
        ApparelError: if a folder that the user named does not hold the four files.
        DataError: if a file is not what it should be.
    """
    console, cache = console or Console(quiet=True), Path(cache)
    if source is not None:
        return _from_folder(Path(source), f"the folder {source}", limit)
    if config.data_dir is not None:
        return _from_folder(Path(config.data_dir), f"FLAMBEAU_DATA={config.data_dir}", limit)
    if _locate(DEBIAN_FOLDER) is not None:
        return _from_folder(DEBIAN_FOLDER, f"Debian's package dataset-fashion-mnist ({DEBIAN_FOLDER})", limit)
    if _locate(cache) is not None:
        return _from_folder(cache, f"an earlier download ({cache})", limit)
    try:
        download(cache, console)
        return _from_folder(cache, f"a download from {ADDRESSES[0]}", limit)
    except OSError as error:
        console.say(f"Fashion-MNIST is not on this computer and could not be downloaded ({error}).")
    console.say("NOTE: drawing a SYNTHETIC data set instead. Everything works the same, but the pictures are")
    console.say("      simple and accuracies on them say nothing about Fashion-MNIST. For the real set: --source.")
    return synthetic_pictures(seed, limit, console)


def synthetic_pictures(seed: int, limit: int | None = None, console: Console | None = None) -> Pictures:
    """The drawn data set; `limit` counts training pictures."""
    trains, tests = SYNTHETIC_COUNTS
    if limit is not None:
        trains, tests = min(trains, limit), max(1, min(trains, limit) // 6)
    images, labels = draw_garments(trains + tests, seed, console)
    origin = f"drawn by the program with seed {seed}"
    return Pictures(origin, images[:trains], labels[:trains], images[trains:], labels[trains:], synthetic=True)


def download(folder: Path, console: Console) -> None:
    """Fetch the four official files into `folder`, all of them or none.

    Raises:
        OSError: if no address answers, or what came is not the published file.
    """
    with whole_folder(folder) as temporary:
        for name, digest in OFFICIAL_FILES.items():
            (temporary / name).write_bytes(_fetch(name, digest, console))


def _fetch(name: str, digest: str, console: Console) -> bytes:
    problem = OSError(f"no address for {name}")
    for address in ADDRESSES:
        try:
            data = _read_address(address + name, console)
        except (OSError, ValueError) as error:  # ValueError: malformed answers
            problem = OSError(f"{address}: {error}")
            continue
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        problem = OSError(f"{address}{name} has another SHA-256 than the published file")
    raise problem


def _read_address(address: str, console: Console) -> bytes:
    with urllib_request.urlopen(address, timeout=DOWNLOAD_TIMEOUT) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        parts = []
        with console.bar(total, f"downloading {address.rsplit('/', 1)[-1]}", "B") as bar:
            while part := answer.read(1 << 16):
                parts.append(part)
                bar.update(len(part))
    return b"".join(parts)


def _from_folder(folder: Path, origin: str, limit: int | None) -> Pictures:
    if not folder.is_dir():
        raise ApparelError(f"{origin}: there is no such folder")
    files = _locate(folder)
    if files is None:
        wanted = ", ".join(OFFICIAL_FILES)
        raise ApparelError(f"{origin} lacks the IDX files: expected {wanted} (or without .gz)")
    train = read_pair(files[0], files[1])
    test = read_pair(files[2], files[3])
    if not len(train[0]) or not len(test[0]):
        raise DataError(folder, "the set is empty")
    return Pictures(origin, *train, *test).limited(limit)


def _locate(folder: Path) -> list[Path] | None:
    """The four files in the order of OFFICIAL_FILES, each gzipped or plain, or None if one is missing."""
    found = []
    for name in OFFICIAL_FILES:
        choices = [folder / name, folder / name.removesuffix(".gz")]
        present = [path for path in choices if path.is_file()]
        if not present:
            return None
        found.append(present[0])
    return found
