"""The `out=` form: a result written into a tensor that the caller gives, if that may hold it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ir import recording
from flambeau._ir.meta import Meta, dense_order, meta, shared_dims
from flambeau._ir.recording import TensorBase
from flambeau._ops.operands import Operand


class OutRule(NamedTuple):
    """What an operation asks of `out`.

    `dtype`: "exact", that of the result; "castable", any that the result's converts to, if there is one result;
    "joined", the same, but a TypeError otherwise, as PyTorch's `cat` raises; "computed", any, for the operation has a
    parameter `dtype`, which is that of `out` unless given.

    `overlap`: memory shared with an argument, which may be "free", "same" (all of it or nothing) or "none". Unless
    it is free, a resized `out` has its dimensions in the order of the result's.

    `warns`: whether there is a warning where `out` has elements and gets another shape.
    """

    dtype: str = "exact"
    overlap: str = "free"
    warns: bool = True


FACTORY = OutRule(warns=False)  # of functions that make tensors from sizes


def write_out(name: str, out: Any, result: Any, rule: OutRule, given: Iterable[Any] = ()) -> Any:
    """Write what the operation `name` has made of the arguments `given` into `out`, a tensor, or a tuple of them where
    there are several results; returns it.

    TypeError for what is no tensor, RuntimeError for a tensor that may not hold the result.
    """
    if isinstance(out, Operand) or isinstance(result, Operand):
        return recording.assign(out, result)
    if not isinstance(result, (tuple, list)):
        check_tensor(name, out)
        _check(name, out, result, rule, given)
        return _written(out, result, rule)
    outs = _as_many(name, out, len(result))
    rule = rule._replace(dtype="exact")
    for o, r in zip(outs, result, strict=True):
        _check(name, o, r, rule, given)
    written = [_written(o, r, rule) for o, r in zip(outs, result, strict=True)]
    return tuple(written) if type(result) in (tuple, list) else type(result)(*written)


def check_tensor(name: str, out: Any) -> None:
    """TypeError unless `out` is a tensor."""
    if not isinstance(out, TensorBase):
        raise TypeError(
            errors.explain(
                f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}",
                hint="torch.empty(0) makes a tensor that is resized to hold the result",
                site=user_site(5),
            )
        )


def _as_many(name: str, out: Any, count: int) -> tuple:
    """The tensors in `out`; TypeError unless there are as many as results."""
    if not isinstance(out, (tuple, list)) or len(out) != count or not all(isinstance(o, TensorBase) for o in out):
        given = [type(o).__name__ for o in out] if isinstance(out, (tuple, list)) else type(out).__name__
        raise TypeError(
            errors.explain(
                f"{name}(): argument 'out' must be tuple of {count} Tensors, not {given}",
                hint=f"pass out=({', '.join(f'tensor{i}' for i in range(count))})",
                site=user_site(5),
            )
        )
    return tuple(out)


# ---------------------------------------------------------------------------------------------- checks


def _check(name: str, out: Any, result: Any, rule: OutRule, given: Iterable[Any]) -> None:
    if recording.grad_enabled() and (out._node is not None or result._node is not None):
        raise RuntimeError(
            errors.explain(
                f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                "arguments requires grad.",
                hint="leave out= away, or call it inside `with torch.no_grad():`",
                site=user_site(5),
            )
        )
    ours, wanted = out._meta.dtype, result._meta.dtype
    converts = rule.dtype in ("castable", "joined")
    if converts and wanted.category > ours.category:
        raise (TypeError if rule.dtype == "joined" else RuntimeError)(
            errors.cannot_cast(wanted.name, ours.name, hint=f"give an out of dtype {wanted}")
        )
    if not converts and wanted is not ours:
        raise RuntimeError(
            errors.explain(
                f"{name}(): Expected out tensor to have dtype {wanted}, but got {ours} instead",
                hint=f"make out with dtype={wanted}, and convert it afterwards",
                site=user_site(5),
            )
        )
    if rule.overlap != "free":
        _check_overlap(out, given, rule.overlap == "same")


def _check_overlap(out: Any, given: Iterable[Any], same: bool) -> None:
    """RuntimeError where `out` shares memory with an argument, unless it is the `same` memory and may be, or, if not
    even that is allowed, where elements of `out` share theirs."""
    if not same:
        check_no_overlap(out._meta)
    for x in _tensors(given):
        if x is out and same or x._storage is not out._storage or not _meet(x._meta, out._meta):
            continue
        if not same or x._meta.strides != out._meta.strides or x._meta.offset != out._meta.offset:
            raise RuntimeError(
                errors.explain(
                    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                    "single memory location.",
                    hint="Please clone() the tensor before performing the operation.",
                    site=user_site(6),
                )
            )


def check_no_overlap(m: Meta) -> None:
    """RuntimeError if several elements of what is written to are the same memory, as in an expanded tensor."""
    if shared_dims(m):
        raise RuntimeError(
            errors.explain(
                "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location.",
                hint="Please clone() the tensor before performing the operation.",
                site=user_site(4),
            )
        )


def _tensors(given: Iterable[Any]) -> Iterator[Any]:
    """The tensors among arguments and lists of them."""
    for x in given:
        if isinstance(x, (tuple, list)):
            yield from _tensors(x)
        elif isinstance(x, TensorBase):
            yield x


def _meet(a: Meta, b: Meta) -> bool:
    """Have two layouts in one storage a byte in common? Of layouts with gaps that is not asked, as in PyTorch."""
    if not a.numel or not b.numel or dense_order(a) is None or dense_order(b) is None:
        return False
    (first, end), (other, other_end) = (
        (m.offset * m.dtype.itemsize, (m.offset + m.numel) * m.dtype.itemsize) for m in (a, b)
    )
    return first < other_end and other < end


# ---------------------------------------------------------------------------------------------- writing


def _written(out: Any, result: Any, rule: OutRule) -> Any:
    m, r = out._meta, result._meta
    if m.shape != r.shape:
        if m.numel and rule.warns:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(m.shape)}, which does not "
                f"match the required output shape {list(r.shape)}. This behavior is deprecated, and in a future "
                "PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse "
                "an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                UserWarning,
                stacklevel=6,
            )
        out.resize_(r.shape)
        if not r.is_contiguous and rule.overlap != "free" and dense_order(r) is not None:  # as channels_last
            out._meta = meta(m.dtype, r.shape, r.strides, out._meta.offset)
    recording.assign(out, result)
    return out
