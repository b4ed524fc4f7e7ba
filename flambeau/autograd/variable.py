"""`autograd.Variable`: what tensors with gradients were called before PyTorch 0.4; guides still write it."""

from __future__ import annotations

from typing import Any

from flambeau._ir.recording import TensorBase


class VariableType(type):
    """Every tensor is a Variable."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TensorBase)


class Variable(metaclass=VariableType):
    """`Variable(tensor, requires_grad=False)` is the tensor itself, as a leaf of its own.

    Example::

        >>> import flambeau as torch
        >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
        tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool | None = None) -> Any:
        if not isinstance(data, TensorBase):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
