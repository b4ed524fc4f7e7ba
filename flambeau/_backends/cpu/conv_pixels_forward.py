"""Correlations pixel by pixel: gathered input, an element in all lanes, times packed filters.

The sums of a block are collected in a buffer, a pixel's filters side by side, and laid out when they are complete.
"""

from __future__ import annotations

from collections.abc import Callable

from flambeau._backends.cpu import conv_pixels
from flambeau._backends.cpu.conv_forward import TASK_WORK
from flambeau._backends.cpu.conv_geometry import Correlation, Strides
from flambeau._backends.cpu.conv_pixels import (
    Block,
    PixelBlocks,
    Table,
    block_words,
    emit_gather,
    emit_line,
    emit_place,
    emit_slab,
    lines_buffer,
    sums_buffer,
    tiles_of,
)
from flambeau._backends.cpu.conv_pixels_gather import order_of
from flambeau._backends.cpu.conv_pixels_tile import tile_kernel
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch
from flambeau._backends.cpu.matmul_pack import transposed
from flambeau._backends.cpu.target import Target

SINGLY = 4  # pixels that are laid out without a jump
FIELDS = Fields(
    f"{conv_pixels.NAMES} filters_at bias_at y_at y_image y_channel y_d y_h y_w filters width panels panels_each "
    "tile_at lower_at lay_out_at tasks_w tasks_h tasks_planes tasks_panels"
)


def correlation_launch(
    target: Target, element: str, c: Correlation, b: PixelBlocks, x: Address, y: Address, filters: int, bias: int
) -> Launch:
    """The launch that computes `c` from packed filters and biases at those places in scratch memory."""
    itemsize = BYTES[element]
    width = b.tile.vectors * target.lanes(itemsize)
    panels = -(-c.filters // width)
    tasks_w, tasks_h, tasks_planes = (
        -(-c.axes[2].out // b.columns),
        -(-c.axes[1].out // b.rows),
        -(-c.planes // b.planes),
    )
    tasks_panels = -(-panels // b.panels)
    last = (c.axes[2].out - 1) % b.columns + 1
    some_lower = any(tiles_of(columns, b.tile.height)[1] for columns in (b.columns, last))
    lower = b.tile.lower() if some_lower else b.tile
    words = FIELDS.words(
        **block_words(element, c, b, x), filters_at=Scratch(filters), bias_at=Scratch(bias),
        y_at=y._replace(offset=y.offset + c.y_first * itemsize), y_image=c.y.image, y_channel=c.y.channel,
        y_d=c.y.space[0], y_h=c.y.space[1], y_w=c.y.space[2], filters=c.filters, width=width, panels=panels,
        panels_each=b.panels, tile_at=Entry(tile_kernel(element, b.tile, False), "tile"),
        lower_at=Entry(tile_kernel(element, lower, False), "tile"),
        lay_out_at=Entry(lay_out_kernel(element, c.y), "lay_out"), tasks_w=tasks_w, tasks_h=tasks_h,
        tasks_planes=tasks_planes, tasks_panels=tasks_panels,
    )  # fmt: skip
    tasks = c.groups * tasks_w * tasks_h * tasks_planes * tasks_panels
    work = b.planes * b.rows * b.columns * c.depth * -(-c.filters // tasks_panels)
    kernel = Kernel(generate_correlation, (element,), ("correlate",))
    return Launch(kernel, "correlate", words, tasks, max(1, TASK_WORK // max(1, work)))


def generate_correlation(target: Target, element: str) -> str:
    """`correlate`: one task is a block of positions and some panels of filters of one group."""
    m = Module(target)
    _emit_multiply(m, element)
    f, args, lo, hi = m.entry("correlate")
    lines, sums = lines_buffer(f, element), sums_buffer(f, element)
    channels, chunk, planes, rows, columns, panels, each, lay_out = FIELDS.read(
        f, args, "channels chunk planes rows columns panels panels_each lay_out_at"
    )
    counts = FIELDS.read(f, args, "tasks_w tasks_h tasks_planes tasks_panels")
    with f.loop(lo, hi) as task:
        w, h, p, part, group = split_task(f, task.index, *counts)
        block = emit_place(f, args, (f.mul(p, planes), f.mul(h, rows), f.mul(w, columns)))
        panel = f.mul(part, each)
        end = f.min(f.add(panel, each), panels)
        with f.loop(0, channels, chunk) as c:
            some = f.min(chunk, f.sub(channels, c.index))
            emit_gather(f, args, element, block, f.add(f.mul(group, channels), c.index), some, lines)
            numbers = [group, panel, end, c.index, some, *block]
            f.call("void", "multiply", [args, lines, sums, *numbers], declare=False)
        f.call_address(lay_out, [args, sums, group, panel, end, *block[:-2]])
    f.ret()
    f.close()
    return m.text()


def _tiles(f: Function, args: Val, columns: Val) -> tuple[Val, Val, Val]:
    """(the tiles in a row of a block, those of them that are not lower, the pixels in all of them)."""
    (height,) = conv_pixels.FIELDS.read(f, args, "height")
    tiles = f.udiv(f.add(columns, f.sub(height, 1)), height)
    pixels = f.mul(tiles, height)
    lower = f.min(tiles, f.sub(pixels, columns))
    return tiles, f.sub(tiles, lower), f.sub(pixels, lower)


def _emit_multiply(m: Module, element: str) -> None:
    """`multiply`: add the products of some input channels to the sums of a block, all its panels of filters. The sums
    are (panel, slice, row, pixel, filter)."""
    names = ("group", "panel", "end", "channel", "some", *Block._fields)
    pointers = [(n, "ptr") for n in ("args", "lines", "sums")]
    f = m.function("multiply", "void", [*pointers, *[(n, "i64") for n in names]], internal=True)
    args, lines, sums, group, panel, end, channel, some, *place = f.parameters
    segments = Table(f)
    block = Block(*place)
    packed, bias, panels, width, tile, lower, height, step_w, channels, taps = FIELDS.read(
        f, args, "filters_at bias_at panels width tile_at lower_at height step_w channels taps"
    )
    (run_taps,) = FIELDS.read(f, args, "run_taps")
    (tiles, tall, _), pixel = _tiles(f, args, block.columns), f.mul(step_w, some)
    depth, run_rights = f.mul(run_taps, some), f.mul(f.mul(run_taps, some), width)
    fresh = f.compare("eq", channel, 0)
    done = f.mul(f.mul(channel, taps), width)
    with f.loop(panel, end, 1, [sums]) as n:
        number = f.add(f.mul(group, panels), n.index)
        size = f.mul(number, width)
        right = f.offset(packed, f.add(f.mul(size, f.mul(channels, taps)), done), element)
        biases = f.offset(bias, size, element)
        with f.loop(0, block.planes, 1, n.carried) as p:
            with f.loop(0, block.rows, 1, p.carried) as r:
                count = _segments(f, args, segments, block, (p.index, r.index), some, run_rights)
                carried = [lines, *r.carried]
                ranges = (tile, height, f.int(0), tall), (lower, f.sub(height, 1), tall, tiles)
                for kernel, high, begin, stop in ranges:
                    with f.loop(begin, stop, 1, carried) as t:
                        left, to = t.carried
                        start, pitch = f.select(fresh, biases, to), f.select(fresh, f.int(0), width)
                        f.call_address(kernel, [left, pixel, right, to, start, pitch, depth, count, segments.at])
                        moves = f.mul(high, pixel), f.mul(high, width)
                        t.next = [f.offset(at, move, element) for at, move in zip(t.carried, moves, strict=True)]
                    carried = t.results
                r.next = carried[1:]
            p.next = r.results
        n.next = p.results
    f.ret()
    f.close()


def _segments(
    f: Function, args: Val, table: Table, block: Block, output: tuple[Val, Val], some: Val, rights: Val
) -> Val:
    """Fill the table for a row of outputs (slice, row); returns the number of entries. `rights`: elements of packed
    filters for one run."""
    taps_d, taps_h, runs, runs_at = FIELDS.read(f, args, "taps_d taps_h runs runs_at")
    pitch = f.mul(block.w_count, some)
    plane, row = output
    with f.loop(0, taps_d, 1, [f.int(0), f.int(0)]) as d:
        slab = emit_slab(f, args, block, plane, d.index)
        with f.loop(0, taps_h, 1, d.carried) as h:
            line, seen = emit_line(f, args, block, slab, row, h.index)
            left = f.mul(line, pitch)
            with f.loop(0, runs, 1, h.carried) as run:
                count, right = run.carried
                slot = f.load("i64", f.offset(runs_at, run.index, "i64"))
                run.next = [table.put(count, f.add(left, f.mul(slot, some)), right, seen), f.add(right, rights)]
            h.next = run.results
        d.next = h.results
    return d.results[0]


# ---------------------------------------------------------------------------------------------- laying out


def lay_out_kernel(element: str, y: Strides) -> Kernel:
    return Kernel(generate_lay_out, (element, order_of(y)), ("lay_out",))


def generate_lay_out(target: Target, element: str, order: str) -> str:
    """`lay_out`: the complete sums of a block's panels go to their places in the output."""
    m = Module(target)
    names = ("group", "panel", "end", *Block._fields[:-2])
    f = m.function("lay_out", "void", [("args", "ptr"), ("sums", "ptr"), *[(n, "i64") for n in names]])
    args, sums, group, panel, end, plane, h0, w0, planes, rows, columns = f.parameters
    square = f.stack(element, target.lanes(BYTES[element]) ** 2)
    y, image, channel, y_d, y_h, y_w, count_d, filters, width = FIELDS.read(
        f, args, "y_at y_image y_channel y_d y_h y_w count_d filters width"
    )
    _, _, padded = _tiles(f, args, columns)
    one_run = f.binary("and", f.compare("eq", padded, columns), f.compare("eq", y_h, f.mul(columns, y_w)))
    runs, length = f.select(one_run, f.int(1), rows), f.select(one_run, f.mul(rows, columns), columns)
    step, next_run = f.mul(rows, f.mul(padded, width)), f.mul(padded, width)
    apart = _lay_apart if target.registers >= 32 else _lay_singly
    write = {"across": _lay_across, "along": _lay_along, "apart": apart, "any": _lay_any}[order]
    with f.loop(panel, end, 1, [sums]) as n:
        filter = f.mul(n.index, width)
        known = f.min(width, f.sub(filters, filter))
        corner = f.add(f.mul(f.add(f.mul(group, filters), filter), channel), f.add(f.mul(h0, y_h), f.mul(w0, y_w)))
        with f.loop(0, planes, 1, n.carried) as p:
            number = f.add(plane, p.index)
            index = f.add(f.mul(f.udiv(number, count_d), image), f.mul(f.urem(number, count_d), y_d))
            with f.loop(0, runs, 1, [f.offset(y, f.add(index, corner), element), *p.carried]) as r:
                write(f, args, element, r.carried[0], r.carried[1], length, known, square)
                r.next = [f.offset(r.carried[0], y_h, element), f.offset(r.carried[1], next_run, element)]
            p.next = [f.offset(p.carried[0], step, element)]
        n.next = p.results
    f.ret()
    f.close()
    return m.text()


def _lay_across(f: Function, args: Val, element: str, to: Val, sums: Val, pixels: Val, filters: Val, _: Val) -> None:
    y_w, width = FIELDS.read(f, args, "y_w width")
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    with f.loop(0, pixels, 1, [to, sums]) as i:
        with f.loop(0, filters, lanes) as k:
            mask = f.mask_below(f.sub(filters, k.index), lanes)
            f.store_masked(f.load(type, f.offset(i.carried[1], k.index, element)),
                           f.offset(i.carried[0], k.index, element), mask)  # fmt: skip
        i.next = [f.offset(i.carried[0], y_w, element), f.offset(i.carried[1], width, element)]


_Store = Callable[[Val, Val], None]  # (vector, address)


def _turned(f: Function, args: Val, element: str, sums: Val, pixel: Val, filter: Val) -> list[Val]:
    """A square of sums, turned over: vectors of pixels, one a filter."""
    (width,) = FIELDS.read(f, args, "width")
    lanes = f.target.lanes(BYTES[element])
    at = f.offset(sums, f.add(f.mul(pixel, width), filter), element)
    return transposed(f, [f.load(vector(element, lanes), f.offset(at, f.mul(width, k), element)) for k in range(lanes)])


def _lay_along(f: Function, args: Val, element: str, to: Val, sums: Val, pixels: Val, filters: Val, square: Val
               ) -> None:  # fmt: skip
    """Whole squares; the last pixels of a run perhaps twice."""
    (channel,) = FIELDS.read(f, args, "y_channel")
    lanes = f.target.lanes(BYTES[element])
    last, mask = f.max(f.sub(pixels, lanes), 0), f.mask_below(pixels, lanes)
    enough = f.compare("sge", pixels, lanes)
    with f.loop(0, pixels, lanes) as i, f.loop(0, filters, lanes) as k:
        pixel = f.min(i.index, last)
        values = _turned(f, args, element, sums, pixel, k.index)
        place = f.offset(to, f.add(f.mul(k.index, channel), pixel), element)
        count = f.sub(filters, k.index)
        whole = f.binary("and", f.compare("sge", count, lanes), enough)
        _put(f, element, values, place, channel, whole, f.store)
        with f.when(f.binary("xor", whole, f.int(1, "i1"))):
            _put_some(f, element, values, place, channel, count, square, lambda x, at: f.store_masked(x, at, mask))


def _lay_apart(f: Function, args: Val, element: str, to: Val, sums: Val, pixels: Val, filters: Val, square: Val
               ) -> None:  # fmt: skip
    """Squares, whose pixels go to every other place."""
    (channel,) = FIELDS.read(f, args, "y_channel")
    lanes = f.target.lanes(BYTES[element])
    even = Val("<" + ", ".join(f"i1 {int(j % 2 == 0)}" for j in range(lanes)) + ">", f"<{lanes} x i1>")
    with f.loop(0, pixels, lanes) as i, f.loop(0, filters, lanes) as k:
        values = _turned(f, args, element, sums, i.index, k.index)
        place = f.offset(to, f.add(f.mul(k.index, channel), f.mul(i.index, 2)), element)
        places = f.mul(f.sub(pixels, i.index), 2)
        masks = [f.binary("and", f.mask_below(f.sub(places, first), lanes), even) for first in (0, lanes)]

        def store(x: Val, at: Val, masks: list[Val] = masks) -> None:
            for half, mask in enumerate(masks):
                spread = f.shuffle(x, x, [half * lanes // 2 + j // 2 for j in range(lanes)])
                f.store_masked(spread, f.offset(at, half * lanes, element), mask)

        count = f.sub(filters, k.index)
        whole = f.compare("sge", count, lanes)
        _put(f, element, values, place, channel, whole, store)
        with f.when(f.binary("xor", whole, f.int(1, "i1"))):
            _put_some(f, element, values, place, channel, count, square, store)


def _put(f: Function, element: str, values: list[Val], place: Val, channel: Val, whole: Val, store: _Store) -> None:
    """Store a square, if all of its filters are there."""
    with f.when(whole):
        for lane, x in enumerate(values):
            store(x, f.offset(place, f.mul(channel, lane), element))


def _put_some(f: Function, element: str, values: list[Val], place: Val, channel: Val, count: Val, square: Val,
              store: _Store) -> None:  # fmt: skip
    """Store the filters of a square that there are, by way of memory."""
    lanes = len(values)
    for lane, x in enumerate(values):
        f.store(x, f.offset(square, lane * lanes, element))
    with f.loop(0, f.min(count, lanes), 1, [square, place]) as j:
        store(f.load(values[0].type, j.carried[0]), j.carried[1])
        j.next = [f.offset(j.carried[0], lanes, element), f.offset(j.carried[1], channel, element)]


def _lay_singly(f: Function, args: Val, element: str, to: Val, sums: Val, pixels: Val, filters: Val, _: Val) -> None:
    """Pixels of one filter after the other: where masks are no registers, storing under them takes longer."""
    channel, width = FIELDS.read(f, args, "y_channel width")
    whole = f.binary("and", pixels, -SINGLY)
    with f.loop(0, filters, 1, [to, sums]) as k:
        for start, end, count in ((f.int(0), whole, SINGLY), (whole, pixels, 1)):
            with f.loop(start, end, count) as i:
                place = f.offset(k.carried[0], f.mul(i.index, 2), element)
                source = f.offset(k.carried[1], f.mul(i.index, width), element)
                for n in range(count):
                    x = f.load(element, f.offset(source, f.mul(width, n), element))
                    f.store(x, f.offset(place, 2 * n, element))
        k.next = [f.offset(k.carried[0], channel, element), f.offset(k.carried[1], 1, element)]


def _lay_any(f: Function, args: Val, element: str, to: Val, sums: Val, pixels: Val, filters: Val, _: Val) -> None:
    channel, y_w, width = FIELDS.read(f, args, "y_channel y_w width")
    with f.loop(0, pixels, 1, [to, sums]) as i:
        with f.loop(0, filters, 1, [i.carried[0]]) as k:
            f.store(f.load(element, f.offset(i.carried[1], k.index, element)), k.carried[0])
            k.next = [f.offset(k.carried[0], channel, element)]
        i.next = [f.offset(i.carried[0], y_w, element), f.offset(i.carried[1], width, element)]
