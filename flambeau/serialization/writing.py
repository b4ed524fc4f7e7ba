"""The pickler of checkpoints: the library's objects under PyTorch's names, storages apart from the pickle."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any, ClassVar

from flambeau import _api as torch
from flambeau import nn
from flambeau._core.dtypes import dtype
from flambeau._core.formats import layout, memory_format
from flambeau._ir.program import Storage
from flambeau._tensor.interop import TypedStorage, UntypedStorage
from flambeau._tensor.sparse import Sparse
from flambeau._tensor.valued import Valued
from flambeau.nn.parameter import is_lazy
from flambeau.serialization.memory import STORAGE_NAMES, bytes_of
from flambeau.serialization.names import PUBLIC, Name, pytorch_name

REBUILD = {
    name: Name("torch._utils", f"_rebuild_{name}")
    for name in ("tensor_v2", "tensor_v3", "sparse_tensor", "parameter", "parameter_with_state")
}
REBUILD_FROM_TYPE = Name("torch._tensor", "_rebuild_from_type_v2")
GET_LAYOUT = Name("torch.serialization", "_get_layout")
UNTYPED = Name("torch.storage", "UntypedStorage")
BYTES = Name("torch", "ByteStorage")  # what stands for it in the format before 2020
LOCATION = "cpu"


def pickled(value: Any, protocol: int, view_metadata: bool = False) -> tuple[bytes, list[tuple[Storage, int]]]:
    """The pickle of `value`, and the storages it refers to by their place in the list, with their numbers of elements.

    The format before 2020 has `view_metadata` in the pickle, always None.
    """
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol, (None,) if view_metadata else ())
    pickler.dump(value)
    return stream.getvalue(), pickler.storages


_PythonPickler: Any = pickle._Pickler


class Pickler(_PythonPickler):
    """Writes names as text, without looking for what they stand for: PyTorch is never imported.

    Only the pickler that is written in Python can be made to do that.
    """

    dispatch: ClassVar[dict[type, Any]] = dict(_PythonPickler.dispatch)

    def __init__(self, stream: io.BytesIO, protocol: int, view_metadata: tuple[None, ...] = ()) -> None:
        super().__init__(stream, protocol)
        self.storages: list[tuple[Storage, int]] = []
        self._view_metadata = view_metadata
        self._ids: dict[int, tuple[Any, ...]] = {}
        self._kept: list[Any] = []  # what only this pickling made: the memo knows objects by their address

    # ------------------------------------------------------------------------------------ names

    def save_name(self, name: Name) -> None:
        """The instruction that looks a name up."""
        self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    dispatch[Name] = save_name

    def save_dtype(self, d: dtype) -> None:
        """A dtype is a name: `torch.float32`."""
        self.save(_interned(Name("torch", d.name)))

    dispatch[dtype] = save_dtype

    def save_memory_format(self, f: memory_format) -> None:
        """Likewise."""
        self.save(_interned(Name("torch", f.name)))

    dispatch[memory_format] = save_memory_format

    def save_global(self, value: Any, name: str | None = None) -> None:
        """A class or function; the library's own by PyTorch's names."""
        own = Name(str(getattr(value, "__module__", "")), name or str(getattr(value, "__qualname__", "")))
        public = (PUBLIC.get(value) if isinstance(value, type) else None) or pytorch_name(own)
        if public != own:
            self.save(_interned(public))
        else:
            super().save_global(value, name)

    # ------------------------------------------------------------------------------------ tensors

    def persistent_id(self, value: Any) -> Any:
        """What stands in the pickle for a storage: its dtype, number and size."""
        return self._storage_id(value) if isinstance(value, UntypedStorage) else None

    def _storage_id(self, value: Any) -> tuple[Any, ...]:
        storage = value._storage
        if id(storage) not in self._ids:
            nbytes = bytes_of(storage).nbytes
            kind, size = (BYTES if self._view_metadata else UNTYPED), nbytes
            typed = isinstance(value, TypedStorage) and value.dtype.name in STORAGE_NAMES
            if typed and nbytes % value.dtype.itemsize == 0:
                kind, size = Name("torch", STORAGE_NAMES[value.dtype.name]), nbytes // value.dtype.itemsize
            number = str(len(self.storages))
            self._ids[id(storage)] = ("storage", _interned(kind), number, LOCATION, size, *self._view_metadata)
            self.storages.append((storage, size))
        return self._ids[id(storage)]

    def reducer_override(self, value: Any) -> Any:
        """How tensors and layouts are made again."""
        if isinstance(value, Sparse):
            return self._sparse(value)
        if isinstance(value, Valued):
            raise NotImplementedError(
                f"a {type(value).__name__} cannot be written into a checkpoint\n"
                "  hint: save what it is made of: values() and offsets(), or get_data() and get_mask()"
            )
        if isinstance(value, torch.Tensor) and not is_lazy(value):
            return self._tensor(value)
        if isinstance(value, layout):
            return GET_LAYOUT, (repr(value),)
        return NotImplemented

    def _tensor(self, t: Any) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(t).items() if not name.startswith("_")}
        if isinstance(t, nn.Parameter) and type(t) is nn.Parameter:
            parts = (self._keep(t.data), t.requires_grad, _no_hooks())
            return (REBUILD["parameter_with_state"], (*parts, state)) if state else (REBUILD["parameter"], parts)
        function, args = self._strided(t)
        if state or type(t) is not torch.Tensor:
            return REBUILD_FROM_TYPE, (function, type(t), args, state)
        return function, args

    def _strided(self, t: Any) -> tuple[Name, tuple[Any, ...]]:
        storage = self._keep(t.storage())
        layout_ = (t.storage_offset(), tuple(t.shape), tuple(t.stride()), t.requires_grad, _no_hooks())
        kind = self._storage_id(storage)[1]
        if kind.name == STORAGE_NAMES.get(t.dtype.name):
            return REBUILD["tensor_v2"], (storage, *layout_)
        # A dtype without typed storages, or a second view of the storage as another dtype.
        return REBUILD["tensor_v3"], (storage, *layout_, t.dtype)

    def _sparse(self, t: Any) -> tuple[Name, tuple[Any, ...]]:
        values = self._keep(t._values())
        if t.layout is not torch.sparse_coo:
            places = [self._keep(part) for part in (t._compressed, t._plain)]
            return REBUILD["sparse_tensor"], (t.layout, (*places, values, t.shape))
        return REBUILD["sparse_tensor"], (t.layout, (self._keep(t._indices()), values, t.shape, t.is_coalesced()))

    def _keep(self, value: Any) -> Any:
        self._kept.append(value)
        return value


_names: dict[Name, Name] = {}


def _interned(name: Name) -> Name:
    """One object a name: the memo goes by identity."""
    return _names.setdefault(name, name)


def _no_hooks() -> OrderedDict[str, Any]:
    """Where PyTorch would write a tensor's hooks, if hooks could be written."""
    return OrderedDict()
