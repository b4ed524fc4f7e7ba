"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from flambeau import _api as torch

__all__ = ["parameters_to_vector", "vector_to_parameters"]

Tensor = torch.Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The values of all parameters in one 1-D tensor; TypeError if they are on several devices.

    Example:
        >>> import flambeau as torch
        >>> parameters_to_vector(torch.nn.Linear(10, 1).parameters()).shape
        torch.Size([11])
    """
    parameters = list(parameters)
    _check_devices(parameters)
    return torch.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make slices of `vec` the values of the parameters; they share its memory."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    _check_devices(parameters)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = vec[start:stop].view_as(parameter).data
        start = stop


def _check_devices(parameters: list[Tensor]) -> None:
    if len({parameter.device for parameter in parameters}) > 1:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
