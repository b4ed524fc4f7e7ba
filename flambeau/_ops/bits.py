"""Operations on the bits of integers, and on their divisors."""

from __future__ import annotations

from typing import Any

from flambeau._ops.registry import pointwise

INEXACT = ("float", "complex")


@pointwise(inplace=True, refuses=INEXACT)
def bitwise_and(k: Any, input: Any, other: Any) -> Any:
    """`input & other`, bit by bit, of integers or booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([12, 10]) & 6
        tensor([4, 2])
    """
    return input & other


@pointwise(inplace=True, refuses=INEXACT)
def bitwise_or(k: Any, input: Any, other: Any) -> Any:
    """`input | other`, bit by bit, of integers or booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([12, 10]) | 6
        tensor([14, 14])
    """
    return input | other


@pointwise(inplace=True, refuses=INEXACT)
def bitwise_xor(k: Any, input: Any, other: Any) -> Any:
    """`input ^ other`, bit by bit, of integers or booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([12, 10]) ^ 6
        tensor([10, 12])
    """
    return input ^ other


@pointwise(out="exact", inplace=True, refuses=INEXACT)
def bitwise_not(k: Any, input: Any) -> Any:
    """Every bit inverted; of booleans the logical not.

    Example::

        >>> import flambeau as torch
        >>> ~torch.tensor([0, 5])
        tensor([-1, -6])
    """
    return k.invert(input)


@pointwise(inplace=True, refuses=("bool", *INEXACT))
def bitwise_left_shift(k: Any, input: Any, other: Any) -> Any:
    """`input << other`; 0 where more bits are asked for than there are, or a negative number of them.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1, 3]) << 2
        tensor([ 4, 12])
    """
    return k.shift_left(input, other)


@pointwise(inplace=True, refuses=("bool", *INEXACT))
def bitwise_right_shift(k: Any, input: Any, other: Any) -> Any:
    """`input >> other`, the sign being kept.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([9, -9]) >> 1
        tensor([ 4, -5])
    """
    return k.shift_right(input, other)


@pointwise(numbers=False, inplace=True, refuses=("bool", *INEXACT))
def gcd(k: Any, input: Any, other: Any) -> Any:
    """The greatest common divisor of each pair of integers, not negative; of 0 and 0 it is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.gcd(torch.tensor([12, -18]), torch.tensor([8, 12]))
        tensor([4, 6])
    """
    return k.gcd(input, other)


@pointwise(numbers=False, inplace=True, refuses=("bool", *INEXACT))
def lcm(k: Any, input: Any, other: Any) -> Any:
    """The least common multiple of each pair of integers, not negative; with 0 it is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.lcm(torch.tensor([4, 6]), torch.tensor([6, 0]))
        tensor([12,  0])
    """
    return k.lcm(input, other)
