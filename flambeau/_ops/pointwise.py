"""Pointwise operations: arithmetic."""

from __future__ import annotations

from typing import Any

from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, gradient={"input": lambda g: g, "other": lambda g, alpha: g if alpha == 1 else g * _conj(alpha)})
def add(k: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    """`input + alpha * other`.

    Example::

        >>> import flambeau as torch
        >>> torch.add(torch.tensor([1., 2.]), 10, alpha=2)
        tensor([21., 22.])
    """
    return input + other if _is_one(alpha) else input + other * alpha


def _is_one(number: Any) -> bool:
    return isinstance(number, int) and number == 1


def _conj(number: Any) -> Any:
    return number.conjugate() if isinstance(number, complex) else number


@pointwise(inplace=True, aliases=("multiply",),
           gradient={"input": lambda g, other: g * conj(other), "other": lambda g, input: g * conj(input)})
def mul(k: Any, input: Any, other: Any) -> Any:
    """`input * other`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2.]) * 3
        tensor([3., 6.])
    """
    return input * other


def conj(x: Any) -> Any:
    """The conjugate that gradients of holomorphic functions need; real operands stay as they are."""
    meta = getattr(x, "_meta", None)
    if meta is None:
        return _conj(x)
    return x.conj() if meta.dtype.is_complex else x


@pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out)})
def exp(k: Any, input: Any) -> Any:
    """The exponential of every element.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([0., 1.]).exp()
        tensor([1.0000, 2.7183])
    """
    return k.exp(input)


@pointwise(inplace=True, aliases=("subtract",), refuses=("bool",),
           gradient={"input": lambda g: g, "other": lambda g, alpha: -g if alpha == 1 else g * -_conj(alpha)})
def sub(k: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    """`input - alpha * other`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([3., 2.]) - 1
        tensor([2., 1.])
    """
    return input - other if _is_one(alpha) else input - other * alpha


@pointwise(inplace=True, result="float", method=False, function=False,
           gradient={"input": lambda g, other: g / conj(other), "other": lambda g, out, other: -g * conj(out / other)})
def quotient(k: Any, input: Any, other: Any) -> Any:
    """`input / other`, the true quotient."""
    return input / other


@composite(inplace=True, aliases=("divide",))
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`input / other`; `rounding_mode` "floor" or "trunc" rounds the quotient.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([7, -7]).div(2, rounding_mode="floor")
        tensor([ 3, -4])
    """
    if rounding_mode is None:
        return quotient(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return truncated_quotient(input, other)
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


@composite(inplace=True)
def true_divide(input: Any, other: Any) -> Any:
    """`input / other`, of integers too.

    Example::

        >>> import flambeau as torch
        >>> torch.true_divide(torch.tensor([1]), 2)
        tensor([0.5000])
    """
    return quotient(input, other)


@pointwise(inplace=True, refuses=("complex",))
def floor_divide(k: Any, input: Any, other: Any) -> Any:
    """The quotient rounded down; RuntimeError for an integer division by zero.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([7, -7]) // 2
        tensor([ 3, -4])
    """
    return k.floor_divide(input, other)


@pointwise(method=False, function=False, refuses=("complex",))
def truncated_quotient(k: Any, input: Any, other: Any) -> Any:
    """The quotient rounded towards zero."""
    return k.trunc_divide(input, other)


@pointwise(inplace=True, refuses=("bool", "complex"),
           gradient={"input": lambda g: g, "other": lambda g, input, other: -g * div(input, other, rounding_mode="floor")})
def remainder(k: Any, input: Any, other: Any) -> Any:
    """`input - other * floor(input / other)`: the sign of `other`, as Python's `%`.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([5., -5.]) % 3
        tensor([2., 1.])
    """
    return k.remainder(input, other)


@pointwise(inplace=True, gradient={
    "input": lambda g, input, exponent: _pow_grad_base(g, input, exponent),
    "exponent": lambda g, out, input, exponent: _pow_grad_exponent(g, out, input, exponent),
})
def pow(k: Any, input: Any, exponent: Any) -> Any:  # noqa: A001
    """`input` to the power of `exponent`; 0 ** 0 is 1.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([2., 3.]) ** 2
        tensor([4., 9.])
    """
    return k.pow(input, exponent)


def _pow_grad_base(g: Any, base: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "_meta"):
        return g.new_zeros(g.shape) if exponent == 0 else g * conj(exponent * base ** (exponent - 1))
    return choose(exponent == 0, 0, g * conj(exponent * base ** (exponent - 1)))


def _pow_grad_exponent(g: Any, out: Any, base: Any, exponent: Any) -> Any:
    if not hasattr(base, "_meta"):
        base = exponent.new_full((), base)
    log = base.log()
    positive = exponent.real >= 0 if exponent.dtype.is_complex else exponent >= 0
    return choose((base == 0) & positive, 0, g * conj(out * log))


@pointwise(operands=("input", "other"), gradient={
    "input": lambda g, condition: choose(condition, g, 0), "other": lambda g, condition: choose(condition, 0, g),
}, method=False, function=False)
def choose(k: Any, condition: Any, input: Any, other: Any) -> Any:
    """`input` where `condition` holds, else `other`."""
    return k.where(condition, input, other)


@pointwise(inplace=True, aliases=("negative",), refuses=("bool",), gradient={"input": lambda g: -g})
def neg(k: Any, input: Any) -> Any:
    """Minus `input`."""
    return -input


@pointwise(inplace=True, aliases=("absolute",), result="real", gradient={"input": lambda g, input: g * input.sgn()})
def abs(k: Any, input: Any) -> Any:
    """The absolute value; of complex numbers the modulus, a real number."""
    return k.abs(input)


@pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input)})
def log(k: Any, input: Any) -> Any:
    """The natural logarithm."""
    return k.log(input)


@pointwise(inplace=True, result="bool")
def eq(k: Any, input: Any, other: Any) -> Any:
    """Is `input` equal, element by element?"""
    return input == other


@pointwise(inplace=True, result="bool")
def ne(k: Any, input: Any, other: Any) -> Any:
    """Is `input` different, element by element?"""
    return input != other


@pointwise(inplace=True, result="bool")
def lt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` less, element by element?"""
    return input < other


@pointwise(inplace=True, result="bool")
def le(k: Any, input: Any, other: Any) -> Any:
    """Is `input` less or equal, element by element?"""
    return input <= other


@pointwise(inplace=True, result="bool")
def gt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` greater, element by element?"""
    return input > other


@pointwise(inplace=True, result="bool")
def ge(k: Any, input: Any, other: Any) -> Any:
    """Is `input` greater or equal, element by element?"""
    return input >= other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_and(k: Any, input: Any, other: Any) -> Any:
    """`input & other`, bit by bit."""
    return input & other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_or(k: Any, input: Any, other: Any) -> Any:
    """`input | other`, bit by bit."""
    return input | other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_xor(k: Any, input: Any, other: Any) -> Any:
    """`input ^ other`, bit by bit."""
    return input ^ other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_left_shift(k: Any, input: Any, other: Any) -> Any:
    """`input << other`, bit by bit."""
    return input << other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_right_shift(k: Any, input: Any, other: Any) -> Any:
    """`input >> other`, bit by bit."""
    return input >> other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_not(k: Any, input: Any) -> Any:
    """Every bit inverted; of bool the logical not."""
    return k.invert(input)


@composite()
def positive(input: Any) -> Any:
    """`input` itself."""
    return input
