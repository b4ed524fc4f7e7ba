"""The ten kinds of garment, in the order of their labels, and the shape of a picture."""

from __future__ import annotations

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28  #: pictures are SIDE x SIDE, one byte a pixel, 0 is the background
FIRST_TRAIN_ID = 1
FIRST_TEST_ID = 60_001
