"""What operations mean for nested operands.

Most act on the pieces of a nested tensor (see `tensors`), whose dimensions are one less; those along the ragged
dimension of the jagged layout act on padded tensors, with a padding that takes no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._core import dtypes
from flambeau._ops.infer import wrap_dim
from flambeau._tensor.batching_rules import SHAPE_KEEPING, WITH_DIMENSIONS
from flambeau.nested.raggedness import raggedness_of
from flambeau.nested.tensors import RULES, Nested, NestedTensor, StridedNestedTensor


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Declares what the operations `names` mean for nested operands."""

    def declare(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def lifted(function: Callable, *operands: Any, ragged_dim: int | None = None) -> Any:
    """`function` of the pieces of the nested ones among `operands`; the others are the same for all pieces.
    `ragged_dim` says where the ragged dimension of the result is, if not where it was."""
    nested = [o for o in operands if isinstance(o, Nested)]
    first = nested[0]
    for other in nested[1:]:
        if type(other) is not type(first) or isinstance(first, NestedTensor) and other.ragged is not first.ragged:
            raise mismatch("", nested)
        if isinstance(first, StridedNestedTensor) and len(other.shapes) != len(first.shapes):
            raise RuntimeError(f"nested tensors of {len(first.shapes)} and {len(other.shapes)} parts")
    count = len(first.pieces())
    columns = [o.pieces() if isinstance(o, Nested) else [o] * count for o in operands]
    results = [function(*row) for row in zip(*columns, strict=True)]
    if not results or not isinstance(results[0], tuple):
        return first.joined(results, ragged_dim)
    several = [first.joined(list(column), ragged_dim) for column in zip(*results, strict=True)]
    kind = type(results[0])
    return kind(*several) if hasattr(kind, "_fields") else tuple(several)


def mismatch(name: str, operands: Sequence[Any]) -> RuntimeError:
    """The error for operands whose raggedness or shapes do not go together."""
    shapes = " and ".join([str(tuple(o._meta.shape)) for o in operands])
    what = f"cannot call binary pointwise function {name} with inputs of shapes" if name else "no common rows for"
    return RuntimeError(
        f"{what} {shapes}\n  hint: nested tensors go together if they are made of the same offsets(); dense ones "
        "broadcast to the dimensions behind the ragged one, or have size 1 in it"
    )


def inner(op: Any, x: Nested, dim: int) -> int:
    """A dimension of a nested tensor as one of its pieces; RuntimeError for that which counts the parts, and for the
    ragged one."""
    d = wrap_dim(dim, x._meta.ndim)
    if not d:
        raise RuntimeError(f"{op.name}(): not supported for NestedTensor on dim=0")
    if isinstance(x, NestedTensor) and d == x.ragged_dim:
        raise RuntimeError(
            f"{op.name}(): not supported for NestedTensor on ragged dim\n"
            "  hint: pad with to_padded_tensor(), or loop over the parts that unbind() gives"
        )
    return d - 1


def ragged_dim(x: Nested) -> int:
    """The ragged dimension of the jagged layout; 0 in the strided one, whose pieces have none."""
    return x.ragged_dim if isinstance(x, NestedTensor) else 0


# ---------------------------------------------------------------------------------------------- elementwise


@rule("pointwise")
def pointwise(op: Any, *args: Any) -> Any:
    """Numbers, nested tensors with the same parts, and dense tensors that broadcast: to each part, and in the jagged
    layout with the dimension of the parts."""
    x = next(a for a in args if isinstance(a, Nested))
    if isinstance(x, NestedTensor):
        found: Any = x.with_values(op.function(*[_aligned(op, x, a) for a in args]))
        return found
    if all(a.shapes == x.shapes if isinstance(a, StridedNestedTensor) else _is_number(a) for a in args):
        return x.with_values(op.function(*[a._value if isinstance(a, Nested) else a for a in args]))
    for a in args:
        if isinstance(a, torch.Tensor) and not isinstance(a, Nested) and a._meta.ndim >= x._meta.ndim:
            raise RuntimeError(
                "Expected both self and other to be nested, but got a nested self and non-nested other\n"
                "  hint: dense tensors broadcast to each part, or have the batch in layout=torch.jagged"
            )
    return lifted(op.function, *args)


def _is_number(a: Any) -> bool:
    return not isinstance(a, torch.Tensor) or not a._meta.ndim


def _aligned(op: Any, x: NestedTensor, a: Any) -> Any:
    """An operand as it stands beside the values of `x`."""
    if _is_number(a):
        return a
    shape, place = a._meta.shape, x.ragged_dim
    if isinstance(a, Nested):
        if isinstance(a, NestedTensor) and a.ragged is x.ragged and a.ragged_dim == place and len(shape) == x.ndim:
            return a._value
        raise mismatch(op.name, (x, a))
    missing = x.ndim - len(shape)
    if missing < 0 or place >= missing > 0 and shape[place - missing] != 1:
        raise mismatch(op.name, (x, a))
    if missing:
        return a
    if shape[0] == 1 and shape[place] == 1:
        return a.squeeze(0)
    if shape[0] not in (1, x.ragged.parts):
        raise mismatch(op.name, (x, a))
    if shape[place] == 1:  # one row for each part
        owners = x.ragged.owners(x._value.shape[place - 1])
        return a.squeeze(place).index_select(0, owners).movedim(0, place - 1)
    if shape[place] != x.ragged.longest or x.ragged.lengths is not None:
        raise mismatch(op.name, (x, a))
    return x.cut_from(a.expand(x.ragged.parts, *shape[1:]))._value  # rows as in a padded tensor


@rule("cast", "root_with_zero_gradient", "frexp", "nextafter", "insensitive", "in_place_of")
def elementwise(op: Any, *args: Any) -> Any:
    """Of each piece."""
    return lifted(op.function, *args)


@rule("layer_normalised")
def layer_normalised(
    op: Any, x: Nested, shape: tuple[int, ...], eps: float, weight: Any = None, bias: Any = None
) -> Any:
    """Of each row, if the ragged dimension is not among those normalised over."""
    if isinstance(x, NestedTensor) and x.ragged_dim >= x.ndim - len(shape):
        inner(op, x, x.ragged_dim)
    return lifted(op.function, x, shape, eps, weight, bias)


@rule("copy_of")
def copy_of(op: Any, x: Nested, dense: bool) -> Any:
    """A copy; a row-major one has no gaps between parts."""
    source = x.packed() if isinstance(x, NestedTensor) and not dense else x
    return lifted(op.function, source, dense)


# ---------------------------------------------------------------------------------------------- along dimensions

# operation -> the place of its dimension (or dimensions) among its arguments
ALONG = {**WITH_DIMENSIONS, "argmax": 1, "argmin": 1}
LOWEST = {"amax", "max_along", "argmax", "softmax_rows", "log_softmax_rows", "log_sum_exp", "cummax"}
HIGHEST = {"amin", "min_along", "argmin", "cummin"}
# operation -> the padding that takes no part in it
NEUTRAL = {
    "sum": 0, "nansum": 0, "count_nonzero": 0, "product": 1, "all": True, "any": False, "cumsum": 0, "cumprod": 1,
    "logcumsumexp": 0,
}  # fmt: skip
KEEPING_DIMENSIONS = SHAPE_KEEPING | {"top", "complex_transform", "real_to_half", "half_to_real"}


@rule(*ALONG)
def along(op: Any, x: Any, *rest: Any) -> Any:
    """Dimensions of each piece; the ragged one when padded; that of the parts together with it, over all rows."""
    place = ALONG[op.name] - 1
    given = rest[place]
    ndim, keepdim = x._meta.ndim, "keepdim" in op.parameters and rest[op.parameters.index("keepdim") - 1]
    everything = given is None or given == ()
    dims = {wrap_dim(d, ndim) for d in (range(ndim) if everything else [given] if isinstance(given, int) else given)}

    def of(t: Any, dims: Any) -> Any:
        chosen = [*dims]
        arguments = list(rest)
        arguments[place] = None if everything else chosen[0] if isinstance(given, int) else tuple(chosen)
        return op.function(t, *arguments)

    ragged = ragged_dim(x)
    if 0 in dims:
        return _over_parts(op, x, dims, of, keepdim)
    if ragged not in dims:
        gone = 0 if keepdim or op.name in KEEPING_DIMENSIONS else sum(d < ragged for d in dims)
        return lifted(lambda t: of(t, [d - 1 for d in sorted(dims)]), x, ragged_dim=ragged - gone)
    return _over_rows(op, x, sorted(dims), of)


def _over_parts(op: Any, x: Any, dims: set[int], of: Callable, keepdim: bool) -> Any:
    """Over the dimension of the parts and that of the rows."""
    rows = set(range(1, x._meta.ndim)) if isinstance(x, StridedNestedTensor) else {x.ragged_dim}
    if not rows <= dims or op.name in KEEPING_DIMENSIONS:
        raise RuntimeError(
            f"{op.name}(): reducing along the batch dimension but not the ragged dimension is not supported for nested "
            "tensors\n  hint: give both dimensions, or pad with to_padded_tensor()"
        )
    if isinstance(x, StridedNestedTensor):
        return of(x._value, [0])
    found = of(x.packed()._value, [d - 1 for d in sorted(dims - {0})])
    return found.unsqueeze(0) if keepdim else found


def _over_rows(op: Any, x: NestedTensor, dims: list[int], of: Callable) -> Any:
    """Over the rows of each part."""
    if op.name == "average":
        mean = x.sum(dims, True) / x.ragged.counts(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        others = math.prod([x._meta.shape[d] for d in dims if d != x.ragged_dim])
        mean = mean if others == 1 else mean / others
        return of(mean, dims)  # of one row: without the dimensions, or in another dtype
    if op.name in LOWEST or op.name in HIGHEST:
        padding = dtypes.extreme(x.dtype, op.name in HIGHEST)
    elif op.name in NEUTRAL:
        padding = NEUTRAL[op.name]
    else:
        raise NotImplementedError(
            f"{op.name}() along the ragged dimension of a nested tensor is not implemented\n"
            "  hint: loop over the parts that unbind() gives"
        )
    found = of(x.padded(padding), dims)
    if op.name not in KEEPING_DIMENSIONS:
        return found
    if not isinstance(found, tuple):
        return x.cut_from(found)
    several = [x.cut_from(f) for f in found]
    return type(found)(*several) if hasattr(found, "_fields") else tuple(several)


@rule("max_of_all", "min_of_all")
def extreme_of_all(op: Any, x: Any) -> Any:
    """Of all elements."""
    return op.function(x.packed()._value if isinstance(x, NestedTensor) else x._value)


# ---------------------------------------------------------------------------------------------- views


@rule("view")
def view(op: Any, x: Nested, shape: Sequence[Any]) -> Any:
    """Other sizes for dimensions other than the ragged one."""
    return x.viewed(tuple(shape))


@rule("expand")
def expand(op: Any, x: Any, shape: Sequence[Any]) -> Any:
    """Dimensions of size 1 repeated, others than those of parts and rows."""
    own = x._meta.shape
    if len(shape) != len(own) or any(
        n not in (-1, m) for d, (n, m) in enumerate(zip(shape, own, strict=True)) if d in (0, ragged_dim(x))
    ):
        raise RuntimeError(f"expand(): cannot expand shape {tuple(own)} -> {list(shape)}")
    sizes = [-1 if n == m else n for n, m in zip(shape, own, strict=True)][1:]
    return lifted(lambda t: op.function(t, tuple(sizes)), x)


@rule("transpose")
def transpose(op: Any, x: Any, dim0: int, dim1: int) -> Any:
    """Dimensions exchanged, others than that of the parts."""
    order = list(range(x._meta.ndim))
    a, b = wrap_dim(dim0, len(order)), wrap_dim(dim1, len(order))
    if a == b:
        return x
    order[a], order[b] = b, a
    return _reordered("Transpose", x, order)


@rule("permute")
def permute(op: Any, x: Any, dims: Sequence[int]) -> Any:
    """Dimensions in another order, that of the parts in front."""
    return _reordered("Permute", x, [wrap_dim(d, x._meta.ndim) for d in dims])


def _reordered(what: str, x: Any, order: list[int]) -> Any:
    if order[0] != 0 or len(order) != x._meta.ndim:
        error = ValueError if isinstance(x, NestedTensor) else RuntimeError
        raise error(f"{what} is not supported on the batch dimension for jagged NT: the parts stay in front")
    place = order.index(ragged_dim(x))
    return lifted(lambda t: t.permute([d - 1 for d in order[1:]]), x, ragged_dim=place)


@rule("squeeze")
def squeeze(op: Any, x: Any, dim: Any) -> Any:
    """Dimensions of size 1 dropped; those of parts and rows stay."""
    shape, ragged = x._meta.shape, ragged_dim(x)
    asked = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [d for d in {wrap_dim(d, len(shape)) for d in asked} if d and d != ragged and shape[d] == 1]
    if not dims:
        return x
    gone = sum(d < ragged for d in dims)
    return lifted(lambda t: op.function(t, tuple([d - 1 for d in dims])), x, ragged_dim=ragged - gone)


@rule("unsqueeze")
def unsqueeze(op: Any, x: Any, dim: int) -> Any:
    """A new dimension behind that of the parts."""
    d, ragged = wrap_dim(dim, x._meta.ndim + 1), ragged_dim(x)
    if not d:
        raise RuntimeError("unsqueeze(): not supported for NestedTensor on dim=0")
    return lifted(lambda t: op.function(t, d - 1), x, ragged_dim=ragged + (d <= ragged))


@rule("select")
def select(op: Any, x: Any, dim: int, index: int) -> Any:
    """One part, or one index of a dimension that is not ragged."""
    if wrap_dim(dim, x._meta.ndim) == 0:
        parts = x.parts()
        if not -len(parts) <= index < len(parts):
            raise IndexError(f"index {index} is out of range for a nested tensor of {len(parts)} parts")
        return parts[index]
    d, ragged = inner(op, x, dim), ragged_dim(x)
    return lifted(lambda t: op.function(t, d, index), x, ragged_dim=ragged - (d + 1 < ragged))


@rule("slice")
def slice_of(op: Any, x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    """A slice of a dimension that is not ragged."""
    d = inner(op, x, dim)
    return lifted(lambda t: op.function(t, d, start, end, step), x)


@rule("split")
def split(op: Any, x: Any, lengths: Sequence[int], dim: int) -> Any:
    """Pieces of a dimension that is not ragged; or nested tensors of some parts each."""
    if wrap_dim(dim, x._meta.ndim) or not isinstance(x, NestedTensor):
        d = inner(op, x, dim)
        return lifted(lambda t: op.function(t, lengths, d), x)
    packed = x.packed()
    sizes, first, groups = packed.ragged.sizes(), 0, []
    for n in lengths:
        groups.append(sizes[first : first + n])
        first += n
    rows = packed._value.split([sum(group) for group in groups], x.ragged_dim - 1)
    return tuple([NestedTensor(r, raggedness_of(g), x.ragged_dim) for r, g in zip(rows, groups, strict=True)])


@rule("unbind")
def unbind(op: Any, x: Any, dim: int) -> Any:
    """The parts, or what a dimension that is not ragged has at each index."""
    if wrap_dim(dim, x._meta.ndim) == 0:
        return x.parts()
    d, ragged = inner(op, x, dim), ragged_dim(x)
    return lifted(lambda t: op.function(t, d), x, ragged_dim=ragged - (d + 1 < ragged))


# ---------------------------------------------------------------------------------------------- joining, looking up


@rule("cat")
def cat(op: Any, tensors: Sequence[Any], dim: int) -> Any:
    """Nested tensors with the same parts, joined along a dimension that is not ragged."""
    d = inner(op, _nested_all(op, tensors), dim)
    return lifted(lambda *pieces: op.function(pieces, d), *tensors)


@rule("stack")
def stack(op: Any, tensors: Sequence[Any], dim: int) -> Any:
    """Nested tensors with the same parts, stacked in a new dimension behind that of the parts."""
    x = _nested_all(op, tensors)
    d, ragged = wrap_dim(dim, x._meta.ndim + 1), ragged_dim(x)
    if not d:
        raise RuntimeError("stack(): not supported for NestedTensor on dim=0")
    return lifted(lambda *pieces: op.function(pieces, d - 1), *tensors, ragged_dim=ragged + (d <= ragged))


def _nested_all(op: Any, tensors: Sequence[Any]) -> Any:
    if not all(isinstance(t, Nested) for t in tensors):
        raise RuntimeError(f"{op.name}(): expected nested tensors only, got dense ones among them")
    return tensors[0]


@rule("index_select")
def index_select(op: Any, x: Any, dim: int, index: Any) -> Any:
    """Some indices of a dimension that is not ragged."""
    d = inner(op, x, dim)
    return lifted(lambda t: op.function(t, d, index), x)


@rule("constant_pad_nd")
def constant_pad_nd(op: Any, x: Any, pad: Sequence[int], value: Any) -> Any:
    """Padding of dimensions behind the ragged one."""
    inner(op, x, x._meta.ndim - len(pad) // 2)
    if x._meta.ndim - len(pad) // 2 <= ragged_dim(x):
        raise RuntimeError("constant_pad_nd(): not supported for NestedTensor on ragged dim")
    return lifted(lambda t: op.function(t, pad, value), x)


@rule("rows_of")
def rows_of(op: Any, indices: Any, weight: Any, *options: Any) -> Any:
    """The rows of a table that nested indices name."""
    if not isinstance(indices, Nested):
        raise NotImplementedError("embedding() in a nested table is not implemented: the table must be dense")
    return lifted(lambda t: op.function(t, weight, *options), indices)


# ---------------------------------------------------------------------------------------------- products


@rule("linear")
def linear(op: Any, x: Any, weight: Any, bias: Any) -> Any:
    """A linear map of the last dimension, which must not be ragged."""
    if not isinstance(x, Nested) or isinstance(weight, Nested):
        raise NotImplementedError("linear() with a nested weight is not implemented: the weight must be dense")
    inner(op, x, -1)
    return lifted(lambda t: op.function(t, weight, bias), x)


@rule("matmul")
def matmul(op: Any, a: Any, b: Any) -> Any:
    """Products with dense matrices, the same for all parts or one for each; of nested tensors part by part."""
    if isinstance(a, StridedNestedTensor) or isinstance(b, StridedNestedTensor):
        return lifted(op.function, *[_one_each(t) for t in (a, b)])
    if isinstance(a, Nested) and isinstance(b, Nested):
        return _product_of_nested(op, a, b)
    x = a if isinstance(a, Nested) else b
    contracted = x.ragged_dim == (x.ndim - 1 if x is a else x.ndim - 2)
    if not contracted and (b if x is a else a)._meta.ndim <= 2:
        return lifted(op.function, a, b)
    if not contracted and a._meta.ndim == b._meta.ndim:
        left, right = [t.padded(0) if isinstance(t, Nested) else t for t in (a, b)]
        return x.cut_from(op.function(left, right))
    raise _no_product(a, b)


def _product_of_nested(op: Any, a: Any, b: Any) -> Any:
    """Rows against rows give a dense tensor; where rows are not what is multiplied they stay apart."""
    if a.ragged is not b.ragged or a.ndim != b.ndim:
        raise _no_product(a, b)
    if a.ragged_dim == a.ndim - 1 and b.ragged_dim == b.ndim - 2:
        return op.function(a.padded(0), b.padded(0))
    if a.ragged_dim == b.ragged_dim < a.ndim - 2:
        return lifted(op.function, a, b)
    raise _no_product(a, b)


def _no_product(a: Any, b: Any) -> RuntimeError:
    shapes = " and ".join([str(tuple(t._meta.shape)) for t in (a, b)])
    return RuntimeError(
        f"matmul(): not supported between inputs of shapes {shapes}\n"
        "  hint: loop over unbind(); for attention take nn.functional.scaled_dot_product_attention"
    )


def _one_each(t: Any) -> Any:
    """A dense batch of matrices as a nested tensor, whose parts go with those of another."""
    if isinstance(t, Nested) or t._meta.ndim < 3:
        return t
    return StridedNestedTensor(t.reshape(-1), [tuple(t.shape[1:])] * t.shape[0])


@rule("attended")
def attended(op: Any, query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """Attention of the positions of each part to those of the same part."""
    if mask is not None:
        raise ValueError("Masks are not yet supported!\n  hint: pad with to_padded_tensor() for attention with a mask")
    if all(isinstance(t, StridedNestedTensor) for t in (query, key, value)):
        return lifted(lambda q, k, v: op.function(q, k, v, None, is_causal, scale), query, key, value)
    if not all(isinstance(t, NestedTensor) and t.ragged_dim == t.ndim - 2 for t in (query, key, value)):
        raise RuntimeError(
            "scaled_dot_product_attention(): expected nested query, key and value whose ragged dimension is the last "
            f"but one, got shapes {', '.join([str(tuple(t._meta.shape)) for t in (query, key, value)])}\n"
            "  hint: with heads that is nt.unflatten(-1, (heads, -1)).transpose(1, 2)"
        )
    if key.ragged is not value.ragged or query.ragged.parts != key.ragged.parts:
        raise mismatch("", (query, key, value))
    if not is_causal or query.ragged is not key.ragged:  # else no row that counts sees a padded one
        present = torch.arange(key.ragged.longest) < key.ragged.counts(torch.int64).unsqueeze(1)
        mask = present.reshape(present.shape[0], *[1] * (key.ndim - 2), present.shape[1])
    if is_causal and mask is not None:
        rows = torch.ones(query.ragged.longest, key.ragged.longest, dtype=torch.bool).tril()
        mask, is_causal = mask & rows, False
    found, _ = op.function(query.padded(0), key.padded(0), value.padded(0), mask, is_causal, scale)
    return query.cut_from(found), None
