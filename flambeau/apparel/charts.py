"""The charts, as PNG bytes. Drawn with matplotlib's Agg canvas alone: no window, no global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from flambeau.apparel.classes import CLASSES
from flambeau.apparel.extras import require

if TYPE_CHECKING:
    import numpy as np

DPI = 110
INK, FLAME, EMBER = "#33312e", "#d9480f", "#1864ab"


def draw_curves(history: list[dict[str, float]]) -> bytes:
    """Losses and accuracies over the epochs, for the pictures learned from and those held out."""
    figure = _figure(9.0, 3.6)
    epochs = range(1, len(history) + 1)
    for place, what in ((1, "loss"), (2, "accuracy")):
        axes = figure.add_subplot(1, 2, place)
        for part, colour in (("train", FLAME), ("validation", EMBER)):
            values = [entry[f"{part}_{what}"] for entry in history]
            axes.plot(epochs, values, marker="o", markersize=3, color=colour, label=part)
        axes.set_xlabel("epoch")
        axes.set_title(what, color=INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def draw_confusion(matrix: np.ndarray) -> bytes:
    """The confusion matrix; the shade is the share of the row, the number the count."""
    figure = _figure(6.4, 5.8)
    axes = figure.add_subplot()
    shares = matrix / matrix.sum(1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1)
    places = range(len(CLASSES))
    axes.set_xticks(places, CLASSES, rotation=45, ha="right")
    axes.set_yticks(places, CLASSES)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row in places:
        for column in places:
            if matrix[row, column]:
                colour = "white" if shares[row, column] > 0.6 else INK
                axes.text(column, row, int(matrix[row, column]), ha="center", va="center", fontsize=8, color=colour)
    return _png(figure)


def draw_mistakes(pictures: np.ndarray, captions: list[str], columns: int = 6) -> bytes:
    """Pictures (N, 28, 28) with a line of text under each."""
    rows = -(-len(pictures) // columns)
    figure = _figure(1.5 * columns, 1.75 * rows)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=7, color=INK, y=-0.32)
        axes.set_axis_off()
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    figure = require("matplotlib.figure", "matplotlib").Figure(figsize=(width, height), layout="tight")
    require("matplotlib.backends.backend_agg", "matplotlib").FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
