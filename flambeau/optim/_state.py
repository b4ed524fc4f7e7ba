"""What an optimizer remembers of one parameter.

PyTorch keeps the number of steps (and a few more numbers) as 0-dim tensors. Reading such a tensor at every step would
end the window, and writing it would cost a kernel for each parameter. Here these numbers live in Python, and become
tensors when somebody looks at them; from then on tensor and number are kept equal, whoever changes either.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch

HIDDEN = object()  # stands in the dict for a number that nobody has looked at


class ParameterState(dict):
    """A dict from names to tensors, some of which are numbers kept in Python.

    Example::

        >>> state = ParameterState()
        >>> state.set_number("step", 1.0)
        >>> state["step"]
        tensor(1.)
        >>> _ = state["step"].add_(4)
        >>> state.number("step")
        5.0
    """

    __slots__ = ("_numbers", "_shown")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: dict[str, float] = {}
        self._shown: dict[str, tuple[Any, int]] = {}  # the tensor handed out, its version when it last agreed

    # ---- the optimizer's side ----

    def number(self, name: str) -> float:
        """The number `name`; reads a tensor only when somebody else has written it."""
        value = super().__getitem__(name)
        if value is HIDDEN:
            return self._numbers[name]
        tensor, version = self._shown.get(name, (None, -1))
        if value is not tensor or value._version != version:
            self._numbers[name] = float(value)
            if torch.is_tensor(value):
                self._shown[name] = value, value._version
        return self._numbers[name]

    def set_number(self, name: str, value: float) -> None:
        """Remember `value`, rounded to what its tensor holds, so that a saved run goes on with the very same number."""
        tensor: Any = super().get(name)
        if torch.is_tensor(tensor):
            tensor.fill_(value)
            self._shown[name] = tensor, tensor._version
        else:
            super().__setitem__(name, HIDDEN)
        self._numbers[name] = rounded(value)

    def tensors(self) -> list[Any]:
        """The tensors, numbers apart."""
        return [value for name, value in super().items() if name not in self._numbers and torch.is_tensor(value)]

    def numbers(self) -> tuple[tuple[str, float], ...]:
        """All numbers with their names."""
        return tuple(self._numbers.items())

    def set_numbers(self, numbers: tuple[tuple[str, float], ...]) -> None:
        """Take over numbers that another parameter's state has; none of these may be shown."""
        self._numbers.update(numbers)

    def is_shown(self) -> bool:
        """Has somebody looked at a number, so that a tensor must be kept equal to it?"""
        return bool(self._shown) or not all([v is HIDDEN or torch.is_tensor(v) for v in super().values()])

    def hide(self, name: str) -> None:
        """Take the number out of a tensor that nobody else holds."""
        value = self.number(name)
        self._shown.pop(name, None)
        super().__setitem__(name, HIDDEN)
        self.set_number(name, value)

    def detach_from_past(self) -> None:
        """Replace tensors by copies: in-place updates then leave alone what earlier steps saved for backward."""
        for name, value in super().items():
            if torch.is_tensor(value) and name not in self._numbers:
                super().__setitem__(name, value.clone())

    def snapshot(self) -> dict[str, Any]:
        """A plain dict for `state_dict`; numbers in it are tensors of its own."""
        return {k: _tensor_of(self._numbers[k]) if v is HIDDEN else v for k, v in super().items()}

    # ---- everybody else's side ----

    def show(self) -> None:
        """Put tensors where numbers are hidden."""
        for name, value in super().items():
            if value is HIDDEN:
                tensor = _tensor_of(self._numbers[name])
                super().__setitem__(name, tensor)
                self._shown[name] = tensor, tensor._version

    def __getitem__(self, key: Any) -> Any:
        value = super().__getitem__(key)
        if value is not HIDDEN:
            return value
        self.show()
        return super().__getitem__(key)

    def __iter__(self) -> Any:  # its presence sends dict(state) and {**state} through __getitem__
        return super().__iter__()

    def __reduce__(self) -> tuple:
        return ParameterState, (self.snapshot(),)


def _showing(name: str) -> Callable:
    original = getattr(dict, name)

    def method(self: ParameterState, *args: Any) -> Any:
        self.show()
        return original(self, *args)

    method.__name__ = name
    return method


for _name in (
    "get",
    "items",
    "values",
    "pop",
    "popitem",
    "setdefault",
    "copy",
    "__repr__",
    "__eq__",
    "__or__",
    "__ror__",
):
    setattr(ParameterState, _name, _showing(_name))


class RealView:
    """A parameter's state with complex tensors seen as pairs of real numbers."""

    def __init__(self, state: ParameterState) -> None:
        self._state = state

    def __getitem__(self, key: str) -> Any:
        value = self._state[key]
        return torch.view_as_real(value) if value.is_complex() else value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)


class RowView:
    """The rows of a parameter's state that a sparse gradient touches: read on demand, written back by `put_back`."""

    def __init__(self, state: ParameterState, rows: tuple) -> None:
        self._state, self._rows = state, rows
        self._taken: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._taken:
            value = self._state[key]
            if not torch.is_tensor(value):
                return value
            self._taken[key] = value[self._rows]
        return self._taken[key]

    def put_back(self) -> None:
        for key, values in self._taken.items():
            self._state[key][self._rows] = values

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)


def number_dtype() -> Any:
    """The dtype in which numbers of the state are shown and saved."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def rounded(value: float) -> float:
    """A number of the state as its tensor holds it."""
    return value if number_dtype() == torch.float64 else struct.unpack("f", struct.pack("f", value))[0]


def _tensor_of(value: float) -> Any:
    return torch.tensor(value, dtype=number_dtype())
