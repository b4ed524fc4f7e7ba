"""Correlations as matrix products: packed filters times the unfolded input of a block of positions.

The products of a block go straight to the output where the block's positions lie side by side there; otherwise
(channels innermost, every other position of a transposed convolution, several small images in a block) they are
collected in a buffer and laid out when they are complete.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import conv_blocks
from flambeau._backends.cpu.conv_blocks import block_words, emit_block, emit_segments, segment_table
from flambeau._backends.cpu.conv_geometry import (
    CACHE_LINE,
    COLUMN_BYTES,
    FILTERS,
    LINE_BYTES,
    POSITION_BYTES,
    Blocks,
    Correlation,
    Panels,
    panels_of,
)
from flambeau._backends.cpu.conv_tile import tile_kernel, tile_rows, tile_width
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch
from flambeau._backends.cpu.lines import Lines, buffer, turn_square
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    f"{conv_blocks.NAMES} filters_at bias_at y_at y_image y_channel y_d y_h y_w direct filters lay_out_at "
    "panels panel_height panels_tall panels_each tall_tile_at low_tile_at tasks_w tasks_h tasks_planes tasks_panels"
)
TASK_WORK = 1 << 16  # products that are worth a task of their own


def correlation_launch(
    target: Target, element: str, c: Correlation, b: Blocks, x: Address, y: Address, filters: int, bias: int
) -> Launch:
    """The launch that computes `c` from packed filters and biases at those places in scratch memory."""
    itemsize = BYTES[element]
    counts = {
        "tasks_w": -(-c.axes[2].out // b.columns), "tasks_h": -(-c.axes[1].out // b.rows),
        "tasks_planes": -(-c.planes // b.planes),
    }  # fmt: skip
    p = panels_of(c.filters, tile_rows(target), c.groups * math.prod(counts.values()))
    counts["tasks_panels"] = -(-p.number // p.each)
    tall, low = (Entry(tile_kernel(element, rows), "tile") for rows in (p.height, p.height - (p.tall < p.number)))
    across = _across(c, b, p, target.lanes(itemsize))
    words = FIELDS.words(
        **block_words(target, element, c, b, x), filters_at=Scratch(filters), bias_at=Scratch(bias),
        y_at=y._replace(offset=y.offset + c.y_first * itemsize), y_image=c.y.image, y_channel=c.y.channel,
        y_d=c.y.space[0], y_h=c.y.space[1], y_w=c.y.space[2], direct=int(_direct(c, b)), filters=c.filters,
        lay_out_at=0 if _direct(c, b) else Entry(Kernel(generate_lay_out, (element, across), ("lay_out",)), "lay_out"),
        panels=p.number, panel_height=p.height, panels_tall=p.tall, panels_each=p.each,
        tall_tile_at=tall, low_tile_at=low, **counts,
    )  # fmt: skip
    tasks = c.groups * math.prod(counts.values())
    work = b.planes * b.rows * b.columns * c.depth * -(-c.filters // counts["tasks_panels"])
    kernel = Kernel(generate_correlation, (element,), ("correlate",))
    return Launch(kernel, "correlate", words, tasks, max(1, TASK_WORK // max(1, work)))


def _direct(c: Correlation, b: Blocks) -> bool:
    """Do the positions of a block lie side by side in the output?"""
    side_by_side = b.columns == 1 or c.y.space[2] == 1
    return b.planes == 1 and side_by_side and (b.rows == 1 or c.y.space[1] == b.columns)


def _across(c: Correlation, b: Blocks, p: Panels, lanes: int) -> bool:
    """Do the filters lie side by side in the output, and has every task a vector of them and of positions in a run?"""
    _, h, w = c.axes
    first = (p.number - 1) // p.each * p.each  # panel of the last task
    filters = c.filters - first * p.height + max(0, first - p.tall)
    rows, columns = (n - (-(-n // block) - 1) * block for n, block in ((h.out, b.rows), (w.out, b.columns)))
    run = rows * columns if c.y.space[1] == b.columns * c.y.space[2] else columns
    return c.y.channel == 1 and filters >= lanes and run >= lanes


def generate_correlation(target: Target, element: str) -> str:
    """`correlate`: one task is a block of positions and some panels of filters of one group."""
    m = Module(target)
    _emit_multiply(m, element)
    _emit_entry(m, element)
    return m.text()


def _emit_entry(m: Module, element: str) -> None:
    f, args, lo, hi = m.entry("correlate")
    gathered, matrix = buffer(f, element, LINE_BYTES), buffer(f, element, COLUMN_BYTES)
    sums = buffer(f, element, FILTERS * (POSITION_BYTES + 8 * CACHE_LINE))
    channels, chunk, planes, rows, columns, each = FIELDS.read(
        f, args, "channels chunk planes rows columns panels_each"
    )
    counts = FIELDS.read(f, args, "tasks_w tasks_h tasks_planes tasks_panels")
    with f.loop(lo, hi) as task:
        w, h, p, panel, group = split_task(f, task.index, *counts)
        start = f.mul(p, planes), f.mul(h, rows), f.mul(w, columns)
        panel = f.mul(panel, each)
        with f.loop(0, channels, chunk) as c:
            some = f.min(chunk, f.sub(channels, c.index))
            channel = f.add(f.mul(group, channels), c.index)
            size = emit_block(f, args, element, start, channel, some, gathered, matrix)
            f.call("void", "multiply", [args, matrix, sums, group, panel, c.index, some, *start, *size], declare=False)
    f.ret()
    f.close()


_PLACE = ("plane", "h0", "w0", "planes", "rows_here", "columns_here")


def _target_of(f: Function, args: Val, element: str, group: Val, filter: Val, place: list[Val]) -> Val:
    """Where the output of a filter begins, for the block's first position."""
    y, image, channel, y_d, y_h, y_w, count_d, filters = FIELDS.read(
        f, args, "y_at y_image y_channel y_d y_h y_w count_d filters"
    )
    plane, h0, w0 = place[:3]
    index = f.mul(f.add(f.mul(group, filters), filter), channel)
    parts = ((f.udiv(plane, count_d), image), (f.urem(plane, count_d), y_d), (h0, y_h), (w0, y_w))
    for number, stride in parts:
        index = f.add(index, f.mul(number, stride))
    return f.offset(y, index, element)


def _emit_multiply(m: Module, element: str) -> None:
    """`multiply`: add the products of some input channels to the sums of a block, all its panels of filters."""
    names = ("group", "panel", "channel", "some", *_PLACE)
    parameters = [("args", "ptr"), ("matrix", "ptr"), ("buffer", "ptr"), *[(n, "i64") for n in names]]
    f = m.function("multiply", "void", parameters, internal=True)
    args, matrix, sums, group, panel, channel, some, *place = f.parameters
    width = tile_width(m.target, element)
    spare, starts = f.stack(element, width * tile_rows(m.target)), segment_table(f)
    packed, bias, y_channel, direct, filters, taps, depth, pitch, channels, lay_out = FIELDS.read(
        f, args, "filters_at bias_at y_channel direct filters taps depth pitch channels lay_out_at"
    )
    panels, height, tall, each, tall_tile, low_tile = FIELDS.read(
        f, args, "panels panel_height panels_tall panels_each tall_tile_at low_tile_at"
    )
    segments, segment_taps = FIELDS.read(f, args, "segments segment_taps")
    lines = Lines(f, args)
    emit_segments(f, args, starts, some, place[5])
    positions = f.mul(f.mul(place[3], place[4]), place[5])
    first_row = f.sub(f.mul(panel, height), f.max(f.sub(panel, tall), 0))
    y = _target_of(f, args, element, group, first_row, place)
    is_direct = f.compare("ne", direct, 0)
    base, to_pitch = f.select(is_direct, y, sums), f.select(is_direct, y_channel, pitch)
    fresh, steps, done = (
        f.cast("zext", f.compare("eq", channel, 0), "i64"),
        f.mul(some, segment_taps),
        f.mul(channel, taps),
    )
    end = f.min(f.add(panel, each), panels)
    group_row = f.mul(group, filters)
    with f.loop(0, positions, width) as p:
        left = f.sub(positions, p.index)
        whole = f.binary("or", f.compare("sge", left, width), f.compare("eq", direct, 0))
        columns = f.offset(matrix, p.index, element)
        with f.loop(panel, end) as n:
            row = f.sub(f.mul(n.index, height), f.max(f.sub(n.index, tall), 0))
            is_tall = f.compare("slt", n.index, tall)
            rows = f.select(is_tall, height, f.sub(height, 1))
            tile = f.select(is_tall, tall_tile, low_tile)
            a = f.offset(packed, f.add(f.mul(f.add(group_row, row), depth), f.mul(done, rows)), element)
            b = f.offset(bias, f.add(group_row, row), element)
            to = f.offset(f.offset(base, p.index, element), f.mul(f.sub(row, first_row), to_pitch), element)
            edge, straight, after = (f.fresh_label(name) for name in ("edge", "straight", "after"))
            f.branch(whole, straight, edge)
            f.label(straight)
            f.call_address(tile, [a, columns, to, b, steps, pitch, to_pitch, fresh, segments, starts])
            f.jump(after)
            f.label(edge)
            _move_tile(f, lines, element, spare, f.int(width), to, to_pitch, rows, left)
            f.call_address(tile, [a, columns, spare, b, steps, pitch, f.int(width), fresh, segments, starts])
            _move_tile(f, lines, element, to, to_pitch, spare, f.int(width), rows, left)
            f.jump(after)
            f.label(after)
    last = f.compare("sge", f.add(channel, some), channels)
    with f.when(f.binary("and", last, f.compare("eq", direct, 0))):
        end_row = f.sub(f.mul(end, height), f.max(f.sub(end, tall), 0))
        f.call_address(lay_out, [args, sums, group, first_row, end_row, *place])
    f.ret()
    f.close()


def _move_tile(f: Function, lines: Lines, element: str, to: Val, to_pitch: Val, source: Val, pitch: Val, rows: Val,
               columns: Val) -> None:  # fmt: skip
    with f.loop(0, rows, 1, [to, source]) as i:
        lines.copy(i.carried[0], i.carried[1], columns, f.int(1))
        i.next = [f.offset(i.carried[0], to_pitch, element), f.offset(i.carried[1], pitch, element)]


def generate_lay_out(target: Target, element: str, across: bool) -> str:
    """`lay_out`: the complete sums of a block, `pitch` elements a filter, go to their places in the output; `across`
    where filters are side by side there."""
    m = Module(target)
    names = ("group", "row", "end", *_PLACE)
    f = m.function("lay_out", "void", [("args", "ptr"), ("sums", "ptr"), *[(n, "i64") for n in names]])
    args, sums, group, row, end, plane, h0, w0, planes, rows, columns = f.parameters
    with f.loop(0, planes, 1, [sums]) as i:
        to = _target_of(f, args, element, group, row, [f.add(plane, i.index), h0, w0])
        (_lay_across if across else _lay_along)(f, args, element, to, i.carried[0], f.sub(end, row), rows, columns)
        i.next = [f.offset(i.carried[0], f.mul(rows, columns), element)]
    f.ret()
    f.close()
    return m.text()


def _lay_along(f: Function, args: Val, element: str, to: Val, sums: Val, filters: Val, rows: Val, columns: Val) -> None:
    """A slice of a block, row after row of every filter."""
    y_channel, y_h, y_w, pitch = FIELDS.read(f, args, "y_channel y_h y_w pitch")
    lines = Lines(f, args)
    with f.loop(0, filters, 1, [to, sums]) as k:
        with f.loop(0, rows, 1, k.carried) as r:
            lines.scatter(r.carried[0], r.carried[1], columns, y_w)
            r.next = [f.offset(r.carried[0], y_h, element), f.offset(r.carried[1], columns, element)]
        k.next = [f.offset(k.carried[0], y_channel, element), f.offset(k.carried[1], pitch, element)]


def _lay_across(
    f: Function, args: Val, element: str, to: Val, sums: Val, filters: Val, rows: Val, columns: Val
) -> None:
    """A slice of a block, in squares of filters and positions that are turned over; the last ones perhaps twice."""
    lanes = f.target.lanes(BYTES[element])
    y_h, y_w, pitch = FIELDS.read(f, args, "y_h y_w pitch")
    one_run = f.compare("eq", y_h, f.mul(columns, y_w))
    runs, length = f.select(one_run, f.int(1), rows), f.select(one_run, f.mul(rows, columns), columns)
    with f.loop(0, runs) as r, f.loop(0, length, lanes) as i, f.loop(0, filters, lanes) as k:
        position, filter = f.min(i.index, f.sub(length, lanes)), f.min(k.index, f.sub(filters, lanes))
        source = f.add(f.mul(filter, pitch), f.add(f.mul(r.index, length), position))
        place = f.add(filter, f.add(f.mul(r.index, y_h), f.mul(position, y_w)))
        turn_square(f, element, f.offset(to, place, element), y_w, f.offset(sums, source, element), pitch)
