"""One layer of an LSTM over a sequence (Hochreiter & Schmidhuber 1997), in one direction, and its gradients.

Examples of a batch do not meet, so a task takes some of them through all times; meanwhile the recurrent weight, packed
once, stays in the cache. Gates stand in the order input, forget, cell, output.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau._backends.cpu.casts import FLOATS, MEMORY
from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Step, Word
from flambeau._backends.cpu.primitives import primitive
from flambeau._backends.cpu.products import PITCH, Matrix, Products, Tile, tile_of
from flambeau._backends.cpu.strided import Dense
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

PANEL = PITCH  # columns of the packed weight that lie together
ROWS = 24  # examples of a task, at most
TASKS = 4  # that a batch should have if it is large enough

# `packed_at`: panels [rows of the factor][PANEL]; `buffer_at`: products and carried gradients of each task.
SIZES = " w_at packed_at buffer_at steps batch hidden rows panels buffer"
FORWARD = Fields("x_at h0_at c0_at h_at c_at gates_at" + SIZES)
BACKWARD = Fields("g_at g_h_at g_c_at gates_at c_at c0_at dx_at dh0_at dc0_at" + SIZES)


def lower_lstm(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """gates of the inputs x W_ih^T + b_ih + b_hh [T, N, 4H], h0 [N, H], c0 [N, H], W_hh [4H, H] -> h [T, N, H],
    c [T, N, H], the gates after their activations [T, N, 4H]."""
    names = "x_at h0_at c0_at w_at".split()
    return _lower(target, inputs, names, outputs, "h_at c_at gates_at".split(), False)


def lower_lstm_backward(
    target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
) -> Step | None:
    """The gradients of h [T, N, H], of the last h and the last c [N, H], then gates, c, c0, W_hh -> the gradients of
    the inputs' gates [T, N, 4H], of h0 and of c0. That of W_hh is a product of the first with h."""
    names = "g_at g_h_at g_c_at gates_at c_at c0_at w_at".split()
    return _lower(target, inputs, names, outputs, "dx_at dh0_at dc0_at".split(), True)


def _lower(
    target: Target,
    inputs: Sequence[Meta],
    names: list[str],
    outputs: Sequence[Meta],
    results: list[str],
    backward: bool,
) -> Step | None:
    d = inputs[0].dtype
    if d.name not in FLOATS or any(m.dtype is not d for m in inputs):
        return None
    steps, batch, _ = inputs[0].shape
    hidden = inputs[-1].shape[1]
    if 0 in (steps, batch, hidden):
        return None
    dense = Dense(target)
    words: dict[str, Word] = {name: dense.read(i, m) for i, (name, m) in enumerate(zip(names, inputs, strict=True))}
    words |= {name: Address(len(inputs) + i) for i, name in enumerate(results)}
    inner, outer = (4 * hidden, hidden) if backward else (hidden, 4 * hidden)
    panels = -(-outer // PANEL)
    tile = tile_of(target, batch)
    rows = min(ROWS, -(-batch // TASKS))
    rows = -(-rows // tile.height) * tile.height
    tasks = -(-batch // rows)
    buffer = rows * (panels * PANEL + hidden)
    words |= {"packed_at": dense.reserve(panels * PANEL * inner * d.itemsize),
              "buffer_at": dense.reserve(tasks * buffer * d.itemsize)}  # fmt: skip
    sizes = {"steps": steps, "batch": batch, "hidden": hidden, "rows": rows, "panels": panels, "buffer": buffer}
    block = (BACKWARD if backward else FORWARD).words(**words, **sizes)
    kernel = Kernel(generate_backward if backward else generate_forward, (MEMORY[d.name], tile), ("pack", "run"))
    launches = Launch(kernel, "pack", block, panels, max(1, panels // 4)), Launch(kernel, "run", block, tasks, 1)
    moved = sum([m.nbytes for m in (*inputs, *outputs)])
    flops = 8 * steps * batch * hidden * hidden
    return Step((*dense.launches, *launches), dense.scratch, moved, flops) if dense.supported else None


def generate_forward(target: Target, element: str, tile: Tile) -> str:
    """`pack`: with FORWARD, a task is a panel of W_hh^T. `run`: a task is `rows` examples."""
    m = Module(target)
    _Forward(m, element, tile, FORWARD).write()
    return m.text()


def generate_backward(target: Target, element: str, tile: Tile) -> str:
    """`pack`: with BACKWARD, a task is a panel of W_hh. `run`: a task is `rows` examples."""
    m = Module(target)
    _Backward(m, element, tile, BACKWARD).write()
    return m.text()


class _Layer:
    """What both directions share. `w` has the fields of the function being written."""

    def __init__(self, module: Module, element: str, tile: Tile, fields: Fields) -> None:
        self.module, self.element, self.fields = module, element, fields
        self.dtype = "float32" if element == "float" else "float64"
        self.b = Products(module, element, tile)

    def write(self) -> None:
        self._enter("pack")
        with self.f.loop(self.lo, self.hi) as panel:
            self.pack(panel.index)
        self._leave()
        self._enter("run")
        with self.f.loop(self.lo, self.hi) as task:
            first = self.f.mul(task.index, self.w["rows"])
            count = self.f.min(self.w["rows"], self.f.sub(self.w["batch"], first))
            self.run(self.at("buffer_at", self.f.mul(task.index, self.w["buffer"])), first, count)
        self._leave()

    def _enter(self, name: str) -> None:
        self.f, args, self.lo, self.hi = self.module.entry(name)
        fields = self.fields
        self.w = dict(zip(fields.names, fields.read(self.f, args, " ".join(fields.names)), strict=True))

    def _leave(self) -> None:
        self.f.ret()
        self.f.close()

    def pack(self, panel: Val) -> None:
        raise NotImplementedError

    def run(self, buffer: Val, first: Val, count: Val) -> None:
        raise NotImplementedError

    def at(self, name: str, index: Val) -> Val:
        return self.f.offset(self.w[name], index, self.element)

    def multiply(self, left: Matrix, inner: Val, products: Val, count: Val) -> None:
        """Rows [count, inner] times the packed weight."""
        f, pitch = self.f, self.f.mul(self.w["panels"], PANEL)
        with f.loop(0, self.w["panels"]) as panel:
            right = Matrix(self.at("packed_at", f.mul(panel.index, f.mul(inner, PANEL))), PANEL)
            to = Matrix(f.offset(products, f.mul(panel.index, PANEL), self.element), pitch)
            self.b.product(f, left, right, to, (count, PANEL, inner), added=False)

    def function(self, name: str, x: Val) -> Val:
        return primitive(self.f, name, self.dtype, [x])


class _Forward(_Layer):
    def pack(self, panel: Val) -> None:
        f, w = self.f, self.w
        first = f.mul(panel, PANEL)
        rows = f.min(f.sub(f.mul(w["hidden"], 4), first), PANEL)
        source = Matrix(self.at("w_at", f.mul(first, w["hidden"])), w["hidden"])
        self.b.turn(f, source, self.at("packed_at", f.mul(first, w["hidden"])), rows, w["hidden"])

    def run(self, buffer: Val, first: Val, count: Val) -> None:
        f, w = self.f, self.w
        with f.loop(0, w["steps"]) as t:
            start = f.compare("eq", t.index, 0)
            row = f.add(f.mul(t.index, w["batch"]), first)
            before = f.mul(f.sub(row, w["batch"]), w["hidden"])
            initial = f.mul(first, w["hidden"])
            h, c = (f.select(start, self.at(f"{n}0_at", initial), self.at(f"{n}_at", before)) for n in "hc")
            self.multiply(Matrix(h, w["hidden"]), w["hidden"], buffer, count)
            with f.loop(0, count) as i:
                products = f.offset(buffer, f.mul(i.index, f.mul(w["panels"], PANEL)), self.element)
                cell = f.offset(c, f.mul(i.index, w["hidden"]), self.element)
                self._example(f.add(row, i.index), products, cell)

    def _example(self, row: Val, products: Val, cell: Val) -> None:
        """One example at one time."""
        f, hidden = self.f, self.w["hidden"]
        place, gates = f.mul(row, hidden), f.mul(row, f.mul(hidden, 4))
        for lo, hi, lanes in spans(f, hidden, self.b.lanes):
            with f.loop(lo, hi, max(1, lanes)) as j:
                type = vector(self.element, lanes)
                activated = []
                for k, name in enumerate(("sigmoid", "sigmoid", "tanh", "sigmoid")):
                    at = f.add(f.mul(hidden, k), j.index)
                    own = f.load(type, self.at("x_at", f.add(gates, at)))
                    x = self.function(name, f.fadd(own, f.load(type, f.offset(products, at, self.element))))
                    f.store(x, self.at("gates_at", f.add(gates, at)))
                    activated.append(x)
                i, forget, g, o = activated
                c = f.fma(forget, f.load(type, f.offset(cell, j.index, self.element)), f.fmul(i, g))
                f.store(c, self.at("c_at", f.add(place, j.index)))
                f.store(f.fmul(o, self.function("tanh", c)), self.at("h_at", f.add(place, j.index)))


class _Backward(_Layer):
    def pack(self, panel: Val) -> None:
        f, w = self.f, self.w
        first, inner = f.mul(panel, PANEL), f.mul(w["hidden"], 4)
        columns = f.min(f.sub(w["hidden"], first), PANEL)
        to = Matrix(self.at("packed_at", f.mul(first, inner)), PANEL)
        self.b.copy(f, Matrix(self.at("w_at", first), w["hidden"]), to, (inner, columns), PANEL)

    def run(self, buffer: Val, first: Val, count: Val) -> None:
        """Backwards in time, with the gradients of h in the products and those of c behind them."""
        f, w = self.f, self.w
        hidden, pitch = w["hidden"], f.mul(w["panels"], PANEL)
        start = f.mul(first, hidden)
        dh, dc = Matrix(buffer, pitch), Matrix(f.offset(buffer, f.mul(w["rows"], pitch), self.element), hidden)
        for name, to in (("g_h_at", dh), ("g_c_at", dc)):
            self.b.copy(f, Matrix(self.at(name, start), hidden), to, (count, hidden), hidden)
        with f.loop(0, w["steps"]) as back:
            t = f.sub(f.sub(w["steps"], 1), back.index)
            row = f.add(f.mul(t, w["batch"]), first)
            before = f.mul(f.sub(row, w["batch"]), hidden)
            c = f.select(f.compare("eq", t, 0), self.at("c0_at", start), self.at("c_at", before))
            with f.loop(0, count) as i:
                cell, dc_row = (f.offset(x, f.mul(i.index, hidden), self.element) for x in (c, dc.at))
                dh_row = f.offset(buffer, f.mul(i.index, pitch), self.element)
                self._example(f.add(row, i.index), dh_row, dc_row, cell)
            gates = Matrix(self.at("dx_at", f.mul(row, f.mul(hidden, 4))), f.mul(hidden, 4))
            self.multiply(gates, f.mul(hidden, 4), buffer, count)
        for name, source in (("dh0_at", dh), ("dc0_at", dc)):
            self.b.copy(f, source, Matrix(self.at(name, start), hidden), (count, hidden), hidden)

    def _example(self, row: Val, dh_row: Val, dc_row: Val, cell: Val) -> None:
        """One example at one time: the gates' gradients, and that of the cell before."""
        f, hidden = self.f, self.w["hidden"]
        place, gates = f.mul(row, hidden), f.mul(row, f.mul(hidden, 4))
        for lo, hi, lanes in spans(f, hidden, self.b.lanes):
            with f.loop(lo, hi, max(1, lanes)) as j:
                type = vector(self.element, lanes)
                one = f.float(1.0, type)
                places = [f.add(gates, f.add(f.mul(hidden, k), j.index)) for k in range(4)]
                i, forget, g, o = (f.load(type, self.at("gates_at", p)) for p in places)
                here = f.add(place, j.index)
                carried = f.load(type, f.offset(dh_row, j.index, self.element))
                dh = f.fadd(f.load(type, self.at("g_at", here)), carried)
                tanh = self.function("tanh", f.load(type, self.at("c_at", here)))
                dc_at = f.offset(dc_row, j.index, self.element)
                through = f.fmul(f.fmul(dh, o), f.fsub(one, f.fmul(tanh, tanh)))
                dc = f.fadd(f.load(type, dc_at), through)
                previous = f.load(type, f.offset(cell, j.index, self.element))
                slope_g = f.fsub(one, f.fmul(g, g))
                slopes = [f.fmul(x, f.fsub(one, x)) for x in (i, forget, o)]
                gradients = (f.fmul(f.fmul(dc, g), slopes[0]), f.fmul(f.fmul(dc, previous), slopes[1]),
                             f.fmul(f.fmul(dc, i), slope_g), f.fmul(f.fmul(dh, tanh), slopes[2]))  # fmt: skip
                for p, x in zip(places, gradients, strict=True):
                    f.store(x, self.at("dx_at", p))
                f.store(f.fmul(dc, forget), dc_at)


def spans(f: Function, count: Val, lanes: int) -> tuple[tuple[Val, Val, int], tuple[Val, Val, int]]:
    """Whole vectors, then single elements: where they begin and end, and their lanes."""
    whole = f.binary("and", count, -lanes)
    return (f.int(0), whole, lanes), (whole, count, 0)
