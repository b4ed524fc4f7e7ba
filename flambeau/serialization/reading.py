"""A reader of pickles that never runs code from the file: a small machine for the few instructions a checkpoint needs.

Pickle is a program for a machine with a stack. Python's own machine imports and calls whatever the program says; this
one knows only the names that `names` allows and changes only objects that it made itself. What costs more than the
pickle is long is refused too: hashing tuples of tuples of the same tuples, for one, would never end."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.serialization import rebuild
from flambeau.serialization.names import Allowed, StorageType, described

if TYPE_CHECKING:
    import pickletools
else:
    pickletools = lazy_module("pickletools")

MOST_HASHED = 1_000_000  # parts of all tuples and frozensets that are keys, counted each time they are hashed
DEEPEST_KEY = 100
HASHING = (set, frozenset, OrderedDict, Counter, defaultdict)  # hash what they are called with
NESTED = (tuple, frozenset, slice)
DICTS = (dict, OrderedDict, Counter, defaultdict)
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list,
    "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
LITERALS = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
OLD_STRINGS = frozenset({"BINSTRING", "SHORT_BINSTRING"})  # Python 2's
SENSELESS = (
    ValueError, TypeError, LookupError, AttributeError, OverflowError, UnicodeError, RecursionError,
)  # fmt: skip
IGNORED = frozenset({"PROTO", "FRAME"})


class Machine:
    """Reads one pickle.

    `storage_of(persistent_id)` answers the storage that a tensor refers to.
    UnpicklingError for everything that is not allowed or makes no sense; its text names what was refused.
    """

    def __init__(self, storage_of: Callable[[Any], Any], allowed: Allowed, encoding: str = "utf-8") -> None:
        self._storage_of = storage_of
        self._allowed = allowed
        self._encoding = encoding
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each open mark
        self._memo: dict[int, Any] = {}
        self._hashed = 0

    def run(self, stream: IO[bytes]) -> Any:
        """The object that the stream holds; leaves the stream behind it."""
        position: int | None = 0
        try:
            for opcode, argument, at in pickletools.genops(stream):
                position = at
                name = opcode.name
                if name in LITERALS:
                    self._stack.append(argument)
                elif name == "STOP":
                    return self._stack.pop()
                else:
                    self._step(name, argument)
        except UnpicklingError:
            raise
        except SENSELESS as error:
            raise UnpicklingError(f"the pickle makes no sense near byte {position}: {str(error)[:200]}") from error
        raise UnpicklingError("the pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in CONSTANTS:
            self._stack.append(CONSTANTS[name]())
        elif name in OLD_STRINGS:
            raw = argument.encode("latin-1")
            self._stack.append(raw if self._encoding == "bytes" else raw.decode(self._encoding))
        elif name not in IGNORED:
            step = getattr(self, "_op_" + name.lower(), None)
            if step is None:
                raise UnpicklingError(f"a checkpoint may not use the pickle instruction {name}")
            step(argument)

    # ------------------------------------------------------------------------------------ stack and memo

    def _op_mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._below.pop()
        return items

    def _op_pop(self, _: Any) -> None:
        self._stack.pop()

    def _op_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _op_binput(self, slot: int) -> None:
        self._memo[slot] = self._stack[-1]

    _op_long_binput = _op_binput

    def _op_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_binget(self, slot: int) -> None:
        self._stack.append(self._memo[slot])

    _op_long_binget = _op_binget

    # ------------------------------------------------------------------------------------ containers

    def _op_tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self._stack.append(items)

    def _op_tuple1(self, _: Any) -> None:
        self._tuple_of(1)

    def _op_tuple2(self, _: Any) -> None:
        self._tuple_of(2)

    def _op_tuple3(self, _: Any) -> None:
        self._tuple_of(3)

    def _tuple_of(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def _op_append(self, _: Any) -> None:
        item = self._stack.pop()
        self._top(list).append(item)

    def _op_appends(self, _: Any) -> None:
        items = self._since_mark()
        self._top(list).extend(items)

    def _op_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._check_keys([key])
        self._top(*DICTS)[key] = value

    def _op_setitems(self, _: Any) -> None:
        items = self._since_mark()
        target = self._top(*DICTS)
        self._check_keys(items[::2])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def _op_additems(self, _: Any) -> None:
        items = self._since_mark()
        self._check_keys(items)
        self._top(set).update(items)

    def _op_frozenset(self, _: Any) -> None:
        items = self._since_mark()
        self._check_keys(items)
        self._stack.append(frozenset(items))

    def _top(self, *kinds: type) -> Any:
        """The object on top, which must be a plain container or of a class that the user added."""
        top = self._stack[-1]
        if type(top) not in kinds and not (isinstance(top, kinds) and self._allowed.trusts(type(top))):
            raise UnpicklingError(f"a checkpoint may not put items into a {type(top).__qualname__}")
        return top

    def _check_keys(self, keys: Iterable[Any]) -> None:
        """Refuse to hash what would take too long: shared parts are hashed wherever they stand."""
        todo = [(key, 0) for key in keys if isinstance(key, NESTED)]
        while todo:
            part, depth = todo.pop()
            self._hashed += 1
            if self._hashed > MOST_HASHED or depth > DEEPEST_KEY:
                raise UnpicklingError("the keys of dicts and sets are nested too deeply or too large")
            inner = (part.start, part.stop, part.step) if isinstance(part, slice) else part
            todo.extend((item, depth + 1) for item in inner if isinstance(item, NESTED))
            self._hashed += len(inner)

    # ------------------------------------------------------------------------------------ names and objects

    def _op_global(self, both: str) -> None:
        self._stack.append(self._allowed.find(*both.split(" ", 1)))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise UnpicklingError("a name in the pickle is no text")
        self._stack.append(self._allowed.find(module, name))

    def _op_reduce(self, _: Any) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        if not isinstance(args, tuple):
            raise UnpicklingError(f"the arguments of a call are {described(args)}, not a tuple")
        if isinstance(function, type) and function in HASHING:
            for items in (arg for arg in args if not (arg is None or isinstance(arg, type))):
                self._check_keys(item[0] if type(item) is list and item else item for item in rebuild.items_of(items))
        self._stack.append(self._allowed.call(function, args))

    def _op_newobj(self, _: Any) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        if not (isinstance(kind, type) and self._allowed.trusts(kind)):
            raise UnpicklingError(f"a checkpoint may not make an object of {described(kind)}")
        if not isinstance(args, tuple):
            raise UnpicklingError(f"the arguments of a new object are {described(args)}, not a tuple")
        self._stack.append(kind.__new__(kind, *args))

    def _op_build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        kind = type(target)
        if kind is OrderedDict:
            rebuild.set_attributes(target, state, private=True)
        elif not self._allowed.trusts(kind):
            raise UnpicklingError(f"a checkpoint may not set the state of a {kind.__qualname__}")
        elif hasattr(target, "__setstate__"):
            target.__setstate__(state)
        else:
            attributes, slots = state if isinstance(state, tuple) else (state, None)
            target.__dict__.update(attributes or {})
            for name, value in (slots or {}).items():
                setattr(target, name, value)

    def _op_binpersid(self, _: Any) -> None:
        persistent_id = self._stack.pop()
        self._stack.append(self._storage_of(persistent_id))


def parse_storage_id(persistent_id: Any) -> tuple[StorageType, str, str, int]:
    """Type, key, location and number of elements of a storage; UnpicklingError if a file refers to anything else.

    The older format has a sixth entry, for storages within storages, which nothing has written for many years.
    """
    if isinstance(persistent_id, tuple) and len(persistent_id) in (5, 6):
        tag, kind, key, location, size, *rest = persistent_id
        if isinstance(tag, str | bytes) and tag in ("storage", b"storage") and isinstance(kind, StorageType):
            if isinstance(key, str) and isinstance(location, str) and type(size) is int and 0 <= size < 2**60:
                if rest in ([], [None]):
                    return kind, key, location, size
    raise UnpicklingError(f"a checkpoint may refer to storages only, found {described(persistent_id)}")
