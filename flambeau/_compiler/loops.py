"""The loop IR: one fused nest of loops, as a list of scalar expressions.

A nest runs over `parallel` dimensions and, inside, over `reduced` ones (both outermost first). Every expression is a
scalar at a point of that space; one that depends on no reduced dimension is a *row value*, computed once a row. A
`reduce` combines its operand over all reduced dimensions and gives a row value; what depends on it runs after the loop
that computed it, so a softmax is three passes over a row: maximum, sum, result. Expressions needed in several passes
are computed anew or kept in a row buffer, as the backend likes.

    %0 = load op0            %3 = sub %0 %1           %6 = div %4 %5
    %1 = reduce max %0       %4 = exp %3              %7 = store op1 %6
                             %5 = reduce sum %4

Loops names the structure and nothing about sizes; `Nest` adds what arrives at run time, so that kernels are shared by
all sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Operand(NamedTuple):
    """Memory that a nest reads or writes.

    `strides` has for every dimension (parallel, then reduced) 0, 1 or -1 (all known when compiling) or None (a run-time
    number of elements). `gathered`: one more index, computed by an expression, times a run-time stride is added;
    `sound`: which cannot be out of range; `dense`: whose stride is 1.
    """

    dtype: str
    strides: tuple[int | None, ...]
    written: bool
    gathered: bool = False
    sound: bool = False
    dense: bool = False


def known_strides(strides: Sequence[int]) -> tuple[int | None, ...]:
    """Strides as the structure knows them.

    Example::

        >>> known_strides((12, 1, 0, -1))
        (None, 1, 0, -1)
    """
    return tuple([0 if s == 0 else 1 if s == 1 else -1 if s == -1 else None for s in strides])


class Expr(NamedTuple):
    """One scalar expression: `op` over earlier expressions `args` (by number), of register dtype `dtype`.

    ===========  ===================================================================================
    load         param: the operand's number; args: () or (index,) if that is gathered, an int64
    store        param: the operand's number; args: (value,), already of the operand's dtype
    scalar       param: the number of a run-time scalar (converted to `dtype`)
    const        param: the number itself
    index        param: a dimension; the int64 position along it
    reduce       param: a combiner ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
    cast         to `dtype` from the dtype of its argument
    other        a scalar primitive of that name; comparisons have args of another dtype than bool
    ===========  ===================================================================================

    float16 and bfloat16 occur only as the result of loads and casts, and as what casts and stores take.
    """

    op: str
    args: tuple[int, ...]
    dtype: str
    param: Any = None


class Loops(NamedTuple):
    """The structure of a nest. Scalars have a dtype each: "float64" or "int64", as which they arrive."""

    parallel: int
    reduced: int
    operands: tuple[Operand, ...]
    scalars: tuple[str, ...]
    body: tuple[Expr, ...]


class Nest(NamedTuple):
    """A nest with its numbers: `sizes` of the dimensions (parallel, then reduced), `strides` of every operand in
    elements, `gathers` the (stride, size) of the gathered dimension of every operand (None for the others),
    `checked` whether indices are to be checked against that size, `offsets` in elements of every operand.
    """

    loops: Loops
    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...]
    gathers: tuple[tuple[int, int] | None, ...]
    checked: bool = True


def nest_numbers(nest: Nest) -> tuple[int, ...]:
    """The numbers of a nest that its structure leaves open, all in a row."""
    found = [*nest.sizes, *nest.offsets]
    for operand, strides in zip(nest.loops.operands, nest.strides, strict=True):
        found += [s for s, known in zip(strides, operand.strides, strict=True) if known is None]
    for gather in nest.gathers:
        if gather is not None:
            found += gather
    return tuple(found)


def nest_with(loops: Loops, numbers: Sequence[Any], checked: bool) -> Nest:
    """The nest of this structure with these numbers, in the order of `nest_numbers`."""
    rest: Iterator[Any] = iter(numbers)
    sizes = tuple([next(rest) for _ in range(loops.parallel + loops.reduced)])
    offsets = tuple([next(rest) for _ in loops.operands])
    strides = tuple([
        tuple([next(rest) if known is None else known for known in operand.strides]) for operand in loops.operands
    ])  # fmt: skip
    gathers = tuple([(next(rest), next(rest)) if operand.gathered else None for operand in loops.operands])
    return Nest(loops, sizes, strides, offsets, gathers, checked)


def text_of(nest: Nest) -> str:
    """The nest printed, one expression a line."""
    loops = nest.loops
    sizes = " x ".join(map(str, nest.sizes[: loops.parallel])) or "1"
    inner = " x ".join(map(str, nest.sizes[loops.parallel :]))
    lines = [f"for {sizes}" + (f", over {inner}" if inner else "")]
    for i, (o, s) in enumerate(zip(loops.operands, nest.strides, strict=True)):
        lines.append(f"  op{i}: {o.dtype} strides {list(s)}{' gathered' if o.gathered else ''}"
                     f"{' written' if o.written else ''}")  # fmt: skip
    for i, e in enumerate(loops.body):
        param = f"op{e.param} " if e.op in ("load", "store") else "" if e.param is None else f"{e.param} "
        lines.append(f"  %{i}: {e.dtype} = {e.op} {param}{' '.join(f'%{a}' for a in e.args)}")
    return "\n".join(lines)
