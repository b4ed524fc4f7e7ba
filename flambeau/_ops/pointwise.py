"""Pointwise arithmetic, and the choice between two operands. One function an operation: the place to add another.

Beside it: `transcendental` (exponentials, logarithms, trigonometry), `rounding`, `bounds` (clamp, maximum),
`comparison` (and logic), `bits` (and integers), `floats` (sign bits, exponents), `complexes`, `activation`, `special`.
"""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import BOOL, FLOAT
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta
from flambeau._ops.registry import OPS, composite, pointwise, with_tensor

FLOATS_ONLY = ("bool", "integer", "complex")  # `refuses` of what PyTorch has for floating-point tensors alone

# ---------------------------------------------------------------------------------------------- what gradients need


def conj(x: Any) -> Any:
    """The conjugate of a number or tensor, which gradients of holomorphic functions need; real ones stay as they
    are."""
    meta = getattr(x, "_meta", None)
    if meta is None:
        return x.conjugate() if isinstance(x, complex) else x
    return x.conj() if meta.dtype.is_complex else x


def no_gradient(g: Any) -> Any:
    """The gradient of a function that is constant nearly everywhere."""
    return g.new_zeros(g.shape)


def _scaled(g: Any, factor: Any) -> Any:
    """`g` times the conjugate of a number, which is mostly 1."""
    return g if factor == 1 else g * conj(factor)


# ---------------------------------------------------------------------------------------------- refusals


def _is_bool(m: Any) -> bool:
    """Is the operand, given as a Meta or the type of a number, boolean?"""
    return m is bool or getattr(m, "dtype", None) is dtypes.bool_


def _category(metas: tuple) -> int:
    """The category of the operands' common dtype."""
    numbers = {bool: dtypes.BOOL, int: dtypes.INTEGER, float: dtypes.FLOAT, complex: dtypes.COMPLEX}
    return max(numbers.get(m, 0) if isinstance(m, type) else m.dtype.category for m in metas)


def _check_alpha(metas: tuple) -> None:
    """RuntimeError for a factor that the result's dtype cannot hold, TypeError for one that is no number."""
    if len(metas) > 2 and isinstance(metas[2], Meta) and metas[2].ndim:
        raise TypeError(errors.explain("argument 'alpha' must be Number, not Tensor", site=user_site(5)))
    if len(metas) > 2 and metas[2] in (float, complex) and _category(metas[:2]) < FLOAT:
        raise RuntimeError(
            errors.explain(
                "For integral input tensors, argument alpha must not be a floating point number.", site=user_site(5)
            )
        )


def _check_subtraction(metas: tuple) -> None:
    """RuntimeError for booleans, of which differences have no meaning."""
    if _is_bool(metas[0]) and _is_bool(metas[1]):
        raise RuntimeError(
            errors.explain(
                "Subtraction, the `-` operator, with two bool tensors is not supported.",
                hint="Use the `^` or `logical_xor()` operator instead.",
                site=user_site(5),
            )
        )
    if _is_bool(metas[0]) or _is_bool(metas[1]):
        raise RuntimeError(
            errors.explain(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                "mask, "
                "use the `~` or `logical_not()` operator instead.",
                site=user_site(5),
            )
        )
    _check_alpha(metas)


def _check_negation(metas: tuple) -> None:
    if _is_bool(metas[0]):
        raise RuntimeError(
            errors.explain(
                "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, "
                "use the `~` or `logical_not()` operator instead.",
                site=user_site(5),
            )
        )


def _is_one(number: Any) -> bool:
    return isinstance(number, int) and number == 1


# ---------------------------------------------------------------------------------------------- sums and products


def _tensor_first(first: Any, *_: Any) -> tuple[str, str]:
    """The operands of an operation that commutes: Python asks the tensor's class for `2 * x`."""
    return ("input", "other") if type(first) is Meta else ("other", "input")


@pointwise(
    legacy=("alpha",),
    shows_numbers=True,
    shows=_tensor_first,
    inplace=True,
    check=_check_alpha,
    gradient={"input": lambda g: g, "other": lambda g, alpha: _scaled(g, alpha)},
)
def add(k: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    """`input + alpha * other`, for operands of any dtypes and shapes that broadcast; of booleans the logical or.

    RuntimeError for an `alpha` that is no integer when the operands are integers.

    Example::

        >>> import flambeau as torch
        >>> torch.add(torch.tensor([1., 2.]), 10, alpha=2)
        tensor([21., 22.])
    """
    return input + other if _is_one(alpha) else input + other * alpha


@pointwise(
    legacy=("alpha",),
    shows_numbers=True,
    node_name=lambda first, *rest: "SubBackward0" if type(first) is Meta else "RsubBackward1",
    shows=lambda first, *rest: ("input", "other") if type(first) is Meta else ("other",),
    inplace=True,
    aliases=("subtract",),
    check=_check_subtraction,
    gradient={"input": lambda g: g, "other": lambda g, alpha: -_scaled(g, alpha)},
)
def sub(k: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    """`input - alpha * other`; RuntimeError for booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3., 2.]) - 1
        tensor([2., 1.])
    """
    return input - other if _is_one(alpha) else input - other * alpha


@pointwise(
    numbers="later",
    node_name=with_tensor("Rsub", 1, 0, 1),
    check=_check_subtraction,
    gradient={"input": lambda g, alpha: -_scaled(g, alpha), "other": lambda g: g},
    method=False,
)
def rsub(k: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    """`other - alpha * input`, the difference the other way round.

    Example::

        >>> import flambeau as torch
        >>> torch.rsub(torch.tensor([3., 2.]), 1)
        tensor([-2., -1.])
    """
    return other - input if _is_one(alpha) else other - input * alpha


@pointwise(
    shows_numbers=True,
    shows=_tensor_first,
    inplace=True,
    aliases=("multiply",),
    gradient={"input": lambda g, other: g * conj(other), "other": lambda g, input: g * conj(input)},
)
def mul(k: Any, input: Any, other: Any) -> Any:
    """`input * other`; of booleans the logical and.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2.]) * 3
        tensor([3., 6.])
    """
    return input * other


@pointwise(out="exact", inplace=True, aliases=("negative",), check=_check_negation, gradient={"input": lambda g: -g})
def neg(k: Any, input: Any) -> Any:
    """`-input`; RuntimeError for booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., -2.]).neg()
        tensor([-1.,  2.])
    """
    return -input


@composite()
def positive(input: Any) -> Any:
    """`input` itself; RuntimeError for booleans.

    Example::

        >>> import flambeau as torch
        >>> +torch.tensor([1., -2.])
        tensor([ 1., -2.])
    """
    if _is_bool(input._meta):
        raise RuntimeError(errors.explain("The `+` operator, on a bool tensor is not supported.", site=user_site(2)))
    return input


# ---------------------------------------------------------------------------------------------- quotients


@pointwise(
    shows_numbers=True,
    inplace=True,
    result="float",
    node_name="DivBackward0",
    gradient={
        "input": lambda g, other: g / conj(other),
        "other": lambda g, input, other: -g * conj(input / other / other),
    },
)
def true_divide(k: Any, input: Any, other: Any) -> Any:
    """`input / other`; integers give the default floating-point dtype.

    Example::

        >>> import flambeau as torch
        >>> torch.true_divide(torch.tensor([1, 2]), 4)
        tensor([0.2500, 0.5000])
    """
    return input / other


quotient = true_divide


@composite(name="__rdiv__", function=False)
def divided(input: Any, other: Any) -> Any:
    """`other / input` as Python asks the tensor for it: times the reciprocal, as PyTorch rounds it.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([2., 4.]).__rdiv__(1)
        tensor([0.5000, 0.2500])
    """
    inverse = OPS["reciprocal"].function(input)
    if inverse._node is None and type(other) in (int, float) and other == 1:  # whose product nobody could tell apart
        return inverse
    return mul(inverse, other)


@composite(out="castable", overlap="same", inplace=True, aliases=("divide",))
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`input / other`; `rounding_mode` "floor" rounds the quotient down, "trunc" towards zero, and keeps integers
    integers.

    RuntimeError for another mode, and for a rounded division of integers by zero.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([7, -7]).div(2, rounding_mode="floor")
        tensor([ 3, -4])
        >>> torch.tensor([7, -7]).div(2, rounding_mode="trunc")
        tensor([ 3, -3])
    """
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return truncated_quotient(input, other)
    raise RuntimeError(
        errors.explain(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'",
            site=user_site(2),
        )
    )


@pointwise(
    inplace=True,
    refuses=("bool", "complex"),
    fallible=True,
    gradient={"input": lambda g: no_gradient(g), "other": lambda g: no_gradient(g)},
    saves={"input": ("other",), "other": ("input", "other")},
)
def floor_divide(k: Any, input: Any, other: Any) -> Any:
    """The quotient rounded down; RuntimeError for a division of integers by zero.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([7, -7]) // 2
        tensor([ 3, -4])
    """
    return k.floor_divide(input, other)


@pointwise(
    shows_numbers=True,
    method=False,
    function=False,
    refuses=("bool", "complex"),
    fallible=True,
    node_name="DivBackward1",
    gradient={"input": lambda g: no_gradient(g), "other": lambda g: no_gradient(g)},
    saves={"input": ("other",), "other": ("input", "other")},
)
def truncated_quotient(k: Any, input: Any, other: Any) -> Any:
    """The quotient rounded towards zero."""
    return k.trunc_divide(input, other)


@pointwise(
    node_name=with_tensor("Remainder", 1),
    inplace=True,
    refuses=("bool", "complex"),
    fallible=True,
    gradient={"input": lambda g: g, "other": lambda g, input, other: -g * floor_divide(input, other)},
)
def remainder(k: Any, input: Any, other: Any) -> Any:
    """`input - other * floor(input / other)`: the sign of `other`, as Python's `%`.

    RuntimeError for a division of integers by zero; of floating-point numbers that gives NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([5., -5.]) % 3
        tensor([2., 1.])
    """
    return k.remainder(input, other)


@pointwise(
    numbers="later",
    node_name=with_tensor("Fmod", 1),
    inplace=True,
    refuses=("bool", "complex"),
    fallible=True,
    gradient={"input": lambda g: g, "other": lambda g, input, other: -g * truncated_quotient(input, other)},
)
def fmod(k: Any, input: Any, other: Any) -> Any:
    """`input - other * trunc(input / other)`: the sign of `input`, as C's `fmod`.

    RuntimeError for a division of integers by zero; of floating-point numbers that gives NaN.

    Example::

        >>> import flambeau as torch
        >>> torch.fmod(torch.tensor([5., -5.]), 3)
        tensor([ 2., -2.])
    """
    return k.fmod(input, other)


# ---------------------------------------------------------------------------------------------- powers


def _refuse_negative_power(input: Any, exponent: Any) -> None:
    """RuntimeError for an integer tensor to the power of a negative Python integer, which is no integer."""
    if type(exponent) is int and exponent < 0 and input._meta.dtype.category < FLOAT:
        raise RuntimeError(
            errors.explain(
                f"Integers to negative integer powers are not allowed: {input._meta.dtype} to the power of {exponent}.",
                hint="convert the base first, e.g. x.float()",
                site=user_site(3),
            )
        )


@pointwise(
    node_name=lambda base, exponent: (
        f"PowBackward{1 if type(base) is type(exponent) else 0 if type(base) is Meta else 2}"
    ),
    inplace=True,
    refuses=("bool",),
    guard=_refuse_negative_power,
    gradient={
        "input": lambda g, input, exponent: _pow_grad_base(g, input, exponent),
        "exponent": lambda g, out, input, exponent: _pow_grad_exponent(g, out, input, exponent),
    },
)
def pow(k: Any, input: Any, exponent: Any) -> Any:  # noqa: A001
    """`input` to the power of `exponent` (tensors or numbers, one of them a tensor); 0 to the power of 0 is 1.

    RuntimeError for integers to the power of a negative number; in a tensor of exponents those give 0.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([2., 3.]) ** 2
        tensor([4., 9.])
    """
    return k.pow(input, exponent)


def _pow_grad_base(g: Any, base: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "_meta"):
        if exponent == 2:
            return g * conj(base * 2)
        return no_gradient(g) if exponent == 0 else g * conj(exponent * base ** (exponent - 1))
    return choose(exponent == 0, 0, g * conj(exponent * base ** (exponent - 1)))


def _pow_grad_exponent(g: Any, out: Any, base: Any, exponent: Any) -> Any:
    if not hasattr(base, "_meta"):
        base = out.new_full((), base)
    positive = exponent.real >= 0 if exponent._meta.dtype.is_complex else exponent >= 0
    return choose((base == 0) & positive, 0, g * conj(out * base.log()))


def _doubled(x: Any) -> Any:
    """A tensor or number in double precision."""
    if not hasattr(x, "_meta"):
        return x if isinstance(x, complex) else float(x)
    return x.to(dtypes.complex128 if x._meta.dtype.is_complex else dtypes.float64)


@composite(out="castable", overlap="same")
def float_power(input: Any, exponent: Any) -> Any:
    """`input` to the power of `exponent`, in double precision whatever the operands are.

    Example::

        >>> import flambeau as torch
        >>> torch.float_power(torch.tensor([2, 3]), -1)
        tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    result = pow(_doubled(input), _doubled(exponent))
    return result if result._meta.dtype.itemsize == (16 if result._meta.dtype.is_complex else 8) else _doubled(result)


@composite(name="float_power_", function=False)
def float_power_(input: Any, exponent: Any) -> Any:
    """In-place version of :func:`float_power`; RuntimeError unless the tensor is in double precision.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([2., 3.], dtype=torch.float64).float_power_(2)
        tensor([4., 9.], dtype=torch.float64)
    """
    result = float_power(input, exponent)
    if input._meta.dtype is not result._meta.dtype:
        raise RuntimeError(
            errors.explain(
                f"the base given to float_power_ has dtype {errors.TYPE_NAMES[input._meta.dtype.name]} but the "
                f"operation's result "
                f"requires dtype {errors.TYPE_NAMES[result._meta.dtype.name]}",
                site=user_site(2),
            )
        )
    return input.copy_(result)


@composite(out="castable", overlap="same", inplace=True)
def square(input: Any) -> Any:
    """`input * input`.

    Example::

        >>> import flambeau as torch
        >>> torch.square(torch.tensor([2., 3.]))
        tensor([4., 9.])
    """
    return input**2


# ---------------------------------------------------------------------------------------------- fused sums


def _check_addcdiv(metas: tuple) -> None:
    if _category(metas[1:3]) < FLOAT:
        raise RuntimeError(
            errors.explain(
                "Integer division with addcdiv is no longer supported",
                hint="(input + value * torch.trunc(tensor1 / tensor2)) divides integers, "
                "(input + value * tensor1 / tensor2) gives floating-point numbers",
                site=user_site(5),
            )
        )


def _check_value(metas: tuple) -> None:
    if len(metas) > 3 and metas[3] in (float, complex) and _category(metas[:3]) == BOOL:
        raise RuntimeError(errors.explain("addcmul(): a boolean result needs a boolean value", site=user_site(5)))


@pointwise(
    legacy=("value",),
    numbers=False,
    inplace=True,
    check=_check_value,
    gradient={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: _scaled(g, value) * conj(tensor2),
        "tensor2": lambda g, tensor1, value: _scaled(g, value) * conj(tensor1),
    },
)
def addcmul(k: Any, input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """`input + value * tensor1 * tensor2`.

    Example::

        >>> import flambeau as torch
        >>> torch.addcmul(torch.ones(2), torch.tensor([1., 2.]), torch.tensor([3., 4.]), value=0.5)
        tensor([2.5000, 5.0000])
    """
    product = tensor1 * tensor2
    return input + (product if _is_one(value) else product * value)


@pointwise(
    legacy=("value",),
    numbers=False,
    inplace=True,
    check=_check_addcdiv,
    gradient={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: _scaled(g, value) / conj(tensor2),
        "tensor2": lambda g, tensor1, tensor2, value: -_scaled(g, value) * conj(tensor1 / (tensor2 * tensor2)),
    },
)
def addcdiv(k: Any, input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """`input + value * tensor1 / tensor2`; RuntimeError where both are integers.

    Example::

        >>> import flambeau as torch
        >>> torch.addcdiv(torch.ones(2), torch.tensor([1., 2.]), torch.tensor([2., 8.]), value=2)
        tensor([2.0000, 1.5000])
    """
    ratio = tensor1 / tensor2
    return input + (ratio if _is_one(value) else ratio * value)


def _check_lerp(metas: tuple) -> None:
    """RuntimeError unless the tensors share one dtype, NotImplementedError for integers."""
    expected = metas[0].dtype
    for name, m in zip(("end", "weight"), metas[1:], strict=False):
        found = getattr(m, "dtype", expected)
        if found is not expected:
            raise RuntimeError(
                errors.explain(
                    f"expected dtype {expected} for `{name}` but got dtype {found}",
                    hint="convert one of them with .to()",
                    site=user_site(5),
                )
            )
    if expected.category < FLOAT:
        raise errors.not_implemented("lerp_kernel_scalar", expected)


@pointwise(
    node_name=with_tensor("Lerp", 2),
    out="exact",
    inplace=True,
    check=_check_lerp,
    gradient={
        "input": lambda g, weight: g * conj(1 - weight),
        "end": lambda g, weight: g * conj(weight),
        "weight": lambda g, input, end: g * conj(end - input),
    },
)
def lerp(k: Any, input: Any, end: Any, weight: Any) -> Any:
    """`input + weight * (end - input)`, exact at both ends; `weight` is a number or a tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.lerp(torch.tensor([0., 1.]), torch.tensor([10., 2.]), 0.5)
        tensor([5.0000, 1.5000])
    """
    way = end - input
    return k.where(k.abs(weight) < 0.5, input + weight * way, end - way * (1 - weight))


# ---------------------------------------------------------------------------------------------- choice


@pointwise(
    operands=("input", "other"),
    gradient={
        "input": lambda g, condition: choose(condition, g, 0),
        "other": lambda g, condition: choose(condition, 0, g),
    },
    method=False,
    function=False,
    node_name="WhereBackward0",
    shows_numbers=True,
)
def choose(k: Any, condition: Any, input: Any, other: Any) -> Any:
    """`input` where `condition` holds, else `other`."""
    return k.where(condition, input, other)


@composite(overlap="same", method=False)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` (bool) holds, else `other` (tensors or numbers that broadcast).

    With the condition alone: the indices where it holds, as `nonzero(as_tuple=True)`. RuntimeError for another
    condition.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([1., -2., 3.])
        >>> torch.where(x > 0, x, 0.)
        tensor([1., 0., 3.])
    """
    if input is None:
        return condition.nonzero(as_tuple=True)
    d = condition._meta.dtype
    if d is not dtypes.bool_:
        if d is not dtypes.uint8:
            raise RuntimeError(
                errors.explain(
                    f"where expected condition to be a boolean tensor, but got a tensor with dtype "
                    f"{errors.TYPE_NAMES[d.name]}",
                    hint="compare first, e.g. torch.where(x > 0, ...)",
                    site=user_site(2),
                )
            )
        condition = condition.bool()
    return choose(condition, input, other)


@composite(name="where", namespace="Tensor", function=False)
def where_method(input: Any, condition: Any, other: Any) -> Any:
    """This tensor where `condition` holds, else `other`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([1., -2., 3.])
        >>> x.where(x > 0, 0.)
        tensor([1., 0., 3.])
    """
    return where(condition, input, other)
