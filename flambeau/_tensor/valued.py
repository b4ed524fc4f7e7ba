"""Operands whose numbers lie in a dense tensor, `_value`, to which their gradients belong: sparse, nested, masked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes
from flambeau._core.device import cpu, device
from flambeau._core.hooks import RemovableHandle
from flambeau._ops.operands import Operand
from flambeau._tensor.tensor import Tensor


class Valued(Tensor, Operand):
    """A tensor that is made of values and of where they stand. Whatever is computed with it is computed from the values
    by operations, so gradients flow to them; the gradient of a leaf has its kind."""

    _node = _base = _base_node = None
    _index = 0
    _value: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def with_values(self, values: Any) -> Any:
        """Other values at the same places."""
        raise NotImplementedError

    @property
    def dtype(self) -> dtypes.dtype:
        """The dtype of the values."""
        return self._value.dtype

    @property
    def device(self) -> device:
        """Where the numbers live."""
        return cpu

    def is_floating_point(self) -> bool:
        """Is the dtype a real floating-point one?"""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Is the dtype complex?"""
        return self.dtype.is_complex

    # ------------------------------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Do operations on this tensor record a graph for gradients?"""
        return self._value.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Was the tensor made by the user rather than computed with gradients?"""
        return self._value.is_leaf

    @property
    def grad_fn(self) -> Any:
        """The graph node that made the values; None for leaves."""
        return self._value.grad_fn

    @property
    def grad(self) -> Any:
        """The gradient of a leaf, of the same kind and in the same places; None before the first backward."""
        return self.as_gradient(self._value.grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._value.grad = None if value is None else value._value

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Turn gradients on or off for a leaf."""
        self._value.requires_grad_(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of a computed tensor in `.grad`, as leaves do."""
        self._value.retain_grad()

    @property
    def retains_grad(self) -> bool:
        """Did `retain_grad` ask to keep the gradient of this computed tensor?"""
        return self._value.retains_grad

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad)`, with a gradient of this tensor's kind, when it is known; it may return another one."""

        def of_values(grad: Any) -> Any:
            found = hook(self.as_gradient(grad))
            return found._value if isinstance(found, Valued) and not isinstance(grad, Valued) else found

        return self._value.register_hook(of_values)

    def as_root(self, weight: Any) -> tuple[Any, Any]:
        """The values, and what a gradient of the same kind has there."""
        return self._value, weight._value if isinstance(weight, type(self)) else weight

    def as_gradient(self, found: Any) -> Any:
        """A gradient of the values as one of this tensor's kind."""
        return found if found is None or isinstance(found, Valued) else self.with_values(found)

    # ------------------------------------------------------------------------------------ from values to values

    def detach(self) -> Any:
        """The same numbers without history."""
        return self.with_values(self._value.detach())

    data = property(detach)

    def clone(self, *, memory_format: Any = None) -> Any:
        """A copy."""
        return self.with_values(self._value.clone())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor with values of another dtype; itself if they have it already."""
        values = self._value.to(*args, **kwargs)
        return self if values is self._value else self.with_values(values)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self.with_values(copy.deepcopy(self._value, memo))
        return memo[id(self)]
