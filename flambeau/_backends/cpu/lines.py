"""Lines of images, as convolutions and poolings read them: with what lies beyond the border, and unfolded.

`gather` copies the lines that a block of outputs sees into a buffer, with zeros (or another number) where they reach
over the border, and split by residue modulo the step, so that what neighbouring outputs see lies side by side.
`unfold` makes of them a matrix with a row for every input channel and kernel position (the depth of a product) and a
column for every output position (see `RowClasses` for what positions share); whatever step and dilation are, it copies
whole vectors. Both write up to a vector more than asked for: what comes later in memory is written later, and buffers
have room at their ends.

These functions are kernels of their own, which those of convolutions and poolings call by address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from flambeau._backends.cpu.conv_geometry import CACHE_LINE, Axes, Strides, row_classes
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Entry, Kernel, Word, Words, double_bits
from flambeau._backends.cpu.target import Target

# The first words of every kernel that works on lines, so that the functions here find them.
NAMES = (
    "gather_at unfold_at copy_at scatter_at x_channel x_d x_h x_w size_d size_h size_w step_h step_w "
    "taps_d taps_w offsets_d_at slots_w_at classes starts_at extra_at line pitch outside"
)
FIELDS = Fields(NAMES)


def line_words(
    element: str, axes: Axes, x: Strides, line: int, pitch: int = 0, outside: float = 0.0, across: bool = False,
    shifted: bool = False,
) -> dict[str, Word]:  # fmt: skip
    """The values of NAMES for the input of a correlation. `line` elements lie between the residues of a line, `pitch`
    between the rows of the unfolded matrix. `across`: channels are side by side in memory, and never fewer than a
    vector of them are gathered. `shifted`: see `Blocks`."""
    d, h, w = axes
    classes = row_classes(h, shifted)
    columns = [divmod(offset - w.low, w.step) for offset in w.offsets]
    values: dict[str, Word] = {
        f"{name}_at": Entry(lines_kernel(element), name) for name in ("gather", "unfold", "copy", "scatter")
    }
    if across:
        values["gather_at"] = Entry(across_kernel(element), "gather")
    for name, axis, stride in zip("dhw", axes, x.space, strict=True):
        values |= {f"x_{name}": stride, f"size_{name}": axis.size}
    return values | {
        "x_channel": x.channel, "step_h": h.step, "step_w": w.step, "offsets_d_at": table(d.offsets),
        "taps_d": len(d.offsets), "taps_w": len(w.offsets), "classes": len(classes.starts),
        "starts_at": table(classes.starts), "extra_at": table(classes.extra),
        "slots_w_at": table([residue * line + index for index, residue in columns]),
        "line": line, "pitch": pitch, "outside": double_bits(outside),
    }  # fmt: skip


def table(numbers: Sequence[int]) -> Words:
    """Numbers for a kernel to look up; never none at all."""
    return Words(tuple(numbers) or (0,))


def buffer(f: Function, element: str, nbytes: int) -> Val:
    """Memory on the stack with room for a few vectors too many."""
    return f.stack(element, (nbytes + 8 * CACHE_LINE) // BYTES[element])


class Lines:
    """The functions of this module for a kernel that is being written: `lines.copy(to, source, count, step)`."""

    def __init__(self, f: Function, args: Val) -> None:
        self.f, self.args = f, args
        self._gather, self._unfold, self._copy, self._scatter = FIELDS.read(
            f, args, "gather_at unfold_at copy_at scatter_at"
        )

    def gather(self, source: Val, lines: Val, *numbers: Val) -> None:
        """`numbers`: channels, d, h, h_count, w, w_count. The input's lines h.. of h_count, their positions w.. of
        w_count, for every tap of the outermost axis (seen from d) and as many channels from `source` on.

        `lines` becomes (channels, taps of d, h_count, residues, line)."""
        self.f.call_address(self._gather, [self.args, source, lines, *numbers])

    def unfold(self, lines: Val, matrix: Val, *numbers: Val) -> None:
        """`numbers`: channels, rows, columns, h_count. Gathered lines as a matrix of `pitch` elements a row: row (tap
        of the outermost axis, class, channel, tap in a row), column (line of the class, column of the block)."""
        self.f.call_address(self._unfold, [self.args, lines, matrix, *numbers])

    def copy(self, to: Val, source: Val, count: Val, step: Val) -> None:
        """Every step-th element of `source`; reads and writes nothing else."""
        self.f.call_address(self._copy, [to, source, count, step])

    def scatter(self, to: Val, source: Val, count: Val, step: Val) -> None:
        """The inverse of `copy`: `to` has them `step` elements apart."""
        self.f.call_address(self._scatter, [to, source, count, step])


def lines_kernel(element: str) -> Kernel:
    return Kernel(generate_lines, (element,), ("gather", "unfold", "copy", "scatter"))


def across_kernel(element: str) -> Kernel:
    return Kernel(generate_across, (element,), ("gather",))


def generate_lines(target: Target, element: str) -> str:
    """`gather`, `unfold`, `copy` and `scatter`."""
    m = Module(target)
    _emit_clear(m, element)
    _emit_copy(m, element)
    _emit_scatter(m, element)
    _emit_gather(m, element, 1, _gather_line)
    _emit_unfold(m, element)
    return m.text()


def generate_across(target: Target, element: str) -> str:
    """`gather` for channels side by side in memory: squares of positions and channels are turned over."""
    m = Module(target)
    _emit_clear(m, element)
    _emit_gather(m, element, target.lanes(BYTES[element]), _gather_across)
    return m.text()


# ---------------------------------------------------------------------------------------------- pieces of lines


def _emit_clear(m: Module, element: str) -> None:
    """`clear(to, count, value)`: up to a vector too many."""
    lanes = m.target.lanes(BYTES[element])
    f = m.function("clear", "void", (("to", "ptr"), ("count", "i64"), ("value", element)), internal=True)
    to, count, value = f.parameters
    values = f.splat(value, lanes)
    with f.loop(0, count, lanes) as i:
        f.store(values, f.offset(to, i.index, element))
    f.ret()
    f.close()


_PIECE = (("to", "ptr"), ("source", "ptr"), ("count", "i64"), ("step", "i64"))


def _emit_copy(m: Module, element: str) -> None:
    lanes = m.target.lanes(BYTES[element])
    f = m.function("copy", "void", _PIECE)
    to, source, count, step = f.parameters
    last = f.sub(count, lanes)
    by_one = f.binary("and", f.compare("eq", step, 1), f.compare("sge", last, 0))
    by_two = f.binary("and", f.compare("eq", step, 2), f.compare("sgt", last, 0))
    with _case(f, by_one):
        with f.loop(0, last, lanes) as i:
            move(f, element, lanes, to, source, i.index)
        move(f, element, lanes, to, source, last)
    with _case(f, by_two):
        with f.loop(0, last, lanes) as i:
            pair = _pair(f, element, lanes, f.offset(source, f.mul(i.index, 2), element))
            f.store(f.shuffle(*pair, range(0, 2 * lanes, 2)), f.offset(to, i.index, element))
        # The last elements are the odd ones from one before, so that nothing behind them is read.
        pair = _pair(f, element, lanes, f.offset(source, f.sub(f.mul(last, 2), 1), element))
        f.store(f.shuffle(*pair, range(1, 2 * lanes, 2)), f.offset(to, last, element))
    half = lanes // 2
    while half > 1:  # two vectors that overlap
        with _case(f, f.binary("and", f.compare("eq", step, 1), f.compare("sge", count, half))):
            move(f, element, half, to, source, f.int(0))
            move(f, element, half, to, source, f.sub(count, half))
        half //= 2
    with f.loop(0, count, 1, [source]) as j:
        f.store(f.load(element, j.carried[0]), f.offset(to, j.index, element))
        j.next = [f.offset(j.carried[0], step, element)]
    f.ret()
    f.close()


def _emit_scatter(m: Module, element: str) -> None:
    lanes = m.target.lanes(BYTES[element])
    f = m.function("scatter", "void", _PIECE)
    to, source, count, step = f.parameters
    with _case(f, f.compare("eq", step, 1)):
        f.call("void", "copy", [to, source, count, f.int(1)], declare=False)
    # With a step of 2, what lies between is read and written back; nobody else writes there at the same time.
    whole = f.select(f.compare("eq", step, 2), f.max(f.sub(count, lanes), 0), f.int(0))
    with f.loop(0, whole, lanes) as i:
        place = f.offset(to, f.mul(i.index, 2), element)
        pair = _pair(f, element, lanes, place)
        values = f.load(vector(element, lanes), f.offset(source, i.index, element))
        for half, old in enumerate(pair):
            first = half * lanes // 2
            order = [lanes + j if j % 2 else first + j // 2 for j in range(lanes)]
            f.store(f.shuffle(values, old, order), f.offset(place, half * lanes, element))
    done = f.select(f.compare("sgt", whole, 0), f.binary("and", f.add(whole, lanes - 1), -lanes), f.int(0))
    with f.loop(done, count, 1, [f.offset(to, f.mul(done, step), element)]) as j:
        f.store(f.load(element, f.offset(source, j.index, element)), j.carried[0])
        j.next = [f.offset(j.carried[0], step, element)]
    f.ret()
    f.close()


@contextmanager
def _case(f: Function, condition: Val) -> Iterator[None]:
    """The block runs if the condition holds, and then the function returns."""
    then, otherwise = f.fresh_label("case"), f.fresh_label("otherwise")
    f.branch(condition, then, otherwise)
    f.label(then)
    yield
    f.ret()
    f.label(otherwise)


def _pair(f: Function, element: str, lanes: int, at: Val) -> tuple[Val, Val]:
    """Two vectors, one behind the other."""
    return f.load(vector(element, lanes), at), f.load(vector(element, lanes), f.offset(at, lanes, element))


def move(f: Function, element: str, lanes: int, to: Val, source: Val, i: Val) -> None:
    """Copy the vector from element `i` on."""
    f.store(f.load(vector(element, lanes), f.offset(source, i, element)), f.offset(to, i, element))


# ---------------------------------------------------------------------------------------------- gathering

# Writes one line, or the lines of a few channels: (function, element, where it goes, from where, how many positions lie
# before, inside and behind the border, elements between positions, between lines of neighbouring channels, outside).
_Write = Callable[[Function, str, Val, Val, tuple[Val, Val, Val], Val, Val, Val], None]


def _emit_gather(m: Module, element: str, together: int, write: _Write) -> None:
    """`gather`, which writes the lines of `together` channels at a time; the last channels perhaps twice."""
    names = ("channels", "d", "h", "h_count", "w", "w_count")
    parameters = [("args", "ptr"), ("source", "ptr"), ("lines", "ptr"), *[(n, "i64") for n in names]]
    f = m.function("gather", "void", parameters)
    args, source, lines, channels, d, h, h_count, w, w_count = f.parameters
    x_channel, x_d, x_h, x_w, size_d, size_h, size_w, step_w, taps_d, offsets_d, line, outside = FIELDS.read(
        f, args, "x_channel x_d x_h x_w size_d size_h size_w step_w taps_d offsets_d_at line outside"
    )
    value = f.bitcast(outside, "double")
    value = f.cast("fptrunc", value, element) if element == "float" else value
    whole_line = f.mul(step_w, line)
    slab = f.mul(h_count, whole_line)
    volume = f.mul(taps_d, slab)
    last = f.sub(channels, together)
    with f.loop(0, step_w) as residue:
        start = f.add(w, residue.index)
        count = f.udiv(f.sub(f.add(w_count, step_w), f.add(residue.index, 1)), step_w)
        parts = _clipped(f, start, step_w, size_w, count)
        column = f.mul(f.add(start, f.mul(parts[0], step_w)), x_w)
        bounds = {"channel": (channels, together), "tap": (taps_d, 1), "row": (h_count, 1)}
        order = ("tap", "row", "channel") if together > 1 else ("channel", "tap", "row")
        (n0, s0), (n1, s1), (n2, s2) = (bounds[name] for name in order)
        with f.loop(0, n0, s0) as i, f.loop(0, n1, s1) as j, f.loop(0, n2, s2) as k:
            at = dict(zip(order, (i.index, j.index, k.index), strict=True))
            channel = f.min(at["channel"], last) if together > 1 else at["channel"]
            depth = f.add(d, f.load("i64", f.offset(offsets_d, at["tap"], "i64")))
            height = f.add(h, at["row"])
            seen = f.binary("and", f.compare("ult", depth, size_d), f.compare("ult", height, size_h))
            place = f.add(f.mul(channel, volume), f.add(f.mul(at["tap"], slab), f.mul(at["row"], whole_line)))
            index = f.add(f.mul(channel, x_channel), f.add(f.mul(depth, x_d), f.mul(height, x_h)))
            write(f, element, f.offset(lines, f.add(place, f.mul(residue.index, line)), element),
                  f.offset(source, f.add(index, column), element), _if_seen(f, seen, parts), f.mul(step_w, x_w), volume,
                  value)  # fmt: skip
    f.ret()
    f.close()


def _if_seen(f: Function, seen: Val, parts: tuple[Val, Val, Val]) -> tuple[Val, Val, Val]:
    """The parts of a line; all of one that is not seen lies before the border."""
    all = f.add(parts[0], f.add(parts[1], parts[2]))
    none = f.int(0)
    return f.select(seen, parts[0], all), f.select(seen, parts[1], none), f.select(seen, parts[2], none)


def _clipped(f: Function, start: Val, step: Val, size: Val, count: Val) -> tuple[Val, Val, Val]:
    """Of `count` positions start, start + step...: how many lie before, inside and behind 0..size-1."""
    ahead = f.udiv(f.add(f.max(f.sub(0, start), 0), f.sub(step, 1)), step)
    before = f.min(ahead, count)
    end = f.udiv(f.add(f.max(f.sub(size, start), 0), f.sub(step, 1)), step)
    end = f.max(f.min(end, count), before)
    return before, f.sub(end, before), f.sub(count, end)


def _gather_line(f: Function, element: str, to: Val, source: Val, parts: tuple[Val, Val, Val], step: Val, _: Val,
                 value: Val) -> None:  # fmt: skip
    before, inside, behind = parts
    f.call("void", "clear", [to, before, value], declare=False)
    middle = f.offset(to, before, element)
    f.call("void", "copy", [middle, source, inside, step], declare=False)
    f.call("void", "clear", [f.offset(middle, inside, element), behind, value], declare=False)


def _gather_across(f: Function, element: str, to: Val, source: Val, parts: tuple[Val, Val, Val], step: Val, volume: Val,
                   value: Val) -> None:  # fmt: skip
    """As many channels as a vector has lanes."""
    before, inside, behind = parts
    lanes = f.target.lanes(BYTES[element])
    middle = f.offset(to, before, element)
    with f.loop(0, lanes, 1, [to]) as line:
        f.call("void", "clear", [line.carried[0], before, value], declare=False)
        line.next = [f.offset(line.carried[0], volume, element)]
    last = f.sub(inside, lanes)
    squares = f.select(f.compare("sge", inside, lanes), inside, f.int(0))
    with f.loop(0, squares, lanes) as i:
        first = f.min(i.index, last)
        turn_square(f, element, f.offset(middle, first, element), volume,
                    f.offset(source, f.mul(first, step), element), step)  # fmt: skip
    with f.loop(squares, inside) as i:
        x = f.load(vector(element, lanes), f.offset(source, f.mul(i.index, step), element))
        for lane in range(lanes):
            place = f.add(f.mul(volume, lane), i.index)
            f.store(f.extract(x, lane), f.offset(middle, place, element))
    with f.loop(0, lanes, 1, [f.offset(middle, inside, element)]) as line:
        f.call("void", "clear", [line.carried[0], behind, value], declare=False)
        line.next = [f.offset(line.carried[0], volume, element)]


def turn_square(f: Function, element: str, to: Val, to_pitch: Val, source: Val, pitch: Val) -> None:
    """Copy a square of as many rows as a vector has lanes, rows to columns."""
    lanes = f.target.lanes(BYTES[element])
    rows = [
        f.load(vector(element, lanes), f.offset(source, f.mul(pitch, i), element) if i else source)
        for i in range(lanes)
    ]
    for i, row in enumerate(transpose(f, rows)):
        f.store(row, f.offset(to, f.mul(to_pitch, i), element) if i else to)


def transpose(f: Function, rows: list[Val]) -> list[Val]:
    """As many vectors as they have lanes, as a square matrix turned over: blocks of 1, 2, 4... lanes change places."""
    n = len(rows)
    size = 1
    while size < n:
        low = [j if not j & size else n + (j ^ size) for j in range(n)]
        high = [j | size if not j & size else n + j for j in range(n)]
        turned = list(rows)
        for i in range(n):
            if not i & size:
                turned[i] = f.shuffle(rows[i], rows[i | size], low)
                turned[i | size] = f.shuffle(rows[i], rows[i | size], high)
        rows = turned
        size *= 2
    return rows


# ---------------------------------------------------------------------------------------------- unfolding


def _emit_unfold(m: Module, element: str) -> None:
    lanes = m.target.lanes(BYTES[element])
    names = ("channels", "rows", "columns", "h_count")
    parameters = [("args", "ptr"), ("lines", "ptr"), ("matrix", "ptr"), *[(n, "i64") for n in names]]
    f = m.function("unfold", "void", parameters)
    args, lines, matrix, channels, rows, columns, h_count = f.parameters
    taps_d, taps_w, slots_w, classes, starts, extra, step_h, step_w, line, pitch = FIELDS.read(
        f, args, "taps_d taps_w slots_w_at classes starts_at extra_at step_h step_w line pitch"
    )
    whole_line = f.mul(step_w, line)
    next_row, slab = f.mul(step_h, whole_line), f.mul(h_count, whole_line)
    volume = f.mul(taps_d, slab)
    with f.loop(0, f.mul(taps_d, classes), 1, [matrix]) as group:
        tap, number = f.udiv(group.index, classes), f.urem(group.index, classes)
        start = f.mul(f.load("i64", f.offset(starts, number, "i64")), whole_line)
        count = f.add(rows, f.load("i64", f.offset(extra, number, "i64")))
        top = f.offset(lines, f.add(f.mul(tap, slab), start), element)
        with f.loop(0, channels, 1, [top, group.carried[0]]) as c:
            with f.loop(0, taps_w, 1, [c.carried[1]]) as w:
                left = f.offset(c.carried[0], f.load("i64", f.offset(slots_w, w.index, "i64")), element)
                with f.loop(0, count, 1, [left, w.carried[0]]) as r:
                    source, to = r.carried
                    with f.loop(0, columns, lanes) as i:
                        move(f, element, lanes, to, source, i.index)
                    r.next = [f.offset(source, next_row, element), f.offset(to, columns, element)]
                w.next = [f.offset(w.carried[0], pitch, element)]
            c.next = [f.offset(c.carried[0], volume, element), w.results[0]]
        group.next = [c.results[1]]
    f.ret()
    f.close()
