"""Layers whose weights are kept in 8 or 16 bits, while inputs are quantized as they come; and observing while training.

The names with `fbgemm` are PyTorch's, after the library it uses. "Packed" weights are the weights here.
"""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops.contract import matmul
from flambeau._ops.convert import cast
from flambeau._ops.fake_quantize import fake_quantize_per_channel_affine, fake_quantize_per_tensor_affine
from flambeau._ops.registry import composite


def scale_and_zero_point(low: float, high: float, least: int, most: int, symmetric: bool = False) -> tuple[float, int]:
    """The scale and the integer that stands for zero, so that `low` to `high` become `least` to `most`."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric and low < 0 < high:
        half = (most - least) // 2
        widest = max(low / -(half + 1), high / half)
        low, high = -widest * (half + 1), widest * half
    scale = (high - low) / (most - least)
    if scale == 0 or 1 / scale == float("inf"):
        scale = 0.1
    from_low, from_high = least - low / scale, most - high / scale
    better = from_low if abs(least) + abs(low / scale) < abs(most) + abs(high / scale) else from_high
    if symmetric and low < 0 < high:
        better = (least + most) / 2
    return scale, int(min(max(round(better), least), most))


def _rounded(x: Any, scale: float, zero: int, least: int, most: int) -> Any:
    return (x * (1 / scale) + zero).round().clamp(least, most)


@composite(method=False)
def fbgemm_linear_quantize_weight(input: Any) -> tuple[Any, Any, float, int]:
    """A weight (N, K) in int8: the integers, what each row adds up to less K times the zero point, the scale, and the
    zero point.

    Example::

        >>> import flambeau as torch
        >>> torch.fbgemm_linear_quantize_weight(torch.tensor([[-1., 1.5]]))[0]
        tensor([[-128,  127]], dtype=torch.int8)
    """
    wide = cast(input, dtypes.float32)
    scale, zero = scale_and_zero_point(wide.min().item(), wide.max().item(), -128, 127)
    whole = cast(_rounded(wide, scale, zero, -128, 127), dtypes.int8)
    sums = cast(cast(whole, dtypes.int32).sum(1) - zero * input.shape[1], dtypes.int32)
    return whole, sums, scale, zero


@composite(method=False)
def fbgemm_pack_quantized_matrix(input: Any, K: int | None = None, N: int | None = None) -> Any:  # noqa: N803
    """An int8 weight as `fbgemm_linear_int8_weight` takes it.

    Example::

        >>> import flambeau as torch
        >>> torch.fbgemm_pack_quantized_matrix(torch.tensor([[1]], dtype=torch.int8))
        tensor([[1]], dtype=torch.int8)
    """
    if input.dtype is not dtypes.int8:
        raise RuntimeError(f"fbgemm_pack_quantized_matrix expects a weight of int8, got {input.dtype}")
    return input


@composite(method=False)
def fbgemm_linear_int8_weight_fp32_activation(
    input: Any, weight: Any, packed: Any, col_offsets: Any, weight_scale: float, weight_zero_point: int, bias: Any
) -> Any:
    """`input @ weight.T + bias`, where `input` (M, K) is rounded to 8 bits between its least and its largest element,
    and the weight is as `fbgemm_linear_quantize_weight` gave it.

    Example::

        >>> import flambeau as torch
        >>> whole, sums, scale, zero = torch.fbgemm_linear_quantize_weight(torch.tensor([[-1., 1.5]]))
        >>> x, bias = torch.tensor([[0., 255.]]), torch.zeros(1)
        >>> torch.fbgemm_linear_int8_weight_fp32_activation(x, whole, whole, sums, scale, zero, bias)
        tensor([[382.5000]])
    """
    return _linear(input, weight, bias, weight_scale, weight_zero_point)


def _linear(input: Any, weight: Any, bias: Any, weight_scale: float, weight_zero_point: int) -> Any:
    scale, zero = scale_and_zero_point(input.min().item(), input.max().item(), 0, 255)
    whole = cast(_rounded(input, scale, zero, 0, 255), dtypes.float64) - zero
    product = matmul(whole, (cast(weight, dtypes.float64) - weight_zero_point).t())
    return cast(product * (scale * weight_scale), dtypes.float32) + bias


@composite(method=False)
def fbgemm_linear_int8_weight(
    input: Any, weight: Any, packed: Any, col_offsets: Any, weight_scale: float, weight_zero_point: int, bias: Any
) -> Any:
    """`fbgemm_linear_int8_weight_fp32_activation`, under its older name."""
    return fbgemm_linear_int8_weight_fp32_activation(
        input, weight, packed, col_offsets, weight_scale, weight_zero_point, bias
    )


@composite(method=False)
def fbgemm_pack_gemm_matrix_fp16(input: Any) -> Any:
    """A weight in float16.

    Example::

        >>> import flambeau as torch
        >>> torch.fbgemm_pack_gemm_matrix_fp16(torch.ones(1, 2))
        tensor([[1., 1.]], dtype=torch.float16)
    """
    return cast(input, dtypes.float16)


@composite(method=False)
def fbgemm_linear_fp16_weight_fp32_activation(input: Any, packed_weight: Any, bias: Any) -> Any:
    """`input @ weight.T + bias` with a weight in float16, computed in float32.

    Example::

        >>> import flambeau as torch
        >>> w = torch.fbgemm_pack_gemm_matrix_fp16(torch.ones(1, 2))
        >>> torch.fbgemm_linear_fp16_weight_fp32_activation(torch.ones(1, 2), w, torch.ones(1))
        tensor([[3.]])
    """
    return matmul(input, cast(packed_weight, dtypes.float32).t()) + bias


@composite(method=False)
def fbgemm_linear_fp16_weight(input: Any, packed_weight: Any, bias: Any) -> Any:
    """`fbgemm_linear_fp16_weight_fp32_activation`, under its older name."""
    return fbgemm_linear_fp16_weight_fp32_activation(input, packed_weight, bias)


# ---------------------------------------------------------------------------------------------- recurrent layers


def _gates(input: Any, h: Any, of_input: tuple[Any, ...], of_state: tuple[Any, ...]) -> tuple[Any, Any]:
    """What input and hidden state give through their weights, each with its bias, scale and zero point."""
    return _linear(input, *of_input), _linear(h, *of_state)


@composite(method=False)
def quantized_lstm_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, packed_ih: Any, packed_hh: Any,
    col_offsets_ih: Any, col_offsets_hh: Any, scale_ih: Any, scale_hh: Any, zero_point_ih: Any, zero_point_hh: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """`lstm_cell` with weights that `fbgemm_linear_quantize_weight` gave; the next (hidden, cell)."""
    h, c = hx
    weights = (w_ih, b_ih, scale_ih, zero_point_ih), (w_hh, b_hh, scale_hh, zero_point_hh)
    of_input, of_state = _gates(input, h, *weights)
    i, f, g, o = (of_input + of_state).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@composite(method=False)
def quantized_gru_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, packed_ih: Any, packed_hh: Any,
    col_offsets_ih: Any, col_offsets_hh: Any, scale_ih: Any, scale_hh: Any, zero_point_ih: Any, zero_point_hh: Any,
) -> Any:  # fmt: skip
    """`gru_cell` with weights that `fbgemm_linear_quantize_weight` gave; the next hidden state."""
    weights = (w_ih, b_ih, scale_ih, zero_point_ih), (w_hh, b_hh, scale_hh, zero_point_hh)
    of_input, of_state = _gates(input, hx, *weights)
    (ri, zi, ni), (rh, zh, nh) = of_input.chunk(3, 1), of_state.chunk(3, 1)
    new = (ni + (ri + rh).sigmoid() * nh).tanh()
    return new + (zi + zh).sigmoid() * (hx - new)


@composite(method=False)
def quantized_rnn_tanh_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, packed_ih: Any, packed_hh: Any,
    col_offsets_ih: Any, col_offsets_hh: Any, scale_ih: Any, scale_hh: Any, zero_point_ih: Any, zero_point_hh: Any,
) -> Any:  # fmt: skip
    """`rnn_tanh_cell` with weights that `fbgemm_linear_quantize_weight` gave; the next hidden state."""
    weights = (w_ih, b_ih, scale_ih, zero_point_ih), (w_hh, b_hh, scale_hh, zero_point_hh)
    of_input, of_state = _gates(input, hx, *weights)
    return (of_input + of_state).tanh()


@composite(method=False)
def quantized_rnn_relu_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, packed_ih: Any, packed_hh: Any,
    col_offsets_ih: Any, col_offsets_hh: Any, scale_ih: Any, scale_hh: Any, zero_point_ih: Any, zero_point_hh: Any,
) -> Any:  # fmt: skip
    """`rnn_relu_cell` with weights that `fbgemm_linear_quantize_weight` gave; the next hidden state."""
    weights = (w_ih, b_ih, scale_ih, zero_point_ih), (w_hh, b_hh, scale_hh, zero_point_hh)
    of_input, of_state = _gates(input, hx, *weights)
    return (of_input + of_state).clamp(min=0)


# ---------------------------------------------------------------------------------------------- while training


@composite(method=False)
def fused_moving_avg_obs_fake_quant(
    input: Any, observer_on: Any, fake_quant_on: Any, running_min: Any, running_max: Any, scale: Any, zero_point: Any,
    averaging_const: float, quant_min: int, quant_max: int, ch_axis: int, per_row_fake_quant: bool = False,
    symmetric_quant: bool = False,
) -> Any:  # fmt: skip
    """`input` rounded as quantizing would, with the scales of what has been seen so far.

    With `observer_on`, a tensor of one element, the running least and largest elements are moved towards those of
    `input` by `averaging_const` (the first ones are taken as they are, where infinities stand), and `scale` and
    `zero_point` follow, all in place; with `per_row_fake_quant` each slice along `ch_axis` has its own. With
    `fake_quant_on` the result is rounded by them. Gradients flow as through `fake_quantize_per_tensor_affine`.

    Example::

        >>> import flambeau as torch
        >>> on, low, high = torch.ones(1), torch.tensor([float("inf")]), torch.tensor([-float("inf")])
        >>> scale, zero = torch.ones(1), torch.zeros(1, dtype=torch.int32)
        >>> x = torch.tensor([0.1, 1.5])
        >>> torch.fused_moving_avg_obs_fake_quant(x, on, on, low, high, scale, zero, 0.01, 0, 15, 0), scale
        (tensor([0.1000, 1.5000]), tensor([0.1000]))
    """
    if observer_on.item():
        _observe(input.detach(), running_min, running_max, averaging_const, ch_axis if per_row_fake_quant else None)
        found = [
            scale_and_zero_point(low, high, quant_min, quant_max, symmetric_quant)
            for low, high in zip(running_min.flatten().tolist(), running_max.flatten().tolist(), strict=True)
        ]
        for target, values in zip((scale, zero_point), zip(*found, strict=True), strict=True):
            for place, value in enumerate(values):
                target.view(-1)[place] = value
    if not fake_quant_on.item():
        return input
    if per_row_fake_quant:
        return fake_quantize_per_channel_affine(input, scale, zero_point, ch_axis, quant_min, quant_max)
    return fake_quantize_per_tensor_affine(input, scale, zero_point, quant_min, quant_max)


def _observe(x: Any, running_min: Any, running_max: Any, share: float, axis: int | None) -> None:
    dims = [d for d in range(x.dim()) if axis is None or d != axis % x.dim()]
    for running, seen in ((running_min, x.amin(dims)), (running_max, x.amax(dims))):
        moved = running + (seen.reshape(running.shape) - running) * share
        running.copy_(seen.reshape(running.shape).where(running.isinf(), moved))
