"""Nested tensors (`torch.nested`): batches of parts that differ in sizes, such as sentences of different lengths.

In the jagged layout, which most programs want, parts differ in one dimension; operations cost what their rows cost,
without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.nested import rules as rules
from flambeau.nested.raggedness import Raggedness, known, raggedness_of
from flambeau.nested.tensors import Nested, NestedTensor, StridedNestedTensor, strided_of

__all__ = [
    "as_nested_tensor", "masked_select", "narrow", "nested_tensor", "nested_tensor_from_jagged", "to_padded_tensor",
]  # fmt: skip


def nested_tensor(
    tensor_list: Sequence[Any],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A nested tensor with copies of the tensors, or lists of numbers, of a list: a leaf, whose gradient is nested too.

    `layout` is `torch.strided` (the default), where the tensors have one number of dimensions and get the dtype of the
    first, or `torch.jagged`, where they agree in dtype and in all sizes but one. `device` can be the CPU;
    `pin_memory` does nothing.

    TypeError for what is no list; RuntimeError for tensors that do not go together.

    Example::

        >>> x = nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged, requires_grad=True)
        >>> x.sum().backward()
        >>> x.grad.to_padded_tensor(0.).sum((1, 2))
        tensor([ 6., 12.])
    """
    if not isinstance(tensor_list, (list, tuple)):
        raise TypeError(
            "Only lists (List[Tensor] and List[List...[Scalar]]) are accepted in nested_tensor, got "
            f"{type(tensor_list).__name__}\n  hint: as_nested_tensor takes a tensor, and keeps gradients"
        )
    parts = [t.detach() if isinstance(t, torch.Tensor) else torch.tensor(t, dtype=dtype) for t in tensor_list]
    found = _nested(parts, dtype, layout, device)
    if any(p is found._value for p in parts):
        found = found.clone()
    return found.requires_grad_() if requires_grad else found


def as_nested_tensor(ts: Any, dtype: Any = None, device: Any = None, layout: Any = None) -> Any:
    """A nested tensor of the tensors of a list, through which gradients flow to these; or of the slices of a tensor
    along dimension 0. A nested tensor is returned as it is, or in another dtype.

    TypeError for anything else; RuntimeError for tensors that do not go together, or a nested one of another `layout`.

    Example::

        >>> a = torch.ones(2, requires_grad=True)
        >>> (as_nested_tensor([a, torch.ones(3)]) * 2).values().sum().backward()
        >>> a.grad
        tensor([2., 2.])
    """
    if isinstance(ts, Nested):
        if layout not in (None, ts.layout):
            raise RuntimeError("as_nested_tensor(): Converting between nested tensor layouts is not supported")
        return ts if dtype is None else ts.to(dtype)
    if isinstance(ts, torch.Tensor):
        if ts.dim() < 2:
            raise RuntimeError(f"as_nested_tensor(): Expected tensor argument to have dim() > 1, got {ts.dim()}")
        ts = ts.unbind(0)
    if not isinstance(ts, (list, tuple)):
        raise TypeError(
            "as_nested_tensor(): Expected first argument to be a tensor or a list / tuple of tensors, got "
            f"{type(ts).__name__}"
        )
    return _nested([torch.as_tensor(t) for t in ts], dtype, layout, device)


def _nested(parts: list[Any], dtype: Any, layout: Any, device: Any) -> Any:
    """A nested tensor of parts, in a dtype and a layout."""
    if layout not in (None, torch.strided, torch.jagged):
        raise RuntimeError(f"Specified layout is unsupported for nested tensors: {layout}")
    if layout is not torch.jagged:
        parts = [p.to(parts[0].dtype) for p in parts]
    for what, kinds in (("dtype", {p.dtype for p in parts}), ("dim", {p.dim() for p in parts})):
        if len(kinds) > 1:
            raise RuntimeError(
                f"When constructing a nested tensor, all tensors in list must have the same {what}, got "
                f"{' and '.join(sorted(map(str, kinds)))}"
            )
    found: Any
    if layout is torch.jagged:
        found = _jagged(parts)
    elif parts:
        found = strided_of(parts)
    else:
        found = StridedNestedTensor(torch.empty(0), [])
    return found.to(device=device, dtype=found.dtype if dtype is None else dtype)


def _jagged(parts: list[Any]) -> NestedTensor:
    """The parts one after the other along the dimension in which they differ, the first if they do not."""
    if not parts:
        raise RuntimeError("Cannot construct a nested tensor from an empty tensor list")
    if not parts[0].dim():
        raise RuntimeError("Cannot construct a nested tensor of layout=torch.jagged from tensors without dimensions")
    differing = [d for d, column in enumerate(zip(*[p.shape for p in parts], strict=True)) if len(set(column)) > 1]
    if len(differing) > 1:
        raise RuntimeError(
            "Cannot represent given tensor list as a nested tensor with the jagged layout. Note that the jagged layout "
            f"only allows for a single ragged dimension; the tensors differ in dimensions {differing}\n"
            "  hint: layout=torch.strided takes any shapes"
        )
    r = differing[0] if differing else 0
    return NestedTensor(torch.cat(parts, r), raggedness_of([p.shape[r] for p in parts]), r + 1)


def nested_tensor_from_jagged(
    values: Any,
    offsets: Any = None,
    lengths: Any = None,
    jagged_dim: int | None = None,
    min_seqlen: int | None = None,
    max_seqlen: int | None = None,
) -> NestedTensor:
    """A nested tensor of the jagged layout over `values`, without a copy: part i is the rows `offsets[i]` to
    `offsets[i + 1]` along the dimension `jagged_dim - 1` (by default 0) of the values, or those of them that `lengths`
    counts. `lengths` alone means parts one after the other. `min_seqlen` and `max_seqlen` may say what the least and
    the greatest length is. Tensors of the same `offsets` tensor go together in operations.

    RuntimeError without offsets and lengths; TypeError for what is no tensor.

    Example::

        >>> x = nested_tensor_from_jagged(torch.arange(5), torch.tensor([0, 2, 5]))
        >>> x.unbind()
        (tensor([0, 1]), tensor([2, 3, 4]))
    """
    for name, t in (("values", values), ("offsets", offsets), ("lengths", lengths)):
        if not isinstance(t, torch.Tensor) and (t is not None or name == "values"):
            raise TypeError(f"nested_tensor_from_jagged(): argument '{name}' must be Tensor, not {type(t).__name__}")
    if isinstance(values, Nested):
        raise ValueError("nested_tensor_from_jagged(): expected values to be a dense tensor, got a nested one")
    if offsets is None:
        if lengths is None:
            raise RuntimeError("nested_tensor_from_jagged(): At least one of offsets or lengths is required.")
        ragged = _following(lengths)
    else:
        ragged = known(offsets, lengths)
    if min_seqlen is not None:
        ragged.shortest_known = int(min_seqlen)
    if max_seqlen is not None:
        ragged.longest_known = int(max_seqlen)
    place = 1 if jagged_dim is None else jagged_dim
    if not 1 <= place <= values.dim():
        raise ValueError(f"jagged_dim must lie in [1, {values.dim()}], since dimension 0 counts the parts, got {place}")
    return NestedTensor(values.expand(values.shape) if values.requires_grad else values, ragged, place)


def _following(lengths: Any) -> Raggedness:
    """Parts of these lengths, one after the other."""
    return known(torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def to_padded_tensor(input: Any, padding: float, output_size: Any = None, out: Any = None) -> Any:
    """A dense tensor of all parts of a nested one, each padded with the number `padding` at the ends of its dimensions
    to the largest, or to `output_size`.

    NotImplementedError for a tensor that is not nested.

    Example::

        >>> to_padded_tensor(nested_tensor([[1, 2], [3]]), -1)
        tensor([[ 1,  2],
                [ 3, -1]])
    """
    found = input.to_padded_tensor(padding, output_size)
    return found if out is None else out.copy_(found)


def narrow(tensor: Any, dim: int, start: Any, length: Any, layout: Any = torch.strided) -> Any:
    """A nested tensor of parts of `tensor` along `dim`, `length` from `start` on. In the jagged layout `dim` is 1, the
    two may be tensors with a number for each slice of dimension 0, and the result looks at the memory of `tensor`; in
    the strided layout (the default) `dim` is 0 and they are numbers.

    Example::

        >>> x = torch.arange(8).reshape(2, 4)
        >>> narrow(x, 1, torch.tensor([0, 1]), torch.tensor([2, 3]), layout=torch.jagged).unbind()
        (tensor([0, 1]), tensor([5, 6, 7]))
    """
    if layout is torch.strided:
        if isinstance(start, torch.Tensor) or isinstance(length, torch.Tensor):
            raise RuntimeError("start and length must be integers for the strided layout NT impl")
        if dim != 0:
            raise RuntimeError(f"narrow(): only dim=0 supported for nested tensors, but got: {dim}")
        return as_nested_tensor(list(tensor.narrow(0, start, length).unbind(0)))
    if layout is not torch.jagged:
        raise RuntimeError(f"Specified layout is unsupported for nested narrow: {layout}")
    if dim != 1:
        raise RuntimeError(f"narrow(): only dim=1 supported for nested tensors of layout=torch.jagged, but got: {dim}")
    parts, size = tensor.shape[:2]
    starts, counts = [torch.as_tensor(n, dtype=torch.int64).expand(parts) for n in (start, length)]
    first = starts + torch.arange(parts) * size
    offsets = torch.cat([first, first[-1:] + counts[-1:]])
    return NestedTensor(tensor.flatten(0, 1), Raggedness(offsets, counts))


def masked_select(tensor: Any, mask: Any) -> NestedTensor:
    """The elements of a tensor at which the boolean `mask`, which broadcasts, is true: a part for each row.

    RuntimeError for a tensor without rows.

    Example::

        >>> masked_select(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[True, True], [False, True]])).unbind()
        (tensor([1, 2]), tensor([4]))
    """
    if isinstance(tensor, Nested) or tensor.dim() < 2:
        raise RuntimeError(f"masked_select() expected a dense tensor of at least two dimensions, got {tensor.dim()}")
    chosen = mask.expand(tensor.shape)
    return NestedTensor(tensor.masked_select(chosen), _following(chosen.sum(-1).flatten()))
