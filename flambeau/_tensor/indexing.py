"""`x[...]` and `x[...] = y`: what each kind of index means.

Integers, slices, None and Ellipsis give a view. Tensors, arrays, lists and masks gather elements into a new tensor;
where both kinds are mixed the basic ones are applied first. The rule for the place of gathered dimensions is NumPy's.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._engine.window import state
from flambeau._ir import recording
from flambeau._ir.meta import Meta, shared_dims
from flambeau._ir.recording import TensorBase
from flambeau._ops import parts, view
from flambeau._ops.index import expanded_indices, index_at, indexed_shape, put_at
from flambeau._ops.masked import filled_where, fitting_number
from flambeau._ops.operands import Operand
from flambeau._ops.registry import OPS
from flambeau._tensor import creation, dispatch

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

_SELECT, _SLICE, _UNSQUEEZE = OPS["select"], OPS["internal.slice"], OPS["unsqueeze"]
_FUNCTIONS = {_SELECT: parts.select, _SLICE: parts.slice_, _UNSQUEEZE: view.unsqueeze}
Steps = list[tuple[Any, tuple]]  # (view operation, its arguments after the tensor), to be applied in turn


def getitem(tensor: Any, index: Any) -> Any:
    """`tensor[index]`: a view for basic indices, a new tensor for advanced ones; IndexError for what does not fit.

    Example::

        >>> import flambeau as torch
        >>> x = torch.arange(6).reshape(2, 3)
        >>> x[1], x[:, 1:], x[[0, 1], [2, 0]], x[x > 3]
        (tensor([3, 4, 5]), tensor([[1, 2],
                [4, 5]]), tensor([2, 3]), tensor([4, 5]))
    """
    if type(index) is int:  # the quick way for the commonest kind
        m = tensor._meta
        args = (0, _checked_int(m, 0, index))
        return _apply(tensor, [(_SELECT, args)], parts.select_layout(m, *args))
    reading = _Reading(tensor._meta, index)
    if reading.indices and not reading.steps:
        return index_at(tensor, expanded_indices(tensor._meta, reading.indices))
    part = _apply(tensor, reading.steps, reading.layout)
    return index_at(part, expanded_indices(part._meta, reading.indices)) if reading.indices else part


def setitem(tensor: Any, index: Any, value: Any) -> None:
    """`tensor[index] = value`: numbers and tensors, broadcast and converted, written into the tensor's memory.

    TypeError for values of other types, RuntimeError for shapes that do not broadcast.

    Example::

        >>> import flambeau as torch
        >>> x = torch.zeros(2, 2)
        >>> x[:, 0] = torch.tensor([1, 2])
        >>> x
        tensor([[1., 0.],
                [2., 0.]])
    """
    reading = _Reading(tensor._meta, index)
    if tensor._node is not None or tensor._base is not None:
        dispatch.check_writable(tensor)
    value = _value(tensor._meta.dtype, value)
    if reading.indices and not reading.steps:
        _put(tensor, reading.indices, value)
        return
    part = _apply(tensor, reading.steps, reading.layout)
    if not reading.indices:
        if isinstance(value, TensorBase):
            value = _without_leading_ones(value, part._meta.ndim)
            if value._meta.ndim > part._meta.ndim:
                raise _too_many_values(value._meta, part._meta)
            part.copy_(value)
        else:
            part.fill_(value)
    else:
        _put(part, reading.indices, value)


def _put(tensor: Any, indices: list[Any], value: Any) -> None:
    """Write the value at the indices."""
    written = _written(recording.original(tensor, (value,)), indices, value)
    if isinstance(tensor, TensorBase) and shared_dims(tensor._meta):
        dispatch.warn_of_shared("index_put_")
        dispatch.assign_shared(tensor, written)
    else:
        recording.assign(tensor, written)


def _too_many_values(value: Meta, part: Meta) -> RuntimeError:
    """The error for values with more dimensions than the part of a tensor that they are assigned to."""
    what = "one element" if part.ndim == 0 else f"a part of shape {list(part.shape)}"
    return RuntimeError(
        errors.explain(
            f"shape mismatch: values of shape {list(value.shape)} were assigned to {what}", site=user_site(3)
        )
    )


# ---------------------------------------------------------------------------------------------- from an index to steps


class _Reading:
    """An index read from left to right: first come views (`steps`, which lead to `layout`), then `indices`, which
    gather.

    `indices` lists an index tensor or None for the leading dimensions of the view; a mask stands for as many as it has.
    """

    __slots__ = ("steps", "indices", "layout", "dim", "spare")

    def __init__(self, m: Meta, index: Any) -> None:
        self.steps: Steps = []
        self.indices: list[Any] = []
        self.layout = m
        self.dim = 0  # the dimension of the view that the next item is about
        self.spare = 0  # by how much masks of several dimensions make `indices` shorter than that
        items = _items(index)
        missing = m.ndim - sum([_dims_taken(i) for i in items])
        if missing < 0:
            raise too_many(m, m.ndim - missing)
        for item in items:
            if type(item) is int:
                self._view(_SELECT, self.dim, _checked_int(self.layout, self.dim, item))
            elif isinstance(item, slice):
                self._slice(item)
                self.dim += 1
            elif item is None:
                self._view(_UNSQUEEZE, self.dim)
                self.dim += 1
            elif item is Ellipsis:
                self.dim += missing
                missing = 0  # a second Ellipsis stands for nothing
            else:
                self._gather(item)

    def _view(self, op: Any, *args: Any) -> None:
        self.layout = op.body(self.layout, *args)
        self.steps.append((op, args))

    def _slice(self, item: slice) -> None:
        start, end, step = (None if x is None else x.__index__() for x in (item.start, item.stop, item.step))
        step = 1 if step is None else step
        if step <= 0:
            raise ValueError(
                errors.explain(
                    f"step must be greater than zero, got {step}",
                    hint="to go backwards use x.flip(dim)",
                    site=user_site(5),
                )
            )
        if start is not None or end is not None or step != 1:
            self._view(_SLICE, self.dim, start, end, step)

    def _gather(self, item: Any) -> None:
        if not isinstance(item, TensorBase):
            item = creation.tensor(item)  # True and False: masks without a dimension
        dims = 1
        if item._meta.dtype in _MASKS:
            if not item._meta.ndim:
                self._view(_UNSQUEEZE, self.dim)
                item = item.unsqueeze(0)
            dims = item._meta.ndim
        self.indices += [None] * (self.dim - self.spare - len(self.indices)) + [item]
        self.dim += dims
        self.spare += dims - 1


_MASKS = (dtypes.bool_, dtypes.uint8)


def too_many(m: Meta, taken: int) -> IndexError:
    if not m.ndim:
        return IndexError(
            errors.explain(
                "invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor to a number",
                site=user_site(5),
            )
        )
    return IndexError(
        errors.explain(
            f"too many indices for tensor of dimension {m.ndim}: got {taken} (shape {list(m.shape)})", site=user_site(5)
        )
    )


def _items(index: Any) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis, bools and index tensors."""
    if type(index) is not tuple:
        index = tuple(index) if isinstance(index, tuple) or _is_old_tuple(index) else (index,)
    return tuple([i if i is None or type(i) in _PLAIN else _item(i) for i in index])


_PLAIN = frozenset({int, bool, slice, type(Ellipsis)})


def _is_old_tuple(index: Any) -> bool:
    """NumPy's old rule, which PyTorch keeps: a short list that holds sequences, slices, None or Ellipsis means a
    tuple."""
    if not isinstance(index, list) or len(index) >= 32:
        return False
    if not any(i is None or i is Ellipsis or isinstance(i, (slice, list, tuple, TensorBase)) for i in index):
        return False
    warnings.warn(
        "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] instead of x[seq], "
        "or x[torch.tensor(seq)] to index with a tensor.",
        UserWarning,
        stacklevel=5,
    )
    return True


def _item(item: Any) -> Any:
    """One index that is not of the plain kinds: a tensor, something that becomes one, or a number in disguise."""
    if isinstance(item, TensorBase):
        m = item._meta
        if not m.ndim and m.dtype.category <= dtypes.INTEGER and m.dtype not in _MASKS:
            if not isinstance(item, Operand):  # of a batch each has its own
                return int(item.item())
        return item
    if isinstance(item, slice) or isinstance(item, bool):
        return item
    if isinstance(item, (list, tuple, range)):
        found = creation.tensor(list(item))
        return found.long() if not found._meta.numel else found
    if isinstance(item, np.ndarray):
        return _item(creation.tensor(item))
    if isinstance(item, np.bool_):
        return bool(item)
    if hasattr(item, "__index__"):
        return item.__index__()
    raise (TypeError if isinstance(item, str) else IndexError)(
        errors.explain(
            f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
            f"{type(item).__name__})",
            site=user_site(5),
        )
    )


def _dims_taken(item: Any) -> int:
    """How many dimensions of the tensor an index uses up."""
    if item is None or item is Ellipsis or item is True or item is False:
        return 0
    if isinstance(item, TensorBase) and item._meta.dtype in _MASKS:
        return item._meta.ndim
    return 1


def _checked_int(m: Meta, dim: int, index: int) -> int:
    if dim >= m.ndim:
        raise too_many(m, m.ndim + 1)
    n = m.shape[dim]
    if not -n <= index < n:
        raise IndexError(
            errors.explain(
                f"index {index} is out of bounds for dimension {dim} with size {n}",
                hint=f"the tensor's shape is {list(m.shape)}",
                site=user_site(4),
            )
        )
    return index


# ---------------------------------------------------------------------------------------------- applying


def _apply(tensor: Any, steps: Steps, layout: Meta) -> Any:
    """The view after `steps`. With gradients each step is an operation; without, only the `layout` they lead to
    matters."""
    if (
        tensor._node is not None
        and state.grad_enabled
        or tensor._base is not None
        and dispatch.node_of(tensor) is not None
        or isinstance(tensor, Operand)
    ):
        for op, args in steps:
            tensor = _FUNCTIONS[op](tensor, *args)
        return tensor if steps else view.expand_(tensor, tensor._meta.shape)
    return dispatch.view_of(tensor, layout)


def _value(d: dtypes.dtype, value: Any) -> Any:
    """What is assigned: a number that fits the dtype, or a tensor."""
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, (bool, int, float, complex)):
        return fitting_number(value, d)
    if isinstance(value, np.generic):
        return fitting_number(value.item(), d)
    if isinstance(value, np.ndarray):
        return creation.tensor(value)
    raise TypeError(
        errors.explain(
            f"can't assign a {type(value).__name__} to a torch.{errors.TYPE_NAMES[d.name]}Tensor",
            hint="wrap it: torch.tensor(...)" if isinstance(value, (list, tuple)) else "assign a number or a tensor",
            site=user_site(4),
        )
    )


def _without_leading_ones(value: Any, ndim: int) -> Any:
    """Leading dimensions of size 1 that the target lacks are dropped."""
    while value._meta.ndim > ndim and value._meta.shape[0] == 1:
        value = parts.select(value, 0, 0)
    return value


def _written(part: Any, indices: list[Any], value: Any) -> Any:
    """`part` with `value` at the indices. One mask and one number need no look at the mask's values."""
    m = part._meta
    d = m.dtype
    number = not isinstance(value, TensorBase) or not value._meta.ndim
    mask = next(i for i in indices if i is not None)
    if number and len(indices) - indices.count(None) == 1 and mask._meta.dtype is dtypes.bool_:
        lead = len(indices) - 1
        if tuple(mask._meta.shape) == tuple(m.shape)[lead : lead + mask._meta.ndim]:
            spread = view.reshape(mask, (*mask._meta.shape, *[1] * (m.ndim - lead - mask._meta.ndim)))
            filled = filled_where(part, spread, value.to(d) if isinstance(value, TensorBase) else value)
            if recording.grad_enabled():
                recording.present(filled, "IndexPutBackward0", (part, value if isinstance(value, TensorBase) else None))
            return filled
    if not isinstance(value, TensorBase):
        value = creation.full((), value, dtype=d)
    elif number:
        value = value.to(d)
    expanded = expanded_indices(m, indices)
    target = len(indexed_shape(m.shape, [None if i is None else i._meta for i in expanded]))
    return put_at(part, expanded, _without_leading_ones(value, target), False)
