"""How good a list of predictions is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import CLASSES

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@dataclass(frozen=True)
class ClassScore:
    """One row of the table: of the pictures called so, how many are (precision); of those that are, how many are
    called so (recall); the harmonic mean of the two (F1)."""

    name: str
    precision: float
    recall: float
    f1: float
    pictures: int


def confusion(truth: Sequence[int], guesses: Sequence[int]) -> np.ndarray:
    """Counts (10, 10): row is the true kind, column the predicted one.

    Example::

        >>> confusion([0, 0, 1], [0, 1, 1])[:2, :2].tolist()
        [[1, 1], [0, 1]]
    """
    size = len(CLASSES)
    pairs = np.asarray(truth, int) * size + np.asarray(guesses, int)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def accuracy(matrix: np.ndarray) -> float:
    """The share of the diagonal."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def class_scores(matrix: np.ndarray) -> list[ClassScore]:
    """Precision, recall and F1 of each kind; 0 where a share of nothing is asked for."""
    scores = []
    for i, name in enumerate(CLASSES):
        right, called, there = int(matrix[i, i]), int(matrix[:, i].sum()), int(matrix[i].sum())
        f1 = 2 * right / (called + there) if called + there else 0.0
        scores.append(ClassScore(name, right / called if called else 0.0, right / there if there else 0.0, f1, there))
    return scores
