"""Correlations as matrix products: packed filters times the unfolded input of a block of positions.

The products of a block go straight to the output where the block's positions lie side by side there; otherwise
(channels innermost, every other position of a transposed convolution, several small images in a block) they are
collected in a buffer and laid out when they are complete.
"""

from __future__ import annotations

from flambeau._backends.cpu.conv_geometry import (
    CACHE_LINE,
    COLUMN_BYTES,
    FILTERS,
    LINE_BYTES,
    POSITION_BYTES,
    Blocks,
    Correlation,
    blocks_of,
    panels_of,
)
from flambeau._backends.cpu.conv_tile import tile_kernel, tile_rows, tile_width
from flambeau._backends.cpu.conv_unfold import INPUT_NAMES, Copies, emit_gather, emit_unfold, input_words
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    f"{INPUT_NAMES} filters_at bias_at y_at y_image y_channel y_d y_h y_w direct filters "
    "panels panel_height panels_tall panels_each tall_tile_at low_tile_at tasks_w tasks_h tasks_planes tasks_panels"
)
TASK_WORK = 1 << 16  # products that are worth a task of their own


def correlation_launch(
    target: Target, element: str, c: Correlation, x: Address, y: Address, filters: int, bias: int
) -> Launch | None:
    """The launch that computes `c` from packed filters and biases at those places in scratch memory."""
    itemsize = BYTES[element]
    b = blocks_of(c, target, itemsize)
    if b is None:
        return None
    p = panels_of(c.filters, tile_rows(target))
    counts = {
        "tasks_w": -(-c.axes[2].out // b.columns), "tasks_h": -(-c.axes[1].out // b.rows),
        "tasks_planes": -(-c.planes // b.planes), "tasks_panels": -(-p.number // p.each),
    }  # fmt: skip
    tall, low = (Entry(tile_kernel(element, rows), "tile") for rows in (p.height, p.height - (p.tall < p.number)))
    words = FIELDS.words(
        **input_words(c, b, x), filters_at=Scratch(filters), bias_at=Scratch(bias),
        y_at=y._replace(offset=y.offset + c.y_first * itemsize), y_image=c.y.image, y_channel=c.y.channel,
        y_d=c.y.space[0], y_h=c.y.space[1], y_w=c.y.space[2], direct=int(_direct(c, b)), filters=c.filters,
        panels=p.number, panel_height=p.height, panels_tall=p.tall, panels_each=p.each,
        tall_tile_at=tall, low_tile_at=low, **counts,
    )  # fmt: skip
    tasks = c.groups * counts["tasks_w"] * counts["tasks_h"] * counts["tasks_planes"] * counts["tasks_panels"]
    work = b.planes * b.rows * b.columns * c.depth * -(-c.filters // counts["tasks_panels"])
    kernel = Kernel(generate_correlation, (element,), ("correlate",))
    return Launch(kernel, "correlate", words, tasks, max(1, TASK_WORK // max(1, work)))


def _direct(c: Correlation, b: Blocks) -> bool:
    """Do the positions of a block lie side by side in the output?"""
    side_by_side = b.columns == 1 or c.y.space[2] == 1
    return b.planes == 1 and side_by_side and (b.rows == 1 or c.y.space[1] == b.columns)


def generate_correlation(target: Target, element: str) -> str:
    """`correlate`: one task is a block of positions and some panels of filters of one group."""
    m = Module(target)
    copies = Copies(m, element)
    copies.emit()
    emit_gather(copies, FIELDS)
    emit_unfold(copies, FIELDS)
    _emit_multiply(m, element)
    _emit_lay_out(m, element)
    _emit_entry(m, element)
    return m.text()


def emit_block(f: Function, args: Val, element: str, planes: Val, h0: Val, w0: Val, source_channel: Val, channels: Val,
               lines: Val, matrix: Val, fields: Fields) -> tuple[Val, Val, Val]:  # fmt: skip
    """Gather and unfold the block from slice `planes`, position (h0, w0) on; returns its slices, rows and columns."""
    x, x_image, x_channel, count_d, count_h, count_w, all_planes, per_block, rows, columns = fields.read(
        f, args, "x_at x_image x_channel count_d count_h count_w all_planes planes rows columns"
    )
    step_d, step_h, step_w, low_h, low_w, span_h, span_w = fields.read(
        f, args, "step_d step_h step_w low_h low_w span_h span_w"
    )
    here = f.min(per_block, f.sub(all_planes, planes))
    rows, columns = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
    h_count = f.add(f.add(f.mul(f.sub(rows, 1), step_h), span_h), 1)
    w_count = f.add(f.add(f.mul(f.sub(columns, 1), step_w), span_w), 1)
    h, w = f.add(f.mul(h0, step_h), low_h), f.add(f.mul(w0, step_w), low_w)
    with f.loop(0, here) as i:
        plane = f.add(planes, i.index)
        image, d = f.udiv(plane, count_d), f.urem(plane, count_d)
        start = f.add(f.mul(image, x_image), f.mul(source_channel, x_channel))
        f.call("void", "gather", [args, f.offset(x, start, element), lines, channels, f.mul(d, step_d), h, h_count, w,
                                  w_count], declare=False)  # fmt: skip
        to = f.offset(matrix, f.mul(i.index, f.mul(rows, columns)), element)
        f.call("void", "unfold", [args, lines, to, channels, rows, columns, h_count], declare=False)
    return here, rows, columns


def split_task(f: Function, task: Val, *counts: Val) -> list[Val]:
    """A task's number as one number a count, the first one running fastest, and what is left."""
    numbers = []
    for count in counts:
        numbers.append(f.urem(task, count))
        task = f.udiv(task, count)
    return [*numbers, task]


def buffer(f: Function, element: str, nbytes: int) -> Val:
    """Memory on the stack with room for a few vectors too many."""
    return f.stack(element, (nbytes + 8 * CACHE_LINE) // BYTES[element])


def _emit_entry(m: Module, element: str) -> None:
    f, args, lo, hi = m.entry("correlate")
    lines, matrix = buffer(f, element, LINE_BYTES), buffer(f, element, COLUMN_BYTES)
    sums = buffer(f, element, FILTERS * (POSITION_BYTES + 8 * CACHE_LINE))
    channels, chunk, planes, rows, columns, each = FIELDS.read(
        f, args, "channels chunk planes rows columns panels_each"
    )
    counts = FIELDS.read(f, args, "tasks_w tasks_h tasks_planes tasks_panels")
    with f.loop(lo, hi) as task:
        w, h, p, panel, group = split_task(f, task.index, *counts)
        first, h0, w0, panel = f.mul(p, planes), f.mul(h, rows), f.mul(w, columns), f.mul(panel, each)
        with f.loop(0, channels, chunk) as c:
            some = f.min(chunk, f.sub(channels, c.index))
            source = f.add(f.mul(group, channels), c.index)
            size = emit_block(f, args, element, first, h0, w0, source, some, lines, matrix, FIELDS)
            place = [first, h0, w0, *size]
            f.call("void", "multiply", [args, matrix, sums, group, panel, c.index, some, *place], declare=False)
    f.ret()
    f.close()


_PLACE = ("plane", "h0", "w0", "here", "rows_here", "columns_here")


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
    spare = f.stack(element, width * tile_rows(m.target))
    packed, bias, y_channel, direct, filters, taps, depth, pitch, channels, panels, height, tall, each = FIELDS.read(
        f, args, "filters_at bias_at y_channel direct filters taps depth pitch channels panels panel_height panels_tall "
        "panels_each",
    )  # fmt: skip
    tall_tile, low_tile = FIELDS.read(f, args, "tall_tile_at low_tile_at")
    positions = f.mul(f.mul(place[3], place[4]), place[5])
    first_row = f.sub(f.mul(panel, height), f.max(f.sub(panel, tall), 0))
    y = _target_of(f, args, element, group, first_row, place)
    is_direct = f.compare("ne", direct, 0)
    base, to_pitch = f.select(is_direct, y, sums), f.select(is_direct, y_channel, pitch)
    fresh, steps, done = f.cast("zext", f.compare("eq", channel, 0), "i64"), f.mul(some, taps), f.mul(channel, taps)
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
            f.call_address(tile, [a, columns, to, b, steps, pitch, to_pitch, fresh])
            f.jump(after)
            f.label(edge)
            _move_tile(f, element, spare, f.int(width), to, to_pitch, rows, left)
            f.call_address(tile, [a, columns, spare, b, steps, pitch, f.int(width), fresh])
            _move_tile(f, element, to, to_pitch, spare, f.int(width), rows, left)
            f.jump(after)
            f.label(after)
    last = f.compare("sge", f.add(channel, some), channels)
    with f.when(f.binary("and", last, f.compare("eq", direct, 0))):
        end_row = f.sub(f.mul(end, height), f.max(f.sub(end, tall), 0))
        f.call("void", "lay_out", [args, sums, group, first_row, end_row, *place], declare=False)
    f.ret()
    f.close()


def _move_tile(f: Function, element: str, to: Val, to_pitch: Val, source: Val, pitch: Val, rows: Val, columns: Val
               ) -> None:  # fmt: skip
    with f.loop(0, rows, 1, [to, source]) as i:
        f.call("void", "copy", [*i.carried, columns, f.int(1)], declare=False)
        i.next = [f.offset(i.carried[0], to_pitch, element), f.offset(i.carried[1], pitch, element)]


def _emit_lay_out(m: Module, element: str) -> None:
    """`lay_out`: the complete sums of a block, `pitch` elements a filter, go to their places in the output."""
    names = ("group", "row", "end", *_PLACE)
    f = m.function("lay_out", "void", [("args", "ptr"), ("sums", "ptr"), *[(n, "i64") for n in names]], internal=True)
    args, sums, group, row, end, *place = f.parameters
    y_h, y_w, pitch = FIELDS.read(f, args, "y_h y_w pitch")
    plane, h0, w0, here, rows, columns = place
    with f.loop(0, here, 1, [sums]) as i:
        at = [f.add(plane, i.index), h0, w0]
        with f.loop(row, end, 1, [i.carried[0]]) as k:
            to = _target_of(f, args, element, group, k.index, at)
            with f.loop(0, rows, 1, [to, k.carried[0]]) as r:
                f.call("void", "scatter", [*r.carried, columns, y_w], declare=False)
                r.next = [f.offset(r.carried[0], y_h, element), f.offset(r.carried[1], columns, element)]
            k.next = [f.offset(k.carried[0], pitch, element)]
        i.next = [f.offset(i.carried[0], f.mul(rows, columns), element)]
    f.ret()
    f.close()
