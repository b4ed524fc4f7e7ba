"""Inference shared by families: broadcasting, promotion, the layout of pointwise results, checks of dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous, dense_order, meta, strides_in_order, walking_order
from flambeau._ir.program import Inference
from flambeau._ops.arguments import not_a_tensor


def broadcast_shapes(shapes: Iterable[Sequence[int]], op: str = "") -> tuple[int, ...]:
    """The shape all of `shapes` broadcast to; RuntimeError naming the dimension where two do not fit.

    Example::

        >>> broadcast_shapes([(3, 1), (4,)])
        (3, 4)
    """
    result: tuple[int, ...] = ()
    for shape in shapes:
        longer, shorter = (result, tuple(shape)) if len(result) >= len(shape) else (tuple(shape), result)
        lead = len(longer) - len(shorter)
        merged = list(longer)
        for i, n in enumerate(shorter, start=lead):
            if merged[i] != n:
                if n != 1 and merged[i] != 1:
                    a, b = result, tuple(shape)
                    ia, ib = i - (len(longer) - len(a)), i - (len(longer) - len(b))
                    raise RuntimeError(
                        errors.explain(
                            f"The size of tensor a ({a[ia]}) must match the size of tensor b ({b[ib]}) at "
                            f"non-singleton "
                            f"dimension {i}" + (f" in {op}(): shapes {list(a)} and {list(b)}" if op else ""),
                            site=user_site(3),
                        )
                    )
                merged[i] = n if merged[i] == 1 else merged[i]
        result = tuple(merged)
    return result


def infer_pointwise(op: Any, args: tuple, metas: tuple) -> Inference:
    """What a pointwise op gives for these operands; remembered in the op's cache."""
    op.check_arguments(args)
    operands = [metas[i] for i in range(len(metas)) if i in op.operands and metas[i] is not type(None)]
    tensors = [m for m in metas if isinstance(m, Meta)]
    if not tensors:
        raise not_a_tensor(op.name, op.parameters[0], 1, args[0])
    wrong = [i for i in sorted(op.operands) if i < len(metas) and _is_no_operand(op, i, metas[i])]
    if wrong:
        place = wrong[0]
        raise not_a_tensor(op.name, op.parameters[place], place + 1, args[place])
    promoted = dtypes.result_type_of([(m.dtype, m.ndim) if isinstance(m, Meta) else m for m in operands])
    admit(op, metas)
    if op.check is not None:
        op.check(metas)
    if promoted.category in op.refuses:
        raise errors.not_implemented(f"{op.name.removesuffix('_kernel')}_cpu", promoted)
    compute, result = _result_dtype(op, promoted)
    shape = broadcast_shapes([m.shape for m in tensors], op.name)
    out = result_layout(result, shape, tensors)
    computed = dtypes.float32 if compute in dtypes.HALVES else compute
    fallible = op.fallible and computed.category <= dtypes.INTEGER
    inference = Inference((out,), computed, fallible, metas)
    op.keep(metas, inference)
    return inference


# What is done with dtypes that are only kept: moving, and with floats of 8 bits converting and comparing.
MOVING = frozenset({"copy_of", "cat", "stack", "index", "index_select", "index_put"})
CONVERTING = frozenset({"cast", "abs", "eq", "ne", "isnan", "choose"})


def admit(op: Any, metas: Iterable[Any]) -> None:
    """NotImplementedError for an operation on a dtype that is only kept, RuntimeError for one of quantized tensors."""
    for m in metas:
        if isinstance(m, tuple):
            admit(op, m)
        elif isinstance(m, Meta) and m.dtype in dtypes.STORED and op.name not in MOVING:
            if m.dtype not in dtypes.FLOAT8 or op.name not in CONVERTING:
                raise errors.not_implemented(f"{op.name}_cpu", m.dtype)
        elif isinstance(m, dtype):
            dtypes.refuse_quantized(m)
            if m in dtypes.STORED and m not in dtypes.FLOAT8:
                raise errors.not_implemented(f"{op.name}_cpu", m)


def _is_no_operand(op: Any, i: int, m: Any) -> bool:
    """Is operand `i` a word, a None that must not be left out, or a number where the op wants a tensor?"""
    if isinstance(m, Meta):
        return False
    missing = m is type(None) and i < op.required
    return missing or isinstance(m, str) or not op.numbers or (op.numbers == "later" and i == 0)


def _result_dtype(op: Any, promoted: dtype) -> tuple[dtype, dtype]:
    """The dtypes (computed in, of the result)."""
    rule = op.result
    if rule == "promoted":
        return promoted, promoted
    if rule == "bool":
        return promoted, dtypes.bool_
    if rule == "real":
        return promoted, promoted.to_real()
    if rule == "float":
        found = promoted if promoted.category >= dtypes.FLOAT else dtypes.get_default_dtype()
        return found, found
    return promoted, rule(promoted)


def result_layout(d: dtype, shape: tuple[int, ...], tensors: list[Meta]) -> Meta:
    """Row-major if all operands are; the strides of operands that lie densely in one way; else the order of dimensions
    in which the operands are walked best."""
    if all(m.is_contiguous for m in tensors):
        return contiguous(d, shape)
    first = tensors[0]
    if first.shape == shape and dense_order(first) and all(m.strides == first.strides for m in tensors):
        return meta(d, shape, first.strides)
    spread = [(0,) * (len(shape) - m.ndim) + _broadcast_strides(m, shape) for m in tensors]
    return meta(d, shape, strides_in_order(shape, walking_order(shape, spread)))


def _broadcast_strides(m: Meta, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an operand, 0 where it is repeated."""
    own = shape[len(shape) - m.ndim :]
    return tuple([0 if n == 1 != wanted else s for n, s, wanted in zip(m.shape, m.strides, own, strict=True)])


# ---------------------------------------------------------------------------------------------- dimensions


def wrap_dim(dim: int, ndim: int) -> int:
    """`dim` counted from the front; IndexError outside [-ndim, ndim - 1] (0-dim tensors count as having one).

    Example::

        >>> wrap_dim(-1, 3)
        2
    """
    count = max(ndim, 1)
    if not isinstance(dim, int):
        dim = int(dim)
    if not -count <= dim < count:
        raise IndexError(
            errors.explain(
                f"Dimension out of range (expected to be in range of [{-count}, {count - 1}], but got {dim})",
                site=user_site(3),
            )
        )
    return dim % count


def all_ints(numbers: Iterable[Any]) -> bool:
    """Are these Python's own integers, as nearly always? No list is made to find out."""
    for n in numbers:
        if type(n) is not int:
            return False
    return True


def last_dims(ndim: int, count: int) -> tuple[int, ...]:
    """The last `count` of `ndim` dimensions, counted from the front."""
    return tuple(range(ndim - count, ndim))


def wrap_dims(dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Several dimensions counted from the front; None and () mean all; RuntimeError for one given twice."""
    if dims is None or (not isinstance(dims, int) and len(dims) == 0):
        return tuple(range(ndim))
    wrapped = tuple(wrap_dim(d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    for d in wrapped:
        if wrapped.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return wrapped if ndim else ()
