"""The one inversion of the tree: operations record through this hook without knowing who listens.

`_tensor.dispatch` installs the recorder when the package is imported: the families' `record(args)`, which return the
resulting tensor(s), and the functions here. `assign(target, result)` writes a result into an existing tensor (the end
of every in-place operation), `original(target, args)` is what that result is computed from. `grad_enabled()` says
whether operations build a graph for gradients, `present(result, name, inputs)` lets the graph show a composite as one
operation, `rebase(target, result)` hands the history of what was written into a tensor to it and its views,
`check_writable(target)` raises if `target` may not be changed in place, and `watch(result, tensors)` lets backward
refuse once one of these was changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from flambeau._ir.meta import Meta
from flambeau._ir.program import Storage


class TensorBase:
    """What `_ops` knows of a tensor; the class users see derives from it.

    `_meta` and `_storage` are the data. `_node` is the graph node whose output number `_index` this tensor is (an
    AccumulateGrad for a leaf that requires grad, None for no gradient). `_base` is the tensor this is a differentiable
    view of, and `_base_node` the node the base had when `_node` was derived from it.
    """

    __slots__ = ("_meta", "_storage", "_node", "_index", "_base", "_base_node", "__dict__", "__weakref__")

    _meta: Meta
    _storage: Storage
    _node: Any
    _index: int
    _base: Any
    _base_node: Any

    if TYPE_CHECKING:  # methods and operators are bound from the op table; type checkers are told that they are there

        def __getattr__(self, name: str) -> Any: ...

        def _operator(self, other: Any) -> Any: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _operator
        __floordiv__ = __mod__ = __pow__ = __rpow__ = __matmul__ = __and__ = __or__ = __xor__ = _operator
        __lt__ = __le__ = __gt__ = __ge__ = _operator

        def __neg__(self) -> Any: ...

        def __invert__(self) -> Any: ...


class Recorder(Protocol):
    def assign(self, target: Any, result: Any) -> Any: ...

    def original(self, target: Any, args: tuple) -> Any: ...

    def grad_enabled(self) -> bool: ...

    def rebase(self, target: Any, result: Any) -> None: ...

    def check_writable(self, target: Any) -> None: ...

    def present(self, result: Any, name: Any, inputs: Any) -> None: ...

    def watch(self, results: Any, tensors: Any) -> None: ...


def _not_installed(*_: Any) -> Any:
    raise RuntimeError("no recorder is installed: import flambeau, not its parts")


assign = original = grad_enabled = present = rebase = watch = check_writable = _not_installed


def install(recorder: Any) -> None:
    """Make `recorder` (a module or object with these functions) the one that operations record through."""
    global assign, original, grad_enabled, present, rebase, watch, check_writable
    assign, original, grad_enabled = recorder.assign, recorder.original, recorder.grad_enabled
    present, rebase, watch = recorder.present, recorder.rebase, recorder.watch
    check_writable = recorder.check_writable
