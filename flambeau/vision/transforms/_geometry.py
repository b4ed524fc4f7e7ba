"""Sizes and affine maps, the same for Pillow's images and tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

Matrix = tuple[float, float, float, float, float, float]  # x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]


def resized(height: int, width: int, size: int | Sequence[int] | None, max_size: int | None) -> tuple[int, int]:
    """(height, width) after resizing: a pair as it is, one number for the shorter side, `max_size` for the longer."""
    if not isinstance(size, int) and size is not None and len(size) == 2:
        if max_size is not None:
            raise ValueError("max_size should only be passed if size is None or the length of the smaller edge")
        return int(size[0]), int(size[1])
    short, long = min(height, width), max(height, width)
    if size is None:
        if max_size is None:
            raise ValueError("max_size must be an integer when size is None")
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short = size if isinstance(size, int) else int(size[0])
        new_long = int(new_short * long / short)
    if max_size is not None and size is not None:
        if max_size <= new_short:
            raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size {new_short}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if height <= width else (new_long, new_short)


def inverse_affine(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> Matrix:
    """Where each point of the result comes from. Points are first sheared, then scaled, rotated by `angle` degrees
    clockwise about `center`, and moved."""
    turn, sx, sy = math.radians(angle), math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    cos, sin = math.cos(turn) * scale, math.sin(turn) * scale
    # rotation [[cos, -sin], [sin, cos]] times the shears [[1, 0], [-sy, 1]] and [[1, -sx], [0, 1]]
    a, c = cos + sin * sy, sin - cos * sy
    b, d = -sx * a - sin, -sx * c + cos
    determinant = a * d - b * c
    m = (d / determinant, -b / determinant, -c / determinant, a / determinant)
    x, y = center[0] + translate[0], center[1] + translate[1]
    return m[0], m[1], center[0] - m[0] * x - m[1] * y, m[2], m[3], center[1] - m[2] * x - m[3] * y


def rotated(height: int, width: int, matrix: Matrix) -> tuple[int, int]:
    """(height, width) of a picture that shows all of the rotated one; `matrix` is about the picture's middle."""
    corners = [(sx * width / 2, sy * height / 2) for sx in (-1, 1) for sy in (-1, 1)]
    sides = []
    for p, q, r in (matrix[3:6], matrix[0:3]):
        places = [math.trunc((p * x + q * y + r) * 1e4) / 1e4 for x, y in corners]
        sides.append(math.ceil(max(places)) - math.floor(min(places)))
    return sides[0], sides[1]


def four(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of one number for all, two for the sides and for top and bottom, or four."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if len(padding) == 1:
        return padding[0], padding[0], padding[0], padding[0]
    if len(padding) == 2:
        return padding[0], padding[1], padding[0], padding[1]
    if len(padding) == 4:
        return padding[0], padding[1], padding[2], padding[3]
    raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
