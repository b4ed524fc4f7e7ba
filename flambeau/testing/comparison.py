"""Are tensors close? (`torch.testing`)"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flambeau import _api as torch

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

# dtype -> (relative, absolute): errors of a few roundings
TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere, for tensors, numbers and
    containers of them. Without `rtol` and `atol` they follow from the dtypes: the larger ones of both.

    Example::

        >>> assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
        Traceback (most recent call last):
        ...
        AssertionError: Tensor-likes are not close!
        <BLANKLINE>
        Mismatched elements: 1 / 2 (50.0%)
        Greatest absolute difference: 0.5 at index (1,) (up to 1e-05 allowed)
        Greatest relative difference: 0.2 at index (1,) (up to 1.3e-06 allowed)
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified")
    problem = _difference(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, "")
    if problem is not None:
        raise AssertionError(problem if msg is None else msg(problem) if callable(msg) else msg)


def _difference(
    a: Any, b: Any, rtol: float | None, atol: float | None, nan: bool, dtype: bool, stride: bool, place: str
) -> str | None:
    """What is wrong, or None."""
    rest = (rtol, atol, nan, dtype, stride)
    where = f"\n\nThe failure occurred for item {place}" if place else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f"The keys of the mappings do not match: {sorted(map(str, a))} and {sorted(map(str, b))}{where}"
        pairs = [(f"{place}[{key!r}]", a[key], b[key]) for key in a]
        return next((p for p in (_difference(x, y, *rest, at) for at, x, y in pairs) if p), None)
    containers = (Sequence,)
    if isinstance(a, containers) and isinstance(b, containers) and not isinstance(a, str):
        if len(a) != len(b):
            return f"The length of the sequences mismatch: {len(a)} != {len(b)}{where}"
        found = [_difference(x, y, *rest, f"{place}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True))]
        return next((p for p in found if p), None)
    if a is None or b is None:
        return None if a is b else f"None mismatch: {a!r} is not {b!r}{where}"
    tensors = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
    x, y = [t.to_dense() if isinstance(t, torch.Tensor) else torch.as_tensor(t) for t in (a, b)]
    if x.shape != y.shape:
        return f"The values for attribute 'shape' do not match: {x.shape} != {y.shape}.{where}"
    if dtype and tensors and x.dtype is not y.dtype:
        return f"The values for attribute 'dtype' do not match: {x.dtype} != {y.dtype}.{where}"
    if stride and x.stride() != y.stride():
        return f"The values for attribute 'stride()' do not match: {x.stride()} != {y.stride()}.{where}"
    return _far(x.detach(), y.detach(), rtol, atol, nan, where)


def _far(x: Any, y: Any, rtol: float | None, atol: float | None, nan: bool, where: str) -> str | None:
    """The report about elements that are not close, or None."""
    if rtol is None or atol is None:
        limits = [TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (x, y)]
        rtol, atol = max(r for r, _ in limits), max(a for _, a in limits)
    wide = torch.complex128 if x.is_complex() or y.is_complex() else torch.float64
    if x.dtype.is_floating_point or x.is_complex() or y.dtype.is_floating_point or y.is_complex():
        x, y = x.to(wide), y.to(wide)
    else:
        x, y = x.to(torch.int64), y.to(torch.int64)
    bad = ~torch.isclose(x, y, rtol=rtol, atol=atol, equal_nan=nan)
    count = int(bad.sum())
    if not count:
        return None
    size = (x - y).abs().to(torch.float64).masked_fill(~bad, 0)
    relative = size / y.abs().to(torch.float64)
    lines = [f"{'Scalars' if not x.dim() else 'Tensor-likes'} are not {'equal' if rtol == atol == 0 else 'close'}!", ""]
    lines.append(f"Mismatched elements: {count} / {x.numel()} ({100 * count / x.numel():.1f}%)")
    for name, table, limit in (("absolute", size, atol), ("relative", relative.masked_fill(~bad, 0), rtol)):
        flat = table.reshape(-1)
        at = int(flat.nan_to_num(math.inf).argmax())
        index = tuple(int(i) for i in torch.unravel_index(torch.tensor(at), tuple(x.shape))) if x.dim() else ()
        lines.append(f"Greatest {name} difference: {flat[at].item()} at index {index} (up to {limit} allowed)")
    return "\n".join(lines) + where


def assert_allclose(actual: Any, expected: Any, rtol: Any = None, atol: Any = None, equal_nan: bool = True) -> None:
    """`assert_close` without comparing dtypes.

    Example::

        >>> assert_allclose(torch.ones(1), torch.ones(1, dtype=torch.float64))
    """
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False)


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of uniform numbers from `low` to below `high`: by default from -9 to 9 (0 to 9 of unsigned integers).

    Example::

        >>> make_tensor(2, 3, dtype=torch.int64, low=0, high=1)
        tensor([[0, 0, 0],
                [0, 0, 0]])
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if dtype is torch.bool:
        made = torch.randint(0, 2, sizes, device=device).to(torch.bool)
    elif dtype.is_floating_point or dtype.is_complex:
        low, high = -9.0 if low is None else low, 9.0 if high is None else high
        parts = [torch.empty(sizes, dtype=torch.float64).uniform_(low, high) for _ in range(1 + dtype.is_complex)]
        made = (torch.complex(*parts) if dtype.is_complex else parts[0]).to(dtype)
    else:
        least = 0 if not dtype.is_signed else -9
        made = torch.randint(int(least if low is None else low), int(10 if high is None else high), sizes).to(dtype)
    if exclude_zero:
        made = made.masked_fill(made == 0, 1)
    if noncontiguous and made.numel() > 1:
        made = torch.repeat_interleave(made, 2, -1)[..., ::2]
    if memory_format is not None:
        made = made.clone(memory_format=memory_format)
    return made.requires_grad_() if requires_grad else made
