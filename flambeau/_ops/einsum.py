"""Einstein summation: sums of products, written as letters for dimensions."""

from __future__ import annotations

import math
import string
from typing import Any

from flambeau._ops.registry import composite

ELLIPSIS_LETTERS = "".join(chr(0x100 + i) for i in range(64))  # stand for the dimensions an ellipsis covers


@composite(method=False)
def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products over named dimensions: "ij,jk->ik" is the matrix product. Without "->" the result's letters are
    those that occur once, in alphabetical order; "..." stands for leading dimensions that broadcast. Operands may
    alternate with lists
    of ints.

    RuntimeError for letters that do not fit the operands.

    Example::

        >>> import flambeau as torch
        >>> torch.einsum("ij,ij->i", torch.ones(2, 3), torch.ones(2, 3))
        tensor([3., 3.])
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, result = parse(equation, [t.dim() for t in operands])
    sizes = _sizes(terms, operands)
    current, letters = _diagonals(operands[0], terms[0])
    for i in range(1, len(operands)):
        other, other_letters = _diagonals(operands[i], terms[i])
        needed = set(result).union(*terms[i + 1 :])
        current, letters = _contract(current, letters, other, other_letters, needed, sizes)
    summed = [i for i, letter in enumerate(letters) if letter not in result]
    if summed:
        current = current.sum(summed)
        letters = [letter for letter in letters if letter in result]
    return current.permute([letters.index(letter) for letter in result]) if letters else current


def _from_sublists(arguments: tuple) -> tuple[str, tuple]:
    """The form einsum(op1, [0, 1], op2, [1, 2], [0, 2]) as letters."""

    def letters(sublist: list) -> str:
        return "".join("..." if i is Ellipsis else string.ascii_letters[i] for i in sublist)

    pairs, rest = len(arguments) // 2, len(arguments) % 2
    terms = [letters(arguments[2 * i + 1]) for i in range(pairs)]
    equation = ",".join(terms) + ("->" + letters(arguments[-1]) if rest else "")
    return equation, tuple(arguments[2 * i] for i in range(pairs))


def parse(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand and of the result, ellipses written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise RuntimeError(
            f"einsum(): more operands were provided than specified in the equation or fewer: {len(ranks)} operands, "
            f"{len(terms)} terms "
            f"in '{equation}'"
        )
    written = [_letters(term, rank, n) for n, (term, rank) in enumerate(zip(terms, ranks, strict=True))]
    covered = max(
        (rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True) if "..." in term),
        default=0,
    )
    if arrow:
        result = list(right.replace("...", ELLIPSIS_LETTERS[:covered][::-1]))
    else:
        every = [letter for term in written for letter in term]
        once = sorted({x for x in every if every.count(x) == 1 and x not in ELLIPSIS_LETTERS})
        result = [*ELLIPSIS_LETTERS[:covered][::-1], *once]
    for letter in result:
        if result.count(letter) > 1:
            raise RuntimeError(f"einsum(): output subscript {letter} appears more than once in the output")
        if not any(letter in term for term in written):
            raise RuntimeError(
                f"einsum(): output subscript {letter} does not appear in the equation for any input operand"
            )
    return written, result


def _letters(term: str, rank: int, n: int) -> list[str]:
    plain = term.replace("...", "")
    for letter in plain:
        if letter not in string.ascii_letters:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {term.index(letter)} in the equation string, subscripts "
                f"must be in [a-zA-Z]"
            )
    covered = rank - len(plain)
    if covered < 0 or ("..." not in term and covered):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(plain)}) does not match the number of "
            f"dimensions ({rank}) for "
            f"operand {n} and no ellipsis was given"
        )
    return list(term.replace("...", ELLIPSIS_LETTERS[:covered][::-1]))


def _sizes(terms: list[list[str]], operands: tuple) -> dict[str, int]:
    """The size of every letter; sizes of 1 broadcast."""
    sizes: dict[str, int] = {}
    for n, (term, t) in enumerate(zip(terms, operands, strict=True)):
        for letter, size in zip(term, t.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known != size and 1 not in (known, size):
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {size} for operand {n} which does not broadcast with "
                    f"previously seen size {known}"
                )
            sizes[letter] = (
                max(known, size) if 0 not in (known, size) else 0 if known == size or 1 in (known, size) else known
            )
    return sizes


def _diagonals(t: Any, term: list[str]) -> tuple[Any, list[str]]:
    """A letter that occurs twice in a term takes the diagonal."""
    letters = list(term)
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            t = t.diagonal(0, first, second)
            letters = [x for i, x in enumerate(letters) if i not in (first, second)] + [letter]
    return t, letters


def _contract(
    a: Any, a_letters: list[str], b: Any, b_letters: list[str], needed: set[str], sizes: dict[str, int]
) -> tuple[Any, list[str]]:
    """Two operands into one: letters in both become batch or inner dimensions of one matrix product."""
    a, a_letters = _sum_alone(a, a_letters, needed | set(b_letters))
    b, b_letters = _sum_alone(b, b_letters, needed | set(a_letters))
    # a dimension of size 1 that stretches is no inner dimension of the product
    stretched = [x for x in a_letters if x in b_letters and a.shape[a_letters.index(x)] != b.shape[b_letters.index(x)]]
    for x in stretched:
        if a.shape[a_letters.index(x)] == 1:
            a = a.expand([sizes[x] if y == x else n for y, n in zip(a_letters, a.shape, strict=True)])
        else:
            b = b.expand([sizes[x] if y == x else n for y, n in zip(b_letters, b.shape, strict=True)])
    both = [x for x in a_letters if x in b_letters]
    batch, inner = [x for x in both if x in needed], [x for x in both if x not in needed]
    rows, columns = [x for x in a_letters if x not in both], [x for x in b_letters if x not in both]

    def arranged(t: Any, letters: list[str], groups: tuple[list[str], ...]) -> Any:
        own = dict(zip(letters, t.shape, strict=True))
        t = t.permute([letters.index(x) for group in groups for x in group])
        return t.reshape([math.prod([own[x] for x in group]) for group in groups])

    left = arranged(a, a_letters, (batch, rows, inner))
    right = arranged(b, b_letters, (batch, inner, columns))
    shape = (
        [a.shape[a_letters.index(x)] for x in batch]
        + [a.shape[a_letters.index(x)] for x in rows]
        + [b.shape[b_letters.index(x)] for x in columns]
    )
    return (left @ right).reshape(shape), batch + rows + columns


def _sum_alone(t: Any, letters: list[str], wanted: set[str]) -> tuple[Any, list[str]]:
    """Sum the dimensions nobody else mentions."""
    alone = [i for i, x in enumerate(letters) if x not in wanted]
    return (t.sum(alone), [x for x in letters if x in wanted]) if alone else (t, letters)
