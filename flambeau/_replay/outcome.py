"""What a function leaves behind: the tensors it returns, those it has written to, gradients it has accumulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau._ir.program import Storage, changes_of, new_storage, note_changes
from flambeau._ir.recording import TensorBase
from flambeau._replay.capture import Before, unchanged
from flambeau._replay.guards import CONSTANTS
from flambeau._replay.reach import IMMUTABLE
from flambeau._replay.recording import Draft
from flambeau._replay.refusal import Refusal
from flambeau._tensor.dispatch import make_tensor

NAMED_TUPLES = ("flambeau.", "torch.return_types")  # modules of classes of results


class Made(NamedTuple):
    """A tensor that the function makes: over fresh storage number `fresh`, or over the storage of known tensor number
    `known`. `output` is its number among those with gradient history; `base` whether it is a view of the known one."""

    meta: Any
    fresh: int
    known: int
    base: bool
    output: int


class Written(NamedTuple):
    """A known tensor's storage that gets another value, `changes` versions later."""

    known: int
    place: int  # among the values of a run
    changes: int
    changed_at: Any


class Outcome:
    """Built from what a captured function returned and did; `write` and `deliver` do the same again with other
    values."""

    def __init__(self, result: Any, known: Sequence[Any], befores: Sequence[Before], containers: set[int]) -> None:
        self._known = known
        self._containers = containers
        self._numbers = {id(t): i for i, t in enumerate(known)}
        self._known_storages = {id(t._storage): i for i, t in reversed(list(enumerate(known)))}
        self._fresh: dict[int, int] = {}
        self._seen: dict[int, int] = {}  # tensors that are made, by id
        self.storages: list[Storage] = []
        self.made: list[Made] = []
        self.outputs: list[Any] = []  # tensors with gradient history, as the captured call returned them
        self.exact: set[int] = set()  # known tensors whose place in their storage matters
        self.template = self._template(result)
        self.grads = self._grads(befores)
        self.written = self._written(befores)

    # ------------------------------------------------------------------------------------------ building

    def _template(self, result: Any) -> Any:
        """The result with tensors replaced by instructions: a function of (known tensors, made tensors)."""
        kind = type(result)
        if isinstance(result, TensorBase):
            number = self._numbers.get(id(result))
            if number is not None:
                return _Known(number)
            return _New(self._make(result))
        if id(result) in self._containers and kind is not tuple:
            raise Refusal("a container from outside is returned")
        if kind is list:
            return _List([self._template(item) for item in result])
        if kind is dict:
            return _Dict(list(result), [self._template(item) for item in result.values()])
        if kind in CONSTANTS or isinstance(result, IMMUTABLE):
            return _Constant(result)
        if isinstance(result, tuple) and (kind is tuple or kind.__module__.startswith(NAMED_TUPLES)):
            return _Tuple(kind, [self._template(item) for item in result])
        raise Refusal(f"a {kind.__name__} is returned")

    def _make(self, t: Any) -> int:
        """The number of a tensor that the function made."""
        if id(t) in self._seen:
            return self._seen[id(t)]
        if type(t) is not torch.Tensor or any(v is not None for v in t.__dict__.values()):
            raise Refusal("a tensor with a class or attributes of its own is made")
        known = self._known_storages.get(id(t._storage), -1)
        fresh = -1
        if known < 0:
            fresh = self._fresh.setdefault(id(t._storage), len(self.storages))
            if fresh == len(self.storages):
                self.storages.append(t._storage)
            elif t._node is not None:
                raise Refusal("two results with gradients share their memory")
        else:
            self.exact.add(known)
            owner = self._known[known]
            if t._node is not None or not (t._base is None or t._base is owner or t._base is owner._base):
                raise Refusal("a view of a tensor from outside is returned")
        output = -1
        if t._node is not None:
            output = len(self.outputs)
            self.outputs.append(t)
        self._seen[id(t)] = len(self.made)
        self.made.append(Made(t._meta, fresh, known, known >= 0 and t._base is not None, output))
        return self._seen[id(t)]

    def _grads(self, befores: Sequence[Before]) -> list[tuple[int, int]]:
        """The known tensors whose gradient became another tensor, with that one's number, or -1 for None."""
        found = []
        for i, (t, before) in enumerate(zip(self._known, befores, strict=True)):
            grad = t._grad
            if grad is before.grad:
                continue
            if grad is not None and (grad._node is not None or id(grad._storage) in self._known_storages):
                raise Refusal("a gradient with a history, or with the memory of another tensor, is set")
            if grad is not None and id(grad) in self._numbers:
                raise Refusal("a tensor from outside becomes a gradient")
            found.append((i, -1 if grad is None else self._make(grad)))
        return found

    def _written(self, befores: Sequence[Before]) -> list[tuple[int, int]]:
        """The storages that have another value or version now, each once, by a tensor and the version before."""
        found: dict[int, tuple[int, int]] = {}
        for i, (t, before) in enumerate(zip(self._known, befores, strict=True)):
            unchanged(t, before)
            storage = t._storage
            if storage.value is not before.value or storage.version != before.version:
                if before.exposed:
                    raise Refusal("a tensor that shares its memory with an array is written to")
                self.exact.add(i)
                found.setdefault(id(storage), (i, before.version))
        return list(found.values())

    def explained(self) -> list[Storage]:
        """All storages that may hold results."""
        return [*self.storages, *[t._storage for t in self._known]]

    def settle(self, draft: Draft) -> None:
        """Learn where the values of storages are to be found after a run, and forget the captured call's."""
        self.fresh = [(draft.place(s.value), s.nbytes, s.version) for s in self.storages]
        self.writes = []
        for i, version in self.written:
            storage = self._known[i]._storage
            place = draft.place(storage.value)
            self.writes.append(Written(i, place, storage.version - version, changes_of(storage).site))
        self.outputs = [t._meta for t in self.outputs]
        self.numbers = self._fresh  # of fresh storages, by the ids of the captured ones
        del self.storages, self._known, self._known_storages, self._seen, self.written

    # ------------------------------------------------------------------------------------------ again

    def returns_made_only(self) -> bool:
        """Is the result a single tensor that was made?"""
        return type(self.template) is _New and len(self.made) == 1 and self.made[0].known < 0

    def storages_of(self, values: Sequence[Any]) -> list[Storage]:
        """The fresh storages of a run."""
        storages = []
        for place, nbytes, version in self.fresh:
            storage = new_storage(values[place], nbytes)
            storage.version = version
            storages.append(storage)
        return storages

    def write(self, tensors: Sequence[Any], values: Sequence[Any]) -> None:
        """Write to known tensors."""
        for known, place, changes, changed_at in self.writes:
            storage = tensors[known]._storage
            note_changes(storage, changes, changed_at)
            storage.value = values[place]

    def deliver(self, tensors: Sequence[Any], storages: Sequence[Storage], node: Any) -> Any:
        """Make new tensors, and return what the function would."""
        made = [self._made_again(one, tensors, storages, node) for one in self.made]
        for known, number in self.grads:
            tensors[known]._grad = None if number < 0 else made[number]
        return self.template(tensors, made)

    def _made_again(self, one: Made, tensors: Sequence[Any], storages: Sequence[Storage], node: Any) -> Any:
        if one.known < 0:
            if one.output < 0:
                return make_tensor(torch.Tensor, one.meta, storages[one.fresh])
            return make_tensor(torch.Tensor, one.meta, storages[one.fresh], node, one.output)
        owner = tensors[one.known]
        t = make_tensor(torch.Tensor, one.meta, owner._storage)
        if one.base:
            t._base = base = owner if owner._base is None else owner._base
            t._base_node = base._node
        return t


class _Known:
    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        return tensors[self.number]


class _New(_Known):
    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        return made[self.number]


class _Constant:
    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        return self.thing


class _List:
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        return [item(tensors, made) for item in self.items]


class _Tuple(_List):
    def __init__(self, kind: type, items: list[Any]) -> None:
        super().__init__(items)
        self.kind = kind

    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        found = [item(tensors, made) for item in self.items]
        return tuple(found) if self.kind is tuple else self.kind(*found)


class _Dict(_List):
    def __init__(self, keys: list[Any], items: list[Any]) -> None:
        super().__init__(items)
        self.keys = keys

    def __call__(self, tensors: Sequence[Any], made: Sequence[Any]) -> Any:
        return dict(zip(self.keys, super().__call__(tensors, made), strict=True))
