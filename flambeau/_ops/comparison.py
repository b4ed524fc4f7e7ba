"""Comparisons, logic, and tests of elements (NaN, infinity, closeness, membership)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.arguments import check_tensor
from flambeau._ops.registry import composite, library, pointwise

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

# ---------------------------------------------------------------------------------------------- comparisons


@pointwise(numbers="later", inplace=True, result="bool")
def eq(k: Any, input: Any, other: Any) -> Any:
    """Is `input` equal to `other`, element by element? NaN equals nothing.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]) == 2
        tensor([False,  True])
    """
    return input == other


@pointwise(numbers="later", inplace=True, result="bool", aliases=("not_equal",))
def ne(k: Any, input: Any, other: Any) -> Any:
    """Is `input` different from `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2]) != 2
        tensor([ True, False])
    """
    return input != other


@pointwise(numbers="later", inplace=True, result="bool", refuses=("complex",), aliases=("less",))
def lt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` less than `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]) < 2
        tensor([ True, False, False])
    """
    return input < other


@pointwise(numbers="later", inplace=True, result="bool", refuses=("complex",), aliases=("less_equal",))
def le(k: Any, input: Any, other: Any) -> Any:
    """Is `input` less than or equal to `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]) <= 2
        tensor([ True,  True, False])
    """
    return input <= other


@pointwise(numbers="later", inplace=True, result="bool", refuses=("complex",), aliases=("greater",))
def gt(k: Any, input: Any, other: Any) -> Any:
    """Is `input` greater than `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]) > 2
        tensor([False, False,  True])
    """
    return input > other


@pointwise(numbers="later", inplace=True, result="bool", refuses=("complex",), aliases=("greater_equal",))
def ge(k: Any, input: Any, other: Any) -> Any:
    """Is `input` greater than or equal to `other`, element by element?

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 2, 3]) >= 2
        tensor([False,  True,  True])
    """
    return input >= other


# ---------------------------------------------------------------------------------------------- logic


@pointwise(inplace=True, result="bool")
def logical_not(k: Any, input: Any) -> Any:
    """Is the element zero?

    Example::

        >>> import flambeau as torch
        >>> torch.logical_not(torch.tensor([0, 2]))
        tensor([ True, False])
    """
    return input == 0


@pointwise(numbers=False, inplace=True, result="bool")
def logical_and(k: Any, input: Any, other: Any) -> Any:
    """Are both elements different from zero?

    Example::

        >>> import flambeau as torch
        >>> torch.logical_and(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 4]))
        tensor([False, False,  True])
    """
    return (input != 0) & (other != 0)


@pointwise(numbers=False, inplace=True, result="bool")
def logical_or(k: Any, input: Any, other: Any) -> Any:
    """Is one of the elements different from zero?

    Example::

        >>> import flambeau as torch
        >>> torch.logical_or(torch.tensor([0, 1, 0]), torch.tensor([1, 0, 0]))
        tensor([ True,  True, False])
    """
    return (input != 0) | (other != 0)


@pointwise(numbers=False, inplace=True, result="bool")
def logical_xor(k: Any, input: Any, other: Any) -> Any:
    """Is exactly one of the elements different from zero?

    Example::

        >>> import flambeau as torch
        >>> torch.logical_xor(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 2]))
        tensor([ True,  True, False])
    """
    return (input != 0) ^ (other != 0)


# ---------------------------------------------------------------------------------------------- tests of one element


@pointwise(result="bool")
def isnan(k: Any, input: Any) -> Any:
    """Is the element NaN (of complex numbers: one of its parts)?

    Example::

        >>> import flambeau as torch
        >>> torch.isnan(torch.tensor([1., float("nan")]))
        tensor([False,  True])
    """
    return input != input


@pointwise(result="bool")
def isinf(k: Any, input: Any) -> Any:
    """Is the element infinite (of complex numbers: one of its parts)?

    Example::

        >>> import flambeau as torch
        >>> torch.isinf(torch.tensor([1., float("inf")]))
        tensor([False,  True])
    """
    return k.isinf(input)


@pointwise(result="bool")
def isfinite(k: Any, input: Any) -> Any:
    """Is the element neither infinite nor NaN?

    Example::

        >>> import flambeau as torch
        >>> torch.isfinite(torch.tensor([1., float("inf"), float("nan")]))
        tensor([ True, False, False])
    """
    return k.isfinite(input)


def _refuse_complex(op: str) -> Any:
    def check(metas: tuple) -> None:
        if metas[0].dtype.is_complex:
            raise RuntimeError(errors.explain(f"{op} does not support complex inputs.", site=user_site(5)))

    return check


@pointwise(out="exact", result="bool", check=_refuse_complex("isposinf"))
def isposinf(k: Any, input: Any) -> Any:
    """Is the element positive infinity? RuntimeError for complex tensors.

    Example::

        >>> import flambeau as torch
        >>> torch.isposinf(torch.tensor([float("inf"), float("-inf")]))
        tensor([ True, False])
    """
    return input == math.inf


@pointwise(out="exact", result="bool", check=_refuse_complex("isneginf"))
def isneginf(k: Any, input: Any) -> Any:
    """Is the element negative infinity? RuntimeError for complex tensors.

    Example::

        >>> import flambeau as torch
        >>> torch.isneginf(torch.tensor([float("inf"), float("-inf")]))
        tensor([False,  True])
    """
    return input == -math.inf


@pointwise(result="bool")
def isreal(k: Any, input: Any) -> Any:
    """Is the imaginary part zero? True for every real element.

    Example::

        >>> import flambeau as torch
        >>> torch.isreal(torch.tensor([1 + 1j, 2]))
        tensor([False,  True])
    """
    return k.imag(input) == 0


# ---------------------------------------------------------------------------------------------- closeness and equality


@pointwise(result="bool", method=False, function=False)
def near(k: Any, input: Any, other: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    """`|input - other| <= atol + rtol * |other|`, for floating-point or complex operands."""
    distance = k.abs(input - other)
    close = (input == other) | k.isfinite(distance) & (distance <= atol + k.abs(other * rtol))
    return close | (input != input) & (other != other) if equal_nan else close


@composite()
def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Is `|input - other| <= atol + rtol * |other|`, element by element? `equal_nan` makes NaN close to NaN.

    RuntimeError for operands of different dtypes and for negative tolerances.

    Example::

        >>> import flambeau as torch
        >>> torch.isclose(torch.tensor([1., 2.]), torch.tensor([1 + 1e-6, 2.1]))
        tensor([ True, False])
    """
    check_tensor(input, "isclose")
    check_tensor(other, "isclose", "other", 2)
    d, e = input._meta.dtype, other._meta.dtype
    if d is not e:
        raise RuntimeError(
            errors.explain(
                f"{errors.TYPE_NAMES[d.name]} did not match {errors.TYPE_NAMES[e.name]}",
                hint="convert one operand with .to()",
                site=user_site(2),
            )
        )
    if rtol < 0 or atol < 0:
        raise RuntimeError(
            errors.explain(
                f"rtol and atol must be greater than or equal to zero, but got rtol={rtol} and atol={atol}",
                site=user_site(2),
            )
        )
    if d.category < dtypes.FLOAT:  # differences of integers could wrap around
        input, other = input.to(dtypes.float64), other.to(dtypes.float64)
    return near(input, other, rtol, atol, equal_nan)


@composite()
def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Are all elements close, as :func:`isclose` says? A Python bool.

    Example::

        >>> import flambeau as torch
        >>> torch.allclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))
        False
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@composite()
def equal(input: Any, other: Any) -> bool:
    """Have two tensors the same shape and the same elements? A Python bool.

    Example::

        >>> import flambeau as torch
        >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
        True
    """
    return input._meta.shape == other._meta.shape and bool(eq(input, other).all().item())


def _infer_isin(elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Meta:
    if not isinstance(elements, Meta) and not isinstance(test_elements, Meta):
        raise TypeError(errors.explain("isin(): one of the arguments must be a Tensor", site=user_site(4)))
    return contiguous(dtypes.bool_, elements.shape if isinstance(elements, Meta) else ())


@library(expand=_expand.is_in, category="search", method=False, infer=_infer_isin)
def isin(elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Which of `elements` occur in `test_elements` (one of the two may be a number); with `invert`, which do not.

    Example::

        >>> import flambeau as torch
        >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 5]))
        tensor([False,  True, False])
    """
    found = np.isin(_widened(elements), _widened(test_elements), invert=bool(invert))
    return found.reshape(np.shape(elements))


def _widened(x: Any) -> Any:
    """Half precision, which NumPy cannot sort everywhere, as float32."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x
