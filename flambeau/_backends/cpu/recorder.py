"""The recorder as native code: what `_tensor.dispatch` does in the usual cases, to the same effect.

A call is recorded if its form is known (`recorder_forms`) and nothing about it is unusual; else it is left to the
recorder in Python before anything was changed. Recording (`recorder_records`) does first what can fail, so that an
error leaves nothing half recorded. With gradients there is a node as well (`recorder_graph`).
"""

from __future__ import annotations

from flambeau._backends.cpu.cpython import NULL, Layout
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.recorder_forms import MOST, UNUSUAL, word, write_forms
from flambeau._backends.cpu.recorder_graph import write_graph
from flambeau._backends.cpu.recorder_objects import OBJECTS, Recording
from flambeau._backends.cpu.recorder_records import write_records
from flambeau._backends.cpu.target import Target

FAMILIES = ("pointwise", "library", "view")


def text(target: Target, layout: Layout, operators: tuple[tuple[str, bool, bool], ...]) -> str:
    """For each family a method of this name that takes (op, args) and records, and methods of a tensor: `operators` has
    for each the name, whether it has another operand, and whether that comes first. Of these the block `operators` has
    the operation and what to call in unusual cases, one after the other."""
    module = Module(target)
    module.globals += [
        f"@objects = global [{len(OBJECTS)} x ptr] zeroinitializer, align 64",
        f"@operators = global [{2 * len(operators)} x ptr] zeroinitializer, align 64",
        "@thread = internal global i64 -1",
        "@attributes = internal global ptr null",
    ]
    for write in (write_forms, write_graph, write_records, _here, _wants_graph, _record, _look):
        write(module, layout)
    for family in FAMILIES:
        _method_of_operations(module, layout, family)
    for i, (name, binary, reflected) in enumerate(operators):
        _operator(module, layout, name, i, binary, reflected)
    return module.text()


# ---------------------------------------------------------------------------------------------- calls


def _here(module: Module, layout: Layout) -> None:
    """The attributes that the ambient state has in this thread, borrowed; null after an error. Those of the thread that
    asked last are remembered, by its number, which no other thread gets."""
    o = Recording(module, layout, "here", "ptr", "")
    f = o.f
    thread = f.call("i64", "PyThreadState_GetID", [f.call("ptr", "PyThreadState_Get", [])])
    thread_at, attributes_at = Val("@thread", "ptr"), Val("@attributes", "ptr")
    f.branch(f.compare("eq", f.load("i64", thread_at), thread), "same", "another")
    f.label("same")
    f.ret(f.load("ptr", attributes_at))
    f.label("another")
    attributes = o.demand(o.attribute(o.named("state"), o.named("__dict__")), "failed")
    before = f.load("ptr", attributes_at)
    f.store(thread, thread_at)
    f.store(attributes, attributes_at)
    o.drop(before)
    f.ret(attributes)
    f.label("failed")
    f.ret(NULL)
    f.close()


def _record(module: Module, layout: Layout) -> None:
    """Record a call: what it returns, UNUSUAL if that is to be left to Python, null after an error."""
    o = Recording(module, layout, "record", "ptr", "op given items COUNT WHOLE depth")
    f = o.f
    op, given, items, count, whole, depth = f.parameters
    values, mask_at, made = f.stack("ptr", MOST), f.stack("i64", 1), f.stack("ptr", 1)
    here = o.demand(f.call("ptr", "here", [], declare=False), "lost")
    window = o.demand(o.look_up(here, o.named("window")), "unusual")
    o.unless(o.is_named(o.type_of(window), "Window"), "unusual")
    line = f.call("ptr", "form", [op, items, count, whole, values, mask_at], declare=False)
    o.unless(f.compare("ne", line, UNUSUAL), "unusual")
    o.demand(line, "lost")
    mask = f.binary("and", f.load("i64", mask_at), word(o, line, "gradients", "i64"))
    own, carriers, fallible = (word(o, line, name, "i64") for name in ("own", "carriers", "fallible"))
    kind = o.keep(word(o, line, "result_type"))
    with f.loop(0, count) as loop:
        o.keep(f.load("ptr", f.offset(values, loop.index, "ptr")))
    o.keep(window)
    what = [op, values, count, line, window, fallible, depth, made]
    t = f.call("ptr", "make", what, declare=False)
    o.demand(t, "failed")
    instruction = f.load("ptr", made)
    f.branch(f.call("i1", "wants_graph", [here, mask], declare=False), "graph", "end")
    f.label("graph")
    metas, inference = (o.read(instruction, f"Instruction.{name}") for name in ("metas", "inference"))
    what = [t, op, metas, inference, given, items, count, mask, depth, own, carriers]
    attached = f.call("i64", "attach", what, declare=False)
    f.branch(f.compare("ne", attached, 0), "end", "undo")
    f.label("end")
    o.drop(instruction)
    well = f.call("i64", "run_if_full", [window], declare=False)
    o.drop(window)
    f.branch(f.compare("ne", well, 0), "give", "throw")
    f.label("give")
    f.branch(o.is_named(kind, "None"), "plain", "named")
    f.label("plain")
    o.drop(kind)
    f.ret(t)
    f.label("named")
    named = f.call("ptr", "PyObject_CallObject", [kind, t])
    o.drop(t)
    o.drop(kind)
    f.ret(named)
    f.label("undo")
    o.drop(instruction)
    o.drop(window)
    f.jump("throw")
    f.label("throw")
    o.drop(t)
    o.drop(kind)
    f.ret(NULL)
    f.label("failed")
    o.drop(window)
    o.drop(kind)
    f.jump("lost")
    f.label("lost")
    f.ret(NULL)
    f.label("unusual")
    f.ret(UNUSUAL)
    f.close()


def _wants_graph(module: Module, layout: Layout) -> None:
    """Are there operands with gradients, and does this thread build the graph for them?"""
    o = Recording(module, layout, "wants_graph", "i1", "here MASK", inline=True)
    f = o.f
    here, mask = f.parameters
    f.branch(f.compare("eq", mask, 0), "none", "some")
    f.label("none")
    f.ret(Val("false", "i1"))
    f.label("some")
    f.ret(f.compare("ne", f.call("i32", "PyObject_IsTrue", [o.look_up(here, o.named("grad_enabled"))]), 0))
    f.close()


# ---------------------------------------------------------------------------------------------- views


def _look(module: Module, layout: Layout) -> None:
    """The view that an operation gives of its first operand, as `record` gives a tensor."""
    o = Recording(module, layout, "look", "ptr", "op given items COUNT depth")
    f = o.f
    op, given, items, count, depth = f.parameters
    values, mask_at = f.stack("ptr", MOST), f.stack("i64", 1)
    here = o.demand(f.call("ptr", "here", [], declare=False), "lost")
    line = f.call("ptr", "form", [op, items, count, f.int(1), values, mask_at], declare=False)
    o.unless(f.compare("ne", line, UNUSUAL), "unusual")
    o.demand(line, "lost")
    mask = f.binary("and", f.load("i64", mask_at), word(o, line, "gradients", "i64"))
    known = [o.keep(word(o, line, name)) for name in ("metas", "inference")]
    source = f.load("ptr", items)
    silent = o.demand(o.attribute(source, o.named("_silent")), "failed")
    o.drop(silent)
    o.unless(o.is_named(silent, "False"), "silent")
    t = o.demand(o.make(o.named("Tensor")), "failed")
    _fill_view(o, t, source, o.item(o.read(known[1], "Inference.outputs"), 0))
    f.branch(f.call("i1", "wants_graph", [here, mask], declare=False), "graph", "end")
    f.label("graph")
    what = [t, op, *known, given, items, count, mask, depth, f.int(0), f.int(0)]
    attached = f.call("i64", "attach", what, declare=False)
    f.branch(f.compare("ne", attached, 0), "end", "undo")
    f.label("end")
    for part in known:
        o.drop(part)
    f.ret(t)
    f.label("undo")
    for part in (t, *known):
        o.drop(part)
    f.ret(NULL)
    f.label("failed")
    for part in known:
        o.drop(part)
    f.jump("lost")
    f.label("lost")
    f.ret(NULL)
    f.label("silent")
    for part in known:
        o.drop(part)
    f.jump("unusual")
    f.label("unusual")
    f.ret(UNUSUAL)
    f.close()


def _fill_view(o: Recording, t: Val, source: Val, m: Val) -> None:
    """A view of the source's storage, in the place of the source among the views of its base."""
    f = o.f
    above = o.read(source, "Tensor._base")
    base = f.select(o.is_named(above, "None"), source, above)
    o.fill(t, "Tensor._meta", o.keep(m))
    o.fill(t, "Tensor._storage", o.keep(o.read(source, "Tensor._storage")))
    o.fill(t, "Tensor._node", o.none())
    o.fill(t, "Tensor._index", o.keep(o.named("0")))
    o.fill(t, "Tensor._base", o.keep(base))
    o.fill(t, "Tensor._base_node", o.keep(o.read(base, "Tensor._node")))


# ---------------------------------------------------------------------------------------------- what Python calls


def _method_of_operations(module: Module, layout: Layout, family: str) -> None:
    """`op.record(args)`: a method with one argument."""
    o = Recording(module, layout, family, "ptr", "op args", internal=False)
    f = o.f
    op, args = f.parameters
    room, python = f.stack("ptr", 2), o.named(family)
    o.unless(o.is_named(o.type_of(args), "tuple"), "unusual")
    call: list[Val] = [op, args, o.items(args), o.size_of(args)]
    if family == "view":
        t = f.call("ptr", "look", [*call, o.named("1")], declare=False)
    else:
        t = f.call("ptr", "record", [*call, f.int(int(family == "library")), o.named("1")], declare=False)
    _give_or_leave(o, t, python, [op, args], room)


def _operator(module: Module, layout: Layout, name: str, number: int, binary: bool, reflected: bool) -> None:
    """A method of a tensor for a Python operator, with one argument or none."""
    o = Recording(module, layout, name, "ptr", "this other", internal=False)
    f = o.f
    this, other = f.parameters
    room = f.stack("ptr", 2)
    operands = [this, other][: 1 + binary]
    for i, operand in enumerate(reversed(operands) if reflected else operands):
        f.store(operand, f.offset(room, i, "ptr"))
    op, python = (f.load("ptr", f.offset(Val("@operators", "ptr"), 2 * number + i, "ptr")) for i in (0, 1))
    arguments = [op, NULL, room, f.int(len(operands)), f.int(0), o.named("0")]
    _give_or_leave(o, f.call("ptr", "record", arguments, declare=False), python, operands, room)


def _give_or_leave(o: Recording, t: Val, python: Val, arguments: list[Val], room: Val) -> None:
    """The end of a method: what was recorded, or what Python makes of an unusual call."""
    f = o.f
    o.unless(f.compare("ne", t, UNUSUAL), "unusual")
    f.ret(t)
    f.label("unusual")
    f.ret(o.call(python, arguments, room))
    f.close()
