"""What is left of a recorded call: tensors of results that wait, and the instruction in the window."""

from __future__ import annotations

from flambeau._backends.cpu.cpython import NULL, Held, Layout
from flambeau._backends.cpu.emit import Module, Val
from flambeau._backends.cpu.recorder_forms import word
from flambeau._backends.cpu.recorder_objects import Recording


def write_records(module: Module, layout: Layout) -> None:
    """`make`, which records, and `run_if_full`."""
    for write in (_awaited, _results, _make, _run_if_full):
        write(module, layout)


def _awaited(module: Module, layout: Layout) -> None:
    """A tensor of what an instruction that waits in `window` will make, as `dispatch.awaited` makes it; null after an
    error."""
    o = Recording(module, layout, "awaited", "ptr", "m window")
    f = o.f
    m, window = f.parameters
    t = o.demand(o.make(o.named("Tensor")), "failed")
    storage = o.demand(o.make(o.named("Storage")), "no_storage")
    value = o.demand(o.make(o.named("Value")), "no_value")
    for name in ("array", "buffer", "failure"):
        o.fill(value, f"Value.{name}", o.none())
    o.fill(value, "Value.window", o.keep(window))
    o.fill(storage, "Storage.value", value)
    o.fill(storage, "Storage.version", o.keep(o.read(window, "Window.born")))
    o.fill(storage, "Storage.nbytes", o.keep(o.read(m, "Meta.nbytes")))
    o.fill(storage, "Storage.exposed", o.keep(o.named("False")))
    o.fill(storage, "Storage.changes", o.none())
    o.fill(t, "Tensor._meta", o.keep(m))
    o.fill(t, "Tensor._storage", storage)
    o.fill(t, "Tensor._index", o.keep(o.named("0")))
    for name in ("_node", "_base", "_base_node"):
        o.fill(t, f"Tensor.{name}", o.none())
    f.ret(t)
    f.label("no_value")
    o.drop(storage)
    f.jump("no_storage")
    f.label("no_storage")
    o.drop(t)
    f.jump("failed")
    f.label("failed")
    f.ret(NULL)
    f.close()


def _results(module: Module, layout: Layout) -> None:
    """What a call returns, the tensor or a tuple of several, whose values are put into `outputs`; null after an
    error."""
    o = Recording(module, layout, "results", "ptr", "metas outputs window")
    f = o.f
    metas, outputs, window = f.parameters
    count = o.size_of(metas)
    f.branch(f.compare("eq", count, 1), "one", "several")
    f.label("one")
    t = o.demand(f.call("ptr", "awaited", [o.item(metas, 0), window], declare=False), "failed")
    o.fill_item(outputs, 0, _value_of(o, t))
    f.ret(t)
    f.label("several")
    results = o.demand(o.make_tuple(count), "failed")
    with f.loop(0, count) as loop:
        t = o.demand(f.call("ptr", "awaited", [o.item(metas, loop.index), window], declare=False), "broken")
        o.fill_item(results, loop.index, t)
        o.fill_item(outputs, loop.index, _value_of(o, t))
    f.ret(results)
    f.label("broken")
    o.drop(results)
    f.jump("failed")
    f.label("failed")
    f.ret(NULL)
    f.close()


def _value_of(o: Recording, t: Val) -> Val:
    return o.keep(o.read(o.read(t, "Tensor._storage"), "Storage.value"))


def _make(module: Module, layout: Layout) -> None:
    """What a call returns, and the instruction that makes it, which is appended to the window and given back in `made`;
    null after an error. A call that can fail when it runs keeps its line. The operands are kept already, and are given
    back after an error."""
    o = Recording(module, layout, "make", "ptr", "op values COUNT line window FALLIBLE depth made", inline=True)
    f = o.f
    op, values, count, line, window, fallible, depth, made = f.parameters
    held, room, site_at = Held(o, 7), f.stack("ptr", 1), f.stack("ptr", 1)
    metas, inference = (held.hold(o.keep(word(o, line, name))) for name in ("metas", "inference"))
    promised, output_metas = word(o, line, "window_bytes", "i64"), o.read(inference, "Inference.outputs")
    instruction = o.demand(held.hold(o.make(o.named("Instruction"))), "failed")
    args = o.demand(held.hold(o.make_tuple(count)), "failed")
    outputs = o.demand(held.hold(o.make_tuple(o.size_of(output_metas))), "failed")
    results = f.call("ptr", "results", [output_metas, outputs, window], declare=False)
    o.demand(held.hold(results), "failed")
    f.store(o.none(), site_at)
    f.branch(f.compare("eq", fallible, 0), "fill", "site")
    f.label("site")
    o.drop(o.named("None"))
    site = o.demand(f.call("ptr", "site", [depth], declare=False), "failed")
    f.store(held.hold(site), site_at)
    o.drop(o.demand(o.call_method(o.named("can_fail"), [window], room), "failed"))
    f.jump("fill")
    f.label("fill")
    with f.loop(0, count) as loop:
        o.fill_item(args, loop.index, f.load("ptr", f.offset(values, loop.index, "ptr")))
    fields = {"op": o.keep(op), "args": args, "metas": metas, "inference": inference, "outputs": outputs}
    for name, content in (fields | {"site": f.load("ptr", site_at)}).items():
        o.fill(instruction, f"Instruction.{name}", content)
    total = f.add(o.number(o.read(window, "Window.nbytes")), promised)
    counted = o.demand(o.integer(total), "unsaid")
    appended = f.call_address(o.named("append"), [o.read(window, "Window.queue"), instruction], "ptr")
    o.demand(appended, "full")
    o.drop(appended)
    o.replace(window, "Window.nbytes", counted)
    f.store(instruction, made)
    f.ret(results)
    f.label("full")  # there is no memory to append it
    o.drop(counted)
    f.jump("unsaid")
    f.label("unsaid")
    o.drop(instruction)
    o.drop(results)
    f.ret(NULL)
    f.label("failed")
    held.drop()
    with f.loop(0, count) as loop:
        o.drop(f.load("ptr", f.offset(values, loop.index, "ptr")))
    f.ret(NULL)
    f.close()


def _run_if_full(module: Module, layout: Layout) -> None:
    """Run the window if it holds as much as it may; 0 after an error."""
    o = Recording(module, layout, "run_if_full", "i64", "window", inline=True)
    f = o.f
    (window,) = f.parameters
    room, config = f.stack("ptr", 1), o.named("config")
    most, most_bytes = (o.number(o.read(config, f"Config.window_{name}")) for name in ("instructions", "bytes"))
    many = f.compare("sge", o.size_of(o.read(window, "Window.queue")), most)
    large = f.compare("sge", o.number(o.read(window, "Window.nbytes")), most_bytes)
    f.branch(f.binary("or", many, large), "full", "well")
    f.label("full")
    o.drop(o.demand(o.call_method(o.named("flush"), [window], room), "failed"))
    f.jump("well")
    f.label("well")
    f.ret(f.int(1))
    f.label("failed")
    f.ret(f.int(0))
    f.close()
