"""Puts the recorder in native code (`_backends.cpu.recorder`) in the place of that in Python, once plans run windows.

The recorder in Python stays: it says what is meant, it gets every call that is not one of the usual ones, and it is all
there is where the native one cannot be: on another Python than those below, where nothing is compiled, and with
FLAMBEAU_RECORDER=python.
"""

from __future__ import annotations

import _thread
import sys
from collections import deque
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, sites
from flambeau._core.config import config
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._core.overriding import modes
from flambeau._engine import plans, window
from flambeau._ir.meta import Meta
from flambeau._ir.program import Inference, Instruction, Storage, Value
from flambeau._ops.registry import OPS, Library, Pointwise, Saving, View
from flambeau._tensor import dispatch
from flambeau._tensor.subclassing import own_attributes
from flambeau._tensor.tensor import Tensor
from flambeau.autograd import graph

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy_module("ctypes")
code = lazy_module("flambeau._backends.cpu.recorder")
facts = lazy_module("flambeau._backends.cpu.recorder_objects")
cpython = lazy_module("flambeau._backends.cpu.cpython")
driving = lazy_module("flambeau._backends.cpu.driver")
kernels = lazy_module("flambeau._backends.cpu.kernel")

VERSIONS = ((3, 11), (3, 12), (3, 13))  # of CPython, whose objects the code knows
MOST_RESULTS = 60  # of a call, as their numbers are bits of a word
ENOUGH = 16  # windows that plans have run: a program that goes on
ONE_ARGUMENT, NO_ARGUMENTS = 8, 4  # flags of functions in C
DESCRIPTOR = 40  # where a descriptor has the address of the C structure that defines the member

# The operators and their operations. Those that `__torch_function__` is told of themselves (see `OPERATORS`) stay as
# they are, since programs compare them.
BINARY = {
    "__add__": "add", "__radd__": "add", "__sub__": "sub", "__mul__": "mul", "__rmul__": "mul",
    "__truediv__": "true_divide", "__pow__": "pow",
    "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__ne__": "ne",
}  # fmt: skip
FAMILIES: dict[Any, str] = {Pointwise: "pointwise", Library: "library", View: "view"}
UNARY = {"__neg__": "neg", "__abs__": "abs"}


class Recorder:
    """The native recorder: `methods` are the operators of Tensor, `records` what records the families."""

    def __init__(self) -> None:
        operations = BINARY | UNARY
        operators = tuple([(name, name in BINARY, name.startswith("__r")) for name in operations])
        entries = ("objects", "operators", "forget", *FAMILIES.values(), *operations)
        kernel = kernels.Kernel(code.text, (layout(), operators), entries)
        driver = _forever(driving.driver())
        self.addresses = {entry: driver.address(kernel, entry) for entry in entries}
        self.python = {name: own_attributes()[name] for name in operations}
        called = [_address(thing) for name, op in operations.items() for thing in (OPS[op], self.python[name])]
        self._fill("operators", called)
        objects = {name: _address(thing) for name, thing in self._objects().items()} | {"append": _append()}
        self._fill("objects", [objects[name] for name in facts.OBJECTS])
        arguments = {name: ONE_ARGUMENT if name in BINARY else NO_ARGUMENTS for name in operations}
        self.methods = {name: self._method(Tensor, name, name, number) for name, number in arguments.items()}
        self.records = {family: self._method(family, name, "record", ONE_ARGUMENT) for family, name in FAMILIES.items()}
        dtypes.followers.append(ctypes.PYFUNCTYPE(None)(self.addresses["forget"]))  # as inferences are forgotten then

    def _objects(self) -> dict[str, Any]:
        """What the code refers to, by its names."""
        classes = (Tensor, Value, Storage, Instruction, window.Window, graph.OpNode)
        kinds = (float, int, bool, type(None), str, dtype, tuple)
        attributes = ("__dict__", "window", "grad_enabled", "flush", "save_outputs", "can_fail", "top", "_silent")
        return {
            **{kind.__name__: kind for kind in (*classes, *kinds)},
            **{repr(constant): constant for constant in (None, False, True, 0, 1)},
            **{name: sys.intern(name) for name in attributes},
            "state": window.state, "config": config, "stack": graph.stack, "internal": sites._internal,
            "sequence": graph._sequence, "no_versions": graph._NOTHING,
            "learn": learn, "getframe": sys._getframe, "user_site": sites.user_site, "record_node": graph.record_node,
            "pointwise": dispatch.pointwise, "library": dispatch.library, "view": dispatch.view,
        }  # fmt: skip

    def _fill(self, block: str, words: list[int]) -> None:
        place: Any = (ctypes.c_size_t * len(words)).from_address(self.addresses[block])
        place[:] = words

    def _method(self, owner: type, entry: str, name: str, flags: int) -> Any:
        definition = _forever(_definition()(name.encode(), self.addresses[entry], flags, None))
        make = ctypes.pythonapi.PyDescr_NewMethod
        make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
        return make(owner, ctypes.addressof(definition))

    def take_over(self) -> None:
        """Let calls come here."""
        for family, record in self.records.items():
            dispatch.record_with(family, record)
        _bind(self.methods)

    def withdraw(self) -> None:
        """Let them go to the recorder in Python again."""
        for family, name in FAMILIES.items():
            dispatch.record_with(family, getattr(dispatch, name))
        _bind(self.python)


def _forever(thing: Any) -> Any:
    """The same object, which is never freed: the code refers to it until the very end of the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


def _address(thing: Any) -> int:
    return id(_forever(thing))


def _bind(methods: dict[str, Any]) -> None:
    """Give Tensor these operators, now or when no mode is active that Tensor has others for."""
    _operators.update(methods)
    modes.tell(_after_modes)


_operators: dict[str, Any] = {}


def _after_modes(active: bool) -> None:
    for name, method in () if active else _operators.items():
        setattr(Tensor, name, method)


def learn(op: Any, form: tuple) -> tuple | None:
    """What the code keeps of a form: the operation and the form itself, its inference (None: calls of that form go to
    Python), the type of several results, the bytes that the window counts, the operands that may have a gradient, the
    results that carry it (0: the only one), whether nodes keep results as they are now, and whether it can fail when it
    runs. None for a form that was not inferred yet."""
    inference, unusual = _known(op, form)
    if unusual:
        return op, form, None, None, 0, 0, 0, 0, 0
    if inference is None:
        return None
    outputs = inference.outputs
    kind, carriers, fallible, differentiable = None, 0, inference.fallible, inference.differentiable
    gradients = op.differentiable_mask
    if op.family == "view":
        gradients, differentiable = 1, form[0].dtype.differentiable
    elif op.family == "library":
        kind, fallible = op.result_type, op.fallible
        if len(outputs) > 1:
            carry = [m.dtype.differentiable and i not in op.nondifferentiable for i, m in enumerate(outputs)]
            carriers = sum([1 << i for i, does in enumerate(carry) if does])
            differentiable = carriers != 0
    own = not callable(op.snapshots) and "out" in op.snapshots
    return op, form, inference, kind, inference.nbytes, gradients * differentiable, carriers, own, fallible


def _known(op: Any, form: tuple) -> tuple[Any, bool]:
    """The inference of a form, if there is one, and whether calls of it are always left to Python."""
    if op.family == "view":
        inference, several = op.cache.get((form, *map(type, form))) or (None, False)
        return inference, several or [type(key) is Meta for key in form] != [True] + [False] * (len(form) - 1)
    if op.family == "pointwise":
        return op.cache.get(form), op.guard is not None
    inference = op.cache.get((*form, *[type(key) for key in form if type(key) is not Meta]))
    several = inference is not None and len(inference.outputs) > 1
    if inference is not None and (len(inference.outputs) > MOST_RESULTS or several < (op.result_type is not None)):
        return None, True
    return inference, op.infer is None


# ---------------------------------------------------------------------------------------------- the interpreter


def is_possible() -> bool:
    """Is this an interpreter whose objects the code knows?"""
    usual = sys.implementation.name == "cpython" and sys.version_info[:2] in VERSIONS
    counts_simply = not hasattr(sys, "gettotalrefcount") and getattr(sys, "_is_gil_enabled", lambda: True)()
    # Others than the interpreter's own, such as gevent's, would not be told apart by threads.
    by_threads = isinstance(window.state, _thread._local)
    return usual and counts_simply and by_threads and _is_laid_out()


def _is_laid_out() -> bool:
    """Are objects in memory as the code takes them to be? Looked up in some."""
    marker, queue = object(), deque((1, 2, 3))
    pair = (marker, None)
    before = _word(marker)
    again = marker
    return (
        object.__basicsize__ == cpython.SIZE
        and _word(again) == before + 1
        and _word(marker, cpython.TYPE) == id(object)
        and _word(queue, cpython.SIZE) == 3
        and (_word(pair, cpython.SIZE), _word(pair, tuple.__basicsize__)) == (2, id(marker))
        and all([_is_at(marker, named, offset) for named, offset in layout().fields])
    )


def layout() -> Any:
    """The layout of objects of this interpreter."""
    fields = [(f"{name}.{field}", _offset(_class(name), field)) for name, fs in facts.FIELDS.items() for field in fs]
    return cpython.Layout(sys.version_info >= (3, 12), tuple.__basicsize__, tuple(fields))


def _class(name: str) -> type:
    recorded = (Tensor, Value, Storage, Instruction, Inference, Saving, graph.OpNode, Meta)
    return next(c for c in (*recorded, window.Window, type(config), CodeType) if c.__name__ == name)


def _offset(kind: type, field: str) -> int:
    """Where objects of a class have a slot: its descriptor describes it."""
    descriptor = next(vars(c)[field] for c in kind.__mro__ if field in vars(c))
    return ctypes.c_ssize_t.from_address(_word(descriptor, DESCRIPTOR) + 16).value


def _is_at(marker: Any, named: str, offset: int) -> bool:
    """Does an object of that class have the slot there?"""
    name, field = named.split(".")
    if name == "code":  # whose slots cannot be filled
        return _word(_is_at.__code__, offset) == id(_is_at.__code__.co_filename)
    thing: Any = object.__new__(_class(name))
    setattr(thing, field, marker)
    return _word(thing, offset) == id(marker)


def _word(thing: Any, offset: int = 0) -> int:
    return ctypes.c_ssize_t.from_address(id(thing) + offset).value


def _append() -> int:
    """The address of the function that appends to a deque."""
    described = _definition().from_address(_word(deque.append, DESCRIPTOR))
    if described.name != b"append" or described.flags != ONE_ARGUMENT:
        raise NotImplementedError(f"deque.append is another kind of function: flags {described.flags}")
    return described.function


@cache
def _definition() -> Any:
    """How C defines a method."""

    class Definition(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                    ("doc", ctypes.c_char_p)]  # fmt: skip

    return Definition


# ---------------------------------------------------------------------------------------------- when


@cache
def recorder() -> Recorder | None:
    """The native recorder; None where it cannot be."""
    try:
        return Recorder() if is_possible() else None
    except Exception:  # an interpreter that differs in what nobody thought of: Python records as well
        return None


def await_plans() -> None:
    """Let the native recorder take over when plans have run some windows, or at once if that is asked for. To be called
    when Tensor is finished."""
    modes.followers.append(_after_modes)
    if config.recorder == "native":
        _take_over()
    elif config.recorder == "auto":
        window.after_plan = _consider


def _consider() -> None:
    if plans.statistics().runs >= ENOUGH:
        window.after_plan = None
        _take_over()


def _take_over() -> None:
    found = recorder()
    if found is not None:
        found.take_over()
