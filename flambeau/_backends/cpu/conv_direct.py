"""Correlations with few filters a group, such as depthwise ones, without unfolding: vectors of outputs are added up
straight from the padded lines of the input, one kernel position after the other.

A row's last vectors overlap those before, so that there are no single outputs left over; where rows are short, several
are done at once, of which the last overlap those before, too.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from flambeau._backends.cpu import lines
from flambeau._backends.cpu.conv_forward import TASK_WORK
from flambeau._backends.cpu.conv_geometry import LINE_BYTES, Correlation, evenly, round_up
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scratch, Word
from flambeau._backends.cpu.lines import buffer, line_words, table
from flambeau._backends.cpu.target import Target

FEW_FILTERS = 3
MOST_VECTORS = 4  # of outputs that are added up at once
NAMES = (
    f"{lines.NAMES} x_at x_image step_d low_h low_w span_w channels taps count_d count_h count_w filters groups "
    "places_at channel_lines lines rows columns blocks_h blocks_w"
)
FIELDS = Fields(f"{NAMES} filters_at bias_at y_at y_image y_channel y_d y_h y_w")


class Block(NamedTuple):
    """A block is `rows` x `columns` outputs of one slice. They see `lines` padded lines of every channel and kernel
    tap of the outermost axis, with `line` elements a residue, and are made `vectors` x `lanes` at a time of each of
    `height` rows. `masked`: a row does not fill one vector."""

    rows: int
    columns: int
    lines: int
    line: int
    vectors: int
    lanes: int
    height: int
    masked: bool

    def blocks(self, c: Correlation) -> tuple[int, int]:
        """How many blocks there are along rows and columns of a slice."""
        return -(-c.axes[1].out // self.rows), -(-c.axes[2].out // self.columns)


def direct_block(c: Correlation, target: Target, itemsize: int) -> Block | None:
    """The block of a correlation that is done directly; None for one that has many filters or too many lines."""
    d, h, w = c.axes
    if c.filters > FEW_FILTERS or c.taps == 0:
        return None
    whole = target.lanes(itemsize)
    lanes, vectors = whole, MOST_VECTORS
    while lanes // 2 >= w.out:
        lanes //= 2
    while vectors > 1 and vectors * lanes > w.out:
        vectors //= 2
    rows, columns = h.out, w.out
    while True:
        line = round_up(-(-w.reach(columns) // w.step) + 2 * whole, whole)
        most = LINE_BYTES // (itemsize * c.channels * len(d.offsets) * w.step * line)
        if h.reach(rows) <= most:
            break
        if rows > 1:
            rows = -(-rows // 2)
        elif columns > 8 * vectors * lanes:
            columns = evenly(w.out, columns // 2)
        else:
            return None
    if 0 < w.out % columns < vectors * lanes:
        return None
    height = MOST_VECTORS // vectors
    while height > (h.out % rows or rows):
        height //= 2
    return Block(rows, columns, h.reach(rows), line, vectors, lanes, height, lanes > w.out)


def direct_words(element: str, c: Correlation, b: Block, x: Word) -> dict[str, Word]:
    """The values of NAMES. `places` says where the kernel's positions lie in the lines, seen from an output."""
    d, h, w = c.axes
    whole = w.step * b.line
    columns = [divmod(offset - w.low, w.step) for offset in w.offsets]
    places = [
        (i * b.lines + row - h.low) * whole + residue * b.line + index
        for i in range(len(d.offsets))
        for row in h.offsets
        for index, residue in columns
    ]
    blocks_h, blocks_w = b.blocks(c)
    return line_words(element, c.axes, c.x, b.line) | {
        "x_at": x, "x_image": c.x.image, "step_d": d.step, "low_h": h.low, "low_w": w.low, "span_w": w.span,
        "channels": c.channels, "taps": c.taps, "count_d": d.out, "count_h": h.out, "count_w": w.out,
        "filters": c.filters, "groups": c.groups, "places_at": table(places),
        "channel_lines": len(d.offsets) * b.lines * whole, "lines": b.lines, "rows": b.rows, "columns": b.columns,
        "blocks_h": blocks_h, "blocks_w": blocks_w,
    }  # fmt: skip


def direct_launch(element: str, c: Correlation, b: Block, x: Address, y: Address, filters: int, bias: int) -> Launch:
    """The launch that computes `c` from filters (a group, filter, channel, tap) and biases in scratch memory."""
    words = FIELDS.words(
        **direct_words(element, c, b, x), filters_at=Scratch(filters), bias_at=Scratch(bias),
        y_at=y._replace(offset=y.offset + c.y_first * BYTES[element]), y_image=c.y.image, y_channel=c.y.channel,
        y_d=c.y.space[0], y_h=c.y.space[1], y_w=c.y.space[2],
    )  # fmt: skip
    blocks_h, blocks_w = b.blocks(c)
    work = b.rows * b.columns * c.filters * c.depth
    kernel = Kernel(generate_direct, (element, b.lanes, b.vectors, b.height, b.masked), ("direct",))
    return Launch(kernel, "direct", words, c.planes * c.groups * blocks_h * blocks_w, max(1, TASK_WORK // work))


def emit_lines(f: Function, args: Val, element: str, image: Val, d: Val, h0: Val, w0: Val, columns: Val, group: Val,
               gathered: Val) -> None:  # fmt: skip
    """Gather the lines that a block of outputs of a group sees."""
    x, x_image, x_channel, channels, step_d, step_h, step_w, low_h, low_w, span_w, h_count = FIELDS.read(
        f, args, "x_at x_image x_channel channels step_d step_h step_w low_h low_w span_w lines"
    )
    start = f.add(f.mul(image, x_image), f.mul(f.mul(group, channels), x_channel))
    w_count = f.add(f.add(f.mul(f.sub(columns, 1), step_w), span_w), 1)
    h, w = f.add(f.mul(h0, step_h), low_h), f.add(f.mul(w0, step_w), low_w)
    source = f.offset(x, start, element)
    lines.Lines(f, args).gather(source, gathered, channels, f.mul(d, step_d), h, h_count, w, w_count)


def generate_direct(target: Target, element: str, lanes: int, vectors: int, height: int, masked: bool) -> str:
    """`direct`: one task is a block of outputs of all filters of a group."""
    m = Module(target)
    f, args, lo, hi = m.entry("direct")
    gathered, aside = buffer(f, element, LINE_BYTES), buffer(f, element, LINE_BYTES)
    y, *strides, filters_at, bias, filters, channels, groups = FIELDS.read(
        f, args, "y_at y_image y_channel y_d y_h y_w filters_at bias_at filters channels groups"
    )
    taps, count_d, count_h, count_w, rows, columns, blocks_h, blocks_w, step_h, step_w, line = FIELDS.read(
        f, args, "taps count_d count_h count_w rows columns blocks_h blocks_w step_h step_w line"
    )
    depth, next_line = f.mul(channels, taps), f.mul(step_h, f.mul(step_w, line))
    is_straight = f.compare("eq", strides[4], 1)
    with f.loop(lo, hi) as task:
        block_w, block_h, d, group, image = split_task(f, task.index, blocks_w, blocks_h, count_d, groups)
        h0, w0 = f.mul(block_h, rows), f.mul(block_w, columns)
        rows_here, columns_here = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
        emit_lines(f, args, element, image, d, h0, w0, columns_here, group, gathered)
        last = f.int(0) if masked else f.sub(columns_here, lanes * vectors)
        mask = f.mask_below(columns_here, lanes) if masked else None
        with f.loop(0, filters) as n:
            number = f.add(f.mul(group, filters), n.index)
            packed = f.offset(filters_at, f.mul(number, depth), element)
            start = f.splat(f.load(element, f.offset(bias, number, element)), lanes)
            index = f.int(0)
            for position, stride in zip((image, number, d, h0, w0), strides, strict=True):
                index = f.add(index, f.mul(position, stride))
            first = f.offset(y, index, element)
            with f.loop(0, rows_here, height) as r:
                row = f.min(r.index, f.sub(rows_here, height))
                window = f.offset(gathered, f.mul(row, next_line), element)
                rows_of_y = [f.offset(first, f.mul(strides[3], f.add(row, k)), element) for k in range(height)]
                rows_aside = [f.offset(aside, f.mul(next_line, k), element) for k in range(height)]
                to = [f.select(is_straight, *pair) for pair in zip(rows_of_y, rows_aside, strict=True)]
                with f.loop(0, columns_here, lanes * vectors) as i:
                    w = f.min(i.index, last)
                    starts = [[start] * vectors] * height
                    sums = iter(_sums(f, args, element, f.offset(window, w, element), packed, starts))
                    for k, v in itertools.product(range(height), range(vectors)):
                        place = f.offset(f.offset(to[k], w, element), v * lanes, element)
                        f.store_masked(next(sums), place, mask) if mask else f.store(next(sums), place)
                with f.when(f.compare("ne", strides[4], 1)):
                    for own, beside in zip(rows_of_y, rows_aside, strict=True):
                        lines.Lines(f, args).scatter(own, beside, columns_here, strides[4])
    f.ret()
    f.close()
    return m.text()


def _sums(f: Function, args: Val, element: str, window: Val, packed: Val, starts: list[list[Val]]) -> list[Val]:
    """The outputs whose first one sees the lines from `window` on: over all channels and kernel positions. `starts` are
    vectors of some rows."""
    channels, taps, places, channel_lines = FIELDS.read(f, args, "channels taps places_at channel_lines")
    step_h, step_w, line = FIELDS.read(f, args, "step_h step_w line")
    lanes, next_line = starts[0][0].lanes, f.mul(step_h, f.mul(step_w, line))
    shifts = [f.add(f.mul(next_line, k), v * lanes) for k, row in enumerate(starts) for v in range(len(row))]
    start = [x for row in starts for x in row]
    with f.loop(0, channels, 1, [*start, window, packed], guard=False) as c:
        *sums, first, filter = c.carried
        with f.loop(0, taps, 1, sums, guard=False) as tap:
            at = f.offset(first, f.load("i64", f.offset(places, tap.index, "i64")), element)
            factor = f.splat(f.load(element, f.offset(filter, tap.index, element)), lanes)
            tap.next = [
                f.fma(factor, f.load(x.type, f.offset(at, shift, element)), x)
                for shift, x in zip(shifts, tap.carried, strict=True)
            ]
        c.next = [*tap.results, f.offset(first, channel_lines, element), f.offset(filter, taps, element)]
    return c.results[:-2]
