"""From Python's data to tensors: numbers, nested lists, arrays; and where the fault lies if they hold anything else."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.lazy import lazy_module
from flambeau._core.quiet import quietly
from flambeau._core.sites import user_site
from flambeau._ir.meta import contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops.convert import to_float8
from flambeau._tensor import dispatch

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def from_data(data: Any, d: dtype_class | None) -> Any:
    """A tensor with a copy of `data`: of its own dtype, Python's floats of the default one, unless `d` says another."""
    array = _to_array(data)
    inferred = _inferred_dtype(data, array)
    d = d or inferred
    return dispatch.from_flat(quietly(_converted, array, d), contiguous(d, array.shape))


def _converted(array: np.ndarray, d: dtype_class) -> np.ndarray:
    """A flat copy of an array in another dtype; RuntimeError for numbers that this does not hold."""
    _check_overflow(array, d)
    if array.dtype.kind == "c" and not d.is_complex:
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: it is complex")
    if d.category <= dtypes.INTEGER and array.dtype.kind == "f" and d is not dtypes.bool_:
        array = array.astype(np.int64)
    array = to_float8(array, d) if d in dtypes.FLOAT8 else array
    return np.array(array, dtype=d.numpy, order="C").reshape(-1)


def _to_array(data: Any) -> np.ndarray:
    """`data` as an array, whatever holds it; errors of PyTorch's kinds."""
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, (list, tuple)) and _holds_tensors(data):
        data = _without_tensors(data, ())
    _check_nesting(data)
    try:
        array = np.array(data)
    except OverflowError:
        raise _overflow() from None
    except ValueError:  # arrays of different shapes, or tensors after the first element
        _without_tensors(data, ())
        _check_shapes(data)
        raise
    if array.dtype.kind in "OUSMm":
        raise _wrong_element(data) or _overflow()
    return array


def _overflow() -> ValueError:
    return ValueError("Overflow when unpacking long long: a number does not fit in int64")


# ---------------------------------------------------------------------------------------------- tensors in lists


def _holds_tensors(data: Any) -> bool:
    """Is there a tensor in nested lists? Looks at the first element of each level, and at all of the innermost
    lists."""
    while isinstance(data, (list, tuple)) and data:
        if any(isinstance(x, TensorBase) for x in data):
            return True
        data = data[0]
    return False


def _without_tensors(data: Any, place: tuple[int, ...]) -> Any:
    """Nested lists with numbers in place of tensors of one; ValueError for a tensor of several."""
    if isinstance(data, (list, tuple)):
        return [_without_tensors(x, (*place, i)) for i, x in enumerate(data)]
    if not isinstance(data, TensorBase):
        return data
    if data.numel() != 1:
        raise ValueError(
            errors.explain(
                f"only one element tensors can be converted to Python scalars, the one{_at(place)} has shape "
                f"{list(data.shape)}",
                hint="torch.stack(list) joins tensors of one shape along a new dimension, torch.cat(list) along one "
                "that they have",
                site=user_site(),
            )
        )
    return data.item()


# ---------------------------------------------------------------------------------------------- faults


def _check_nesting(data: Any, depth: int = 0) -> None:
    """ValueError or TypeError where nested sequences have different lengths or stand beside numbers."""
    if not isinstance(data, (list, tuple)) or not data:
        return
    nested = [isinstance(x, (list, tuple)) for x in data]
    if not any(nested):
        return
    wrong = None if all(nested) else _wrong_element(data)
    if wrong is not None:
        raise wrong
    length = len(data[0]) if nested[0] else None
    for i, x in enumerate(data):
        if length is None:
            if nested[i]:
                raise TypeError(
                    f"'{type(x).__name__}' object cannot be interpreted as a number: element {i} at dim "
                    f"{depth}, beside numbers"
                )
            continue
        if not nested[i]:
            raise TypeError(f"not a sequence: element {i} at dim {depth} is the number {x!r}, beside sequences")
        if len(x) != length:
            raise ValueError(
                errors.explain(
                    f"expected sequence of length {length} at dim {depth + 1} (got {len(x)}): element {i} is longer or "
                    "shorter than the first",
                    hint="pad them to one length, or make a tensor of each",
                    site=user_site(),
                )
            )
        _check_nesting(x, depth + 1)


def _check_shapes(data: Any) -> None:
    """ValueError for arrays in a list that have different shapes."""
    shapes = [np.shape(x) for x in data]
    different = next((s for s in shapes if s != shapes[0]), None)
    if different is not None and len(different) == len(shapes[0]):
        raise ValueError(f"expected arrays of one shape in a list (got {list(shapes[0])} and {list(different)})")


def _wrong_element(data: Any) -> Exception | None:
    """The error for the first thing in `data` that is no number, with its place; None if there is none."""
    found = _find(data, ())
    if found is None:
        return None
    item, place = found
    kind, site = type(item).__name__, user_site()
    if isinstance(item, (str, bytes)):
        first = bool(place) and not any(place) and isinstance(item, str)
        fact = f"too many dimensions '{kind}'" if first else f"new(): invalid data type '{kind}'"
        hint = "tensors hold numbers: give each word an index; of digits, float(text) makes a number"
        return (ValueError if first else TypeError)(
            errors.explain(f"{fact}, got {item!r}{_at(place)}", hint=hint, site=site)
        )
    if item is None:
        hint = "put a number there, such as float('nan') or 0"
    elif hasattr(item, "__iter__"):
        hint = f"make a list of it: list({'...' if place else 'data'})"
    else:
        hint = "tensors hold numbers, in nested lists or arrays"
    return RuntimeError(errors.explain(f"Could not infer dtype of {kind}{_at(place)}", hint=hint, site=site))


def _find(data: Any, place: tuple[int, ...]) -> tuple[Any, tuple[int, ...]] | None:
    if isinstance(data, (list, tuple)):
        return next((found for i, x in enumerate(data) if (found := _find(x, (*place, i)))), None)
    return None if isinstance(data, (numbers.Number, np.generic, np.ndarray)) else (data, place)


def _at(place: tuple[int, ...]) -> str:
    return f" at index {list(place)}" if place else ""


# ---------------------------------------------------------------------------------------------- dtypes


def _inferred_dtype(data: Any, array: np.ndarray) -> dtype_class:
    """Arrays and NumPy scalars keep their dtype; Python's floats get the default one."""
    if isinstance(data, (np.ndarray, np.generic)):
        return dtypes.from_numpy(array.dtype)
    if array.dtype.kind == "f" and (array.size == 0 or not _first_is_numpy(data)):
        return dtypes.get_default_dtype()
    if array.dtype.kind == "c" and not _first_is_numpy(data):
        return dtypes.get_default_dtype().to_complex()
    return dtypes.from_numpy(array.dtype)


def _first_is_numpy(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def _check_overflow(array: np.ndarray, d: dtype_class) -> None:
    if d.category == dtypes.INTEGER and array.dtype.kind in "iu" and array.size and array.dtype != d.numpy:
        limits = np.iinfo(d.numpy)
        if not isinstance(array, np.ndarray) or array.min() < limits.min - (limits.max + 1 if not d.is_signed else 0):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
        if array.max() > limits.max:
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: {array.max()}")
