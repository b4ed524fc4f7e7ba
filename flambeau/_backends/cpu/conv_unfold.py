"""The input of a block of output positions, unfolded: a matrix with a row for every input channel and kernel position
(the depth of the product) and a column for every output position.

It is made in two steps. `gather` copies the input's lines that the block sees into a buffer, with zeros where they
reach over the border, and split by residue modulo the step, so that what neighbouring outputs see lies side by side.
`unfold` then copies whole vectors, whatever step and dilation are. Both write a vector further than asked for; what
comes later in memory is written later, and the buffers have room at their ends.
"""

from __future__ import annotations

from flambeau._backends.cpu.conv_geometry import Blocks, Correlation
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Word, Words

INPUT_NAMES = (
    "x_at x_image x_channel x_d x_h x_w size_d size_h size_w step_d step_h step_w taps_d taps_h taps_w "
    "offsets_d_at slots_h_at slots_w_at low_h low_w span_h span_w channels chunk taps depth "
    "planes rows columns line pitch count_d count_h count_w all_planes"
)


def line_words(c: Correlation, x: Word) -> dict[str, Word]:
    """What `gather` must know about the input, but for the length of its lines."""
    values: dict[str, Word] = {"x_at": x, "x_image": c.x.image, "x_channel": c.x.channel}
    for name, axis, step in zip("dhw", c.axes, c.x.space, strict=True):
        values |= {f"x_{name}": step, f"size_{name}": axis.size}
    d, _, w = c.axes
    return values | {"step_w": w.step, "taps_d": len(d.offsets), "offsets_d_at": _table(d.offsets)}


def input_words(c: Correlation, b: Blocks, x: Word) -> dict[str, Word]:
    """The values of INPUT_NAMES."""
    d, h, w = c.axes
    columns = [divmod(offset - w.low, w.step) for offset in w.offsets]
    return line_words(c, x) | {
        "step_d": d.step, "step_h": h.step, "taps_h": len(h.offsets), "taps_w": len(w.offsets),
        "slots_h_at": _table([offset - h.low for offset in h.offsets]),
        "slots_w_at": _table([residue * b.line + index for index, residue in columns]),
        "low_h": h.low, "low_w": w.low, "span_h": h.span, "span_w": w.span,
        "channels": c.channels, "chunk": b.channels, "taps": c.taps, "depth": c.depth,
        "planes": b.planes, "rows": b.rows, "columns": b.columns, "line": b.line, "pitch": b.pitch,
        "count_d": d.out, "count_h": h.out, "count_w": w.out, "all_planes": c.planes,
    }  # fmt: skip


def _table(numbers: list[int] | tuple[int, ...]) -> Words:
    return Words(tuple(numbers) or (0,))


class Copies:
    """The functions that move pieces of lines; `emit` adds them to a module. What lies over the border is `outside`."""

    def __init__(self, m: Module, element: str, outside: float = 0.0) -> None:
        self.m, self.element, self.outside = m, element, outside
        self.lanes = m.target.lanes(BYTES[element])
        self.vector = vector(element, self.lanes)

    def emit(self) -> None:
        self._clear()
        self._copy()
        self._scatter()

    def _clear(self) -> None:
        """`clear(to, count)`: what lies outside, up to a vector too many."""
        f = self.m.function("clear", "void", (("to", "ptr"), ("count", "i64")), internal=True)
        to, count = f.parameters
        with f.loop(0, count, self.lanes) as i:
            f.store(f.float(self.outside, self.vector), f.offset(to, i.index, self.element))
        f.ret()
        f.close()

    def _copy(self) -> None:
        """`copy(to, from, count, step)`: every step-th element; reads and writes nothing else."""
        parameters = (("to", "ptr"), ("from", "ptr"), ("count", "i64"), ("step", "i64"))
        f = self.m.function("copy", "void", parameters, internal=True)
        to, source, count, step = f.parameters
        vectors, scalars, done = f.fresh_label("vectors"), f.fresh_label("scalars"), f.fresh_label("done")
        long = f.compare("sge", count, self.lanes)
        f.branch(f.binary("and", f.compare("eq", step, 1), long), vectors, scalars)
        f.label(vectors)
        last = f.sub(count, self.lanes)
        with f.loop(0, last, self.lanes) as i:
            self._move(f, to, source, i.index)
        self._move(f, to, source, last)
        f.jump(done)
        f.label(scalars)
        with f.loop(0, count, 1, [source]) as j:
            f.store(f.load(self.element, j.carried[0]), f.offset(to, j.index, self.element))
            j.next = [f.offset(j.carried[0], step, self.element)]
        f.jump(done)
        f.label(done)
        f.ret()
        f.close()

    def _scatter(self) -> None:
        """`scatter(to, from, count, step)`: the inverse of `copy`."""
        parameters = (("to", "ptr"), ("from", "ptr"), ("count", "i64"), ("step", "i64"))
        f = self.m.function("scatter", "void", parameters, internal=True)
        to, source, count, step = f.parameters
        contiguous, apart = f.fresh_label("contiguous"), f.fresh_label("apart")
        f.branch(f.compare("eq", step, 1), contiguous, apart)
        f.label(contiguous)
        f.call("void", "copy", [to, source, count, f.int(1)], declare=False)
        f.ret()
        f.label(apart)
        with f.loop(0, count, 1, [to]) as j:
            f.store(f.load(self.element, f.offset(source, j.index, self.element)), j.carried[0])
            j.next = [f.offset(j.carried[0], step, self.element)]
        f.ret()
        f.close()

    def _move(self, f: Function, to: Val, source: Val, i: Val) -> None:
        f.store(f.load(self.vector, f.offset(source, i, self.element)), f.offset(to, i, self.element))


def emit_gather(copies: Copies, fields: Fields) -> None:
    """`gather(args, source, lines, channels, d, h, h_count, w, w_count)`: the input's lines h.. of h_count, positions
    w.. of w_count, for every tap of the outermost axis (from d on) and `channels` channels from `source` on.

    `lines` becomes (channels, taps of d, h_count, residues, line)."""
    names = ("channels", "d", "h", "h_count", "w", "w_count")
    parameters = [("args", "ptr"), ("source", "ptr"), ("lines", "ptr"), *[(n, "i64") for n in names]]
    f = copies.m.function("gather", "void", parameters, internal=True)
    args, source, lines, channels, d, h, h_count, w, w_count = f.parameters
    x_channel, x_d, x_h, x_w, size_d, size_h, size_w, step_w, taps_d, offsets_d, line = fields.read(
        f, args, "x_channel x_d x_h x_w size_d size_h size_w step_w taps_d offsets_d_at line"
    )
    e = copies.element
    whole_line = f.mul(step_w, line)
    with f.loop(0, step_w) as residue:
        start = f.add(w, residue.index)
        count = f.udiv(f.sub(f.add(w_count, step_w), f.add(residue.index, 1)), step_w)
        parts = _clipped(f, start, step_w, size_w, count)
        column = f.mul(f.add(start, f.mul(parts[0], step_w)), x_w)
        to = f.offset(lines, f.mul(residue.index, line), e)
        with f.loop(0, channels, 1, [to, f.offset(source, column, e)]) as c:
            with f.loop(0, taps_d, 1, [c.carried[0]]) as tap:
                depth = f.add(d, f.load("i64", f.offset(offsets_d, tap.index, "i64")))
                plane = f.offset(c.carried[1], f.mul(depth, x_d), e)
                inside = f.compare("ult", depth, size_d)
                with f.loop(0, h_count, 1, [tap.carried[0]]) as r:
                    height = f.add(h, r.index)
                    seen = f.binary("and", inside, f.compare("ult", height, size_h))
                    from_row = f.offset(plane, f.mul(height, x_h), e)
                    _gather_line(f, e, seen, r.carried[0], from_row, parts, f.mul(step_w, x_w))
                    r.next = [f.offset(r.carried[0], whole_line, e)]
                tap.next = r.results
            c.next = [tap.results[0], f.offset(c.carried[1], x_channel, e)]
    f.ret()
    f.close()


def _gather_line(f: Function, element: str, seen: Val, to: Val, source: Val, parts: tuple[Val, Val, Val], step: Val
                 ) -> None:  # fmt: skip
    """One line, of zeros if it is not `seen`; otherwise zeros, positions of the input, zeros."""
    before, inside, behind = parts
    inside = f.select(seen, inside, f.int(0))
    f.call("void", "clear", [to, f.select(seen, before, f.add(f.add(before, parts[1]), behind))], declare=False)
    middle = f.offset(to, before, element)
    f.call("void", "copy", [middle, source, inside, step], declare=False)
    behind = f.select(seen, behind, f.int(0))
    f.call("void", "clear", [f.offset(middle, inside, element), behind], declare=False)


def _clipped(f: Function, start: Val, step: Val, size: Val, count: Val) -> tuple[Val, Val, Val]:
    """Of `count` positions start, start + step...: how many lie before, inside and behind 0..size-1."""
    ahead = f.udiv(f.add(f.max(f.sub(0, start), 0), f.sub(step, 1)), step)
    before = f.min(ahead, count)
    end = f.udiv(f.add(f.max(f.sub(size, start), 0), f.sub(step, 1)), step)
    end = f.max(f.min(end, count), before)
    return before, f.sub(end, before), f.sub(count, end)


def emit_unfold(copies: Copies, fields: Fields) -> None:
    """`unfold(args, lines, matrix, channels, rows, columns, h_count)`: gathered lines as a matrix, `pitch` elements a
    row: row (channel, tap), column (row, column of the block)."""
    parameters = [("args", "ptr"), ("lines", "ptr"), ("matrix", "ptr"),
                  *[(n, "i64") for n in ("channels", "rows", "columns", "h_count")]]  # fmt: skip
    f = copies.m.function("unfold", "void", parameters, internal=True)
    args, lines, matrix, channels, rows, columns, h_count = f.parameters
    taps_d, taps_h, taps_w, slots_h, slots_w, step_h, step_w, line, pitch = fields.read(
        f, args, "taps_d taps_h taps_w slots_h_at slots_w_at step_h step_w line pitch"
    )
    e = copies.element
    whole_line = f.mul(step_w, line)
    next_row = f.mul(step_h, whole_line)
    slab = f.mul(h_count, whole_line)
    slabs = f.mul(channels, taps_d)
    with f.loop(0, slabs, 1, [lines, matrix]) as s:
        with f.loop(0, taps_h, 1, [s.carried[1]]) as h:
            top = f.offset(s.carried[0], f.mul(f.load("i64", f.offset(slots_h, h.index, "i64")), whole_line), e)
            with f.loop(0, taps_w, 1, [h.carried[0]]) as w:
                left = f.offset(top, f.load("i64", f.offset(slots_w, w.index, "i64")), e)
                with f.loop(0, rows, 1, [left, w.carried[0]]) as r:
                    source, to = r.carried
                    with f.loop(0, columns, copies.lanes) as i:
                        copies._move(f, to, source, i.index)
                    r.next = [f.offset(source, next_row, e), f.offset(to, columns, e)]
                w.next = [f.offset(w.carried[0], pitch, e)]
            h.next = w.results
        s.next = [f.offset(s.carried[0], slab, e), h.results[0]]
    f.ret()
    f.close()
