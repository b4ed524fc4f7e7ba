"""What operations mean for masked operands: what is computed of the data, and what the mask of the result is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.masked import reductions
from flambeau.masked.tensors import RULES, MaskedTensor, same_mask


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Declares what the operations `names` mean for masked operands."""

    def declare(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def data_of(a: Any) -> Any:
    """The data of a masked tensor; anything else as it is."""
    return a._value if isinstance(a, MaskedTensor) else a


def mask_of(a: Any) -> Any:
    """The mask of a masked tensor; of other operands, which count everywhere, True."""
    if isinstance(a, MaskedTensor):
        return a._mask
    return torch.ones(a.shape if isinstance(a, torch.Tensor) else (), dtype=torch.bool)


# ---------------------------------------------------------------------------------------------- elementwise


@rule("pointwise", "cast", "copy_of", "root_with_zero_gradient", "nextafter", "in_place_of")
def elementwise(op: Any, *args: Any) -> Any:
    """Operands with the same mask, numbers, and dense tensors, of which counts what meets an element that does."""
    first, *others = [a._mask for a in args if isinstance(a, MaskedTensor)]
    for other in others:
        same_mask(first, other)
    found = op.function(*map(data_of, args))
    return MaskedTensor(found, first if found.shape == first.shape else first.expand(found.shape))


@rule("choose")
def choose(op: Any, condition: Any, input: Any, other: Any) -> Any:
    """`where`: an element counts if what was chosen does, and the condition."""
    chosen = data_of(condition)
    mask = torch.where(chosen, mask_of(input), mask_of(other))
    if isinstance(condition, MaskedTensor):
        mask = mask & condition._mask
    found = op.function(chosen, data_of(input), data_of(other))
    return MaskedTensor(found, mask.expand(found.shape))


# ---------------------------------------------------------------------------------------------- views, parts, joining


@rule(
    "as_strided", "view", "expand", "transpose", "t", "permute", "squeeze", "unsqueeze", "select", "slice", "diagonal",
    "unfold", "split", "unbind", "index", "index_select", "gather", "take", "masked_select", "flip", "roll",
    "repeat_interleave",
)  # fmt: skip
def moved(op: Any, x: Any, *rest: Any) -> Any:
    """The mask goes where the data go."""
    if not isinstance(x, MaskedTensor) or any(isinstance(r, MaskedTensor) for r in rest):
        raise TypeError(f"{op.name}() with a MaskedTensor for an index is not implemented; take get_data()")
    found, mask = op.function(x._value, *rest), op.function(x._mask, *rest)
    if isinstance(found, tuple):
        return tuple([MaskedTensor(f, m) for f, m in zip(found, mask, strict=True)])
    return MaskedTensor(found, mask)


@rule("cat", "stack")
def joined(op: Any, tensors: Sequence[Any], dim: int) -> Any:
    """Data and masks joined; dense tensors among them count everywhere."""
    return MaskedTensor(op.function(tuple(map(data_of, tensors)), dim), op.function(tuple(map(mask_of, tensors)), dim))


# ---------------------------------------------------------------------------------------------- reductions

# operation -> the function that leaves elements out; its arguments behind the first have their names there
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": reductions.sum, "product": reductions.prod, "average": reductions.mean, "amax": reductions.amax,
    "amin": reductions.amin, "argmax": reductions.argmax, "argmin": reductions.argmin, "variance": reductions.var,
    "p_norm": reductions.norm, "log_sum_exp": reductions.logsumexp,
}  # fmt: skip
# operation -> the like for those that keep the shape, and so the mask
ALONG: dict[str, Callable[..., Any]] = {
    "softmax_rows": reductions.softmax, "log_softmax_rows": reductions.log_softmax, "cumsum": reductions.cumsum,
    "cumprod": reductions.cumprod,
}  # fmt: skip


def _named(op: Any, rest: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(op.parameters[1:], rest, strict=True))


@rule(*REDUCTIONS)
def reduction(op: Any, x: Any, *rest: Any) -> Any:
    """Over the elements that count; a result counts if there is one."""
    given = _named(op, rest)
    found = REDUCTIONS[op.name](x._value, mask=x._mask, **given)
    return MaskedTensor(found, _some(x._mask, given["dim"], given["keepdim"]))


@rule("all", "any")
def logical(op: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    """Of the elements that count."""
    filled = x._value.masked_fill(~x._mask, op.name == "all")
    return MaskedTensor(op.function(filled, dim, keepdim), _some(x._mask, dim, keepdim))


@rule(*ALONG)
def along(op: Any, x: Any, *rest: Any) -> Any:
    """Along a dimension; what does not count takes no part."""
    return x.with_values(ALONG[op.name](x._value, mask=x._mask, **_named(op, rest)))


def _some(mask: Any, dim: Any, keepdim: bool) -> Any:
    """Is there an element that counts along these dimensions?"""
    if dim is None or dim == ():
        return mask.any(tuple(range(mask.dim())), keepdim) if keepdim else mask.any()
    return mask.any(dim, keepdim)
