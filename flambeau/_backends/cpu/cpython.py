"""CPython's objects in generated code: what the macros of its C API do, and calls of its functions.

An object is an address (`ptr`). As in C, a function of the API that makes one gives a reference of one's own, or null
after an error; what is read out of an object is borrowed from it, until it is `kept`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.emit import Function, Number, Val

TYPE, SIZE = 8, 16  # where an object has its type, and one of variable size its size, in bytes
NULL = Val("null", "ptr")


class Layout(NamedTuple):
    """What the macros know of the interpreter that runs. From `immortal` versions on (3.12) there are objects whose
    references are not counted; `items` is where the first item of a tuple is; `fields` are ("Class.slot", offset in
    bytes) of classes that have slots."""

    immortal: bool
    items: int
    fields: tuple[tuple[str, int], ...]


class Objects:
    """Writes into a function what it does with objects."""

    def __init__(self, f: Function, layout: Layout) -> None:
        self.f = f
        self.layout = layout
        self.fields = dict(layout.fields)

    # ------------------------------------------------------------------------------------------ reading and writing

    def type_of(self, thing: Val) -> Val:
        return self.f.load("ptr", self.f.offset(thing, TYPE))

    def size_of(self, thing: Val) -> Val:
        """The items of a tuple, or of another object of variable size."""
        return self.f.load("i64", self.f.offset(thing, SIZE))

    def place(self, thing: Val, field: str) -> Val:
        """The address of a slot, such as "Storage.value"."""
        return self.f.offset(thing, self.fields[field])

    def read(self, thing: Val, field: str) -> Val:
        """What is in a slot, borrowed; null if it was never filled."""
        return self.f.load("ptr", self.place(thing, field))

    def fill(self, thing: Val, field: str, content: Val) -> None:
        """Put a reference, which is handed over, into a slot that is empty."""
        self.f.store(content, self.place(thing, field))

    def replace(self, thing: Val, field: str, content: Val) -> None:
        """The same of a slot that has something in it."""
        before = self.read(thing, field)
        self.fill(thing, field, content)
        self.drop(before)

    def items(self, tuple: Val) -> Val:
        """The address of the first item of a tuple."""
        return self.f.offset(tuple, self.layout.items)

    def item(self, tuple: Val, i: Number) -> Val:
        """An item, borrowed."""
        return self.f.load("ptr", self.f.offset(self.items(tuple), i, "ptr"))

    def is_same(self, a: Val, b: Val) -> Val:
        return self.f.compare("eq", a, b)

    # ------------------------------------------------------------------------------------------ references

    def keep(self, thing: Val) -> Val:
        """The same object, with a reference of one's own."""
        f = self.f
        if self.layout.immortal:
            count = f.load("i32", thing)
            more = f.add(count, 1)
            f.store(f.select(f.compare("eq", more, 0), count, more), thing)
        else:
            f.store(f.add(f.load("i64", thing), 1), thing)
        return thing

    def drop(self, thing: Val) -> None:
        """Give a reference back; null is none."""
        self.f.call("void", "Py_DecRef", [thing])

    # ------------------------------------------------------------------------------------------ functions of the API

    def make(self, kind: Val) -> Val:
        """A new object of a class, its slots empty."""
        return self.f.call("ptr", "PyType_GenericAlloc", [kind, self.f.int(0)])

    def make_tuple(self, size: Number) -> Val:
        """A new tuple, which is to be filled."""
        return self.f.call("ptr", "PyTuple_New", [size if isinstance(size, Val) else self.f.int(size)])

    def fill_item(self, tuple: Val, i: Number, content: Val) -> None:
        """Put a reference, which is handed over, into a new tuple."""
        self.f.store(content, self.f.offset(self.items(tuple), i, "ptr"))

    def attribute(self, thing: Val, name: Val) -> Val:
        return self.f.call("ptr", "PyObject_GetAttr", [thing, name])

    def look_up(self, table: Val, key: Val) -> Val:
        """What a dictionary has under a key, borrowed; null if there is nothing. Hashing the key must not fail."""
        return self.f.call("ptr", "PyDict_GetItemWithError", [table, key])

    def number(self, integer: Val) -> Val:
        """The number that a Python integer is."""
        return self.f.call("i64", "PyLong_AsSsize_t", [integer])

    def integer(self, number: Val) -> Val:
        return self.f.call("ptr", "PyLong_FromSsize_t", [number])

    def call(self, function: Val, arguments: Sequence[Val], room: Val) -> Val:
        """Call an object; `room` is memory for the addresses of its arguments."""
        return self._vectorcall("PyObject_Vectorcall", function, arguments, room)

    def call_method(self, name: Val, arguments: Sequence[Val], room: Val) -> Val:
        """Call a method of the first argument."""
        return self._vectorcall("PyObject_VectorcallMethod", name, arguments, room)

    def _vectorcall(self, how: str, what: Val, arguments: Sequence[Val], room: Val) -> Val:
        for i, argument in enumerate(arguments):
            self.f.store(argument, self.f.offset(room, i, "ptr"))
        return self.f.call("ptr", how, [what, room, self.f.int(len(arguments)), NULL])


class Held:
    """References that are given back together, as far as there are any by then; begun at a function's beginning."""

    def __init__(self, objects: Objects, most: int) -> None:
        self.objects = objects
        self.places = [objects.f.stack("ptr", 1) for _ in range(most)]
        for place in self.places:
            objects.f.store(NULL, place)
        self._free = list(self.places)

    def hold(self, thing: Val) -> Val:
        """The same object, or null after an error, which is none."""
        self.objects.f.store(thing, self._free.pop())
        return thing

    def drop(self) -> None:
        for place in self.places:
            self.objects.drop(self.objects.f.load("ptr", place))
