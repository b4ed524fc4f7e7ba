"""The training pictures, read, checked and split."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError
from flambeau.apparel.reading import fingerprint, read_pictures
from flambeau.apparel.tables import read_table

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@dataclass(frozen=True)
class Labelled:
    """Pictures (N, 28, 28) of bytes and their labels (N,) as int64; `mark` changes whenever the files do."""

    ids: list[int]
    images: np.ndarray
    labels: np.ndarray
    mark: str

    def __len__(self) -> int:
        return len(self.ids)


def read_train(data: Path, console: Console, limit: int | None = None) -> Labelled:
    """Read ``train.csv`` and the pictures it names (the first `limit` of its rows)."""
    table = read_table(data / "train.csv", labelled=True)
    images = read_pictures(table, data / "train", console)
    mark = fingerprint(table, data / "train")
    labels = np.array(table.labels, np.int64)
    digest = hashlib.sha256(f"{mark} {limit}".encode() + labels.tobytes())
    chosen = slice(None, limit)
    return Labelled(table.ids[chosen], images[chosen], labels[chosen], digest.hexdigest())


def split(count: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices for training and for validation, both shuffled.

    The same split as scikit-learn's ``train_test_split(test_size=validation, random_state=seed)``: one permutation of
    the legacy NumPy generator, of which the first ``ceil(validation * count)`` are held out.

    Example::

        >>> train, held_out = split(10, 0.2, seed=0)
        >>> held_out.tolist(), len(train)
        ([2, 8], 8)
    """
    held_out = math.ceil(validation * count)
    if not 0 < held_out < count:
        raise ApparelError(f"{count} pictures cannot be split with {validation:.0%} held out")
    order = np.random.RandomState(seed).permutation(count)
    return order[held_out:], order[:held_out]
