"""Subclasses of Tensor: their methods, operators and attributes offer themselves to `__torch_function__`.

Operations do that themselves (see `_core.overriding`), as functions and as methods. What else the Tensor class has
would have to ask at every call, of every tensor, whether somebody wants it. Instead each subclass gets, when it is
defined, attributes of its own that ask; and while a mode is active, Tensor itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from flambeau._core.overriding import PASSED, make_usual, modes, offer, skip_override, switch, takes_over
from flambeau._ir.recording import TensorBase
from flambeau._ops.operands import Operand

# The method that a `__torch_function__` is told of in the place of an operator. Those missing here are told of
# themselves, such as `__rsub__` and `__getitem__`.
OPERATORS = {
    **{f"__{name}__": name for name in ("add", "sub", "mul", "matmul", "lt", "le", "gt", "ge", "ne", "abs", "neg")},
    **{f"__i{name}__": f"{name}_" for name in ("add", "sub", "mul", "div", "pow")},
    **{"__radd__": "add", "__rmul__": "mul", "__truediv__": "div", "__itruediv__": "div_", "__rtruediv__": "__rdiv__"},
    **{"__rand__": "bitwise_and", "__ror__": "bitwise_or", "__rxor__": "bitwise_xor"},
    **{"__pow__": "pow", "__mod__": "remainder", "__imod__": "remainder_", "__pos__": "positive"},
}

# What is not about the numbers and the history of a tensor, or what the asking itself needs.
UNTOLD = frozenset(
    {
        "__class__", "__delattr__", "__dict__", "__dir__", "__doc__", "__getattr__", "__getattribute__",
        "__getstate__", "__hash__", "__init__", "__init_subclass__", "__iter__", "__module__", "__new__", "__reduce__",
        "__setattr__", "__sizeof__", "__slots__", "__str__", "__subclasshook__", "__torch_function__", "__weakref__",
        "as_subclass", "is_cpu", "new", "new_tensor", "reinforce",
    }
)  # fmt: skip
OPERAND_TYPES = (TensorBase, Operand, bool, int, float, complex)

NOT_CONVERTED: set[Callable] = set()  # functions whose results stay tensors of the class that they are

_own: dict[str, Any] = {}  # what Tensor has by itself, of the attributes that are told
_told: dict[str, Any] = {}  # the same attributes, asking


def collect(tensor_class: type, operations: frozenset[Any], operators: frozenset[str]) -> None:
    """Prepare what subclasses of the finished `tensor_class` get; its `operations` ask by themselves. `operators` are
    the names of its methods for Python's binary operators."""
    for name, value in vars(tensor_class).items():
        if name in UNTOLD or name[0] == "_" and not name.startswith("__"):
            continue
        if isinstance(value, property):
            _own[name], _told[name] = value, _telling_property(value)
        elif isinstance(value, FunctionType) and value not in operations:
            function = getattr(tensor_class, OPERATORS[name]) if name in OPERATORS else None
            tell = _telling_operator if name in operators else _telling
            _own[name], _told[name] = value, tell(value, function)
    NOT_CONVERTED.update({_own["grad"].__get__, _told["grad"].__get__})
    make_usual(tensor_class)
    modes.followers.append(lambda on: _set_all(tensor_class, _told if on else _own))


def _set_all(kind: type, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(kind, name, value)


def _telling(method: Callable, function: Callable | None) -> Callable:
    """`method`, which offers itself first, as a call of `function` or of what Tensor has under its name."""

    @functools.wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        taken = offer(function or (told if modes.active else method), args, kwargs)
        return method(*args, **kwargs) if taken is PASSED else taken

    return told


def _telling_operator(method: Callable, function: Callable | None) -> Callable:
    """The same of a binary operator, which lets an operand of a class that it does not know have its say."""
    told = _telling(method, function)

    @functools.wraps(method)
    def told_operator(self: Any, other: Any) -> Any:
        try:
            return told(self, other)
        except TypeError:
            if isinstance(other, OPERAND_TYPES):
                raise
            return NotImplemented

    return told_operator


def _telling_property(attribute: property) -> property:
    """The property, whose reading, writing and deleting offer themselves first."""

    def offered(access: str, *args: Any) -> Any:
        taken = offer(getattr(told if modes.active else attribute, access), args, {})
        return getattr(attribute, access)(*args) if taken is PASSED else taken

    def read(self: Any) -> Any:
        return offered("__get__", self)

    def write(self: Any, value: Any) -> None:
        offered("__set__", self, value)

    def remove(self: Any) -> None:
        offered("__delete__", self)

    told = property(read, attribute.fset and write, attribute.fdel and remove, attribute.__doc__)
    return told


def own_attributes() -> dict[str, Any]:
    """The attributes of Tensor that are offered without being operations."""
    return _own


def prepare(kind: type) -> None:
    """Give a new subclass of Tensor what asks its `__torch_function__`, as far as it has not defined it itself; or note
    that nobody needs to ask."""
    if issubclass(kind, Operand):
        kind.__torch_function__ = skip_override  # type: ignore[attr-defined]
    if not takes_over(kind):
        make_usual(kind)
        return
    switch.turn(True, keep=True)
    before_tensor = kind.__mro__[: kind.__mro__.index(TensorBase) - 1]
    for name, told in _told.items():
        if not any([name in vars(base) for base in before_tensor]):
            setattr(kind, name, told)


def convert(result: Any, kind: type) -> Any:
    """`result` with its tensors, those within tuples and lists included, as instances of `kind` where they are not."""
    if isinstance(result, TensorBase):
        return result if isinstance(result, kind) else result.as_subclass(kind)
    if isinstance(result, (tuple, list)):
        made = [convert(x, kind) for x in result]
        return type(result)(*made) if hasattr(result, "_fields") else type(result)(made)
    return result
