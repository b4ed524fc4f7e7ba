"""The inside of floating-point numbers: exponents, neighbours, what to do about NaN and infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.arguments import check_tensor
from flambeau._ops.infer import broadcast_shapes, result_layout
from flambeau._ops.pointwise import FLOATS_ONLY, choose, no_gradient
from flambeau._ops.registry import composite, library, pointwise
from flambeau._ops.results import named

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

LARGEST = {
    "float16": 65504.0,
    "bfloat16": 255 * 2.0**120,
    "float32": (2 - 2.0**-23) * 2.0**127,
    "float64": (2 - 2.0**-52) * 2.0**1023,
}


@pointwise(
    numbers=False,
    inplace=True,
    refuses=FLOATS_ONLY,
    gradient={
        "input": lambda g, input, out: choose(out == 0, 0, g * (input / out)),
        "other": lambda g, other, out: choose(out == 0, 0, g * (other / out)),
    },
)
def hypot(k: Any, input: Any, other: Any) -> Any:
    """The hypotenuse `sqrt(input ** 2 + other ** 2)`, without overflow in between.

    Example::

        >>> import flambeau as torch
        >>> torch.hypot(torch.tensor([3.]), torch.tensor([4.]))
        tensor([5.])
    """
    return k.hypot(input, other)


@composite(
    out="castable",
    overlap="same",
    node_name="LdexpBackward0",
    shows=("input", "other"),
    inplace=True,
    saves=("out",),
)
def ldexp(input: Any, other: Any) -> Any:
    """`input * 2 ** other`; of a floating-point tensor and integers without overflow on the way, in the tensor's dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.ldexp(torch.tensor([1., 3.]), torch.tensor([2, -1]))
        tensor([4.0000, 1.5000])
    """
    check_tensor(input, "ldexp")
    check_tensor(other, "ldexp", "other", 2)
    if not input.dtype.differentiable or other.dtype.category > dtypes.INTEGER:
        return recording.original(input, ()) * 2.0**other
    if input.dtype.is_complex:
        return (input * 2.0**other).to(input.dtype)
    first = other.int().div(2, rounding_mode="floor").double()  # half of the way: 2 ** other itself may be infinite
    return (input.double() * 2.0**first * 2.0 ** (other.double() - first)).to(input.dtype)


Frexp = named("frexp", "mantissa", "exponent")


def _infer_frexp(m: Meta) -> tuple[Meta, Meta]:
    if m.dtype.category != dtypes.FLOAT:
        raise RuntimeError(
            errors.explain(f"torch.frexp() only supports floating-point dtypes, got {m.dtype}", site=user_site(4))
        )
    return contiguous(m.dtype, m.shape), contiguous(dtypes.int32, m.shape)


@library(
    category="pointwise",
    infer=_infer_frexp,
    result_type=Frexp,
    gradient={"input": lambda g0, out1: choose(out1 == 0, g0, g0 / 2.0**out1)},
)
def frexp(input: Any) -> Any:
    """Mantissa (at least 0.5 and below 1) and exponent (int32) of each element, which is `mantissa * 2 ** exponent`.

    RuntimeError unless the dtype is floating point.

    Example::

        >>> import flambeau as torch
        >>> mantissa, exponent = torch.frexp(torch.tensor([1., 6.]))
        >>> mantissa, exponent
        (tensor([0.5000, 0.7500]), tensor([1, 3], dtype=torch.int32))
    """
    return np.frexp(input if input.dtype.kind == "f" else input.astype(np.float32))


def _infer_neighbour(a: Meta, b: Meta) -> Meta:
    for m, name, position in ((a, "input", 1), (b, "other", 2)):
        if not isinstance(m, Meta):
            kind = type(m).__name__
            raise TypeError(f"nextafter(): argument '{name}' (position {position}) must be Tensor, not {kind}")
    promoted = dtypes.result_type_of([(a.dtype, a.ndim), (b.dtype, b.ndim)])
    if promoted.category != dtypes.FLOAT:
        raise errors.not_implemented("nextafter_cpu", promoted)
    return result_layout(promoted, broadcast_shapes((a.shape, b.shape), "nextafter"), [a, b])


@library(
    out="castable",
    overlap="same",
    category="pointwise",
    infer=_infer_neighbour,
    inplace=True,
    gradient={"input": lambda g: g, "other": lambda g: no_gradient(g)},
    saves=("input", "other"),
)
def nextafter(input: Any, other: Any) -> Any:
    """The next number after `input`, of its own dtype, in the direction of `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.nextafter(torch.tensor([1.]), torch.tensor([2.])) - 1
        tensor([1.1921e-07])
    """
    return np.nextafter(input, other)


@composite(overlap="same", inplace=True)
def nan_to_num(input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN replaced by `nan`, infinities by `posinf` and `neginf` (None: by the largest and the smallest number of the
    dtype).

    Example::

        >>> import flambeau as torch
        >>> torch.nan_to_num(torch.tensor([float("nan"), float("inf"), 1.]), posinf=9.)
        tensor([0., 9., 1.])
    """
    d = input._meta.dtype
    if d.category < dtypes.FLOAT:
        return input.clone()
    largest = LARGEST[d.to_real().name]
    return replace_nonfinite(
        input, nan or 0.0, largest if posinf is None else posinf, -largest if neginf is None else neginf
    )


@pointwise(
    method=False,
    function=False,
    node_name="NanToNumBackward0",
    gradient={"input": lambda g, input: choose(input.isfinite(), g, 0)},
)
def replace_nonfinite(k: Any, input: Any, nan: Any = 0.0, posinf: Any = 0.0, neginf: Any = 0.0) -> Any:
    """`input` with NaN and infinities replaced, in both parts of complex numbers."""

    def replaced(x: Any) -> Any:
        x = k.where(x != x, nan, x)
        return k.where(x == float("inf"), posinf, k.where(x == -float("inf"), neginf, x))

    return k.complex(replaced(k.real(input)), replaced(k.imag(input))) if k.is_complex(input) else replaced(input)
