"""The sum of what the parts of k contribute to a matrix product, where k is long and C small: the parts are then tasks
of their own, with a C each."""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_epilogue import EPILOGUE, call_epilogue
from flambeau._backends.cpu.matmul_pack import batch_offsets
from flambeau._backends.cpu.target import Target

FIELDS = Fields("parts_at c_at bias_at parts m n bias_row bias_n dims batch_at " + EPILOGUE)


def parts_kernel(element: str, bias: bool) -> Kernel:
    return Kernel(generate_parts, (element, bias), ("sum",))


def generate_parts(target: Target, element: str, bias: bool) -> str:
    """`sum`: with FIELDS, C = bias + the sum over the parts [batch][part][m][n], in their order. A task is a row."""
    m = Module(target)
    f, args, lo, hi = m.entry("sum")
    w = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
    lanes = target.lanes(BYTES[element])
    size = f.mul(w["m"], w["n"])
    with f.loop(lo, hi) as task:
        row, number = split_task(f, task.index, w["m"])
        (moved,) = batch_offsets(f, w["batch_at"], w["dims"], number, (2,))
        start = f.offset(w["bias_at"], f.add(moved, f.mul(row, w["bias_row"])), element)
        first = f.add(f.mul(f.mul(number, w["parts"]), size), f.mul(row, w["n"]))
        source = f.offset(w["parts_at"], first, element)
        to = f.offset(w["c_at"], f.mul(task.index, w["n"]), element)
        whole = f.binary("and", w["n"], -lanes)
        if bias:
            whole = f.select(f.compare("eq", w["bias_n"], 1), whole, f.int(0))
        for type, begin, end in ((vector(element, lanes), f.int(0), whole), (element, whole, w["n"])):
            with f.loop(begin, end, lanes if type != element else 1) as column:
                before = f.offset(start, f.mul(column.index, w["bias_n"]), element)
                x = f.load(type, before) if bias else f.float(0.0, type)
                x = _added(f, x, f.offset(source, column.index, element), w["parts"], size)
                f.store(x, f.offset(to, column.index, element))
        call_epilogue(f, w, number, (row, f.add(row, 1)), (f.int(0), w["n"]))
    f.ret()
    f.close()
    return m.text()


def _added(f: Function, x: Val, source: Val, parts: Val, size: Val) -> Val:
    with f.loop(0, parts, 1, [x, source], guard=False) as part:
        total, place = part.carried
        part.next = [f.fadd(total, f.load(x.type, place)), f.offset(place, size, x.element)]
    return part.results[0]
