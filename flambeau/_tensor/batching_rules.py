"""What library operations and views do to a whole batch (see `batched`): a function of the level and of all arguments,
which returns the values of the result, or NotImplemented to have the batch looped over.

Most operations fall into kinds: they take dimensions as numbers, which move up by one; they look at the last dimensions
only; or they take images [N, C, ...], where the batch joins N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau._ops.infer import wrap_dim
from flambeau._ops.registry import OPS
from flambeau._tensor.batched import RULES, BatchedTensor, batch_size, is_batched, value_of, values_of


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Declares what the operations `names` do to a batch."""

    def declare(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def _function(name: str) -> Callable:
    found = OPS.get(name) or next(op for op in OPS.values() if op.name == name and op.family != "composite")
    return found.function


def moved(dim: Any, ndim: int) -> Any:
    """Dimensions of a tensor as dimensions of the values; None stands for all."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return tuple(range(1, max(ndim, 1) + 1))
    return wrap_dim(dim, ndim) + 1 if isinstance(dim, int) else tuple([wrap_dim(d, ndim) + 1 for d in dim])


def _with_dimension(x: BatchedTensor) -> Any:
    """The values, those of numbers as vectors of one element."""
    return x.value if x._meta.ndim else x.value.unsqueeze(1)


# ---------------------------------------------------------------------------------------------- dimensions as numbers

# operation -> the place of its dimension (or dimensions) among its arguments
WITH_DIMENSIONS = {
    "sum": 1, "nansum": 1, "product": 1, "average": 1, "variance": 1, "all": 1, "any": 1, "count_nonzero": 1,
    "log_sum_exp": 1, "p_norm": 2, "amax": 1, "amin": 1, "max_along": 1, "min_along": 1, "softmax_rows": 1,
    "log_softmax_rows": 1, "cumsum": 1, "cumprod": 1, "logcumsumexp": 1, "cummax": 1, "cummin": 1, "sorted_along": 1,
    "top": 2, "kth": 2, "median_along": 1, "nanmedian_along": 1, "mode_along": 1, "flip": 1, "roll": 2,
    "complex_transform": 1, "real_to_half": 1, "half_to_real": 1, "standardize": 1,
}  # fmt: skip
SHAPE_KEEPING = {
    "softmax_rows", "log_softmax_rows", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sorted_along", "flip",
    "roll", "standardize",
}  # fmt: skip
# operations whose keepdim is None or False for numbers: the added dimension is to vanish again
WITH_KEEPDIM = {"top", "kth"}


def _along(name: str, place: int) -> None:
    def apply(level: int, x: Any, *rest: Any) -> Any:
        if not is_batched(x, level) or any(isinstance(r, BatchedTensor) for r in rest):
            return NotImplemented
        scalar = not x._meta.ndim
        if scalar and (name in WITH_KEEPDIM or len(rest) > place and rest[place] is True):
            return NotImplemented
        arguments = list(rest)
        arguments[place - 1] = moved(arguments[place - 1], x._meta.ndim)
        result = _function(name)(_with_dimension(x), *arguments)
        if scalar and name in SHAPE_KEEPING:
            return tuple([r.squeeze(1) for r in result]) if isinstance(result, tuple) else result.squeeze(1)
        return result

    rule(name)(apply)


for _name, _place in WITH_DIMENSIONS.items():
    _along(_name, _place)


def _place_of(name: str) -> None:
    def apply(level: int, x: Any, dim: Any, keepdim: bool) -> Any:
        if dim is None and keepdim:
            return NotImplemented
        values = x.value.reshape(x.size_of_batch, -1) if dim is None else _with_dimension(x)
        found = _function(name)(values, 1 if dim is None else moved(dim, x._meta.ndim), keepdim)
        return found.squeeze(1) if keepdim and not x._meta.ndim else found

    rule(name)(apply)


for _name in ("argmax", "argmin"):
    _place_of(_name)


def _of_all(name: str, along: str) -> None:
    def apply(level: int, x: Any) -> Any:
        return _function(along)(_with_dimension(x), moved(None, x._meta.ndim), False)

    rule(name)(apply)


_of_all("max_of_all", "amax")
_of_all("min_of_all", "amin")


@rule("cat")
def cat(level: int, tensors: Sequence[Any], dim: int) -> Any:
    """Joined along the dimension behind."""
    size = batch_size((tensors,), level)
    ndim = max(t._meta.ndim for t in tensors)
    kept = [t for t in tensors if t._meta.ndim == ndim]  # an empty vector is skipped
    return _function("internal.cat")(tuple(values_of(kept, level, size)), moved(dim, ndim))


@rule("stack")
def stack(level: int, tensors: Sequence[Any], dim: int) -> Any:
    """Stacked along a new dimension behind."""
    size = batch_size((tensors,), level)
    return _function("internal.stack")(tuple(values_of(tensors, level, size)), moved(dim, tensors[0]._meta.ndim + 1))


# ---------------------------------------------------------------------------------------------- views


@rule("view")
def view(level: int, x: Any, shape: Sequence[int]) -> Any:
    """The same shape behind the batch."""
    return _function("internal.view")(x.value, (x.size_of_batch, *shape))


@rule("expand")
def expand(level: int, x: Any, shape: Sequence[int]) -> Any:
    """New dimensions come behind the batch."""
    value = x.value
    value = value.reshape((value.shape[0], *[1] * (len(shape) - x._meta.ndim), *value.shape[1:]))
    sizes = [value.shape[i + 1] if n == -1 else n for i, n in enumerate(shape)]
    return _function("internal.expand")(value, (value.shape[0], *sizes))


@rule("transpose")
def transpose(level: int, x: Any, dim0: int, dim1: int) -> Any:
    """Dimensions behind the batch exchanged."""
    if not x._meta.ndim:
        return x.value
    return _function("transpose")(x.value, moved(dim0, x._meta.ndim), moved(dim1, x._meta.ndim))


@rule("t")
def t(level: int, x: Any) -> Any:
    """Matrices transposed."""
    return _function("transpose")(x.value, 1, 2) if x._meta.ndim == 2 else x.value


@rule("permute")
def permute(level: int, x: Any, dims: Sequence[int]) -> Any:
    """The batch stays in front."""
    return _function("internal.permute")(x.value, (0, *[wrap_dim(d, x._meta.ndim) + 1 for d in dims]))


@rule("squeeze")
def squeeze(level: int, x: Any, dim: Any) -> Any:
    """Dimensions of size 1 behind the batch dropped."""
    if not x._meta.ndim:
        return x.value
    dims = moved(dim, x._meta.ndim)
    return _function("squeeze")(x.value, dims if isinstance(dims, int) else tuple(dims))


@rule("unsqueeze")
def unsqueeze(level: int, x: Any, dim: int) -> Any:
    """A new dimension behind the batch."""
    return _function("unsqueeze")(x.value, wrap_dim(dim, x._meta.ndim + 1) + 1)


@rule("select")
def select(level: int, x: Any, dim: int, index: int) -> Any:
    """One index of a dimension behind the batch."""
    return _function("select")(x.value, moved(dim, x._meta.ndim), index)


@rule("slice")
def slice_of(level: int, x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    """A slice of a dimension behind the batch."""
    return _function("internal.slice")(x.value, moved(dim, x._meta.ndim), start, end, step)


@rule("diagonal")
def diagonal(level: int, x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """Diagonals of dimensions behind the batch."""
    return _function("diagonal")(x.value, offset, moved(dim1, x._meta.ndim), moved(dim2, x._meta.ndim))


# ---------------------------------------------------------------------------------------------- the last dimensions

# operations that treat leading dimensions as a batch anyway (all tensors among the arguments repeated where needed)
OF_LAST_DIMENSIONS = (
    "cast", "copy_of", "root_with_zero_gradient", "inv", "det", "cofactors_by_svd", "sign_and_log", "lower_cholesky",
    "singular_values", "qr_factors", "full_svd", "eigh_of", "eig_of", "lu_rows", "pivots_of", "order_of",
    "geqrf", "tril", "triu", "frexp", "nextafter", "bce_of", "insensitive", "ldl_of",
)  # fmt: skip


def _leading(name: str) -> None:
    def apply(level: int, *args: Any) -> Any:
        size = batch_size(args, level)
        ranks = {a._meta.ndim for a in args if hasattr(a, "_meta")}
        if len(ranks) > 1:
            return NotImplemented
        values = [values_of((a,), level, size)[0] if hasattr(a, "_meta") else a for a in args]
        return _function(name)(*values)

    rule(name)(apply)


for _name in OF_LAST_DIMENSIONS:
    _leading(_name)


@rule("constant_pad_nd")
def constant_pad_nd(level: int, x: Any, pad: Sequence[int], value: Any) -> Any:
    """Padding is counted from the last dimension."""
    return _function("internal.constant_pad_nd")(x.value, pad, value)


@rule("matmul")
def matmul(level: int, a: Any, b: Any) -> Any:
    """Vectors become matrices; the batch leads what broadcasts."""
    one, two = a._meta.ndim, b._meta.ndim
    left, right = value_of(a, level), value_of(b, level)
    left = left.unsqueeze(-2) if one == 1 else left
    right = right.unsqueeze(-1) if two == 1 else right
    rank = max(one, two, 2)

    def aligned(x: Any, ndim: int, batched: bool) -> Any:
        missing = rank - max(ndim, 2)
        return x.reshape((x.shape[0], *[1] * missing, *x.shape[1:])) if batched and missing else x

    product = _function("matmul")(aligned(left, one, is_batched(a, level)), aligned(right, two, is_batched(b, level)))
    product = product.squeeze(-2) if one == 1 else product
    return product.squeeze(-1) if two == 1 else product


@rule("linear")
def linear(level: int, x: Any, weight: Any, bias: Any) -> Any:
    """One weight for all, or a product for each."""
    if not is_batched(weight, level) and not is_batched(bias, level):
        return _function("nn.functional.linear")(x.value, weight, bias)
    product = OPS["matmul"].function(x, weight.transpose(-2, -1) if weight._meta.ndim == 2 else weight)
    return value_of(product if bias is None else product + bias, level)


@rule("layer_normalised")
def layer_normalised(level: int, x: Any, shape: Sequence[int], eps: float, weight: Any, bias: Any) -> Any:
    """One weight and bias for all; if there are several, all is standardised first."""
    normalise = _function("layer_normalised")
    if not is_batched(weight, level) and not is_batched(bias, level):
        return normalise(x.value, shape, eps, weight, bias)
    out, mean, inverse = normalise(x, shape, eps)
    out = out if weight is None else out * weight
    out = out if bias is None else out + bias
    return tuple(values_of((out, mean, inverse), level, batch_size((weight, bias), level)))


@rule("solution")
def solution(level: int, a: Any, b: Any) -> Any:
    """Systems with matrices on the right."""
    if b._meta.ndim < 2 or a._meta.ndim != b._meta.ndim:
        return NotImplemented
    return _function("solution")(*values_of((a, b), level, batch_size((a, b), level)))


@rule("attended")
def attended(level: int, query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: Any) -> Any:
    """Queries, keys and values [..., length, width] with the batch in front."""
    size = batch_size((query, key, value, mask), level)
    parts = values_of((query, key, value), level, size)
    if is_batched(mask, level):
        missing = query._meta.ndim - mask._meta.ndim
        mask = mask.value.reshape((size, *[1] * missing, *mask.shape))
    return _function("attended")(*parts, mask, is_causal, scale)


# ---------------------------------------------------------------------------------------------- images

# operations on [N, C, ...] whose only tensor is the first argument
ON_IMAGES = (
    "max_pool", "avg_pool", "bin_means", "bin_maxima", "im2col", "resample", "repeated_pad",
)  # fmt: skip


def _joined(x: Any) -> Any:
    """The batch joined with the dimension behind it."""
    return x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))


def _parted(x: Any, size: int) -> Any:
    return x.reshape((size, x.shape[0] // size, *x.shape[1:]))


def _on_images(name: str) -> None:
    def apply(level: int, x: Any, *rest: Any) -> Any:
        if not is_batched(x, level) or x._meta.ndim < 2:
            return NotImplemented
        found = _function(name)(_joined(x.value), *rest)
        if isinstance(found, tuple):
            return tuple([_parted(f, x.size_of_batch) for f in found])
        return _parted(found, x.size_of_batch)

    rule(name)(apply)


for _name in ON_IMAGES:
    _on_images(_name)


def _channels_joined(x: Any) -> Any:
    """The batch joined with the channels, of [batch, N, C, ...]."""
    x = x.transpose(0, 1)
    return x.reshape((x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _channels_parted(x: Any, size: int) -> Any:
    return x.reshape((x.shape[0], size, x.shape[1] // size, *x.shape[2:])).transpose(0, 1)


@rule("channels_normalised")
def channels_normalised(level: int, x: Any, mean: Any, variance: Any, eps: float, weight: Any, bias: Any) -> Any:
    """By the same numbers for all, the batch joins N; by some for each, the channels."""
    normalise, parameters = _function("channels_normalised"), (mean, variance, weight, bias)
    size = batch_size((x, *parameters), level)
    if not any([is_batched(t, level) for t in parameters]):
        return _parted(normalise(_joined(x.value), mean, variance, eps, weight, bias), size)
    images, *numbers = values_of((x, *parameters), level, size)
    mean, variance, weight, bias = [t if t is None else _joined(t) for t in numbers]
    return _channels_parted(normalise(_channels_joined(images), mean, variance, eps, weight, bias), size)


@rule("convolution")
def convolution(
    level: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    """One weight for all: the batch joins N. A weight for each: it joins the channels, in groups."""
    rest = (stride, padding, dilation, transposed, output_padding)
    function = _function("convolution")
    size = batch_size((x, weight, bias), level)
    if not is_batched(weight, level) and not is_batched(bias, level):
        return _parted(function(_joined(x.value), weight, bias, *rest, groups), size)
    if transposed:
        return NotImplemented
    images, kernels = values_of((x, weight), level, size)
    found = _channels_parted(function(_channels_joined(images), _joined(kernels), None, *rest, groups * size), size)
    if bias is None:
        return found
    (offset,) = values_of((bias,), level, size)
    return found + offset.reshape((size, 1, offset.shape[1], *[1] * (found.dim() - 3)))


# ---------------------------------------------------------------------------------------------- places


def _at_places(name: str, qualified: str) -> None:
    def apply(level: int, x: Any, dim: int, index: Any, *rest: Any) -> Any:
        source = rest[:1] if name != "gather" else ()
        tensors = (x, index, *source)
        if any(not hasattr(t, "_meta") or not t._meta.ndim for t in tensors):
            return NotImplemented
        values = values_of(tensors, level, batch_size(tensors, level))
        return _function(qualified)(values[0], moved(dim, x._meta.ndim), *values[1:], *rest[len(source) :])

    rule(name)(apply)


for _name, _qualified in (
    ("gather", "gather"),
    ("scatter", "internal.scatter"),
    ("scatter_add", "scatter_add"),
    ("scatter_reduce", "internal.scatter_reduce"),
):
    _at_places(_name, _qualified)


@rule("index_select")
def index_select(level: int, x: Any, dim: int, index: Any) -> Any:
    """One index for all; or one for each, as a gather."""
    if not x._meta.ndim:
        return NotImplemented
    if not is_batched(index, level):
        return _function("index_select")(x.value, moved(dim, x._meta.ndim), index)
    values, places = values_of((x, index.reshape((-1,))), level, index.size_of_batch)
    at = moved(dim, x._meta.ndim)
    shape = [n if d in (0, at) else 1 for d, n in enumerate(values.shape)]
    shape[at] = places.shape[1]
    wide = [places.shape[1] if d == at else n for d, n in enumerate(values.shape)]
    return _function("gather")(values, at, places.long().reshape(shape).expand(wide))


@rule("index_add")
def index_add(level: int, x: Any, dim: int, index: Any, source: Any, alpha: Any) -> Any:
    """One index for all."""
    if is_batched(index, level) or not x._meta.ndim or not source._meta.ndim:
        return NotImplemented
    values, added = values_of((x, source), level, batch_size((x, source), level))
    return _function("index_add")(values, moved(dim, x._meta.ndim), index, added, alpha)


@rule("index")
def index(level: int, x: Any, indices: Sequence[Any]) -> Any:
    """An index for the batch in front, unless the indices are the same for all."""
    size = batch_size((x, indices), level)
    if not any(is_batched(i, level) for i in indices):
        return _function("internal.index")(x.value, (None, *indices))
    if any(i is None for i in indices):
        return NotImplemented
    places = [(value_of(i, level), i._meta.ndim, is_batched(i, level)) for i in indices]
    rank = max(ndim for _, ndim, _ in places)
    aligned = [p.reshape((size, *[1] * (rank - n), *p.shape[1:])) if batched else p for p, n, batched in places]
    if not is_batched(x, level):
        return _function("internal.index")(x, tuple(aligned))
    row = aligned[0].new_ones((size,)).long().cumsum(0).reshape((size, *[1] * rank)) - 1
    return _function("internal.index")(x.value, (row, *aligned))


@rule("index_put")
def index_put(level: int, x: Any, indices: Sequence[Any], values: Any, accumulate: bool) -> Any:
    """The same places for all."""
    if any(is_batched(i, level) for i in indices) or not is_batched(x, level):
        return NotImplemented
    if is_batched(values, level):
        return NotImplemented
    return _function("internal.index_put")(x.value, (None, *indices), values, accumulate)


@rule("rows_of")
def rows_of(
    level: int, indices: Any, weight: Any, padding_idx: int, scale_grad_by_freq: bool, sparse: bool, bags: bool = False
) -> Any:
    """One table for all; or one for each, laid one below the other."""
    if not is_batched(weight, level):
        return _function("rows_of")(indices.value, weight, padding_idx, scale_grad_by_freq, sparse, bags)
    if padding_idx >= 0 or scale_grad_by_freq or sparse:
        return NotImplemented
    places, tables = values_of((indices, weight), level, weight.size_of_batch)
    size, rows = tables.shape[:2]
    first = places.new_ones((size,)).long().cumsum(0).reshape((size, *[1] * indices._meta.ndim)) * rows - rows
    return _function("rows_of")(places + first, _joined(tables), -1, False, False, bags)


@rule("nll_of")
def nll_of(level: int, x: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """The batch joins N (or is it), if the weights are the same for all."""
    if is_batched(weight, level):
        return NotImplemented
    size = batch_size((x, target), level)
    values, classes = values_of((x, target), level, size)
    if x._meta.ndim == 1:
        return _function("nll_of")(values, classes, weight, ignore_index)
    found = _function("nll_of")(_joined(values), _joined(classes), weight, ignore_index)
    return tuple([_parted(f, size) for f in found]) if isinstance(found, tuple) else _parted(found, size)


@rule("mean_entropy")
def mean_entropy(level: int, x: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """The mean over each tensor of the batch of what `nll_of` gives for log-softmax."""
    if weight is not None:
        return NotImplemented
    size = batch_size((x, target), level)
    values, classes = values_of((x, target), level, size)
    axis = min(x._meta.ndim, 2)
    logs = OPS["log_softmax"].function(values, axis)
    weights = (classes != ignore_index).to(logs.dtype)
    picked = logs.gather(axis, classes.masked_fill(classes == ignore_index, 0).unsqueeze(axis)).squeeze(axis)
    terms, counts = (picked * weights).reshape(size, -1), weights.reshape(size, -1)
    return -terms.sum(1) / counts.sum(1), weights
