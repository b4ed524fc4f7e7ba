"""Names for the size arguments of layers, for annotations: one number for all dimensions, or a tuple of one each."""

from __future__ import annotations

from typing import TypeAlias

size_1: TypeAlias = int | tuple[int]
size_2: TypeAlias = int | tuple[int, int]
size_3: TypeAlias = int | tuple[int, int, int]
size_4: TypeAlias = int | tuple[int, int, int, int]
size_6: TypeAlias = int | tuple[int, int, int, int, int, int]
size_any: TypeAlias = int | tuple[int, ...]
ratio_2: TypeAlias = float | tuple[float, float]
ratio_3: TypeAlias = float | tuple[float, float, float]
ratio_any: TypeAlias = float | tuple[float, ...]
optional_size_any: TypeAlias = int | None | tuple[int | None, ...]

# PyTorch's names, which programs import.
_size_1_t, _size_2_t, _size_3_t, _size_4_t, _size_6_t = size_1, size_2, size_3, size_4, size_6
_size_any_t, _size_any_opt_t = size_any, optional_size_any
_ratio_2_t, _ratio_3_t, _ratio_any_t = ratio_2, ratio_3, ratio_any
_maybe_indices_t = object
