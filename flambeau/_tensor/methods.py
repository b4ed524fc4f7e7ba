"""Binds operations to the Tensor class: operators, methods, in-place methods."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.overriding import PASSED, offer, switch, takes_over
from flambeau._core.sites import user_site
from flambeau._core.unsupported import NAMES, Refusal
from flambeau._ir.meta import shared_dims
from flambeau._ops import loader, view_variants
from flambeau._ops.registry import OPS, Op, inplace_of
from flambeau._tensor import creation, dispatch, extras, indexing, native, quantized, random, sparse, sparse_operations
from flambeau._tensor.subclassing import OPERAND_TYPES, OPERATORS, collect
from flambeau._tensor.tensor import Tensor

loader.load()

# Python's operators and the operations they stand for: (dunder, op)
BINARY = (
    ("add", "add"),
    ("sub", "sub"),
    ("mul", "mul"),
    ("truediv", "true_divide"),
    ("floordiv", "floor_divide"),
    ("mod", "remainder"),
    ("pow", "pow"),
    ("and", "bitwise_and"),
    ("or", "bitwise_or"),
    ("xor", "bitwise_xor"),
    ("lshift", "bitwise_left_shift"),
    ("rshift", "bitwise_right_shift"),
    ("matmul", "matmul"),
)
REPLACED = ("add", "sub", "mul", "true_divide", "pow")  # operators that native code replaces as a whole
COMPARISONS = (("eq", "eq"), ("ne", "ne"), ("lt", "lt"), ("le", "le"), ("gt", "gt"), ("ge", "ge"))
UNARY = (("neg", "neg"), ("pos", "positive"), ("abs", "abs"))
USUAL_OPERANDS = frozenset({Tensor, *OPERAND_TYPES})


def operator(function: Callable[[tuple], Any], name: str, reflected: bool = False) -> Callable:
    """A dunder method of a function of (self, other): NotImplemented for operands that are neither tensors nor numbers,
    so that they may have their say."""

    def method(self: Any, other: Any) -> Any:
        if type(other) not in USUAL_OPERANDS and not isinstance(other, OPERAND_TYPES):
            if takes_over(type(other)):
                return asked(name, self, other)
            other = foreign_operand(other)
            if other is NotImplemented:
                return NotImplemented
        return function((other, self) if reflected else (self, other))

    method.__name__ = method.__qualname__ = name
    return method


def asked(name: str, self: Any, other: Any) -> Any:
    """What the `__torch_function__` of `other` makes of the operator; NotImplemented if it does not know that, so that
    its own operators are tried."""
    switch.turn(True, keep=True)
    try:
        taken = offer(getattr(Tensor, OPERATORS.get(name, name)), (self, other), {})
    except TypeError:
        return NotImplemented
    return NotImplemented if taken is PASSED else taken


def foreign_operand(other: Any) -> Any:
    """NumPy scalars and arrays take part in arithmetic; lists, strings and None do not."""
    if hasattr(other, "__array__") and not isinstance(other, type):
        return creation.tensor(other) if getattr(other, "ndim", 1) else other.item()
    return NotImplemented


def bind_operators() -> None:
    for dunder, name in BINARY:
        op = OPS[name]
        record = op.record if name in REPLACED else late(op)
        setattr(Tensor, f"__{dunder}__", operator(record, f"__{dunder}__"))
        setattr(Tensor, f"__r{dunder}__", operator(reflectable(op), f"__r{dunder}__", reflected=True))
        setattr(Tensor, f"__i{dunder}__", operator(written(op), f"__i{dunder}__"))
    for dunder, name in COMPARISONS:
        setattr(Tensor, f"__{dunder}__", operator(late(OPS[name]), f"__{dunder}__"))
    for dunder, name in UNARY:
        setattr(Tensor, f"__{dunder}__", lambda self, record=OPS[name].record: record((self,)))
    Tensor.__invert__ = invert  # type: ignore[method-assign]


def invert(self: Any) -> Any:
    """`~self`; TypeError for floats, where the function raises NotImplementedError."""
    if self.dtype.category > dtypes.INTEGER:
        raise TypeError(
            errors.explain(
                f"~ (operator.invert) is only implemented on integer and Boolean-type tensors, this is {self.dtype}",
                hint="of a mask of numbers take ~(x != 0)",
                site=user_site(2),
            )
        )
    return OPS["bitwise_not"].record((self,))


def late(op: Op) -> Callable[[tuple], Any]:
    """The recording of `op` as it is when it is called: another may take its place, for mixed precision or as native
    code."""
    return lambda args: op.record(args)


def written(op: Op) -> Callable[[tuple], Any]:
    """The in-place form of a binary operation, of the pair of operands."""
    inplace = inplace_of(op.function, op.name)
    return lambda pair: inplace(*pair)


def reflectable(op: Op) -> Callable[[tuple], Any]:
    """`number op tensor`: most operations take a number on the left as it is; matmul and shifts want tensors."""
    if op.name in ("matmul", "bitwise_left_shift", "bitwise_right_shift"):
        return lambda pair: op.record((creation.as_tensor(pair[0]), pair[1]))
    if op.name == "true_divide":
        return lambda pair: OPS["__rdiv__"].function(pair[1], pair[0])
    return late(op)


def bind_methods() -> None:
    """The one loop: every operation that is a method becomes one, with its aliases and its in-place form."""
    for op in list(OPS.values()):
        if not op.method:
            continue
        for name in (op.name, *op.aliases):
            if not hasattr(Tensor, name) or name in Tensor.__mro__[-1].__dict__:
                setattr(Tensor, name, op.function)
            if op.inplace:
                setattr(Tensor, name + "_", checked_inplace(op, name))
    for method in creation.METHODS:
        setattr(Tensor, method.__name__, method)
    for name, draw in random.METHODS.items():
        setattr(Tensor, name, draw)
    for name, function in (sparse_operations.METHODS | extras.METHODS | quantized.METHODS).items():
        setattr(Tensor, name, function)
    Tensor.sparse_rows = sparse.sparse_rows  # type: ignore[attr-defined]


def bind_attributes() -> None:
    """Views that are attributes; assigning to one writes into the tensor. And those that are not to be had."""
    for name in NAMES["torch.Tensor"]:
        setattr(Tensor, name, Refusal("torch.Tensor", name))
    for name, function in view_variants.ATTRIBUTES.items():

        def write(self: Any, value: Any, function: Callable = function) -> None:
            indexing.setitem(function(self), ..., value)

        setattr(Tensor, name, property(function, write if name in ("real", "imag") else None))


# Methods that convert to the dtype of their name.
CONVERSIONS = ("half", "float", "double", "char", "short", "int", "long", "cfloat", "cdouble")


def bind_conversions() -> None:
    named = {name: dtypes.ALIASES[name] for name in CONVERSIONS}
    for name, d in {**named, "bool": dtypes.bool_, "byte": dtypes.uint8, "bfloat16": dtypes.bfloat16}.items():

        def convert(self: Any, memory_format: Any = None, d: dtypes.dtype = d) -> Any:
            return self.to(d, memory_format=memory_format)

        convert.__name__ = convert.__qualname__ = name
        convert.__doc__ = f"The tensor converted to {d.name}; itself if it already is."
        setattr(Tensor, name, convert)


def checked_inplace(op: Op, name: str) -> Callable:
    """An in-place method that refuses a leaf before anything is computed."""
    inplace = inplace_of(op.function, name)

    @functools.wraps(inplace)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._node is not None or self._base is not None:
            dispatch.check_writable(self)
        if op.writes_shared and isinstance(self, Tensor) and shared_dims(self._meta):
            if op.writes_shared != "silently":
                dispatch.warn_of_shared(name + "_")
            return dispatch.assign_shared(self, op.function(self, *args, **kwargs))
        return inplace(self, *args, **kwargs)

    return method


dispatch.install(Tensor)
bind_operators()
bind_methods()
bind_conversions()
bind_attributes()
collect(
    Tensor,
    operations=frozenset([op.function for op in OPS.values()]),
    operators=frozenset([f"__{prefix}{name}__" for name, _ in BINARY for prefix in ("", "r", "i")])
    | {f"__{name}__" for name, _ in COMPARISONS},
)
native.await_plans()
