"""Ten kinds of garment drawn with polygons: the stand-in for Fashion-MNIST where there is no network.

Each outline is a polygon in a square of -1..1 (y points down). It is sheared, scaled, moved and turned a little, filled
with a random brightness, decorated, and blurred by drawing it four times as large. Bodies overlap between kinds (shirt,
coat, pullover and T-shirt differ in sleeves, collars and buttons only), so that a network has something to learn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.apparel.classes import CLASSES, SIDE
from flambeau.apparel.console import Console
from flambeau.apparel.extras import require

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Outline = list[tuple[float, float]]
OVERSAMPLING = 4  # drawn this much larger, then averaged: smooth edges
NOISE = 6.0  # standard deviation, in grey levels


def draw_garments(count: int, seed: int, console: Console | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` garments with random labels.

    Returns:
        uint8 pictures (count, 28, 28) and uint8 labels (count,); the same for the same seed.

    Example::

        >>> pictures, labels = draw_garments(3, seed=0)
        >>> pictures.shape, pictures.dtype.name
        ((3, 28, 28), 'uint8')
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count, dtype=np.uint8)
    pictures = np.empty((count, SIDE, SIDE), np.uint8)
    steps = (console or Console(quiet=True)).track(range(count), count, "drawing")
    for i in steps:
        pictures[i] = _draw(int(labels[i]), rng)
    return pictures, labels


def _draw(label: int, rng: np.random.Generator) -> np.ndarray:
    size = SIDE * OVERSAMPLING
    canvas = require("PIL.Image", "pillow").new("L", (size, size), 0)
    pen = require("PIL.ImageDraw", "pillow").Draw(canvas)
    bright = int(rng.integers(110, 240))
    place = _placement(rng, size)
    for outline in _outlines(label, rng):
        pen.polygon([place(*point) for point in outline], fill=bright)
    _decorate(pen, label, place, bright, rng)
    grid = np.asarray(canvas, np.float32).reshape(SIDE, OVERSAMPLING, SIDE, OVERSAMPLING).mean((1, 3))
    grid = np.where(grid > 0, grid + rng.normal(0, NOISE, grid.shape), grid)
    return np.clip(grid, 0, 255).astype(np.uint8)


def _placement(rng: np.random.Generator, size: int) -> Any:
    """A random affine map from the square of -1..1 to pixels of the canvas."""
    turn, shear = rng.normal(0, 0.05), rng.normal(0, 0.05)
    width, height = rng.uniform(0.38, 0.47, 2) * size
    left, top = size / 2 + rng.normal(0, 0.015, 2) * size
    cosine, sine = math.cos(turn), math.sin(turn)

    def place(x: float, y: float) -> tuple[float, float]:
        x = (x + shear * y) * width
        y = y * height
        return left + cosine * x - sine * y, top + sine * x + cosine * y

    return place


def _mirrored(half: Outline) -> Outline:
    """Close a right half, given from top to bottom, with its mirror image."""
    return half + [(-x, y) for x, y in reversed(half)]


def _outlines(label: int, rng: np.random.Generator) -> list[Outline]:
    """The filled shapes of a kind of garment, with proportions that vary."""
    a, b = rng.uniform(-0.06, 0.06, 2)
    name = CLASSES[label]
    if name == "T-shirt/top":
        return [_upper_body(0.55 + a, sleeve_end=-0.25 + b, hem=0.9)]
    if name == "Pullover":
        return [_upper_body(0.52 + a, sleeve_end=0.75 + b, hem=0.85)]
    if name == "Coat":
        return [_upper_body(0.5 + a, sleeve_end=0.7 + b, hem=1.0)]
    if name == "Shirt":
        return [_upper_body(0.52 + a, sleeve_end=0.3 + 4 * b, hem=0.95)]
    if name == "Trouser":
        leg = 0.12 + a
        return [_mirrored([(0.4, -1), (0.45 + b, 1), (leg, 1), (0.03, -0.45)])]
    if name == "Dress":
        return [_mirrored([(0.25, -1), (0.3 + a, -0.6), (0.2 + a, -0.2), (0.5 + 2 * b, 1)])]
    if name == "Bag":
        top = -0.25 + a
        handle = [(-0.5, top), (-0.35, -0.8 + b), (0.35, -0.8 + b), (0.5, top), (0.38, top), (0.25, -0.65 + b)]
        return [handle + [(-0.25, -0.65 + b), (-0.38, top)], [(-0.85, top), (0.85, top), (0.95, 0.8), (-0.95, 0.8)]]
    if name == "Sneaker":
        return [[(-0.95, 0.6), (-1, 0.25 + a), (-0.2, 0.1), (0.4, -0.3 + b), (0.9, -0.25 + b), (0.95, 0.6)]]
    if name == "Ankle boot":
        return [[(-0.95, 0.8), (-0.95, 0.4 + a), (-0.1, 0.1), (0.15, -0.9 + b), (0.85, -0.9 + b), (0.9, 0.8)]]
    sole = [(-1.0, 0.6), (-0.2, 0.5 + a), (0.8, 0.2 + b), (0.95, 0.7), (0.75, 0.7), (0.6, 0.45 + b), (-0.2, 0.7)]
    straps = [[(x, 0.45), (x + 0.25, -0.1 + a), (x + 0.37, -0.1 + a), (x + 0.14, 0.45)] for x in (-0.75, -0.2, 0.4)]
    return [sole, *straps]  # a sandal


def _upper_body(waist: float, sleeve_end: float, hem: float) -> Outline:
    """A top seen from the front; sleeves hang down to the height `sleeve_end`."""
    return _mirrored(
        [(0.18, -0.95), (0.55, -0.8), (0.98, sleeve_end), (0.72, sleeve_end + 0.05), (waist, -0.35), (waist, hem)]
    )


def _decorate(pen: Any, label: int, place: Any, bright: int, rng: np.random.Generator) -> None:
    """Buttons, collars, seams and stripes in a darker or lighter shade."""
    shade = max(20, bright - int(rng.integers(60, 100)))
    name = CLASSES[label]
    if name in ("Coat", "Shirt"):
        pen.line([place(0, -0.9), place(0, 0.9)], fill=shade, width=4 if name == "Coat" else 2)
    if name == "Shirt":
        pen.polygon([place(-0.2, -0.95), place(0.2, -0.95), place(0, -0.6)], fill=shade)
    if name == "T-shirt/top":
        pen.ellipse([*place(-0.2, -1.1), *place(0.2, -0.75)], fill=0)
    if name == "Sneaker":
        pen.line([place(-0.95, 0.5), place(0.95, 0.5)], fill=255, width=5)
    if name not in ("Trouser", "Sandal") and rng.random() < 0.25:
        height = rng.uniform(0.0, 0.4)
        pen.line([place(-0.45, height), place(0.45, height)], fill=shade, width=int(rng.integers(3, 9)))
