"""Comparisons, logic, and tests of single elements."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ir.recording import TensorBase
from flambeau._ops.registry import composite, pointwise


@pointwise(inplace=True, result="bool")
def eq(k: Any, input: Any, other: Any) -> Any:
    """Is `input` equal to `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.eq(torch.tensor([1, 2, 3]), 2)
        tensor([False,  True, False])
    """
    return input == other


@pointwise(inplace=True, result="bool", aliases=("not_equal",))
def ne(k: Any, input: Any, other: Any) -> Any:
    """Is `input` different from `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.ne(torch.tensor([1, 2, 3]), 2)
        tensor([ True, False,  True])
    """
    return input != other


@pointwise(inplace=True, result="bool", aliases=("less",), refuses=("complex",))
def lt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` less than `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.lt(torch.tensor([1, 2, 3]), 2)
        tensor([ True, False, False])
    """
    return input < other


@pointwise(inplace=True, result="bool", aliases=("less_equal",), refuses=("complex",))
def le(k: Any, input: Any, other: Any) -> Any:
    """Is `input` at most `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.le(torch.tensor([1, 2, 3]), 2)
        tensor([ True,  True, False])
    """
    return input <= other


@pointwise(inplace=True, result="bool", aliases=("greater",), refuses=("complex",))
def gt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` greater than `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.gt(torch.tensor([1, 2, 3]), 2)
        tensor([False, False,  True])
    """
    return input > other


@pointwise(inplace=True, result="bool", aliases=("greater_equal",), refuses=("complex",))
def ge(k: Any, input: Any, other: Any) -> Any:
    """Is `input` at least `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.ge(torch.tensor([1, 2, 3]), 2)
        tensor([False,  True,  True])
    """
    return input >= other


@pointwise(inplace=True, result="bool")
def logical_not(k: Any, input: Any) -> Any:
    """True where `input` is zero.

    Example::

        >>> import flambeau as torch
        >>> torch.logical_not(torch.tensor([0, 2]))
        tensor([ True, False])
    """
    return input == 0


@pointwise(inplace=True, result="bool")
def logical_and(k: Any, input: Any, other: Any) -> Any:
    """The and of two tensors, in which all but zero is true.

    Example::

        >>> import flambeau as torch
        >>> torch.logical_and(torch.tensor([1, 0]), torch.tensor([2, 3]))
        tensor([ True, False])
    """
    return (input != 0) & (other != 0)


@pointwise(inplace=True, result="bool")
def logical_or(k: Any, input: Any, other: Any) -> Any:
    """The or of two tensors, in which all but zero is true.

    Example::

        >>> import flambeau as torch
        >>> torch.logical_or(torch.tensor([1, 0]), torch.tensor([2, 3]))
        tensor([True, True])
    """
    return (input != 0) | (other != 0)


@pointwise(inplace=True, result="bool")
def logical_xor(k: Any, input: Any, other: Any) -> Any:
    """The xor of two tensors, in which all but zero is true.

    Example::

        >>> import flambeau as torch
        >>> torch.logical_xor(torch.tensor([1, 0]), torch.tensor([2, 3]))
        tensor([False,  True])
    """
    return (input != 0) ^ (other != 0)


@pointwise(result="bool")
def isnan(k: Any, input: Any) -> Any:
    """Is the element NaN?

    Example::

        >>> import flambeau as torch
        >>> torch.isnan(torch.tensor([1., float("nan"), float("inf")]))
        tensor([False,  True, False])
    """
    return input != input


@pointwise(result="bool")
def isinf(k: Any, input: Any) -> Any:
    """Is the element infinite?

    Example::

        >>> import flambeau as torch
        >>> torch.isinf(torch.tensor([1., float("nan"), float("inf")]))
        tensor([False, False,  True])
    """
    return k.isinf(input)


@pointwise(result="bool")
def isfinite(k: Any, input: Any) -> Any:
    """Is the element neither infinite nor NaN?

    Example::

        >>> import flambeau as torch
        >>> torch.isfinite(torch.tensor([1., float("nan"), float("inf")]))
        tensor([ True, False, False])
    """
    return k.isfinite(input)


@pointwise(result="bool", refuses=("complex",))
def isposinf(k: Any, input: Any) -> Any:
    """Is the element plus infinity?

    Example::

        >>> import flambeau as torch
        >>> torch.isposinf(torch.tensor([float("inf"), 1.]))
        tensor([ True, False])
    """
    return k.isinf(input) & (input > 0)


@pointwise(result="bool", refuses=("complex",))
def isneginf(k: Any, input: Any) -> Any:
    """Is the element minus infinity?

    Example::

        >>> import flambeau as torch
        >>> torch.isneginf(torch.tensor([float("inf"), 1.]))
        tensor([False, False])
    """
    return k.isinf(input) & (input < 0)


@composite()
def isreal(input: Any) -> Any:
    """Has the element no imaginary part?

    Example::

        >>> import flambeau as torch
        >>> torch.isreal(torch.tensor([1 + 0j, 1j]))
        tensor([ True, False])
    """
    return input.imag == 0 if input.dtype.is_complex else input.new_ones(input.shape, dtype=dtypes.bool_)


@composite()
def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Is |input - other| <= atol + rtol * |other|? Infinities are close to themselves, NaN to NaN on request.

    Example::

        >>> import flambeau as torch
        >>> torch.isclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))
        tensor([ True, False])
    """
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"isclose(): expected both tensors to have the same dtype, got {input.dtype} and {other.dtype}"
        )
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must be at least zero, but got {rtol} and {atol}")
    close = input == other
    if not input.dtype.differentiable:
        if input.dtype is dtypes.bool_ or (rtol == 0 and atol == 0):
            return close
        input, other = input.to(dtypes.float64), other.to(dtypes.float64)
    if equal_nan:
        close = close | (isnan(input) & isnan(other))
    distance = (input - other).abs()
    return close | (isfinite(distance) & isfinite(other) & (distance <= atol + (rtol * other).abs()))


@composite()
def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Are all elements close (see `isclose`)?

    Example::

        >>> import flambeau as torch
        >>> torch.allclose(torch.tensor([1.]), torch.tensor([1.]))
        True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@composite()
def equal(input: Any, other: Any) -> bool:
    """Have both the same shape and elements?

    Example::

        >>> import flambeau as torch
        >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
        True
    """
    return tuple(input.shape) == tuple(other.shape) and bool((input == other).all())


@composite(method=False)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Does each of `elements` occur in `test_elements`?

    Example::

        >>> import flambeau as torch
        >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2]))
        tensor([False,  True, False])
    """
    if not isinstance(elements, TensorBase):
        elements = test_elements.new_tensor(elements)
    if not isinstance(test_elements, TensorBase):
        test_elements = elements.new_tensor(test_elements)
    found = (elements.unsqueeze(-1) == test_elements.reshape(-1)).any(-1)
    return ~found if invert else found
