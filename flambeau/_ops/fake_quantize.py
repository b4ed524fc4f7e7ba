"""Rounding to the numbers that few bits could hold, while staying in floating point (quantization-aware training).

The gradient goes straight through the rounding, and stops at what was clamped (Y. Bengio, N. Léonard, A. Courville,
2013).
"""

from __future__ import annotations

from typing import Any

from flambeau._ops import _expand
from flambeau._ops.registry import composite, library


@library(
    expand=_expand.insensitive,
    method=False,
    function=False,
    node_name="FakeQuantizePerTensorAffineCachemaskBackward0",
    infer=lambda value, source, inside: value,
    gradient={"source": lambda g, inside: g * inside},
)
def straight_through(value: Any, source: Any, inside: Any) -> Any:
    """`value`, with the gradient for `source` that `source` itself would have, where `inside` holds."""
    return value


def along(numbers: Any, input: Any, axis: int) -> Any:
    """One number for each slice along `axis`, as a factor or term of the input's elements."""
    sides = [1] * input.dim()
    sides[axis] = -1
    return numbers.view(*sides)


def _quantized(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> Any:
    if quant_min > quant_max:
        raise RuntimeError(f"`quant_min` should be less than or equal to `quant_max`, got {quant_min} and {quant_max}")
    source = input.detach()
    whole = (source * (1 / scale) + zero_point).round()
    value = (whole.clamp(quant_min, quant_max) - zero_point) * scale
    inside = (whole >= quant_min) & (whole <= quant_max)
    return straight_through(value.to(input.dtype), input, inside)


@composite(method=False)
def fake_quantize_per_tensor_affine(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> Any:
    """`input` rounded to `(q - zero_point) * scale` with a whole q from `quant_min` to `quant_max`.

    `scale` and `zero_point` are numbers or tensors of one element. RuntimeError if `quant_min` is larger than
    `quant_max`.

    Example::

        >>> import flambeau as torch
        >>> torch.fake_quantize_per_tensor_affine(torch.tensor([0.13, 9.]), 0.1, 0, 0, 15)
        tensor([0.1000, 1.5000])
    """
    scale = scale if isinstance(scale, float | int) else scale.item()
    zero_point = zero_point if isinstance(zero_point, int) else zero_point.item()
    one = input.new_tensor(scale)
    return _quantized(input, one, int(zero_point), quant_min, quant_max)


@composite(method=False)
def fake_quantize_per_channel_affine(
    input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Any:
    """`input` rounded as by `fake_quantize_per_tensor_affine`, each slice along `axis` with its own scale and zero
    point (tensors of one dimension). RuntimeError if their lengths differ from the number of slices.

    Example::

        >>> import flambeau as torch
        >>> x, scale, zero = torch.tensor([[0.13], [0.13]]), torch.tensor([0.1, 1.]), torch.zeros(2, dtype=torch.int32)
        >>> torch.fake_quantize_per_channel_affine(x, scale, zero, 0, 0, 15)
        tensor([[0.1000],
                [0.0000]])
    """
    if scale.dim() != 1 or scale.shape != zero_point.shape or scale.shape[0] != input.shape[axis]:
        raise RuntimeError(
            f"expected one scale and zero point for each of {input.shape[axis]} slices, got shapes "
            f"{tuple(scale.shape)} and {tuple(zero_point.shape)}"
        )
    scales, zero_points = along(scale, input, axis), along(zero_point, input, axis)
    return _quantized(input, scales, zero_points, quant_min, quant_max)
