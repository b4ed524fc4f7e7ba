"""Batched tensors: what `vmap` gives to a function in place of a tensor with one dimension more.

A BatchedTensor looks like one of the tensors of a batch; its `value` holds all of them along dimension 0. Operations
meet it as an `Operand` and are carried out for the whole batch at once: views and pointwise operations by leaving
dimension 0 alone, others by a rule of `batching_rules`, and the rest by a loop over the batch. The value may be batched
itself, which is how `vmap` nests: the `level` counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes
from flambeau._ir.meta import Meta, meta
from flambeau._ops.operands import Operand
from flambeau._ops.registry import OPS
from flambeau._ops.strided import as_strided_
from flambeau._ops.view import expand_
from flambeau._tensor import dispatch, indexing, random
from flambeau._tensor.tensor import Tensor

# name of a library operation -> what it does to values whose dimension 0 is the batch; filled by `batching_rules`
RULES: dict[str, Callable[..., Any]] = {}


class Level:
    """One `vmap` that is running: how large its batch is, what random operations do."""

    def __init__(self, size: int, randomness: str) -> None:
        self.size = size
        self.randomness = randomness


levels: list[Level] = []  # of the calls of vmap that are running, outermost first


class BatchedTensor(Tensor, Operand):
    """One tensor of a batch, standing for all of them; made by `vmap`."""

    __slots__ = ("value", "level")

    value: Any
    level: int

    def __new__(cls, value: Any, level: int) -> BatchedTensor:
        t = object.__new__(cls)
        m = value._meta
        t.value, t.level = value, level
        t._meta = meta(m.dtype, m.shape[1:], m.strides[1:], m.offset)
        t._node = t._base = t._base_node = None
        t._index = 0
        return t

    @property
    def size_of_batch(self) -> int:
        """How many tensors this one stands for."""
        return self.value._meta.shape[0]

    def operate(self, op: Any, args: tuple) -> Any:
        """Carry out `op` for the whole batch."""
        level = self.level
        if op.family == "view":
            return wrapped(_view(op, self, args[1:]), level)
        if op.family == "pointwise":
            return wrapped(_pointwise(op, args, level), level)
        rule = RULES.get(op.name)
        if rule is not None:
            found = rule(level, *op.complete(args))
            if found is not NotImplemented:
                return wrapped(found, level)
        return by_loop(op.function, args, level)

    def original(self, args: tuple) -> Any:
        """The present values, where backward needs them later."""
        others = tuple([value_of(a, self.level) for a in args])
        return BatchedTensor(dispatch.original(self.value, others), self.level)

    def write(self, target: Any, result: Any) -> Any:
        """The end of an in-place operation: the values of the whole batch are written."""
        if not isinstance(target, BatchedTensor) or getattr(result, "level", 0) > target.level:
            raise RuntimeError(
                "vmap: an in-place operation would write a whole batch into a tensor that is not batched; use the "
                "operation that makes a new tensor"
            )
        if getattr(result, "level", 0) < target.level:
            result = BatchedTensor(spread(result, self.size_of_batch), target.level)
        dispatch.assign(target.value, result.value)
        return target

    # ------------------------------------------------------------------------------------ what a single tensor offers

    @property  # type: ignore[misc]
    def requires_grad(self) -> bool:
        """Do operations on the values record a graph for gradients?"""
        return self.value.requires_grad

    @property
    def is_leaf(self) -> bool:
        """Are the values a leaf?"""
        return self.value.is_leaf

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """RuntimeError: inside `vmap`, gradients are what `torch.func.grad` takes."""
        raise RuntimeError("vmap: requires_grad_() of a batched tensor; use torch.func.grad inside vmap")

    def detach(self) -> Any:
        """The same values without history."""
        return BatchedTensor(self.value.detach(), self.level)

    data = property(detach)

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Write `src`, broadcast and converted."""
        source = src.to(self.dtype) if src.dtype is not self.dtype else src
        return self.write(self, expand_(source, tuple(self.shape)) if source.shape != self.shape else source)

    def _refused(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "vmap: the values of a batched tensor cannot be looked at (item, bool, tolist, numpy): every tensor of the "
            "batch has its own. Use torch.where in place of if, or a loop in place of vmap"
        )

    item = tolist = numpy = __bool__ = __int__ = __float__ = __index__ = _number = _refused

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"BatchedTensor(lvl={self.level}, bdim=0, value={self.value!r})"

    def as_strided(self, size: Any, stride: Any) -> Any:
        """Another layout of the memory of each tensor, starting where it starts."""
        return by_loop(lambda x: x.as_strided(size, stride), (self,), self.level)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, Tensor) and not index._meta.ndim and index.dtype.category == dtypes.INTEGER:
            return OPS["index_select"].function(self, 0, index.reshape(1)).squeeze(0)
        return indexing.getitem(self, index)


def wrapped(result: Any, level: int) -> Any:
    """Values of a whole batch, or a tuple of them, as batched tensors."""
    if isinstance(result, tuple):
        parts = [wrapped(r, level) for r in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return BatchedTensor(result, level)


def is_batched(a: Any, level: int) -> bool:
    """Is `a` batched at this level?"""
    return isinstance(a, BatchedTensor) and a.level == level


def value_of(a: Any, level: int) -> Any:
    """The values of what is batched at this level; anything else as it is."""
    return a.value if is_batched(a, level) else a


def batch_size(args: Any, level: int) -> int:
    """The size of the batch that arguments, or lists of them, are batched with."""
    for a in args:
        for x in a if isinstance(a, (tuple, list)) else (a,):
            if is_batched(x, level):
                return x.size_of_batch
    raise AssertionError("no argument is batched")


def spread(a: Any, size: int) -> Any:
    """A tensor that is the same for the whole batch, as values of the batch."""
    return expand_(a, (size, *a.shape))


def values_of(tensors: Any, level: int, size: int) -> list[Any]:
    """The values of tensors, those that are not batched repeated; None stays None."""
    return [t if t is None else t.value if is_batched(t, level) else spread(t, size) for t in tensors]


# ---------------------------------------------------------------------------------------------- families


def _view(op: Any, x: BatchedTensor, args: tuple) -> Any:
    """The view that `op` makes of one tensor, of each: dimension 0 of the values stays."""
    rule = RULES.get(op.name)
    if rule is not None:
        return rule(x.level, x, *op.complete((x, *args))[1:])
    made = op.body(x._meta, *args)
    several = made if isinstance(made, tuple) else (made,)
    if any(m.dtype is not x.dtype for m in several):
        found = by_loop(op.function, (x, *args), x.level)
        return tuple([f.value for f in found]) if isinstance(found, tuple) else found.value
    views = tuple([_seen(x.value, m) for m in several])
    return views if isinstance(made, tuple) else views[0]


def _seen(value: Any, m: Meta) -> Any:
    own = value._meta
    return as_strided_(value, (own.shape[0], *m.shape), (own.strides[0], *m.strides), m.offset)


def _pointwise(op: Any, args: tuple, level: int) -> Any:
    """Dimensions of size 1 behind the batch let values of different ranks broadcast as their tensors do."""
    rank = max(a._meta.ndim for a in args if isinstance(a, Tensor))
    operands = [args[i] for i in op.operands if i < len(args) and args[i] is not None]
    promoted = dtypes.result_type_of(
        [(a._meta.dtype, a._meta.ndim) if isinstance(a, Tensor) else type(a) for a in operands]
    )
    prepared = []
    for a in args:
        if not is_batched(a, level):
            prepared.append(a)
            continue
        value = a.value
        if not a._meta.ndim and a.dtype is not promoted and a.dtype.category <= promoted.category:
            value = value.to(promoted)  # its values have a dimension, which would make its dtype count for more
        prepared.append(value.reshape((value.shape[0], *[1] * (rank - a._meta.ndim), *value.shape[1:])))
    return op.function(*prepared)


def by_loop(function: Callable, args: tuple, level: int) -> Any:
    """`function` of every tensor of the batch, one after the other, stacked."""
    results = [function(*[_one(a, i, level) for a in args]) for i in range(batch_size(args, level))]
    first = results[0]
    if not isinstance(first, tuple):
        return BatchedTensor(OPS["internal.stack"].function(tuple(results), 0), level)
    columns = [OPS["internal.stack"].function(tuple(column), 0) for column in zip(*results, strict=True)]
    parts = [BatchedTensor(c, level) for c in columns]
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)


def _one(a: Any, i: int, level: int) -> Any:
    if isinstance(a, (tuple, list)):
        return type(a)([_one(x, i, level) for x in a])
    return a.value.select(0, i) if is_batched(a, level) else a


# ---------------------------------------------------------------------------------------------- random numbers


def _drawing(name: str, method: Callable) -> Callable:
    """The in-place random method for a batch, which follows the `randomness` of its vmap."""

    def draw(self: BatchedTensor, *args: Any, **kwargs: Any) -> Any:
        kind = levels[self.level - 1].randomness
        if kind == "error":
            raise RuntimeError(
                f"vmap: called random operation {name} while in randomness error mode. Please use the 'same' or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        args = tuple([value_of(a, self.level) for a in args])
        if kind == "different":
            getattr(self.value, name)(*args, **kwargs)
        else:
            one = self.value[0].clone()
            getattr(one, name)(*args, **kwargs)
            self.value.copy_(spread(one, self.size_of_batch))
        return self

    draw.__name__ = draw.__qualname__ = name
    draw.__doc__ = method.__doc__
    return draw


for _name, _method in random.METHODS.items():
    if _name.endswith("_"):
        setattr(BatchedTensor, _name, _drawing(_name, _method))
