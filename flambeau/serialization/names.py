"""Names in checkpoints: PyTorch's, whichever package wrote the file, and the ones a file may use.

A pickle names the functions and classes that rebuild its objects. Reading it here looks names up in the tables below
and in what the user added, never in modules: nothing that a file says is imported, and nothing else is called."""

from __future__ import annotations

import contextlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from pickle import UnpicklingError
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau import nn
from flambeau._core import formats
from flambeau._core.dtypes import ALL, BITS
from flambeau.serialization import rebuild
from flambeau.serialization.memory import STORAGE_DTYPES


def described(value: Any) -> str:
    """What a value from a file is, in a few words; its own text could be endless."""
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return f"{getattr(value, '__module__', '?')}.{value.__qualname__}"
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 99):
        return repr(value)
    return repr(value[:60]) if isinstance(value, str | bytes) else f"a {type(value).__qualname__}"


class Name(NamedTuple):
    """A name as a pickle holds it."""

    module: str
    name: str

    def __call__(self, *args: Any) -> Any:  # a pickler insists that what makes an object can be called
        raise TypeError(f"{self.module}.{self.name} is only a name")


class StorageType(NamedTuple):
    """What `torch.FloatStorage` and the like stand for: the dtype of the elements, None if untyped."""

    dtype: torch.dtype | None


# The library's classes that checkpoints know under another module than theirs.
PUBLIC: dict[Any, Name] = {
    torch.Tensor: Name("torch", "Tensor"),
    torch.Size: Name("torch", "Size"),
    torch.device: Name("torch", "device"),
    nn.Parameter: Name("torch.nn.parameter", "Parameter"),
}

# Everything a file may name. What it may call is listed below.
VALUES: dict[str, Any] = {
    **{f"collections.{kind.__name__}": kind for kind in (OrderedDict, Counter, defaultdict)},
    **{f"builtins.{kind.__name__}": kind for kind in (set, frozenset, complex, bytearray, slice, range)},
    **{f"builtins.{kind.__name__}": kind for kind in (dict, list, int, float)},  # as factories of a defaultdict
    **{".".join(name): kind for kind, name in PUBLIC.items()},
    **{f"torch.{name}": StorageType(d) for name, d in STORAGE_DTYPES.items()},
    **{f"torch.{name}": StorageType(None) for name in ("UntypedStorage", "storage.UntypedStorage")},
    **{f"torch.{d.name}": d for d in (*ALL, *BITS.values())},
    **{f"torch.{f.name}": f for f in vars(formats).values() if isinstance(f, formats.memory_format)},
    "_codecs.encode": rebuild.encode,
    "torch.serialization._get_layout": rebuild.layout,
    "torch._utils._rebuild_tensor": rebuild.tensor,
    "torch._utils._rebuild_tensor_v2": rebuild.tensor,
    "torch._utils._rebuild_tensor_v3": rebuild.tensor_of_dtype,
    "torch._utils._rebuild_sparse_tensor": rebuild.sparse_tensor,
    "torch._utils._rebuild_parameter": rebuild.parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild.parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild.of_type,
}


def _default_dict(factory: Any = None, *items: Any) -> Any:
    if not any(factory is known for known in (None, dict, list, set, int, float)):
        raise TypeError(f"the factory of a defaultdict cannot be {described(factory)}")
    return defaultdict(factory, *map(rebuild.items_of, items))


def _of_items(kind: Any) -> Any:
    """A container that a file makes of a list or dict, not of what could be endless, like a range."""
    return lambda *args: kind(*map(rebuild.items_of, args))


def _of_scalars(kind: Any) -> Any:
    """An object that a file makes of numbers and text."""
    return lambda *args: kind(*(rebuild.expect(arg, (int, float, str, type(None))) for arg in args))


# What a file may call, by identity: the object called may be anything, also unhashable.
CALLS: dict[int, Any] = {
    **{id(kind): _of_items(kind) for kind in (OrderedDict, Counter, set, frozenset, torch.Size)},
    **{id(kind): _of_scalars(kind) for kind in (complex, slice, range, torch.device)},
    **{id(function): function for function in rebuild.FUNCTIONS},
    id(defaultdict): _default_dict,
    id(bytearray): rebuild.byte_array,
    id(nn.Parameter): rebuild.parameter,
}

# ---------------------------------------------------------------------------------------------- additions

_FORBIDDEN_MODULES = ("sys", "os", "posix", "nt", "subprocess", "builtins")
_added: dict[str, Any] = {}


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let checkpoints use these classes and functions, or (object, "full.name in the file") pairs.

    `load` will call them with whatever a file says: add only what is harmless with any arguments. TypeError for what
    has no name; ValueError for a tuple that is no such pair.

    Example::

        >>> import datetime
        >>> with safe_globals([datetime.date]):
        ...     get_safe_globals()
        [<class 'datetime.date'>]
    """
    _added.update({_full_name(entry): entry for entry in safe_globals})


def get_safe_globals() -> list[Any]:
    """What was added."""
    return list(_added.values())


def clear_safe_globals() -> None:
    """Take back all additions."""
    _added.clear()


@contextlib.contextmanager
def safe_globals(safe_globals: Iterable[Any]) -> Iterator[None]:
    """Additions for the time of a `with` block."""
    before = dict(_added)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _added.clear()
        _added.update(before)


def _full_name(entry: Any) -> str:
    if isinstance(entry, tuple):
        if len(entry) != 2:
            raise ValueError(f"expected a pair (global, full name), got a tuple of {len(entry)}")
        if not isinstance(entry[1], str):
            raise TypeError(f"expected the full name as a str, got a {type(entry[1]).__name__}")
        return entry[1]
    try:
        return ".".join(pytorch_name(Name(entry.__module__, entry.__qualname__)))
    except AttributeError:
        raise TypeError(f"expected a class or a function, got {entry!r}") from None


# ---------------------------------------------------------------------------------------------- look-up


def pytorch_name(name: Name) -> Name:
    """A name of this package as PyTorch has it: checkpoints do not say which of the two wrote them."""
    root, dot, rest = name.module.partition(".")
    return Name("torch" + dot + rest, name.name) if root == "flambeau" else name


class Allowed:
    """What one reading of a file may use: the tables above and what was added by then."""

    def __init__(self, weights_only: bool) -> None:
        self._modules_too = not weights_only
        self._added = {name: entry[0] if isinstance(entry, tuple) else entry for name, entry in _added.items()}
        self._trusted: set[int] = {id(value) for value in self._added.values()}
        self._modules: set[int] = set()

    def find(self, module: str, name: str) -> Any:
        """What a name stands for; UnpicklingError if a file may not use it."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        module, name = pytorch_name(Name(module, name))
        full = f"{module}.{name}"
        if full in VALUES:
            return VALUES[full]
        if full in self._added and module not in _FORBIDDEN_MODULES:
            return self._added[full]
        if self._modules_too and (kind := _library_module(module, name)) is not None:
            self._modules.add(id(kind))
            return kind
        raise UnpicklingError(f"{full} is not among the names that a checkpoint may use{_hint(module, full)}")

    def trusts(self, kind: Any) -> bool:
        """Did the user add it (or is it one of the library's modules, if these are wanted)?"""
        return id(kind) in self._trusted or id(kind) in self._modules

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call what a file may call."""
        known = function if id(function) in self._trusted else CALLS.get(id(function))
        if known is None:
            raise UnpicklingError(f"a checkpoint may not call {described(function)}")
        return known(*args)


MISSING_DTYPES = {
    *(f"torch.float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")),
    *("torch.complex32", "torch.quint8", "torch.qint8", "torch.qint32"),
    *("torch.QUInt8Storage", "torch.QInt8Storage", "torch.QInt32Storage"),
}


def _library_module(module: str, name: str) -> type | None:
    found = getattr(nn, name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        if pytorch_name(Name(found.__module__, found.__qualname__)) == (module, name):
            return found
    return None


def _hint(module: str, full: str) -> str:
    if module in _FORBIDDEN_MODULES:
        return ": this file may be an attack"
    if full in MISSING_DTYPES:
        return f": Flambeau has no {full.removesuffix('Storage')}\n  hint: save the tensor in another dtype"
    return (
        "\n  hint: save model.state_dict() instead of objects; or, if you trust this class with any arguments, "
        f"allow it by torch.serialization.add_safe_globals([{full.rpartition('.')[2]}])"
    )
