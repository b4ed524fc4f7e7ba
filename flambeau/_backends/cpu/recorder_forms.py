"""The forms of calls that the native recorder knows, and what it knows of them.

A form is an operation together with the keys of its operands: the metas of tensors, and for other operands their type
if the operation is pointwise, else themselves. Of each there is a line in a table, at a place given by a hash: with the
inference and what recording needs of it. `learn`, a function in Python, tells what a new line is to hold.
"""

from __future__ import annotations

from flambeau._backends.cpu.cpython import NULL, Layout
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.recorder_objects import Recording

NUMBERS = ("float", "int", "bool", "NoneType")  # what a pointwise operation takes beside tensors
CONSTANTS = ("str", "dtype", "tuple")  # and what others do
EQUAL = 2  # the comparison, as the C API numbers them
MOST = 12  # operands; a convolution has nine
UNUSUAL = Val("@unusual", "ptr")  # given back for calls that are left to Python

LINES = 1024
LINE = {name: 8 * i for i, name in enumerate(
    ("op", "metas", "inference", "result_type", "window_bytes", "gradients", "carriers", "own", "fallible")
)}  # fmt: skip
LINE_BYTES = 128
OWNED = ("op", "metas", "inference", "result_type")  # the words that are references
MIXER = 0x9E3779B97F4A7C15 - (1 << 64)  # spreads the bits of addresses: 2^64 over the golden ratio


def write_forms(module: Module, layout: Layout) -> None:
    """The table, `form`, which finds the line of a call, and `forget`."""
    module.globals.append(f"@lines = internal global [{LINES * LINE_BYTES} x i8] zeroinitializer, align 64")
    module.globals.append("@unusual = internal global i8 0")
    for write in (_hash, _alike, _examine, _find, _learn, _form, _forget):
        write(module, layout)


def word(o: Recording, line: Val, name: str, type: str = "ptr") -> Val:
    """A word of a line."""
    return o.f.load(type, o.f.offset(line, LINE[name]))


def _examine(module: Module, layout: Layout) -> None:
    """Take `count` operands apart: the values that an instruction gets, the keys of the form, and their hashes. The
    result has a bit for each operand with a gradient's node; -1 if one is unusual."""
    o = Recording(module, layout, "examine", "i64", "items COUNT WHOLE values keys hashes", inline=True)
    f = o.f
    items, count, whole, values, keys, hashes = f.parameters
    with f.loop(0, count, carried=[f.int(0)]) as loop:
        thing = f.load("ptr", f.offset(items, loop.index, "ptr"))
        kind = o.type_of(thing)
        f.branch(o.is_named(kind, "Tensor"), "tensor", "another")
        f.label("another")
        f.branch(_is_one_of(o, kind, NUMBERS), "constant", "more")
        f.label("more")
        of_class = f.call("i32", "PyType_IsSubtype", [kind, o.named("Tensor")])
        f.branch(f.compare("ne", of_class, 0), "tensor", "other")
        f.label("other")
        o.unless(f.binary("and", f.compare("ne", whole, 0), _is_one_of(o, kind, CONSTANTS)), "unusual")
        f.jump("constant")
        f.label("tensor")
        value, m, node = _tensor(o, thing)
        bit = f.select(o.is_named(node, "None"), f.int(0), f.binary("shl", 1, loop.index))
        hashed, tensor = o.address(m), f.block
        f.jump("next")
        f.label("constant")
        f.branch(f.compare("ne", whole, 0), "by_value", "by_kind")
        f.label("by_value")
        hashed_at = f.offset(hashes, loop.index, "i64")
        o.unless(f.compare("ne", f.call("i64", "hash", [thing, kind, hashed_at], declare=False), 0), "unusual")
        hashed_whole, by_value = f.load("i64", hashed_at), f.block
        f.jump("next")
        f.label("by_kind")
        hashed_kind = o.address(kind)
        f.jump("next")
        f.label("next")
        rows = (("ptr", values, value, thing, thing), ("ptr", keys, m, thing, kind),
                ("i64", hashes, hashed, hashed_whole, hashed_kind))  # fmt: skip
        found = [f.phi(type, (a, tensor), (b, by_value), (c, "by_kind")) for type, _, a, b, c in rows]
        bits = f.phi("i64", (bit, tensor), (f.int(0), by_value), (f.int(0), "by_kind"))
        for (_, place, *_), content in zip(rows, found, strict=True):
            f.store(content, f.offset(place, loop.index, "i64"))
        loop.next = [f.binary("or", loop.carried[0], bits)]
    f.ret(loop.results[0])
    f.label("unusual")
    f.ret(f.int(-1))
    f.close()


def _hash(module: Module, layout: Layout) -> None:
    """The hash of a constant, for which equal ones of the same kind have one (see `alike`); 0 for what is none: a tuple
    of others than integers."""
    o = Recording(module, layout, "hash", "i64", "thing kind hashed")
    f = o.f
    thing, kind, hashed = f.parameters
    f.branch(o.is_named(kind, "float"), "float", "another")
    f.label("float")
    f.store(o.bits(thing), hashed)
    f.ret(f.int(1))
    f.label("another")
    f.branch(o.is_named(kind, "tuple"), "tuple", "no_tuple")
    f.label("tuple")
    with f.loop(0, o.size_of(thing)) as loop:
        o.unless(o.is_named(o.type_of(o.item(thing, loop.index)), "int"), "unusual")
    f.jump("value")
    f.label("no_tuple")
    f.branch(o.is_named(kind, "int"), "value", "identity")
    f.label("value")
    f.store(f.call("i64", "PyObject_Hash", [thing]), hashed)
    f.ret(f.int(1))
    f.label("identity")
    f.store(o.address(thing), hashed)
    f.ret(f.int(1))
    f.label("unusual")
    f.ret(f.int(0))
    f.close()


def _alike(module: Module, layout: Layout) -> None:
    """Are two keys that are not the same object equal constants? Floats are by their bits, as 0.0 equals -0.0."""
    o = Recording(module, layout, "alike", "i1", "a b")
    f = o.f
    a, b = f.parameters
    kind = o.type_of(a)
    o.unless(o.is_same(kind, o.type_of(b)), "different")
    f.branch(o.is_named(kind, "float"), "float", "another")
    f.label("float")
    f.ret(f.compare("eq", o.bits(a), o.bits(b)))
    f.label("another")
    o.unless(_is_one_of(o, kind, ("int", "tuple")), "different")
    f.ret(f.compare("eq", f.call("i32", "PyObject_RichCompareBool", [a, b, f.int(EQUAL, "i32")]), 1))
    f.label("different")
    f.ret(Val("false", "i1"))
    f.close()


def _tensor(o: Recording, t: Val) -> tuple[Val, Val, Val]:
    """The value, the meta and the node of a tensor whose memory nobody else sees; of a view, if its node is up to
    date."""
    f = o.f
    storage = o.demand(o.read(t, "Tensor._storage"), "unusual")
    o.unless(o.is_named(o.read(storage, "Storage.exposed"), "False"), "unusual")
    base = o.read(t, "Tensor._base")
    f.branch(o.is_named(base, "None"), "own", "view")
    f.label("view")
    o.demand(base, "unusual")
    o.unless(o.is_same(o.read(base, "Tensor._node"), o.read(t, "Tensor._base_node")), "unusual")
    f.jump("own")
    f.label("own")
    value, m, node = o.read(storage, "Storage.value"), o.read(t, "Tensor._meta"), o.read(t, "Tensor._node")
    return o.demand(value, "unusual"), o.demand(m, "unusual"), o.demand(node, "unusual")


def _is_one_of(o: Recording, kind: Val, names: tuple[str, ...]) -> Val:
    found = o.is_named(kind, names[0])
    for name in names[1:]:
        found = o.f.binary("or", found, o.is_named(kind, name))
    return found


def _find(module: Module, layout: Layout) -> None:
    """The place for the line of a form, and whether the line is there."""
    o = Recording(module, layout, "find", "ptr", "op keys hashes COUNT found", inline=True)
    f = o.f
    op, keys, hashes, count, found = f.parameters
    with f.loop(0, count, carried=[f.mul(o.address(op), MIXER)]) as loop:
        key = f.load("i64", f.offset(hashes, loop.index, "i64"))
        loop.next = [f.mul(f.binary("xor", loop.carried[0], key), MIXER)]
    number = f.binary("lshr", loop.results[0], 64 - LINES.bit_length() + 1)
    line = f.offset(Val("@lines", "ptr"), f.mul(number, LINE_BYTES))
    f.store(f.int(0), found)
    o.unless(o.is_same(word(o, line, "op"), op), "end")
    metas = word(o, line, "metas")
    o.unless(f.compare("eq", o.size_of(metas), count), "end")
    with f.loop(0, count) as loop:
        key, known = f.load("ptr", f.offset(keys, loop.index, "ptr")), o.item(metas, loop.index)
        f.branch(o.is_same(key, known), "same", "compare")
        f.label("compare")
        o.unless(f.call("i1", "alike", [key, known], declare=False), "end")
        f.jump("same")
        f.label("same")
    f.store(f.int(1), found)
    f.jump("end")
    f.label("end")
    f.ret(line)
    f.close()


def _learn(module: Module, layout: Layout) -> None:
    """Ask for a form and write it into a line: 1 if it is known now, 0 if not, -1 after an error. A form without an
    inference is known to be unusual."""
    o = Recording(module, layout, "learn", "i64", "op keys COUNT line")
    f = o.f
    op, keys, count, line = f.parameters
    room, before = f.stack("ptr", 2), f.stack("ptr", len(OWNED))
    form = o.demand(o.make_tuple(count), "failed")
    with f.loop(0, count) as loop:
        o.fill_item(form, loop.index, o.keep(f.load("ptr", f.offset(keys, loop.index, "ptr"))))
    told = o.call(o.named("learn"), (op, form), room)
    o.drop(form)
    o.demand(told, "failed")
    f.branch(o.is_named(told, "None"), "unknown", "known")
    f.label("known")
    for i, name in enumerate(OWNED):
        f.store(word(o, line, name), f.offset(before, i, "ptr"))
        f.store(o.keep(o.item(told, i)), f.offset(line, LINE[name]))
    for i, name in enumerate(list(LINE)[len(OWNED) :], len(OWNED)):
        f.store(o.number(o.item(told, i)), f.offset(line, LINE[name]))
    for i in range(len(OWNED)):  # last, as it may run other code
        o.drop(f.load("ptr", f.offset(before, i, "ptr")))
    o.drop(told)
    f.ret(f.int(1))
    f.label("unknown")
    o.drop(told)
    f.ret(f.int(0))
    f.label("failed")
    f.ret(f.int(-1))
    f.close()


def _form(module: Module, layout: Layout) -> None:
    """The line of a call's form, UNUSUAL if the call is to be left to Python, null after an error. What `examine` finds
    goes to `values` (borrowed) and `found_mask`; until other code runs, that and the line stay as they are."""
    o = Recording(module, layout, "form", "ptr", "op items COUNT WHOLE values found_mask")
    f = o.f
    op, items, count, whole, values, found_mask = f.parameters
    keys, hashes, found, asked = f.stack("ptr", MOST), f.stack("i64", MOST), f.stack("i64", 1), f.stack("i64", 1)
    f.store(f.int(0), asked)
    o.unless(f.binary("and", f.compare("sge", count, 1), f.compare("sle", count, MOST)), "strange")
    f.jump("again")
    f.label("again")
    mask = f.call("i64", "examine", [items, count, whole, values, keys, hashes], declare=False)
    o.unless(f.compare("sge", mask, 0), "strange")
    line = f.call("ptr", "find", [op, keys, hashes, count, found], declare=False)
    f.branch(f.compare("ne", f.load("i64", found), 0), "known", "ask")
    f.label("ask")  # a line may be lost again, if other code runs meanwhile that needs its place
    o.unless(f.compare("eq", f.load("i64", asked), 0), "strange")
    f.store(f.int(1), asked)
    learnt = f.call("i64", "learn", [op, keys, count, line], declare=False)
    o.unless(f.compare("sge", learnt, 0), "failed")
    f.branch(f.compare("eq", learnt, 1), "again", "strange")
    f.label("known")
    o.unless(f.compare("ne", word(o, line, "inference"), o.named("None")), "strange")
    f.store(mask, found_mask)
    f.ret(line)
    f.label("failed")
    f.ret(NULL)
    f.label("strange")
    f.ret(UNUSUAL)
    f.close()


def _forget(module: Module, layout: Layout) -> None:
    """`forget()`: no form is known any more. What a line refers to beside the operation stays until it is written
    anew."""
    o = Recording(module, layout, "forget", "void", "", internal=False)
    f = o.f
    with f.loop(0, LINES) as loop:
        line = f.offset(Val("@lines", "ptr"), f.mul(loop.index, LINE_BYTES))
        op = word(o, line, "op")
        f.store(NULL, f.offset(line, LINE["op"]))
        o.drop(op)
    f.ret()
    f.close()
