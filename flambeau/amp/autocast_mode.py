"""`autocast`: a context in which contractions run in a lower precision."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau._core.homes import absent
from flambeau._tensor.autocasting import (
    get_autocast_dtype,
    is_autocast_available,
    is_autocast_enabled,
    set_autocast_dtype,
    set_enabled,
)

CPU_DTYPES = (torch.bfloat16, torch.float16)


class autocast:  # noqa: N801 (PyTorch's name)
    """A context and decorator in which matrix products, linear layers, convolutions and attention convert their float32
    arguments to `dtype` (bfloat16 on the CPU by default) and give results in it; losses, inverses and Fourier
    transforms are computed in float32. Everything else keeps the dtypes it meets. Contexts nest; `enabled=False` turns
    mixed precision off inside another.

    Products of halves are accumulated in float32. Gradients arrive in the parameters' own dtype. For a device that is
    not there the context warns and does nothing.

    Example::

        >>> with autocast("cpu"):
        ...     torch.mm(torch.ones(2, 3), torch.ones(3, 2)).dtype
        torch.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self.enabled = enabled
        if enabled and not is_autocast_available(device_type):
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not available. Disabling",
                UserWarning,
                stacklevel=2,
            )
            self.enabled = False
        if self.enabled and self.dtype not in CPU_DTYPES:
            warnings.warn(
                f"In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only "
                f"supports dtype of {', '.join(map(str, CPU_DTYPES))} currently.",
                UserWarning,
                stacklevel=2,
            )
            self.enabled = False
        self._before: list[tuple[bool, Any]] = []

    def __enter__(self) -> autocast:
        if self.device == "cpu":
            self._before.append((is_autocast_enabled("cpu"), get_autocast_dtype("cpu")))
            set_enabled(self.enabled)
            set_autocast_dtype("cpu", self.dtype)
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.device == "cpu":
            enabled, dtype = self._before.pop()
            set_enabled(enabled)
            set_autocast_dtype("cpu", dtype)

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def custom_fwd(fwd: Callable | None = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Callable:
    """Decorator for the `forward` of an `autograd.Function`: `backward` with `custom_bwd` runs in the same precision.
    With `cast_inputs`, floating-point arguments are converted to that dtype first, and mixed precision is off inside.

    Example::

        >>> class Square(torch.autograd.Function):
        ...     @staticmethod
        ...     @custom_fwd(cast_inputs=torch.float32)
        ...     def forward(ctx, x):
        ...         return x * x
        >>> with autocast("cpu"):
        ...     Square.apply(torch.ones(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._autocast = is_autocast_enabled(device_type)
        if cast_inputs is None or not ctx._autocast:
            return fwd(ctx, *args, **kwargs)
        ctx._autocast = False
        with autocast(device_type, enabled=False):
            return fwd(
                ctx,
                *[_converted(a, cast_inputs) for a in args],
                **{name: _converted(a, cast_inputs) for name, a in kwargs.items()},
            )

    return forward


def _converted(a: Any, dtype: Any) -> Any:
    return a.to(dtype) if isinstance(a, torch.Tensor) and a.is_floating_point() else a


def custom_bwd(bwd: Callable | None = None, *, device_type: str = "cpu") -> Callable:
    """Decorator for the `backward` that belongs to a `custom_fwd`."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._autocast):
            return bwd(ctx, *args, **kwargs)

    return backward

__getattr__ = absent("torch.amp.autocast_mode")
