"""Making tensors: from data, constants, ranges; the legacy constructors; the arguments of `Tensor.to`."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import device as devices
from flambeau._core import dtypes, errors, keywords
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.formats import memory_format as memory_format_class
from flambeau._core.lazy import lazy_module
from flambeau._core.quiet import quietly
from flambeau._core.sites import warn
from flambeau._ir import recording
from flambeau._ir.meta import contiguous, meta, preserved, strides_in_order
from flambeau._ir.recording import TensorBase
from flambeau._ops import convert, fill
from flambeau._ops.arguments import tensor_first
from flambeau._ops.operands import Operand
from flambeau._ops.outs import FACTORY, OutRule, check_tensor, write_out
from flambeau._ops.registry import OPS
from flambeau._ops.strided import owner
from flambeau._ops.view import expand_, sizes
from flambeau._tensor import dispatch, interop
from flambeau._tensor.data import from_data

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

from_numpy = interop.from_numpy
resolve_device = devices.resolve


def finish(
    t: Any, requires_grad: bool, device: Any = None, out: Any = None, name: str = "", rule: OutRule = FACTORY
) -> Any:
    """The last step of every constructor: write into `out` if it is given, else check the device, turn on gradients."""
    if out is not None:
        return write_out(name, out, t, rule)
    if device is not None:
        devices.resolve(device)
    return t.requires_grad_() if requires_grad else t


def chosen_dtype(name: str, given: dtype_class | None, out: Any, default: dtype_class) -> dtype_class:
    """The dtype of what a constructor makes: the one that is given, that of `out`, or the default."""
    given = dtypes.checked(given, name)
    if given is not None or out is None:
        return given or default
    check_tensor(name, out)
    return out._meta.dtype


# ---------------------------------------------------------------------------------------------- from data


def tensor(
    data: Any,
    *,
    dtype: dtype_class | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A new tensor with a copy of `data`: numbers, nested lists, NumPy arrays.

    Without `dtype`, Python's integers become int64, floats the default dtype, and arrays keep theirs. ValueError for
    ragged lists, TypeError for what is no number.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
    """
    if isinstance(data, TensorBase):
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor)."
        )
        return finish(data.detach().to(dtypes.checked(dtype, "tensor") or data.dtype).clone(), requires_grad, device)
    return finish(from_data(data, dtypes.checked(dtype, "tensor")), requires_grad, device)


def as_tensor(data: Any, dtype: dtype_class | None = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where it is a tensor or an array of the right dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.as_tensor([1., 2.])
        tensor([1., 2.])
    """
    if device is not None:
        devices.resolve(device)
    dtype = dtypes.checked(dtype, "as_tensor")
    if isinstance(data, TensorBase):
        return data.to(dtype) if dtype is not None else data
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t.to(dtype) if dtype is not None else t
    if not isinstance(data, (list, tuple, numbers.Number)) and hasattr(data, "__array__"):
        t = from_numpy(np.asarray(data))
        return t.to(dtype) if dtype is not None else t
    return from_data(data, dtype)


def asarray(
    obj: Any,
    *,
    dtype: dtype_class | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Any:
    """`obj` as a tensor, with a copy only if `copy=True` or a conversion needs one.

    Example::

        >>> import flambeau as torch
        >>> torch.asarray((1, 2))
        tensor([1, 2])
    """
    if not isinstance(obj, (TensorBase, np.ndarray)) and hasattr(obj, "__buffer__") and not hasattr(obj, "__array__"):
        obj = np.frombuffer(obj, (dtype or dtypes.get_default_dtype()).numpy)
    t = as_tensor(obj, dtype, device)
    t = t.clone() if copy else t
    return t.detach().requires_grad_() if requires_grad else t


def frombuffer(
    buffer: Any, *, dtype: dtype_class, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:
    """A 1-d tensor over the memory of an object with the buffer protocol.

    Example::

        >>> import flambeau as torch
        >>> torch.frombuffer(bytearray([1, 2]), dtype=torch.uint8)
        tensor([1, 2], dtype=torch.uint8)
    """
    with warnings.catch_warnings():
        if isinstance(buffer, bytes):
            warnings.simplefilter("default")
        return finish(from_numpy(np.frombuffer(buffer, dtype.numpy, count, offset)), requires_grad)


# ---------------------------------------------------------------------------------------------- constants


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: dtype_class | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor of `size` full of `fill_value`, whose type decides the dtype unless given.

    Example::

        >>> import flambeau as torch
        >>> torch.full((2,), 7)
        tensor([7, 7])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()
    elif isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
    if not isinstance(fill_value, (int, float, complex)):
        raise TypeError(f"full(): argument 'fill_value' (position 2) must be Number, not {type(fill_value).__name__}")
    if not isinstance(size, (tuple, list)):
        kind = type(size).__name__
        hint = f"write torch.full(({size},), {fill_value})" if isinstance(size, int) else ""
        fact = f"full(): argument 'size' (position 1) must be tuple of ints, not {kind}"
        raise TypeError(errors.explain(fact, hint=hint))
    shape = sizes((size,))
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    t = _filled(shape, fill_value, chosen_dtype("full", dtype, out, dtypes.of_scalar(fill_value)))
    return finish(t, requires_grad, device, out, "full")


LASTING = frozenset({0, 1, -1, math.inf, -math.inf})


def _filled(shape: tuple[int, ...], value: Any, d: dtype_class) -> Any:
    """`shape` full of one number. Plans hold the usual numbers; another may be the number of a step, and different in
    every call: it is read from memory, lest each had a plan of its own."""
    if value in LASTING or value != value or d.is_complex or d in dtypes.STORED or d.category == dtypes.BOOL:
        return fill.filled(shape, value, d)
    try:
        number = _read(int(value) if d.category == dtypes.INTEGER else value, d)
    except OverflowError:
        return fill.filled(shape, value, d)
    return convert.copy_of(expand_(number, shape), False)


def _read(value: Any, d: dtype_class) -> Any:
    """A number in memory, as a 0-dim tensor."""
    return dispatch.from_flat(quietly(np.array, [value], d.numpy), contiguous(d, ()))


def _operand(value: Any, d: dtype_class) -> Any:
    """A bound of a range of this dtype: read from memory, unless it is a usual one."""
    return value if value in LASTING or d.is_complex else _read(value, dtypes.float64)


KEYWORDS = frozenset({"dtype", "layout", "device", "requires_grad", "memory_format"})
CONSTANT = KEYWORDS | {"size", "out", "pin_memory"}


def _constant(name: str, value: int, args: tuple, kwargs: dict[str, Any]) -> Any:
    keywords.check(name, kwargs, CONSTANT)
    size = kwargs.pop("size") if "size" in kwargs else args
    kwargs.pop("memory_format", None)
    if kwargs.get("out") is None or kwargs.get("dtype") is not None:
        kwargs["dtype"] = dtypes.checked(kwargs.get("dtype"), name) or dtypes.get_default_dtype()
    return full(sizes(tuple(size) if not isinstance(size, int) else (size,)), value, **kwargs)


def zeros(*size: Any, **kwargs: Any) -> Any:
    """A tensor of zeros of the default dtype; `zeros(2, 3)` or `zeros((2, 3))`; keywords `dtype`, `device`,
    `requires_grad`, `out`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2)
        tensor([0., 0.])
    """
    return _constant("zeros", 0, size, kwargs)


def ones(*size: Any, **kwargs: Any) -> Any:
    """A tensor of ones of the default dtype; `ones(2, 3)` or `ones((2, 3))`; keywords as `zeros`.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, dtype=torch.int64)
        tensor([1, 1])
    """
    return _constant("ones", 1, size, kwargs)


def empty(*size: Any, **kwargs: Any) -> Any:
    """A tensor whose elements mean nothing yet (zeros here, so that mistakes repeat).

    Example::

        >>> import flambeau as torch
        >>> torch.empty(2, 3).shape
        torch.Size([2, 3])
    """
    memory_format = kwargs.get("memory_format")
    t = _constant("empty", 0, size, kwargs)
    if memory_format is not None and memory_format.ndim is not None:
        order = memory_format.order(t.dim())
        t._meta = meta(t.dtype, t.shape, strides_in_order(t.shape, order))
    return t


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: dtype_class | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor with these sizes and strides whose elements mean nothing yet.

    Example::

        >>> import flambeau as torch
        >>> torch.empty_strided((2, 3), (1, 2)).stride()
        (1, 2)
    """
    m = meta(dtypes.checked(dtype, "empty_strided") or dtypes.get_default_dtype(), size, stride)
    return finish(dispatch.from_flat(np.zeros(m.extent, m.dtype.numpy), m), requires_grad, device)


def like(name: str, input: Any, value: Any, kwargs: dict[str, Any]) -> Any:
    if isinstance(input, Operand):
        found = input.like(lambda values: like(name, values, value, kwargs))
        if found is not NotImplemented:
            return found
    keywords.check(name, kwargs, KEYWORDS)
    d = dtypes.checked(kwargs.get("dtype"), name) or input.dtype
    memory_format = kwargs.get("memory_format")
    m = preserved(input._meta, d)
    if memory_format is not None and memory_format.name == "contiguous_format":
        m = contiguous(d, input.shape)
    elif memory_format is not None and memory_format.ndim is not None:
        m = meta(d, input.shape, strides_in_order(input.shape, memory_format.order(input.dim())))
    t = _filled((m.numel,), value, d)
    t._meta = m
    return finish(t, kwargs.get("requires_grad", False), kwargs.get("device"))


@tensor_first
def zeros_like(input: Any, **kwargs: Any) -> Any:
    """Zeros with the shape, dtype and layout of `input`; keywords `dtype`, `device`, `requires_grad`, `memory_format`.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros_like(torch.tensor([1, 2]))
        tensor([0, 0])
    """
    return like("zeros_like", input, 0, kwargs)


@tensor_first
def ones_like(input: Any, **kwargs: Any) -> Any:
    """Ones with the shape, dtype and layout of `input`; keywords as `zeros_like`.

    Example::

        >>> import flambeau as torch
        >>> torch.ones_like(torch.tensor([1., 2.]))
        tensor([1., 1.])
    """
    return like("ones_like", input, 1, kwargs)


@tensor_first
def empty_like(input: Any, **kwargs: Any) -> Any:
    """A tensor like `input` whose elements mean nothing yet; keywords as `zeros_like`.

    Example::

        >>> import flambeau as torch
        >>> torch.empty_like(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    return like("empty_like", input, 0, kwargs)


@tensor_first
def full_like(input: Any, fill_value: Any, **kwargs: Any) -> Any:
    """`fill_value` in the shape, dtype and layout of `input`; keywords as `zeros_like`.

    Example::

        >>> import flambeau as torch
        >>> torch.full_like(torch.zeros(2), 3)
        tensor([3., 3.])
    """
    return like("full_like", input, fill_value.item() if isinstance(fill_value, TensorBase) else fill_value, kwargs)


# ---------------------------------------------------------------------------------------------- ranges


def _plain(number: Any) -> Any:
    return number.item() if isinstance(number, (TensorBase, np.generic)) else number


def arange(
    *bounds: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    out: Any = None,
    dtype: dtype_class | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`: numbers from `start` up to, not including,
    `end`.

    int64 if all arguments are integers, else the default dtype. RuntimeError for a step of 0 or of the wrong sign.

    Example::

        >>> import flambeau as torch
        >>> torch.arange(1, 2.5, 0.5)
        tensor([1.0000, 1.5000, 2.0000])
    """
    given = [_plain(b) for b in bounds]
    if len(given) == 1:
        given = (
            [_plain(start), given[0]]
            if start is not None
            else [0, given[0]]
            if end is None
            else [given[0], _plain(end)]
        )
    elif not given:
        given = [0 if start is None else _plain(start), _plain(end)]
    low, high = given[0], given[1]
    by = given[2] if len(given) > 2 else 1 if step is None else _plain(step)
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if (high - low) * by < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: arange({low}, {high}, {by})")
    for number in (low, high):
        if isinstance(number, float) and not math.isfinite(number):
            raise RuntimeError(f"unsupported range: {low} -> {high}")
    integers = all(isinstance(v, int) for v in (low, high, by))
    d = chosen_dtype("arange", dtype, out, dtypes.int64 if integers else dtypes.get_default_dtype())
    if d.category <= dtypes.INTEGER and not integers:
        low, high, by = int(low), int(high), int(by)
        if by == 0:
            raise ValueError("step must be nonzero")
    count = -((low - high) // by) if isinstance(by, int) and integers else math.ceil((high - low) / by)
    if low in LASTING or d.category != dtypes.INTEGER or not count:
        t = _stepped(low, by, int(count), d)
    else:  # the place of a step, perhaps: see `_filled`
        t = fill.stepped(0, by, int(count), d) + _filled((), low, d)
    return finish(t, requires_grad, device, out, "arange")


def _stepped(start: Any, step: Any, count: int, d: dtype_class) -> Any:
    """`start + i * step` for i below `count`; of floats, both may be different in every call."""
    if d.category == dtypes.FLOAT:
        start, step = _operand(start, d), _operand(step, d)
    return fill.stepped(start, step, count, d)


def range_(start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Any:
    """Numbers from `start` to `end`, both included (deprecated in PyTorch: prefer `arange`).

    Example::

        >>> import warnings
        >>> with warnings.catch_warnings(action="ignore"):
        ...     torch.range(1, 3)
        tensor([1., 2., 3.])
    """
    low, high = (0, start) if end is None else (start, end)
    low, high, step = _plain(low), _plain(high), _plain(step)
    warn("torch.range is deprecated; use torch.arange, whose end is excluded")
    out = kwargs.pop("out", None)
    d = chosen_dtype("range", kwargs.pop("dtype", None), out, dtypes.get_default_dtype())
    t = _stepped(low, step, int(math.floor((high - low) / step)) + 1, d)
    return finish(t, **_finishing(kwargs), out=out, name="range")


def _finishing(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"requires_grad": kwargs.get("requires_grad", False), "device": kwargs.get("device")}


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: dtype_class | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`steps` evenly spaced numbers from `start` to `end`, both included.

    Example::

        >>> import flambeau as torch
        >>> torch.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    start, end = _plain(start), _plain(end)
    if not hasattr(steps, "__index__"):
        raise TypeError(f"linspace(): argument 'steps' (position 3) must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    wide = isinstance(start, complex) or isinstance(end, complex)
    default = dtypes.get_default_dtype()
    d = chosen_dtype("linspace", dtype, out, default.to_complex() if wide else default)
    if steps == 1:
        t = _filled((1,), start, d)
    else:
        t = fill.spaced(_operand(start, d), _operand(end, d), int(steps), d)
    return finish(t, requires_grad, device, out, "linspace")


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, **kwargs: Any) -> Any:
    """`base` to the powers of `steps` evenly spaced exponents; keywords as `linspace`.

    Example::

        >>> import flambeau as torch
        >>> torch.logspace(0, 2, 3)
        tensor([  1.,  10., 100.])
    """
    out = kwargs.pop("out", None)
    d = chosen_dtype("logspace", kwargs.get("dtype"), out, dtypes.get_default_dtype())
    wide = d if d.is_complex else dtypes.float64
    if d.category <= dtypes.INTEGER:  # integers cut the exponents first
        start, end = int(_plain(start)), int(_plain(end))
    powers = OPS["pow"].function(full((), base, dtype=wide), linspace(start, end, steps, dtype=wide)).to(d)
    return finish(powers, **_finishing(kwargs), out=out, name="logspace")


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: dtype_class | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """An n x m matrix (square by default) with ones on the diagonal.

    Example::

        >>> import flambeau as torch
        >>> torch.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {min(n, m or 0)}")
    t = fill.identity(n, n if m is None else m, chosen_dtype("eye", dtype, out, dtypes.get_default_dtype()))
    return finish(t, requires_grad, device, out, "eye")


def complex_(real: Any, imag: Any, *, out: Any = None) -> Any:
    """A complex tensor from its real and imaginary parts (two float32 or two float64 tensors).

    Example::

        >>> import flambeau as torch
        >>> torch.complex(torch.tensor([1.]), torch.tensor([2.]))
        tensor([1.+2.j])
    """
    for t, name, position in ((real, "real", 1), (imag, "imag", 2)):
        if not isinstance(t, TensorBase):
            kind = type(t).__name__
            raise TypeError(f"complex(): argument '{name}' (position {position}) must be Tensor, not {kind}")
    if real.dtype is not imag.dtype or not real.dtype.is_floating_point:
        raise RuntimeError(
            f"Expected object of scalar type {errors.TYPE_NAMES[real.dtype.name]} but got scalar type "
            f"{errors.TYPE_NAMES[imag.dtype.name]} for second argument"
        )
    parts = OPS["stack"].function(OPS["broadcast_tensors"].function(real, imag), -1)
    result = owner(OPS["view_as_complex"].function(parts))
    if recording.grad_enabled():
        recording.present(result, "ComplexBackward0", (real, imag))
        recording.watch(result, (real, imag))
    return finish(result, False, out=out, name="complex", rule=OutRule())


# ---------------------------------------------------------------------------------------------- methods new_*


def new_tensor(
    self: Any, data: Any, *, dtype: dtype_class | None = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor with a copy of `data` and, unless given, the dtype of this one."""
    if isinstance(data, TensorBase):
        return finish(data.detach().to(dtype or data.dtype).clone(), requires_grad, device)
    return finish(from_data(data, dtype or self.dtype), requires_grad, device)


def new_full(self: Any, size: Any, fill_value: Any, **kwargs: Any) -> Any:
    """`size` full of `fill_value` with the dtype of this tensor."""
    return full(size, fill_value, **{**kwargs, "dtype": kwargs.get("dtype") or self.dtype})


def new_zeros(self: Any, *size: Any, **kwargs: Any) -> Any:
    """Zeros with the dtype of this tensor."""
    return _constant("new_zeros", 0, size, {**kwargs, "dtype": kwargs.get("dtype") or self.dtype})


def new_ones(self: Any, *size: Any, **kwargs: Any) -> Any:
    """Ones with the dtype of this tensor."""
    return _constant("new_ones", 1, size, {**kwargs, "dtype": kwargs.get("dtype") or self.dtype})


def new_empty(self: Any, *size: Any, **kwargs: Any) -> Any:
    """A tensor with the dtype of this one whose elements mean nothing yet."""
    return _constant("new_empty", 0, size, {**kwargs, "dtype": kwargs.get("dtype") or self.dtype})


def new_empty_strided(self: Any, size: Any, stride: Any, **kwargs: Any) -> Any:
    """A tensor with the dtype of this one and these strides whose elements mean nothing yet."""
    return empty_strided(size, stride, **{**kwargs, "dtype": kwargs.get("dtype") or self.dtype})


def new(self: Any, *args: Any, **kwargs: Any) -> Any:
    """PyTorch's legacy constructor with the dtype of this tensor: sizes or data."""
    return legacy(dispatch.Tensor, self.dtype, args, kwargs)


METHODS = (new_tensor, new_full, new_zeros, new_ones, new_empty, new_empty_strided, new)

# ---------------------------------------------------------------------------------------------- legacy constructors

LEGACY = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
    "ByteTensor": dtypes.uint8,
    "CharTensor": dtypes.int8,
    "ShortTensor": dtypes.int16,
    "IntTensor": dtypes.int32,
    "LongTensor": dtypes.int64,
    "BoolTensor": dtypes.bool_,
    "ComplexFloatTensor": dtypes.complex64,
    "ComplexDoubleTensor": dtypes.complex128,
}


def legacy_name(d: dtype_class) -> str:
    """`FloatTensor` for float32."""
    return next((name for name, known in LEGACY.items() if known is d), f"{d.name.capitalize()}Tensor")


def dtype_of_legacy(kind: Any) -> dtype_class:
    """The dtype meant by a dtype, a legacy type (`torch.FloatTensor`) or its name; ValueError for anything else."""
    if isinstance(kind, dtype_class):
        return kind
    if isinstance(kind, str):
        found = LEGACY.get(kind.removeprefix("torch."))
        if found is not None:
            return found
        raise ValueError(f"invalid type: '{kind}'")
    if isinstance(kind, LegacyType):
        return kind.dtype_of()
    if kind is dispatch.Tensor:
        return dtypes.get_default_dtype()
    raise ValueError(f"invalid type: expected a dtype, a tensor type or its name, got {kind!r}")


def legacy(cls: type, d: dtype_class, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`Tensor(2, 3)` makes sizes, `Tensor([1, 2])` data, `Tensor(other)` a view of a tensor."""
    kwargs.pop("device", None)
    if "size" in kwargs:
        args = (kwargs.pop("size"),)
    if "data" in kwargs:
        args = (kwargs.pop("data"),)
    if kwargs:
        raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if len(args) == 1 and isinstance(args[0], TensorBase):
        t: Any = args[0]
        if t.dtype is not d and cls is dispatch.Tensor:
            raise TypeError(f"expected {legacy_name(d)} (got {legacy_name(t.dtype)})")
        t = t.detach()
    elif not args or all(isinstance(a, int) and not isinstance(a, bool) for a in args):
        t = full(args or (0,), 0, dtype=d)
    elif len(args) == 1 and type(args[0]).__name__ == "Size":
        t = full(args[0], 0, dtype=d)
    elif len(args) == 1:
        t = from_data(args[0], d)
    else:
        raise TypeError(f"new(): expected sizes (integers) or one sequence of data, got {args!r}")
    return t if cls is dispatch.Tensor else dispatch.make_tensor(cls, t._meta, t._storage)


class LegacyType(type):
    """The type of `FloatTensor` and its kin: calling one makes a tensor of its dtype, `isinstance` asks for the
    dtype."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return legacy(dispatch.Tensor, cls.dtype_of(), args, kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TensorBase) and instance._meta.dtype is cls.dtype_of()

    def dtype_of(cls) -> dtype_class:
        return LEGACY[cls.__name__]


LEGACY_TYPES = {
    name: LegacyType(
        name, (), {"__doc__": f"PyTorch's legacy name for tensors of {d.name}.", "dtype": d, "__module__": "flambeau"}
    )
    for name, d in LEGACY.items()
}


# ---------------------------------------------------------------------------------------------- Tensor.to's arguments


TO = ("device", "dtype", "non_blocking", "copy", "memory_format", "other")


def parse_to(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, dtype_class | None, bool, Any]:
    """(device, dtype, copy, memory format) from the many forms of `Tensor.to`."""
    where, d = kwargs.pop("device", None), kwargs.pop("dtype", None)
    copy, memory_format = kwargs.pop("copy", False), kwargs.pop("memory_format", None)
    kwargs.pop("non_blocking", None)
    other = kwargs.pop("other", None)
    if kwargs:
        raise keywords.unexpected("to", next(iter(kwargs)), TO)
    flags = []
    for a in (*args, *(() if other is None else (other,))):
        if isinstance(a, dtype_class):
            d = a
        elif isinstance(a, bool):
            flags.append(a)
        elif isinstance(a, (devices.device, str, int)):
            where = a
        elif isinstance(a, TensorBase):
            d = a._meta.dtype
        elif isinstance(a, memory_format_class):
            memory_format = a
        elif isinstance(a, type):
            d = dtypes.checked(a, "to")
        elif a is not None:
            raise TypeError(f"to(): expected a dtype, a device or a tensor, got {type(a).__name__}")
    if len(flags) > 1:  # to(..., non_blocking, copy)
        copy = flags[1]
    return where, dtypes.checked(d, "to"), copy, memory_format


def scalar_tensor(
    s: Any, *, dtype: dtype_class | None = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Any:
    """A 0-dim tensor of the default dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.scalar_tensor(2)
        tensor(2.)
    """
    return full((), s, dtype=dtype or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad)
