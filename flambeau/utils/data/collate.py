"""From a list of samples to one batch."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

ALIKE = "all samples of a data set must be alike, or the DataLoader needs a collate_fn"
np_str_obj_array_pattern = re.compile(r"[SaUO]")  # NumPy's codes of dtypes that no tensor has: strings, objects
CollateMap = dict[Any, Callable[..., Any]]


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collate by a table from types to functions, and containers element by element.

    A function of the table is called as `function(batch, collate_fn_map=table)`: the one of the first sample's type, or
    else of the first entry that type is a subclass of. RuntimeError for sequences of different lengths, TypeError for a
    type that is neither in the table nor a container.
    """
    first = batch[0]
    function = _function_for(first, collate_fn_map or {})
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        for i, sample in enumerate(batch):
            if isinstance(sample, Mapping) and (lacking := [key for key in first if key not in sample]):
                raise KeyError(f"sample {i} of the batch lacks {lacking[0]!r}, which the first sample has")
        return _like_mapping(
            first, {key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first}
        )
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1 and not hasattr(first, "_fields"):
            fact = f"each element in list of batch should be of equal size, got lengths {sorted(lengths)}"
            raise RuntimeError(explain(fact, hint="pad them to one length, or give the DataLoader a collate_fn"))
        columns = zip(*batch, strict=False)
        return _like_sequence(first, [collate(column, collate_fn_map=collate_fn_map) for column in columns])
    raise TypeError(_unknown(type(first)))


def default_collate(batch: Any) -> Any:
    """Put a list of samples together, adding a dimension in front.

    Tensors, NumPy arrays and numbers become one tensor (floats float64, ints int64); strings and bytes stay a list;
    mappings, named tuples and sequences are collated element by element, tuples becoming lists. TypeError for other
    types; RuntimeError for tensors of different shapes or sequences of different lengths. `default_collate_fn_map`
    can be extended with further types.

    Example::

        >>> default_collate([(1, {"a": 0.5}), (2, {"a": 1.5})])
        [tensor([1, 2]), {'a': tensor([0.5000, 1.5000], dtype=torch.float64)}]
    """
    if np.ndarray not in default_collate_fn_map:
        default_collate_fn_map[np.ndarray] = collate_numpy_array_fn
        default_collate_fn_map[np.bool_, np.number, np.object_] = collate_numpy_scalar_fn
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """Make tensors of the NumPy arrays and scalars in nested containers; everything else stays as it is.

    What a DataLoader without batching (`batch_size=None`) applies to each sample.

    Example::

        >>> default_convert({"x": 1, "y": ["text"]})
        {'x': 1, 'y': ['text']}
    """
    if isinstance(data, torch.Tensor):
        return data
    if _is_numpy(data):
        return data if np.asarray(data).dtype.kind in "SUO" else torch.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like_sequence(data, [default_convert(element) for element in data])
    return data


# ---------------------------------------------------------------------------------------------- one kind of sample each


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> torch.Tensor:
    """Stack tensors of one shape."""
    for i, sample in enumerate(batch):
        if not isinstance(sample, torch.Tensor):
            kind = type(sample).__name__
            raise TypeError(explain(f"expected Tensor as element {i} of the batch, but got {kind}", hint=ALIKE))
    shapes = {tuple(tensor.shape) for tensor in batch}
    if len(shapes) > 1:
        raise RuntimeError(
            "stack expects each tensor to be equal size, but the samples of this batch have the shapes "
            f"{', '.join(map(str, sorted(shapes)))}\n  hint: pad or crop them, or give the DataLoader a collate_fn"
        )
    return torch.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """One tensor of all arrays; TypeError for arrays of strings or objects."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_unknown(batch[0].dtype))
    uniform = len({(array.dtype, array.shape) for array in batch}) == 1
    if uniform and (collate_fn_map or {}).get(torch.Tensor) is collate_tensor_fn:
        return torch.tensor(np.stack(batch))
    return collate([torch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> torch.Tensor:
    """A vector of NumPy scalars, of their dtype."""
    return torch.as_tensor(batch)


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> torch.Tensor:
    """A float64 vector."""
    return torch.tensor(batch, dtype=torch.float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> torch.Tensor:
    """An int64 vector, or a bool one."""
    return torch.tensor(batch)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Sequence[Any]:
    """Text stays a list."""
    return batch


# `default_collate` adds NumPy's types at its first call, for NumPy is not imported with the package.
default_collate_fn_map: CollateMap = {
    torch.Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}

# ---------------------------------------------------------------------------------------------- helpers


def _function_for(sample: Any, table: CollateMap) -> Callable[..., Any] | None:
    exact = table.get(type(sample))
    if exact is not None:
        return exact
    return next((function for kind, function in table.items() if isinstance(sample, kind)), None)


def _like_mapping(model: Any, items: dict[Any, Any]) -> Any:
    """`items` in a mapping like `model`: a changed copy where possible, for the type may have attributes of its own."""
    try:
        if isinstance(model, MutableMapping):
            clone = copy.copy(model)
            clone.update(items)
            return clone
        return type(model)(items)
    except TypeError:
        return items


def _like_sequence(model: Any, elements: list[Any]) -> Any:
    """`elements` in a sequence like `model`; but those of a plain tuple in a list, as PyTorch does."""
    if isinstance(model, tuple):
        return type(model)(*elements) if hasattr(model, "_fields") else elements
    try:
        if isinstance(model, MutableSequence):
            clone = copy.copy(model)
            for i, element in enumerate(elements):
                clone[i] = element
            return clone
        return type(model)(elements)
    except TypeError:
        return elements


def _is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def _unknown(kind: Any) -> str:
    return (
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {kind}\n  hint: give the DataLoader a collate_fn that can put such samples together"
    )
