"""From the call of an operation to an instruction in the window, a tensor, and a node of the graph.

This is the recorder that `_ir.recording` is waiting for. `pointwise` is the hottest function of the package: it must
stay below 2 us without and 3 us with gradient, which is why it is written out rather than composed. Where it can,
`native.py` puts native code before it, which does the same in the usual cases: what changes here changes there, too
(`_backends/cpu/recorder.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flambeau._backends.reference import execute as reference
from flambeau._core import errors
from flambeau._core.config import config
from flambeau._core.dtypes import dtype, from_numpy
from flambeau._core.lazy import lazy_module
from flambeau._core.overriding import PASSED, switch
from flambeau._core.quiet import quietly
from flambeau._core.sites import user_site
from flambeau._engine.exposure import is_exposed
from flambeau._engine.memory import SETTLED, settle
from flambeau._engine.window import realize, state
from flambeau._ir import recording
from flambeau._ir.meta import Meta, contiguous, shared_dims
from flambeau._ir.program import (
    Inference,
    Instruction,
    Storage,
    Value,
    new_instruction,
    new_storage,
    new_value,
    note_changes,
)
from flambeau._ir.recording import TensorBase
from flambeau._ops.arguments import not_a_tensor, refuse_collections, refuse_others
from flambeau._ops.convert import cast
from flambeau._ops.infer import admit, infer_pointwise
from flambeau._ops.operands import Operand
from flambeau._ops.outs import check_no_overlap
from flambeau._ops.registry import OPS, Library, Pointwise, View
from flambeau._ops.reinterpret import reinterpreted
from flambeau._ops.strided import as_strided_
from flambeau.autograd import graph
from flambeau.autograd.graph import AccumulateGrad, Node, OpNode, gradient_edge, looked_at, present, record_node, watch

np = lazy_module("numpy")

CONSTANTS = frozenset({int, float, bool, type(None), str, dtype})
NUMBERS = frozenset({int, float, bool, complex, type(None), str})  # what a pointwise op takes beside tensors
REALS = frozenset({int, float})

new = object.__new__

Tensor: type[TensorBase]  # the class of results; set by `install`


def install(tensor_class: type[TensorBase]) -> None:
    """Make operations record here and return `tensor_class`."""
    global Tensor
    Tensor = tensor_class
    graph.unpack = unpack
    recording.install(_recorder)
    families: Any = ((Pointwise, pointwise), (Library, library), (View, view))
    for family, record in families:
        record_with(family, record)
        switch.followers.append(partial(_offer_before, family))


_records: dict[Any, Callable] = {}  # what records the operations of a family


def record_with(family: Any, record: Callable) -> None:
    """Let `record(op, args)` record the operations of a family."""
    _records[family] = record
    switch.tell(partial(_offer_before, family))


_watchers: list[Callable[[Any, tuple, Any], None]] = []


@contextmanager
def watching(see: Callable[[Any, tuple, Any], None]) -> Iterator[None]:
    """A context in which `see(op, args, result)` is called for each operation on whole arrays that is recorded, in any
    thread."""
    _watchers.append(see)
    _offer_before(Library, switch.on)
    try:
        yield
    finally:
        _watchers.remove(see)
        _offer_before(Library, switch.on)


def _watched(op: Any, args: tuple) -> Any:
    result = library(op, args)
    if operand_among(args) is None:  # what such an operand made of it was seen by itself
        for see in _watchers:
            see(op, args, result)
    return result


def _offer_before(family: Any, on: bool) -> None:
    """Let the operations of a family be offered to `__torch_function__` before they are recorded, or not."""
    record = _watched if family is Library and _watchers else _records[family]

    def offered(op: Any, args: tuple) -> Any:
        taken = op.offered(args, {})
        return record(op, args) if taken is PASSED else taken

    family.record = offered if on else record


# ---------------------------------------------------------------------------------------------- making tensors


def make_tensor(cls: type, m: Meta, storage: Storage, node: Node | None = None, index: int = 0) -> Any:
    """A tensor object over a storage."""
    t: Any = new(cls)
    t._meta = m
    t._storage = storage
    t._node = node
    t._index = index
    t._base = t._base_node = None
    return t


def awaited(m: Meta, window: Any) -> Any:
    """A tensor of what an instruction that waits in `window` will make: `make_tensor`, `new_storage` and `new_value`,
    written out."""
    value = Value()
    value.array = value.buffer = value.failure = None
    value.window = window
    storage = Storage()
    storage.value = value
    storage.version = window.born
    storage.nbytes = m.nbytes
    storage.exposed = False
    storage.changes = None
    t: Any = new(Tensor)
    t._meta = m
    t._storage = storage
    t._index = 0
    t._node = t._base = t._base_node = None
    return t


def from_flat(flat: Any, m: Meta, exposed: bool = False) -> Any:
    """A tensor over a flat array that nobody else uses, unless it is `exposed`."""
    value = new_value()
    value.data = flat
    window = state.window
    window.made(value)
    storage = new_storage(value, flat.nbytes, window.born)
    storage.exposed = exposed
    if not exposed and flat.nbytes >= SETTLED:
        settle(value)
    return make_tensor(Tensor, m, storage)


def unpack(storage: Storage, m: Meta, node: Node | None, index: int) -> Any:
    """A saved output as a tensor again, with the node that made it."""
    return make_tensor(Tensor, m, storage, node, index)


def node_of(t: Any) -> Node | None:
    """The node of `t`; of a view whose base was changed in place, the node derived anew from the base."""
    base = t._base
    if base is not None and base._node is not t._base_node and not isinstance(base._node, AccumulateGrad):
        renew_view(t)
    return t._node


def renew_view(t: Any) -> None:
    """Derive the node of a view from its base's present node."""
    base, m = t._base, t._meta
    fresh = as_strided_(reinterpreted(base, m.dtype), m.shape, m.strides, m.offset)
    t._node, t._index, t._base_node = fresh._node, fresh._index, base._node


# ---------------------------------------------------------------------------------------------- other operands


def operand_among(args: tuple) -> Operand | None:
    """The first `Operand` among arguments and lists of arguments, the latest kind first."""
    flat = [x for a in args for x in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(x, Operand)]
    return max(flat, key=lambda x: getattr(x, "level", 0), default=None)


# ---------------------------------------------------------------------------------------------- recording


def pointwise(op: Any, args: tuple) -> Any:
    """Record a pointwise operation; tensors and numbers in `args`, trailing defaults left out."""
    if op.guard is not None:
        op.guard(*args)
    values: tuple
    metas: tuple
    count = len(args)  # the three usual cases are written out for speed
    if count == 2 and type(args[0]) is type(args[1]) is Tensor:
        a, b = args
        storage, other = a._storage, b._storage
        values, metas = (storage.value, other.value), (a._meta, b._meta)
        exposed = storage.exposed or other.exposed
        mask = 0 if (a._node if a._base is None else node_of(a)) is None else 1
        if (b._node if b._base is None else node_of(b)) is not None:
            mask += 2
    elif count == 1 and type(args[0]) is Tensor:
        (a,) = args
        storage = a._storage
        values, metas, exposed = (storage.value,), (a._meta,), storage.exposed
        mask = 0 if (a._node if a._base is None else node_of(a)) is None else 1
    elif count == 2 and type(args[0]) is Tensor and type(args[1]) in REALS:
        a, number = args
        storage = a._storage
        values, metas, exposed = (storage.value, number), (a._meta, type(number)), storage.exposed
        mask = 0 if (a._node if a._base is None else node_of(a)) is None else 1
    else:
        mask, bit, exposed = 0, 1, False
        read: list[Any] = []
        key: list[Any] = []
        try:
            for a in args:
                kind = type(a)
                if kind in NUMBERS:
                    read.append(a)
                    key.append(a if kind is str else kind)
                else:
                    storage = a._storage
                    read.append(storage.value)
                    key.append(a._meta)
                    if storage.exposed:
                        exposed = True
                    if (a._node if a._base is None else node_of(a)) is not None:
                        mask += bit
                bit += bit
        except AttributeError:
            operand = operand_among(args)
            return pointwise(op, _as_operands(op, args)) if operand is None else operand.operate(op, args)
        values, metas = tuple(read), tuple(key)
    inference = op.cache.get(metas)
    if inference is None:
        inference = infer_pointwise(op, args, metas)
    window = state.window
    value = Value()  # `new_value`, `new_instruction` and `new_storage`, written out
    value.array = value.buffer = value.failure = None
    value.window = window
    instruction = Instruction()
    instruction.op, instruction.args, instruction.metas, instruction.inference = op, values, metas, inference
    instruction.outputs = (value,)
    instruction.site = None
    if inference.fallible:
        instruction.site = user_site(3)
        window.can_fail()
    queue = window.queue
    queue.append(instruction)
    window.nbytes += inference.nbytes
    m = inference.outputs[0]
    storage = Storage()
    storage.value = value
    storage.version = window.born
    storage.nbytes = m.nbytes
    storage.exposed = False
    storage.changes = None
    t: Any = new(Tensor)
    t._meta = m
    t._storage = storage
    t._index = 0
    t._node = t._base = t._base_node = None
    mask &= op.differentiable_mask
    if mask and state.grad_enabled and inference.differentiable:
        t._node = node = record_node(op, args, metas, _edges(args, mask), inference, mask, user_site(3))
        if node.saved_outputs is not None:
            node.save_outputs((t,))
    if exposed:
        exposed = _sees_exposed(args)
    if exposed or len(queue) >= config.window_instructions or window.nbytes >= config.window_bytes:
        window.flush()
    return t


def _sees_exposed(args: Iterable[Any]) -> bool:
    """Does an outsider see the memory of a tensor among these?"""
    return any([is_exposed(a._storage) for a in args if isinstance(a, TensorBase)])


def _edges(args: tuple, mask: int) -> tuple:
    """One edge an argument: to the node of each tensor in `mask`. The two usual cases are written out for speed."""
    count = len(args)
    if count == 2:
        a, b = args
        return (a._node, a._index) if mask & 1 else None, (b._node, b._index) if mask & 2 else None
    if count == 1:
        (a,) = args
        return ((a._node, a._index),)
    return tuple([(a._node, a._index) if mask >> i & 1 else None for i, a in enumerate(args)])


def _as_operands(op: Any, args: tuple) -> tuple:
    """Arguments of other types made into tensors or numbers (NumPy scalars, `Size` items...), or a TypeError."""
    converted = tuple([_as_operand(op, i, a) for i, a in enumerate(args)])
    if all(c is a for c, a in zip(converted, args, strict=True)):
        raise AttributeError(f"{op.name}(): a tensor without storage was given")
    return converted


def _as_operand(op: Any, i: int, a: Any) -> Any:
    if isinstance(a, TensorBase) or type(a) in NUMBERS:
        return a
    kinds: tuple[Any, ...] = (bool, int, float, complex)
    for kind in kinds:
        if isinstance(a, kind):
            return kind(a)
    if isinstance(a, np.generic):
        return a.item()
    raise not_a_tensor(op.name, op.parameters[i], i + 1, a, "Tensor or Number")


def library(op: Any, args: tuple) -> Any:
    """Record an operation whose body works on whole arrays."""
    try:
        values, metas, key, mask, exposed = _examine(args)
    except AttributeError:
        operand = operand_among(args)
        if operand is None:
            raise
        return operand.operate(op, args)
    try:
        inference = op.cache.get(key)
    except TypeError:  # an argument that cannot be a key
        inference = key = None
    if inference is None:
        op.check_arguments(args)
        admit(op, metas)
    window = state.window
    if op.infer is None:
        outputs = _run_now(op, args, values, metas)
        inference = Inference(tuple([t._meta for t in outputs]), operands=metas)
    else:
        if inference is None:
            inferred = _inferred(op, args, metas)
            inference = Inference((inferred,) if isinstance(inferred, Meta) else inferred, operands=metas)
            if key is not None:
                op.remember(key, inference)
        if len(inference.outputs) == 1:
            t = awaited(inference.outputs[0], window)
            outputs, results = (t,), (t._storage.value,)
        else:
            outputs = tuple([awaited(m, window) for m in inference.outputs])
            results = tuple([t._storage.value for t in outputs])
        site = None
        if op.fallible:
            site = user_site(3)
            window.can_fail()
        window.queue.append(new_instruction(op, values, metas, inference, results, site))
        window.nbytes += inference.nbytes
    mask &= op.differentiable_mask
    if mask and state.grad_enabled and inference.differentiable:
        _attach(op, args, metas, inference, mask, outputs)
    if op.infer is not None and (exposed or window.full()):
        window.flush()
    if op.result_type is None:
        return outputs if len(outputs) > 1 else outputs[0]
    return op.result_type(*outputs)


def _inferred(op: Any, args: tuple, metas: tuple) -> Any:
    """The metas of the results; TypeError for an argument that should have been a tensor."""
    refuse_collections(op, op.derivative_of, args)
    try:
        return op.infer(*metas)
    except AttributeError as error:
        if op.exported or op.method:  # else the operation that the user has called says it
            refuse_others(op.name, op.parameters, args, {}, error)
        raise


def _examine(args: tuple) -> tuple[tuple, tuple, Any, int, bool]:
    """What recording needs of the arguments: values, metas, what the inference depends on (the metas, and the kinds of
    those that are no tensors, as 1, 1.0 and True are equal), the mask of those that have a graph, exposure."""
    values: list[Any] = []
    metas: list[Any] = []
    kinds: list[Any] = []
    mask, bit, exposed = 0, 1, False
    for a in args:
        kind = type(a)
        if kind is Tensor or isinstance(a, TensorBase):
            storage = a._storage
            values.append(storage.value)
            metas.append(a._meta)
            if storage.exposed and is_exposed(storage):
                exposed = True
            if (a._node if a._base is None else node_of(a)) is not None:
                mask += bit
        elif kind in CONSTANTS:
            values.append(a)
            metas.append(a)
            kinds.append(kind)
        elif isinstance(a, (tuple, list)) and any([isinstance(x, TensorBase) for x in a]):
            values.append(tuple([x._storage.value if isinstance(x, TensorBase) else x for x in a]))
            metas.append(tuple([x._meta if isinstance(x, TensorBase) else x for x in a]))
            tensors = [x for x in a if isinstance(x, TensorBase)]
            exposed = _sees_exposed(tensors) or exposed
            if any([node_of(x) is not None for x in tensors]):
                mask += bit
        else:
            values.append(a)
            metas.append(a)
            kinds.append(kind)
        bit += bit
    told = tuple(metas)
    if not kinds:
        return tuple(values), told, told, mask, exposed
    key = (*[tuple(m) if type(m) is list else m for m in metas], *kinds) if list in kinds else (*metas, *kinds)
    return tuple(values), told, key, mask, exposed


def _attach(op: Any, args: tuple, metas: tuple, inference: Inference, mask: int, outputs: tuple) -> None:
    """Give the outputs their graph node."""
    if not inference.plain and list in map(type, args):  # what is saved must not change with the caller's list
        args = tuple([tuple(a) if type(a) is list else a for a in args])
    if inference.nested:
        edges = tuple([e for i, a in enumerate(args) for e in _edges_of(a, mask >> i & 1)])
    else:
        edges = _edges(args, mask)
    node = record_node(op, args, metas, edges, inference, mask, user_site(4))
    if len(outputs) == 1:
        outputs[0]._node = node
    else:
        for i, t in enumerate(outputs):
            if t._meta.dtype.differentiable and i not in op.nondifferentiable:
                t._node, t._index = node, i
    if node.saved_outputs is not None:
        node.save_outputs(outputs)


def _edges_of(arg: Any, wanted: int) -> list[Any]:
    """The edges of one argument: one, or in a list with tensors one for each of these."""
    if type(arg) is not tuple:
        return [gradient_edge(arg) if wanted else None]
    return [gradient_edge(x) if wanted else None for x in arg if isinstance(x, TensorBase)] or [None]


def _run_now(op: Any, args: tuple, values: tuple, metas: tuple) -> tuple:
    """Run an operation at once and make tensors of what it returned."""
    refuse_collections(op, (0,) if op.parameters[:1] == ("input",) else (), args)
    state.window.looked()
    realize_all(values)
    arrays = reference.read_arguments(values, metas)
    try:
        results = quietly(op.run, *arrays)
    except AttributeError as error:
        refuse_others(op.name, op.parameters, args, {}, error)
        raise
    inputs = reference.flat_arrays(arrays)
    tensors = []
    for r in results if isinstance(results, tuple) else (results,):
        r = np.asarray(r)
        m = contiguous(from_numpy(r.dtype), r.shape)
        tensors.append(from_flat(reference.flat_of(r, m, inputs), m))
    return tuple(tensors)


def realize_all(values: tuple) -> None:
    """Make every value in nested arguments hold data."""
    for v in values:
        if type(v) is Value:
            if v.data is None:
                realize(v)
        elif type(v) is tuple:
            realize_all(v)


# ---------------------------------------------------------------------------------------------- views


def view(op: Any, args: tuple) -> Any:
    """Make a view: another tensor over the same storage. Nothing is recorded; gradients flow through the op."""
    source = args[0] if args else None
    if isinstance(source, Operand):
        return source.operate(op, args)
    if not isinstance(source, TensorBase):
        raise not_a_tensor(op.name, "input", 1, source)
    metas = (source._meta, *args[1:])
    try:
        key = (metas, *map(type, metas))
        known = op.cache.get(key)
    except TypeError:  # an argument that cannot be a key
        known = key = None
    if known is None:
        op.check_arguments(args)
        made = op.body(*metas)
        several = type(made) is tuple
        known = Inference(made if several else (made,), operands=metas), several
        if key is not None and _are_constants(args[1:]):
            op.remember(key, known)
    inference, several = known
    node = source._node if source._base is None else node_of(source)
    if node is not None and state.grad_enabled and metas[0].dtype.differentiable:
        edges = ((node, source._index),) + (None,) * (len(args) - 1)
        maker = record_node(op, args, metas, edges, inference, 1, user_site(3))
    else:
        maker = None
    if not several:
        return view_of(source, inference.outputs[0], maker)
    return tuple([view_of(source, m, maker, i if maker else 0) for i, m in enumerate(inference.outputs)])


def _are_constants(args: tuple) -> bool:
    """Do these arguments hold nothing that changes, such as tensors?"""
    return all([_are_constants(a) if isinstance(a, tuple) else type(a) in CONSTANTS for a in args])


def view_of(source: Any, m: Meta, node: Node | None = None, index: int = 0) -> Any:
    """Another tensor over the storage of `source`, with this layout and this place in the graph."""
    base = source._base
    t: Any = new(Tensor)
    t._meta = m
    t._storage = source._storage
    t._node = node
    t._index = index
    t._base = base = source if base is None else base
    t._base_node = base._node
    if source._silent:
        t._silent = True
    return t


# ---------------------------------------------------------------------------------------------- writing in place


class Write:
    """The instruction that writes an array into part of a storage; no user calls it."""

    family = "write"
    name = "write"


_write = Write()


def check_writable(target: Any) -> None:
    """RuntimeError for an in-place operation that gradients or the inference mode forbid; to be called before anything
    changes."""
    if not isinstance(target, Operand):
        check_inference(target)
    if not state.grad_enabled:
        return
    if isinstance(target._node, AccumulateGrad):
        raise RuntimeError(
            errors.explain(
                "a leaf Variable that requires grad is being used in an in-place operation.",
                hint="wrap the change in `with torch.no_grad():`, or work on a .clone()",
                site=user_site(3),
            )
        )
    base = target._base
    if base is not None and isinstance(base._node, AccumulateGrad):
        raise RuntimeError(
            errors.explain(
                "a view of a leaf Variable that requires grad is being used in an in-place operation.",
                hint="wrap the change in `with torch.no_grad():`, or work on a .clone()",
                site=user_site(3),
            )
        )


def check_inference(target: Any) -> None:
    """RuntimeError for a change of what was made in inference mode outside of that."""
    if target._storage.version < 0 and not state.inference and not target._silent:
        raise RuntimeError(
            errors.explain(
                "Inplace update to inference tensor outside InferenceMode is not allowed.",
                hint="change a .clone(), which is a usual tensor, or make it in `no_grad` instead of `inference_mode`",
                site=user_site(4),
            )
        )


def assign(target: Any, result: Any) -> Any:
    """Write `result` into `target` (shapes must agree) and hand over its gradient history; returns `target`."""
    if isinstance(target, Operand) or isinstance(result, Operand):
        return (target if isinstance(target, Operand) else result).write(target, result)
    m, r = target._meta, result._meta
    if r.shape != m.shape:
        raise RuntimeError(
            errors.explain(
                f"output with shape {list(m.shape)} doesn't match the broadcast shape {list(r.shape)}",
                hint="an in-place operation cannot change the shape of its tensor",
                site=user_site(3),
            )
        )
    if r.dtype is not m.dtype and r.dtype.category > m.dtype.category:
        raise RuntimeError(
            errors.cannot_cast(r.dtype.name, m.dtype.name, hint="convert the tensor first, e.g. x = x.float()")
        )
    check_writable(target)
    check_no_overlap(m)
    if r.dtype is not m.dtype:
        result = cast(result, m.dtype)
    store(target, result)
    if state.grad_enabled and (node_of(result) is not None or node_of(target) is not None):
        _rebase(target, result)
    return target


def original(target: Any, args: tuple) -> Any:
    """What an in-place operation on `target` computes from: where gradients are wanted a tensor of its own with the
    present contents, so that backward finds them. That costs no copy, since values never change."""
    if not state.grad_enabled:
        return target
    if isinstance(target, Operand):
        return target.original(args)
    node = node_of(target)
    if node is None and not any(isinstance(a, TensorBase) and node_of(a) is not None for a in args):
        return target
    storage = target._storage
    if is_exposed(storage):
        return target.clone()
    return make_tensor(Tensor, target._meta, new_storage(storage.value, storage.nbytes), node, target._index)


def distinct(target: Any) -> Any:
    """The part of an expanded tensor that has each of its memory once."""
    for d in shared_dims(target._meta):
        target = OPS["narrow"].function(target, d, 0, 1)
    return target


def warn_of_shared(name: str) -> None:
    """Warn of writing to an expanded tensor."""
    warnings.warn(
        f"Use of {name} on expanded tensors is deprecated. Please clone() the tensor before performing this operation. "
        "This also applies to advanced indexing, e.g. tensor[mask] = scalar",
        UserWarning,
        stacklevel=3,
    )


def assign_shared(target: Any, result: Any) -> Any:
    """`assign` for the operations that PyTorch lets write some elements of an expanded tensor: memory takes what one of
    its elements was changed to."""
    dims = shared_dims(target._meta)
    order = [d for d in range(target.dim()) if d not in dims] + dims
    changed = (result != target) & ~(result.isnan() & target.isnan())
    changed, result = [OPS["flatten"].function(t.permute(order), len(order) - len(dims)) for t in (changed, result)]
    chosen = result.gather(-1, changed.int().argmax(-1, True))
    assign(distinct(target), chosen.reshape(distinct(target)._meta.shape))
    return target


def store(target: Any, result: Any) -> None:
    """Change the numbers of `target`, without any thought of gradients."""
    storage, m, r = target._storage, target._meta, result._meta
    source = result._storage
    window = state.window
    if window.before:
        window.writes(storage)
    shown = storage.exposed and is_exposed(storage)
    source_shown = source.exposed and is_exposed(source)
    whole = m is r and source.nbytes == storage.nbytes and m.numel * m.dtype.itemsize == storage.nbytes
    if whole and not shown and not source_shown and source is not storage and result._base is None:
        storage.value = source.value  # the whole storage gets a fresh result: no copy
    else:
        value = new_value(window)
        args = (storage.value, source.value, shown)
        window.queue.append(new_instruction(_write, args, (m, r, None), None, (value,), None))
        storage.value = value
        if shown or source_shown or window.full():
            window.flush()
    if not target._silent:
        note_changes(storage, 1, user_site(4))


def _rebase(target: Any, result: Any) -> None:
    """Hand the history of `result` to `target`; if that is a view, its base gets a node that knows about the part."""
    base = target._base
    node = result._node
    if base is None:
        old, place = target._node, target._index
        target._node, target._index = node, result._index
        if old is not None and old._retained and node is not None:
            _retain_in(node, target, old._retained, place)
    else:
        m = target._meta
        old = base._node
        base._node = CopySlices(base, m, old, result)
        base._index = 0
        renew_view(target)
    if isinstance(node, OpNode) and node.saved_outputs is not None and base is None:
        storage = target._storage
        node.saved_outputs = [(storage, target._meta, storage.version)]


def _retain_in(node: Node, target: Any, retained: dict[int, Any], place: int) -> None:
    """`retain_grad` is about the tensor: after a change in place about what it is then."""
    kept = retained.get(place)
    if kept is not None and kept() is target:
        del retained[place]
        node._retained = {**(node._retained or {}), target._index: kept}


class CopySlices(Node):
    """The node of a tensor after something was written into a view of it: the part's gradient goes to what was
    written, the rest to what the tensor was before."""

    __slots__ = ("part",)

    def __init__(self, base: Any, part: Meta, before: Node | None, written: Any) -> None:
        edges = ((before, base._index) if before is not None else None, gradient_edge(written))
        super().__init__(edges, (base._meta,), user_site(5))
        self.part = part

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Where the rest leads, and where what was written comes from."""
        before, written = self._edges
        from_outside = written[0].next_functions[1:] if written and isinstance(written[0], OpNode) else ((None, 0),)
        return ((looked_at(before[0]), before[1]) if before else (None, 0), *from_outside)

    def apply(self, grads: list[Any]) -> list[Any]:
        base_meta = self._output_metas[0]
        g = grads[0].contiguous() if base_meta.is_contiguous else _restride(grads[0], base_meta)
        kept = written = None
        if self._edges[1] is not None:
            written = self._written_part(g).clone()
        if self._edges[0] is not None:
            kept = g.clone()
            self._written_part(kept).zero_()
        return [kept, written]

    def _written_part(self, g: Any) -> Any:
        """The part of a gradient of the base that belongs to what was written."""
        m, base = self.part, self._output_metas[0]
        seen = reinterpreted(g, m.dtype)
        base_offset = base.offset * base.dtype.itemsize // m.dtype.itemsize
        return as_strided_(seen, m.shape, m.strides, m.offset - base_offset + seen._meta.offset)


def _restride(g: Any, m: Meta) -> Any:
    """`g` laid out with the strides of `m`, as a tensor whose storage starts with its first element."""
    laid_out = g.new_empty((m.extent - m.offset,)).as_strided(m.shape, m.strides)
    return laid_out.copy_(g)


class _Recorder:
    assign: Callable = staticmethod(assign)
    original: Callable = staticmethod(original)
    present: Callable = staticmethod(present)
    watch: Callable = staticmethod(watch)
    rebase: Callable = staticmethod(_rebase)
    check_writable: Callable = staticmethod(check_writable)

    @staticmethod
    def grad_enabled() -> bool:
        return state.grad_enabled


_recorder = _Recorder()
