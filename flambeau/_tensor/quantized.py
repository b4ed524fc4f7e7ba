"""Quantized tensors: small integers with a scale and a zero point, which stand for `(integer - zero point) * scale`.

They are kept, looked at, sent through views and turned back; computed with are the numbers they stand for, after
`dequantize()`, but for a few functions of their own. There is no arithmetic on them in PyTorch either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes, formats
from flambeau._core.device import cpu, device
from flambeau._core.size import Size
from flambeau._ops import pool as pools
from flambeau._ops.fake_quantize import along
from flambeau._ops.operands import Operand
from flambeau._tensor import creation, interop, printing
from flambeau._tensor.tensor import Tensor


class QuantizedTensor(Tensor, Operand):
    """A quantized tensor; made by `quantize_per_tensor` and its like. Its dtype is `torch.qint8`, `quint8` or
    `qint32`."""

    is_quantized = True
    layout: Any = formats.strided
    requires_grad = False
    is_leaf = True
    grad = grad_fn = _node = _base = _base_node = None
    _index = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, whole: Any, dtype: dtypes.dtype, scale: Any, zero_point: Any, axis: int | None = None) -> None:
        self._whole = whole
        self._dtype = dtype
        self._scale = scale
        self._zero_point = zero_point
        self._axis = axis

    @property
    def dtype(self) -> dtypes.dtype:
        """`torch.qint8`, `quint8` or `qint32`."""
        return self._dtype

    @property
    def shape(self) -> Size:
        """The shape."""
        return self._whole.shape

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one of its sizes."""
        return self._whole.size() if dim is None else self._whole.size(dim)

    def stride(self, dim: int | None = None) -> Any:
        """The strides of the integers, or one of them."""
        return self._whole.stride() if dim is None else self._whole.stride(dim)

    def dim(self) -> int:
        """The number of dimensions."""
        return self._whole.dim()

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._whole.dim()

    def numel(self) -> int:
        """The number of elements."""
        return self._whole.numel()

    @property
    def device(self) -> device:
        """Where the integers live."""
        return cpu

    def is_floating_point(self) -> bool:
        """Is the dtype a floating-point one? No."""
        return False

    def is_complex(self) -> bool:
        """Is the dtype complex? No."""
        return False

    # ------------------------------------------------------------------------------------ what it is made of

    def int_repr(self) -> Any:
        """The integers: int8, uint8 or int32."""
        return self._whole.clone()

    def qscheme(self) -> formats.qscheme:
        """`torch.per_tensor_affine` or `torch.per_channel_affine`."""
        return formats.per_tensor_affine if self._axis is None else formats.per_channel_affine

    def _expect(self, scheme: formats.qscheme) -> None:
        if self.qscheme() is not scheme:
            raise RuntimeError(f"expected a tensor quantized with {scheme}, got one with {self.qscheme()}")

    def q_scale(self) -> float:
        """The scale; RuntimeError if there are several."""
        self._expect(formats.per_tensor_affine)
        return self._scale

    def q_zero_point(self) -> int:
        """The zero point; RuntimeError if there are several."""
        self._expect(formats.per_tensor_affine)
        return self._zero_point

    def q_per_channel_scales(self) -> Any:
        """The scales, float64; RuntimeError if there is one for all."""
        self._expect(formats.per_channel_affine)
        return self._scale

    def q_per_channel_zero_points(self) -> Any:
        """The zero points, int64; RuntimeError if there is one for all."""
        self._expect(formats.per_channel_affine)
        return self._zero_point

    def q_per_channel_axis(self) -> int:
        """The dimension whose slices have scales of their own; RuntimeError if there is one for all."""
        self._expect(formats.per_channel_affine)
        return self._axis or 0

    def dequantize(self) -> Any:
        """The numbers that the integers stand for, float32."""
        scale, zero_point = _beside(self._whole, self._scale, self._zero_point, self._axis)
        return (self._whole.to(dtypes.float32) - zero_point) * scale

    # ------------------------------------------------------------------------------------ other tensors from it

    def _with(self, whole: Any) -> QuantizedTensor:
        return QuantizedTensor(whole, self._dtype, self._scale, self._zero_point, self._axis)

    def clone(self, *, memory_format: Any = None) -> QuantizedTensor:
        """A copy."""
        return self._with(self._whole.clone())

    def detach(self) -> QuantizedTensor:
        """The tensor over the same memory."""
        return self._with(self._whole)

    def __deepcopy__(self, memo: Any) -> QuantizedTensor:
        return self.clone()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return QuantizedTensor._rebuilt, (self._whole, self._dtype, self._scale, self._zero_point, self._axis)

    @staticmethod
    def _rebuilt(*parts: Any) -> QuantizedTensor:
        return QuantizedTensor(*parts)

    def equal(self, other: Any) -> bool:
        """Are dtype, scheme and integers the same?"""
        return (
            isinstance(other, QuantizedTensor)
            and self._dtype is other._dtype
            and self._axis == other._axis
            and bool(creation.as_tensor(self._scale == other._scale).all())
            and bool(creation.as_tensor(self._zero_point == other._zero_point).all())
            and self._whole.equal(other._whole)
        )

    def operate(self, op: Any, args: tuple) -> Any:
        """Nothing is computed with quantized tensors."""
        raise NotImplementedError(f"{op.name}() of a quantized tensor is not implemented; use .dequantize() first")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a quantized tensor has no {name!r}; use .dequantize() first")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return printing.format_quantized_tensor(
            interop.array(self.dequantize()),
            dtype_name=self._dtype.name,
            scheme=self.qscheme().name,
            scale=self._scale if self._axis is None else interop.array(self._scale),
            zero_point=self._zero_point if self._axis is None else interop.array(self._zero_point),
            axis=self._axis,
        )


def _through(name: str) -> Callable[..., QuantizedTensor]:
    """A method of tensors that rearranges, as a method of quantized tensors with one scale."""

    def rearrange(self: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        self._expect(formats.per_tensor_affine)
        return self._with(getattr(self._whole, name)(*args, **kwargs))

    rearrange.__name__ = rearrange.__qualname__ = name
    rearrange.__doc__ = f"`Tensor.{name}`, of a tensor with one scale and zero point."
    return rearrange


for _name in ("contiguous", "expand", "flatten", "narrow", "permute", "reshape", "select", "squeeze", "t", "transpose",
              "unsqueeze", "view", "__getitem__"):  # fmt: skip
    setattr(QuantizedTensor, _name, _through(_name))


def _beside(input: Any, scale: Any, zero_point: Any, axis: int | None) -> tuple[Any, Any]:
    """Scale and zero point as factors and terms of the input's elements, float32."""
    if axis is None:
        return creation.tensor(scale, dtype=dtypes.float32), zero_point
    return along(scale.to(dtypes.float32), input, axis), along(zero_point.to(dtypes.float32), input, axis)


def _limits(dtype: dtypes.dtype) -> tuple[int, int]:
    if dtype not in dtypes.QUANTIZED:
        raise RuntimeError(f"expected the dtype torch.qint8, torch.quint8 or torch.qint32, got {dtype!r}")
    bits = 8 * dtype.itemsize
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.is_signed else (0, (1 << bits) - 1)


def _made(input: Any, scale: Any, zero_point: Any, axis: int | None, dtype: dtypes.dtype) -> QuantizedTensor:
    low, high = _limits(dtype)
    if input.dtype is not dtypes.float32:
        raise RuntimeError(f"Quantize only works on Float Tensor, got {input.dtype!r}; use .float()")
    factor, shift = _beside(input, scale, zero_point, axis)
    whole = ((input.detach() * (1 / factor)).round().to(dtypes.float64) + shift).clamp(low, high)
    return QuantizedTensor(whole.to(dtypes.QUANTIZED[dtype]), dtype, scale, zero_point, axis)


# ---------------------------------------------------------------------------------------------- making them


def empty_quantized(size: Any, qtensor: Any, *, dtype: Any = None, device: Any = None) -> QuantizedTensor:
    """A quantized tensor of another size with the scales of `qtensor`; its integers are 0. NotImplementedError if each
    channel has a scale of its own.

    Example::

        >>> import flambeau as torch
        >>> q = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
        >>> torch.empty_quantized([3], q).q_scale()
        0.1
    """
    if qtensor._axis is not None:
        raise NotImplementedError("empty_quantized with scales of channels: use torch.quantize_per_channel of zeros")
    found = dtype or qtensor.dtype
    _limits(found)
    whole = creation.zeros(*size, dtype=dtypes.QUANTIZED[found])
    return QuantizedTensor(whole, found, qtensor._scale, qtensor._zero_point, None)


def quantize_per_tensor(input: Any, scale: Any, zero_point: Any, dtype: dtypes.dtype) -> Any:
    """A float32 tensor in integers: `round(input / scale) + zero_point`, as far as the dtype goes.

    `dtype` is `torch.qint8`, `quint8` or `qint32`; a list of tensors, with tensors of scales and zero points, gives a
    tuple. RuntimeError for other dtypes.

    Example::

        >>> import flambeau as torch
        >>> q = torch.quantize_per_tensor(torch.tensor([0.5, 1.02]), 0.1, 10, torch.quint8)
        >>> q.int_repr(), q.dequantize()
        (tensor([15, 20], dtype=torch.uint8), tensor([0.5000, 1.0000]))
    """
    if isinstance(input, list | tuple):
        parts = zip(input, scale.tolist(), zero_point.tolist(), strict=True)
        return tuple([quantize_per_tensor(x, s, z, dtype) for x, s, z in parts])
    scale, zero_point = float(scale), int(zero_point)
    low, high = _limits(dtype)
    if not low <= zero_point <= high:
        raise RuntimeError(f"quantize_tensor_per_tensor_affine zero_point {zero_point} is out of range [{low}, {high}]")
    return _made(input, scale, zero_point, None, dtype)


def quantize_per_channel(input: Any, scales: Any, zero_points: Any, axis: int, dtype: dtypes.dtype) -> QuantizedTensor:
    """A float32 tensor in integers, each slice along `axis` with its own scale and zero point.

    Example::

        >>> import flambeau as torch
        >>> scales, zeros = torch.tensor([0.1, 1.]), torch.tensor([0, 0])
        >>> torch.quantize_per_channel(torch.tensor([[0.52], [0.52]]), scales, zeros, 0, torch.qint8).int_repr()
        tensor([[5],
                [1]], dtype=torch.int8)
    """
    if not (scales.numel() == zero_points.numel() == input.shape[axis]):
        raise RuntimeError(
            f"length of scales must equal to channel, expected {input.shape[axis]} got, {scales.numel()}, with "
            f"{zero_points.numel()} zero points"
        )
    return _made(input, scales.to(dtypes.float64), zero_points.to(dtypes.int64), axis % input.dim(), dtype)


def quantize_per_tensor_dynamic(input: Any, dtype: dtypes.dtype, reduce_range: bool) -> QuantizedTensor:
    """A float32 tensor in integers, with a scale and zero point that cover its own range and keep 0 exact;
    `reduce_range` leaves out half of the integers.

    Example::

        >>> import flambeau as torch
        >>> torch.quantize_per_tensor_dynamic(torch.tensor([-1., 0., 2.]), torch.quint8, False).int_repr()
        tensor([  0,  85, 255], dtype=torch.uint8)
    """
    low, high = _limits(dtype)
    if reduce_range:
        low, high = low // 2, high // 2
    smallest, largest = (float(input.min()), float(input.max())) if input.numel() else (0.0, 0.0)
    return quantize_per_tensor(input, *_fitted(min(smallest, 0.0), max(largest, 0.0), low, high), dtype)


SMALLEST_SCALE = float.fromhex("0x1.ffb4800000000p-15")  # 6.1e-5 in float32, as in PyTorch


def _fitted(smallest: float, largest: float, low: int, high: int) -> tuple[float, int]:
    """Scale and zero point for a range, by the rule of gemmlowp's documentation (B. Jacob, 2015): the zero point is
    derived from that end of the range where it is more exact, and rounded. Scales stay above `SMALLEST_SCALE`."""
    scale = (largest - smallest) / (high - low)
    if scale == 0 or math.isinf(1 / scale):
        scale = 0.1
    from_low = low - smallest / scale
    from_high = high - largest / scale
    low_error, high_error = abs(low) + abs(smallest / scale), abs(high) + abs(largest / scale)
    exact = from_low if low_error < high_error else from_high
    return max(scale, SMALLEST_SCALE), min(max(round(exact), low), high)


def dequantize(tensor: Any) -> Any:
    """The float32 numbers of a quantized tensor; of several in a list, a tuple; a float32 copy of a plain tensor."""
    if isinstance(tensor, list | tuple):
        return tuple([dequantize(t) for t in tensor])
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor.to(dtypes.float32)


# ---------------------------------------------------------------------------------------------- computed with


def _max_pool_of(ndim: int) -> Callable[..., QuantizedTensor]:
    pool = getattr(pools, f"max_pool{ndim}d")

    def max_pool(
        input: QuantizedTensor,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> QuantizedTensor:
        input._expect(formats.per_tensor_affine)
        numbers = input.int_repr().to(dtypes.float64)
        whole = pool(numbers, kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
        return input._with(whole.to(dtypes.QUANTIZED[input.dtype]))

    max_pool.__name__ = max_pool.__qualname__ = f"quantized_max_pool{ndim}d"
    max_pool.__doc__ = f"`nn.functional.max_pool{ndim}d` of a quantized tensor; scale and zero point stay."
    return max_pool


def quantized_batch_norm(
    input: QuantizedTensor,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    eps: float,
    output_scale: float,
    output_zero_point: int,
) -> QuantizedTensor:
    """The numbers of a quantized tensor normalised with these statistics, and quantized again."""
    slope = (var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * slope
    numbers = input.dequantize() * along(slope, input, 1) + along(shift, input, 1)
    return quantize_per_tensor(numbers, output_scale, output_zero_point, input.dtype)


def _asked(name: str) -> Callable[[Any], Any]:
    """A function, and a method of plain tensors, that asks a quantized tensor something."""
    answer = getattr(QuantizedTensor, name)

    def ask(input: Any) -> Any:
        if not isinstance(input, QuantizedTensor):
            raise RuntimeError(f"{name}() expects a quantized tensor, got one of {input.dtype!r}")
        return answer(input)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = answer.__doc__
    return ask


QUESTIONS = ("int_repr", "q_per_channel_axis", "q_per_channel_scales", "q_per_channel_zero_points", "q_scale",
             "q_zero_point", "qscheme")  # fmt: skip
METHODS: dict[str, Any] = {**{name: _asked(name) for name in QUESTIONS}, "dequantize": dequantize}
FUNCTIONS: dict[str, Any] = {
    **{name: METHODS[name] for name in QUESTIONS if name != "qscheme"},
    **{f.__name__: f for f in (dequantize, empty_quantized, quantize_per_channel, quantize_per_tensor)},
    "quantize_per_tensor_dynamic": quantize_per_tensor_dynamic,
    **{d.name: d for d in dtypes.QUANTIZED},
    **{f"quantized_max_pool{ndim}d": _max_pool_of(ndim) for ndim in (1, 2, 3)},
    "quantized_batch_norm": quantized_batch_norm,
    **{scheme.name: scheme for scheme in formats.QSCHEMES},
    "qscheme": formats.qscheme,
}
