"""Encoded pictures that may be damaged, or made to do harm, as images of Pillow's."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.vision.transforms._pictures import pillow

MOST_PIXELS_A_BYTE = 10_000  # deflate makes at most 1,032 bytes of one, with 8 pixels each


def decoded(data: bytes, source: str, finish: Callable[[Any], Any], formats: Sequence[str] | None = None) -> Any:
    """What `finish` makes of Pillow's image in `data`, of one of the `formats`, or of any. It should read all of the
    pixels: that is when damage shows.

    Raises:
        OSError: if it is damaged or no picture; names the `source`.
    """
    try:
        picture = pillow("Image").open(io.BytesIO(data), formats=formats)
        if picture.width * picture.height > len(data) * MOST_PIXELS_A_BYTE:
            raise OSError(f"{picture.width} x {picture.height} pixels cannot be in {len(data)} bytes")
        return finish(picture)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever Pillow's parsers meet
        raise OSError(f"{source} is no picture that can be read: {error}") from error
