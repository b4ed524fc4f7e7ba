"""One picture for the eyes: as a PNG file and as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flambeau._core.lazy import lazy_module
from flambeau.apparel.extras import require
from flambeau.apparel.files import whole_file

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

SHADES = " .:-=+*#%@"  # from dark to bright


def text_art(image: np.ndarray) -> str:
    """Draw bytes (H, W) with characters, two a pixel since characters are twice as high as wide.

    Example::

        >>> text_art(np.array([[0, 255], [128, 30]], np.uint8))
        '  @@\\n++..'
    """
    shades = np.array(list(SHADES))[image.astype(int) * len(SHADES) // 256]
    return "\n".join("".join(shade * 2 for shade in row).rstrip() for row in shades.tolist())


def save_picture(path: Path, image: np.ndarray, scale: int = 10) -> None:
    """Save bytes (H, W) as a PNG picture, `scale` times as large."""
    picture = require("PIL.Image", "pillow").fromarray(np.ascontiguousarray(image))
    with whole_file(path) as file:
        picture.resize((picture.width * scale, picture.height * scale), resample=0).save(file, "PNG")
