"""Moving and casting a module: `to`, `cuda`, `half` and their like, all through `Module._apply`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch

from ..parameter import Parameter

if TYPE_CHECKING:
    from typing import Self


class Conversion:
    """The methods of Module that replace the values of its parameters, their gradients, and its buffers, in place."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, torch.Tensor | None]

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        if recurse:
            for module in self.children():  # type: ignore[attr-defined]
                module._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            grad = parameter.grad
            with torch.no_grad():
                converted = fn(parameter)
                if converted.is_meta != parameter.is_meta:
                    # To or from the meta device the parameter cannot stay the same object.
                    parameter = self._parameters[name] = Parameter(converted, parameter.requires_grad)
                    if grad is not None:
                        parameter.grad = fn(grad)
                    continue
                _replace_data(parameter, converted)
                if grad is not None:
                    _replace_data(grad, fn(grad))
                    parameter.grad = grad
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def cuda(self, device: int | torch.device | None = None) -> Self:
        """Move everything to a GPU (default: the current one)."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move everything to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: torch.dtype | str) -> Self:
        """Cast all parameters and buffers, integers too, to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self._cast(torch.float32)

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self._cast(torch.float64)

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self._cast(torch.float16)

    def bfloat16(self) -> Self:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self._cast(torch.bfloat16)

    def _cast(self, dtype: torch.dtype) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to `device` without the values, which are arbitrary afterwards (as from the meta device)."""
        return self._apply(lambda t: torch.empty_like(t, device=device), recurse=recurse)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and cast, as `Tensor.to` does: `to(device, dtype)`, `to(dtype)`, `to(tensor)`, `to(memory_format=...)`.

        Only floating-point and complex tensors are cast; integer buffers are moved only.

        Raises:
            TypeError: `dtype` is neither floating-point nor complex.

        Example:
            >>> import flambeau as torch
            >>> torch.nn.Linear(2, 2).to(torch.float64).weight.dtype
            torch.float64
        """
        device, dtype, non_blocking, memory_format = parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature: some modules might not work as expected when using complex "
                    "tensors as parameters or buffers.",
                    stacklevel=2,
                )

        def convert(tensor: torch.Tensor) -> torch.Tensor:
            wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, wanted, non_blocking, memory_format=memory_format)
            return tensor.to(device, wanted, non_blocking)

        return self._apply(convert)

    def share_memory(self) -> Self:
        """Move everything into memory that other processes can share."""
        return self._apply(lambda t: t.share_memory_())


def _replace_data(held: torch.Tensor, converted: torch.Tensor) -> None:
    if converted is not held:
        held.data = converted


def parse_to(
    *args: Any,
    device: Any = None,
    dtype: torch.dtype | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[torch.device | None, torch.dtype | None, bool, Any]:
    """The device, dtype, non_blocking and memory format that arguments of `to` mean.

    Raises:
        TypeError: an argument is neither a device, a dtype, a tensor nor a bool, or comes twice.
    """
    rest = list(args)
    if rest and isinstance(rest[0], torch.Tensor):
        like = rest.pop(0)
        device, dtype = like.device, like.dtype
    else:
        if rest and not isinstance(rest[0], torch.dtype):
            device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], torch.dtype)):
            dtype = rest.pop(0)
    if rest and isinstance(rest[0], bool):
        non_blocking = rest.pop(0)
        if rest and isinstance(rest[0], bool):
            rest.pop(0)  # copy
    if rest or (device is not None and not isinstance(device, (str, int, torch.device))):
        raise TypeError(
            f"to() received an invalid combination of arguments: {args!r}; expected a device, a dtype, a device and a "
            "dtype, or a tensor, then non_blocking"
        )
    if device is not None and not isinstance(device, torch.device):
        device = torch.device(device)
    return device, dtype, non_blocking, memory_format
