"""Operations on the bits of integers, and on integers as such."""

from __future__ import annotations

from typing import Any

from flambeau._ops.registry import pointwise


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_not(k: Any, input: Any) -> Any:
    """Every bit inverted; of booleans the logical not.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_not(torch.tensor([0, 1]))
        tensor([-1, -2])
    """
    return k.invert(input)


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_and(k: Any, input: Any, other: Any) -> Any:
    """`input & other`, bit by bit; integers and booleans only.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_and(torch.tensor([6]), torch.tensor([3]))
        tensor([2])
    """
    return input & other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_or(k: Any, input: Any, other: Any) -> Any:
    """`input | other`, bit by bit; integers and booleans only.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_or(torch.tensor([6]), torch.tensor([3]))
        tensor([7])
    """
    return input | other


@pointwise(inplace=True, refuses=("float", "complex"))
def bitwise_xor(k: Any, input: Any, other: Any) -> Any:
    """`input ^ other`, bit by bit; integers and booleans only.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_xor(torch.tensor([6]), torch.tensor([3]))
        tensor([5])
    """
    return input ^ other


@pointwise(inplace=True, refuses=("bool", "float", "complex"))
def bitwise_left_shift(k: Any, input: Any, other: Any) -> Any:
    """The bits moved left by `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_left_shift(torch.tensor([6]), 1)
        tensor([12])
    """
    return k.shift_left(input, other)


@pointwise(inplace=True, refuses=("bool", "float", "complex"))
def bitwise_right_shift(k: Any, input: Any, other: Any) -> Any:
    """The bits moved right by `other`.

    Example::

        >>> import flambeau as torch
        >>> torch.bitwise_right_shift(torch.tensor([6]), 1)
        tensor([3])
    """
    return k.shift_right(input, other)


@pointwise(inplace=True, refuses=("bool", "float", "complex"))
def gcd(k: Any, input: Any, other: Any) -> Any:
    """The greatest common divisor.

    Example::

        >>> import flambeau as torch
        >>> torch.gcd(torch.tensor([4]), torch.tensor([6]))
        tensor([2])
    """
    return k.gcd(input, other)


@pointwise(inplace=True, refuses=("bool", "float", "complex"))
def lcm(k: Any, input: Any, other: Any) -> Any:
    """The least common multiple.

    Example::

        >>> import flambeau as torch
        >>> torch.lcm(torch.tensor([4]), torch.tensor([6]))
        tensor([12])
    """
    return k.lcm(input, other)
