"""The graph of gradients in native code: the node of an operation that was recorded, as `autograd.graph.record_node`
makes it. What is unusual about it is left to that function."""

from __future__ import annotations

from flambeau._backends.cpu.cpython import NULL, Held, Layout
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.recorder_objects import Recording


def write_graph(module: Module, layout: Layout) -> None:
    """`attach`, which gives a tensor its node."""
    for write in (
        _arguments, _edges, _site, _usual_saving, _kept, _versions, _node, _save_output, _carry, _together, _attach,
    ):  # fmt: skip
        write(module, layout)


def _attach(module: Module, layout: Layout) -> None:
    """Give a tensor, or those of several that `carriers` has bits for, the node in the graph of gradients, for the
    operands in `mask`, with the line of the program `depth` calls from here; 0 after an error. `given` is the tuple of
    operands, if there is one; `own` says that the node keeps results as they are now."""
    parameters = "results op metas inference given items COUNT MASK depth OWN CARRIERS"
    o = Recording(module, layout, "attach", "i64", parameters)
    f = o.f
    results, op, metas, inference, given, items, count, mask, depth, own, carriers = f.parameters
    held, room, result = Held(o, 6), f.stack("ptr", 7), f.stack("i64", 1)
    f.store(f.int(0), result)
    args = o.demand(held.hold(f.call("ptr", "arguments", [given, items, count], declare=False)), "end")
    edges = o.demand(held.hold(f.call("ptr", "edges", [items, count, mask], declare=False)), "end")
    site = o.demand(held.hold(f.call("ptr", "site", [depth], declare=False)), "end")
    number = o.demand(held.hold(o.integer(mask)), "end")
    saving = f.call("ptr", "usual_saving", [o.read(inference, "Inference.savings"), number, items], declare=False)
    f.branch(o.is_same(saving, NULL), "unusual", "usual")
    f.label("unusual")
    made = o.call(o.named("record_node"), [op, args, metas, edges, inference, number, site], room)
    f.jump("made")
    f.label("usual")
    what = [op, metas, o.read(inference, "Inference.outputs"), args, edges, site, saving]
    node = f.call("ptr", "node", [*what, items, count], declare=False)
    f.jump("made")
    f.label("made")
    node = o.demand(held.hold(f.phi("ptr", (made, "unusual"), (node, "usual"))), "end")
    f.branch(f.compare("eq", carriers, 0), "one", "several")
    f.label("one")
    o.replace(results, "Tensor._node", o.keep(node))
    f.jump("carried")
    f.label("several")
    o.unless(f.compare("ne", f.call("i64", "carry", [results, node, carriers], declare=False), 0), "end")
    f.jump("carried")
    f.label("carried")
    f.branch(o.is_named(o.read(node, "OpNode.saved_outputs"), "None"), "well", "save")
    f.label("save")
    outputs = o.demand(held.hold(f.call("ptr", "together", [results, carriers], declare=False)), "end")
    simply = f.binary("and", f.compare("ne", saving, NULL), f.compare("eq", own, 0))
    f.branch(simply, "simply", "otherwise")
    f.label("simply")
    with f.loop(0, o.size_of(outputs)) as loop:
        saved = f.call("i64", "save_output", [node, o.item(outputs, loop.index)], declare=False)
        o.unless(f.compare("ne", saved, 0), "end")
    f.jump("well")
    f.label("otherwise")
    o.drop(o.demand(o.call_method(o.named("save_outputs"), [node, outputs], room), "end"))
    f.jump("well")
    f.label("well")
    f.store(f.int(1), result)
    f.jump("end")
    f.label("end")
    held.drop()
    f.ret(f.load("i64", result))
    f.close()


def _together(module: Module, layout: Layout) -> None:
    """The results as a tuple: one of the only one, if no bits say which of several carry gradients."""
    o = Recording(module, layout, "together", "ptr", "results CARRIERS")
    f = o.f
    results, carriers = f.parameters
    f.branch(f.compare("eq", carriers, 0), "one", "several")
    f.label("several")
    f.ret(o.keep(results))
    f.label("one")
    outputs = o.demand(o.make_tuple(1), "failed")
    o.fill_item(outputs, 0, o.keep(results))
    f.ret(outputs)
    f.label("failed")
    f.ret(NULL)
    f.close()


def _carry(module: Module, layout: Layout) -> None:
    """Give several tensors their node, those that `carriers` has bits for; 0 after an error."""
    o = Recording(module, layout, "carry", "i64", "results node CARRIERS")
    f = o.f
    results, node, carriers = f.parameters
    with f.loop(0, o.size_of(results)) as loop:
        f.branch(f.compare("ne", f.binary("and", f.binary("lshr", carriers, loop.index), 1), 0), "this", "next")
        f.label("this")
        number = o.demand(o.integer(loop.index), "failed")
        o.replace(o.item(results, loop.index), "Tensor._index", number)
        o.replace(o.item(results, loop.index), "Tensor._node", o.keep(node))
        f.jump("next")
        f.label("next")
    f.ret(f.int(1))
    f.label("failed")
    f.ret(f.int(0))
    f.close()


def _arguments(module: Module, layout: Layout) -> None:
    """The tuple of operands: that which is given, or a new one."""
    o = Recording(module, layout, "arguments", "ptr", "given items COUNT")
    f = o.f
    given, items, count = f.parameters
    f.branch(o.is_same(given, NULL), "gather", "there")
    f.label("there")
    f.ret(o.keep(given))
    f.label("gather")
    gathered = o.demand(o.make_tuple(count), "failed")
    with f.loop(0, count) as loop:
        o.fill_item(gathered, loop.index, o.keep(f.load("ptr", f.offset(items, loop.index, "ptr"))))
    f.ret(gathered)
    f.label("failed")
    f.ret(NULL)
    f.close()


def _edges(module: Module, layout: Layout) -> None:
    """For each operand, where its gradient goes: (node, index) of those in `mask`, else None."""
    o = Recording(module, layout, "edges", "ptr", "items COUNT MASK")
    f = o.f
    items, count, mask = f.parameters
    edges = o.demand(o.make_tuple(count), "failed")
    with f.loop(0, count) as loop:
        wanted = f.binary("and", f.binary("lshr", mask, loop.index), 1)
        f.branch(f.compare("ne", wanted, 0), "edge", "nothing")
        f.label("edge")
        edge = o.demand(o.make_tuple(2), "broken")
        t = f.load("ptr", f.offset(items, loop.index, "ptr"))
        o.fill_item(edge, 0, o.keep(o.read(t, "Tensor._node")))
        o.fill_item(edge, 1, o.keep(o.read(t, "Tensor._index")))
        o.fill_item(edges, loop.index, edge)
        f.jump("next")
        f.label("nothing")
        o.fill_item(edges, loop.index, o.none())
        f.jump("next")
        f.label("next")
    f.ret(edges)
    f.label("broken")
    o.drop(edges)
    f.jump("failed")
    f.label("failed")
    f.ret(NULL)
    f.close()


def _site(module: Module, layout: Layout) -> None:
    """The site of the user's program, looked for from `depth` calls on, as `user_site` finds it; that is asked for
    what it does not know of a file yet."""
    o = Recording(module, layout, "site", "ptr", "depth")
    f = o.f
    (depth,) = f.parameters
    room, frame_at = f.stack("ptr", 1), f.stack("ptr", 1)
    f.store(o.demand(o.call(o.named("getframe"), [depth], room), "lost"), frame_at)
    f.jump("look")
    f.label("look")
    frame = f.load("ptr", frame_at)
    code = f.call("ptr", "PyFrame_GetCode", [frame])
    internal = o.look_up(o.named("internal"), o.read(code, "code.co_filename"))
    f.branch(o.is_named(internal, "False"), "found", "on")
    f.label("on")
    o.drop(code)
    f.branch(o.is_named(internal, "True"), "back", "ask")
    f.label("back")
    f.store(f.call("ptr", "PyFrame_GetBack", [frame]), frame_at)
    o.drop(frame)
    f.branch(o.is_same(f.load("ptr", frame_at), NULL), "lost", "look")
    f.label("found")
    offset = f.cast("sext", f.call("i32", "PyFrame_GetLasti", [frame]), "i64")
    o.drop(frame)
    site = o.demand(o.make_tuple(2), "failed")
    o.fill_item(site, 0, code)
    o.fill_item(site, 1, o.demand(o.integer(offset), "broken"))
    f.ret(site)
    f.label("broken")
    o.drop(site)
    f.ret(NULL)
    f.label("failed")
    o.drop(code)
    f.ret(NULL)
    f.label("ask")
    o.drop(frame)
    f.jump("python")
    f.label("lost")
    f.call("void", "PyErr_Clear", [])
    f.jump("python")
    f.label("python")
    f.ret(o.call(o.named("user_site"), [o.named("1")], room))
    f.close()


def _usual_saving(module: Module, layout: Layout) -> None:
    """What a node saves, borrowed, if that is known and nothing about it is unusual: no snapshots, nothing watched, no
    hooks on saved tensors, no tensor from inference mode. Null otherwise."""
    o = Recording(module, layout, "usual_saving", "ptr", "savings mask items")
    f = o.f
    savings, mask, items = f.parameters
    saving = o.demand(o.look_up(savings, mask), "unusual")
    for name in ("watched", "snapshots"):
        o.unless(f.compare("eq", o.size_of(o.read(saving, f"Saving.{name}")), 0), "unusual")
    top = o.demand(o.attribute(o.named("stack"), o.named("top")), "forget")
    o.drop(top)
    o.unless(o.is_named(top, "None"), "unusual")
    kept = o.read(saving, "Saving.kept")
    with f.loop(0, o.size_of(kept)) as loop:
        version = o.number(o.read(_kept_storage(o, items, o.item(kept, loop.index)), "Storage.version"))
        o.unless(f.compare("sge", version, 0), "unusual")
    f.ret(saving)
    f.label("forget")  # Python asks again, and meets the same error
    f.call("void", "PyErr_Clear", [])
    f.jump("unusual")
    f.label("unusual")
    f.ret(NULL)
    f.close()


def _kept_storage(o: Recording, items: Val, number: Val) -> Val:
    """The storage of the operand whose number a Python integer is."""
    return o.read(o.f.load("ptr", o.f.offset(items, o.number(number), "ptr")), "Tensor._storage")


def _node(module: Module, layout: Layout) -> None:
    """The node of an operation, as `record_node` makes it when the saving is usual; null after an error."""
    o = Recording(module, layout, "node", "ptr", "op metas outputs args edges site saving items COUNT")
    f = o.f
    op, metas, outputs, args, edges, site, saving, items, count = f.parameters
    node = o.demand(o.make(o.named("OpNode")), "failed")
    o.fill(node, "OpNode._seq", o.demand(f.call("ptr", "PyIter_Next", [o.named("sequence")]), "broken"))
    for name in ("_pre_hooks", "_post_hooks", "_retained", "_extra", "watched", "saved_outputs"):
        o.fill(node, f"OpNode.{name}", o.none())
    shared = {"op": op, "metas": metas, "_output_metas": outputs, "_edges": edges, "_site": site, "saving": saving}
    for name, thing in shared.items():
        o.fill(node, f"OpNode.{name}", o.keep(thing))
    with f.when(o.is_named(o.read(saving, "Saving.outputs"), "True")):
        o.replace(node, "OpNode.saved_outputs", o.demand(f.call("ptr", "PyList_New", [f.int(0)]), "broken"))
    nothing = o.read(saving, "Saving.nothing")
    f.branch(o.is_named(nothing, "None"), "some", "nothing")
    f.label("nothing")
    o.fill(node, "OpNode.args", o.keep(nothing))
    o.fill(node, "OpNode.versions", o.keep(o.named("no_versions")))
    f.ret(node)
    f.label("some")
    o.fill(node, "OpNode.args", o.demand(f.call("ptr", "kept", [args, saving, items, count], declare=False), "broken"))
    versions = o.demand(f.call("ptr", "versions", [saving, items], declare=False), "broken")
    o.fill(node, "OpNode.versions", versions)
    f.ret(node)
    f.label("broken")
    o.drop(node)
    f.jump("failed")
    f.label("failed")
    f.ret(NULL)
    f.close()


def _kept(module: Module, layout: Layout) -> None:
    """The arguments as a node keeps them: the tuple, or a list with None in the place of what is dropped."""
    o = Recording(module, layout, "kept", "ptr", "args saving items COUNT")
    f = o.f
    args, saving, items, count = f.parameters
    dropped = o.read(saving, "Saving.dropped")
    f.branch(f.compare("eq", o.size_of(dropped), 0), "all", "some")
    f.label("all")
    f.ret(o.keep(args))
    f.label("some")
    kept = o.demand(f.call("ptr", "PySequence_List", [args]), "failed")
    with f.loop(0, o.size_of(dropped)) as loop:
        f.call("i32", "PyList_SetItem", [kept, o.number(o.item(dropped, loop.index)), o.none()])
    f.ret(kept)
    f.label("failed")
    f.ret(NULL)
    f.close()


def _versions(module: Module, layout: Layout) -> None:
    """By the numbers of the arguments that are kept, how often they were changed in place; null after an error."""
    o = Recording(module, layout, "versions", "ptr", "saving items")
    f = o.f
    saving, items = f.parameters
    kept = o.read(saving, "Saving.kept")
    f.branch(f.compare("eq", o.size_of(kept), 0), "nothing", "some")
    f.label("nothing")
    f.ret(o.keep(o.named("no_versions")))
    f.label("some")
    versions = o.demand(f.call("ptr", "PyDict_New", []), "failed")
    with f.loop(0, o.size_of(kept)) as loop:
        number = o.item(kept, loop.index)
        version = o.read(_kept_storage(o, items, number), "Storage.version")
        o.unless(f.compare("eq", f.call("i32", "PyDict_SetItem", [versions, number, version]), 0), "broken")
    f.ret(versions)
    f.label("broken")
    o.drop(versions)
    f.jump("failed")
    f.label("failed")
    f.ret(NULL)
    f.close()


def _save_output(module: Module, layout: Layout) -> None:
    """Let a node save the tensor that it belongs to: its storage, its meta and its version. 0 after an error."""
    o = Recording(module, layout, "save_output", "i64", "node t")
    f = o.f
    node, t = f.parameters
    storage = o.read(t, "Tensor._storage")
    saved = o.demand(o.make_tuple(3), "failed")
    for i, thing in enumerate((storage, o.read(t, "Tensor._meta"), o.read(storage, "Storage.version"))):
        o.fill_item(saved, i, o.keep(thing))
    appended = f.call("i32", "PyList_Append", [o.read(node, "OpNode.saved_outputs"), saved])
    o.drop(saved)
    f.ret(f.cast("zext", f.compare("eq", appended, 0), "i64"))
    f.label("failed")
    f.ret(f.int(0))
    f.close()
