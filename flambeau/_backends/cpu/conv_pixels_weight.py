"""The gradient of a convolution's weight pixel by pixel: the gathered input, turned over, times the output's gradient.

A task adds up the products of some blocks of positions for some channels of the input and some filters. How many
blocks share a sum depends on the shapes alone, and a second launch adds these partial sums in their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau._backends.cpu import conv_pixels, conv_pixels_gather
from flambeau._backends.cpu.conv_geometry import Correlation, round_up
from flambeau._backends.cpu.conv_pack import FilterStrides, tap_offsets
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
    runs_of,
    sums_buffer,
)
from flambeau._backends.cpu.conv_pixels_gather import gather_kernel
from flambeau._backends.cpu.conv_pixels_pack import one_run, tap_numbers
from flambeau._backends.cpu.conv_pixels_tile import tile_kernel
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch, Word, Words
from flambeau._backends.cpu.lines import table
from flambeau._backends.cpu.matmul_pack import transposed
from flambeau._backends.cpu.target import Target

TASKS = 32  # at least, where there are as many blocks, and a sum has enough positions to be worth adding it up
FEW_TASKS = 8  # at least, if it has fewer
POSITIONS = 256
SHARED = "sums_at filters width panels panels_each run_rows sum partials chunks filter_blocks"
FIELDS = Fields(
    f"{conv_pixels.NAMES} {SHARED} g_args_at g_merged g_at g_image g_channel g_d g_h g_w tile_at blocks_w blocks_h "
    "blocks"
)
TOTAL_FIELDS = Fields(
    f"{SHARED} w_at w_group w_filter w_channel taps_at rows_at shares_at kernel taps run_taps runs channels chunk"
)


def weight_launches(
    target: Target, element: str, c: Correlation, b: PixelBlocks, x: Address, g: Address, w: Address,
    weight: FilterStrides, kernel: Sequence[int],
) -> tuple[list[Launch], int]:  # fmt: skip
    """The launches that compute the gradient at `w`, and the bytes of scratch memory they need. `kernel`: the sizes of
    the weight's spatial dimensions."""
    itemsize = BYTES[element]
    width = b.tile.vectors * target.lanes(itemsize)
    runs, run_taps = runs_of(c.axes[2])
    blocks_w, blocks_h = -(-c.axes[2].out // b.columns), -(-c.axes[1].out // b.rows)
    blocks = blocks_w * blocks_h * -(-c.planes // b.planes)
    panels = -(-c.filters // width)
    each = b.panels
    chunks, filter_blocks = -(-c.channels // b.channels), -(-panels // each)
    apart = c.groups * filter_blocks * chunks
    enough = max(-(-FEW_TASKS // apart), c.positions // POSITIONS)
    partials = min(blocks, -(-TASKS // apart), enough)
    run_rows = round_up(run_taps * b.channels, b.tile.height)
    size = each * (c.taps // run_taps) * run_rows * width
    shared: dict[str, Word] = {
        "sums_at": Scratch(), "filters": c.filters, "width": width, "panels": panels, "panels_each": each,
        "run_rows": run_rows, "sum": size, "partials": partials, "chunks": chunks, "filter_blocks": filter_blocks,
    }  # fmt: skip
    merged = b.columns == c.axes[2].out and c.y.space[1] == b.columns * c.y.space[2]
    words = FIELDS.words(
        **block_words(element, c, b, x), **shared, g_args_at=Words(_gradient_words(element, c, merged)),
        g_merged=int(merged), g_at=g, g_image=c.y.image, g_channel=c.y.channel, g_d=c.y.space[0], g_h=c.y.space[1],
        g_w=c.y.space[2],
        tile_at=Entry(tile_kernel(element, b.tile, True), "tile"), blocks_w=blocks_w, blocks_h=blocks_h, blocks=blocks,
    )  # fmt: skip
    positions = math.prod(kernel)
    in_runs = one_run(weight, kernel) and weight.channel == positions and c.taps == positions
    numbers = tap_numbers(c, kernel)
    total = TOTAL_FIELDS.words(
        **shared, w_at=w, w_group=weight.group, w_filter=weight.filter, w_channel=weight.channel,
        taps_at=table(tap_offsets(c, weight.space)), rows_at=table([n // run_taps * run_rows for n in numbers]),
        shares_at=table([n % run_taps for n in numbers]),
        kernel=positions, taps=c.taps, run_taps=run_taps, runs=len(runs), channels=c.channels, chunk=b.channels,
    )  # fmt: skip
    products = Kernel(generate_weight, (element,), ("products",))
    add = Kernel(generate_total, (element, in_runs), ("total",))
    grain = max(1, (1 << 16) // (size // each * partials))
    return [
        Launch(products, "products", words, apart * partials, 1),
        Launch(add, "total", total, c.groups * panels * chunks, grain),
    ], apart * partials * size * itemsize


def _gradient_words(element: str, c: Correlation, merged: bool) -> tuple[Word, ...]:
    """The words for gathering the output's gradient. `merged`: a block's rows, which follow each other, are one."""
    d, h, w = c.y.space
    rows, columns = c.axes[1].out, c.axes[2].out
    rows, columns = (1, rows * columns) if merged else (rows, columns)
    return conv_pixels_gather.FIELDS.words(
        gather_at=Entry(gather_kernel(element, c.y, c.filters), "gather"), x_channel=c.y.channel, x_d=d, x_h=h, x_w=w,
        size_d=1, size_h=rows, size_w=columns, taps_d=1, offsets_d_at=table([0]),
    )  # fmt: skip


def generate_weight(target: Target, element: str) -> str:
    """`products`: one task is a partial sum for some filters of a group and some of its channels."""
    m = Module(target)
    f, args, lo, hi = m.entry("products")
    lines, gradients, segments = lines_buffer(f, element), sums_buffer(f, element), Table(f)
    sums, size, width, panels, each, partials, chunks, filter_blocks, blocks_w, blocks_h, blocks = FIELDS.read(
        f, args, "sums_at sum width panels panels_each partials chunks filter_blocks blocks_w blocks_h blocks"
    )
    channels, chunk, planes, rows, columns = FIELDS.read(f, args, "channels chunk planes rows columns")
    with f.loop(lo, hi) as task:
        sum = f.offset(sums, f.mul(task.index, size), element)
        _clear(f, element, sum, size)
        part, number, filter_block, group = split_task(f, task.index, partials, chunks, filter_blocks)
        channel = f.mul(number, chunk)
        some = f.min(chunk, f.sub(channels, channel))
        panel = f.mul(filter_block, each)
        end = f.min(f.add(panel, each), panels)
        first = f.udiv(f.mul(part, blocks), partials)
        with f.loop(first, f.udiv(f.mul(f.add(part, 1), blocks), partials)) as i:
            w, h, p = split_task(f, i.index, blocks_w, blocks_h)
            block = emit_place(f, args, (f.mul(p, planes), f.mul(h, rows), f.mul(w, columns)))
            emit_gather(f, args, element, block, f.add(f.mul(group, channels), channel), some, lines)
            with f.loop(panel, end, 1, [sum]) as n:
                _gather_gradients(f, args, element, block, group, n.index, gradients)
                n.next = [_multiply(f, args, element, block, some, (lines, gradients, n.carried[0]), segments)]
    f.ret()
    f.close()
    return m.text()


def _clear(f: Function, element: str, to: Val, count: Val) -> None:
    """Zeros, in whole vectors."""
    lanes = f.target.lanes(BYTES[element])
    with f.loop(0, count, lanes) as i:
        f.store(f.float(0.0, vector(element, lanes)), f.offset(to, i.index, element))


def _gather_gradients(f: Function, args: Val, element: str, block: Block, group: Val, panel: Val, to: Val) -> None:
    """The gradients of a panel of filters at a block's positions, as (position, filter)."""
    g_args, merged, g, image, channel, g_d, filters, width, count_d = FIELDS.read(
        f, args, "g_args_at g_merged g_at g_image g_channel g_d filters width count_d"
    )
    (gather,) = conv_pixels_gather.FIELDS.read(f, g_args, "gather_at")
    first = f.mul(panel, width)
    known = f.min(f.sub(filters, first), width)
    corner = f.mul(f.add(f.mul(group, filters), first), channel)
    positions, begin = f.mul(block.rows, block.columns), f.mul(block.h0, block.columns)
    one_row, rows = (f.int(0), f.int(1), begin, positions), (block.h0, block.rows, block.w0, block.columns)
    apart = f.compare("eq", merged, 0)
    places = [f.select(apart, number, other) for number, other in zip(rows, one_row, strict=True)]
    with f.loop(0, block.planes, 1, [to]) as p:
        number = f.add(block.plane, p.index)
        start = f.add(f.mul(f.udiv(number, count_d), image), f.mul(f.urem(number, count_d), g_d))
        source = f.offset(g, f.add(start, corner), element)
        f.call_address(gather, [g_args, source, p.carried[0], known, width, f.int(0), *places])
        p.next = [f.offset(p.carried[0], f.mul(positions, width), element)]


def _multiply(f: Function, args: Val, element: str, block: Block, some: Val, operands: tuple[Val, Val, Val],
              segments: Table) -> Val:  # fmt: skip
    """Add the products of a block to the sums of a panel, (tap or run of taps, tap of a run and channel, filter);
    returns where the next panel's are."""
    lines, gradients, sums = operands
    taps_d, taps_h, runs, runs_at, run_taps, run_rows, width, step_w, height, tile = FIELDS.read(
        f, args, "taps_d taps_h runs runs_at run_taps run_rows width step_w height tile_at"
    )
    pixel, depth = f.mul(step_w, some), f.mul(run_taps, some)
    next_sums = f.mul(height, width)
    with f.loop(0, taps_d, 1, [sums]) as d:
        with f.loop(0, taps_h, 1, d.carried) as h:
            count = _segments(f, args, segments, block, (d.index, h.index), some)
            with f.loop(0, runs, 1, h.carried, guard=False) as run:
                left = f.offset(lines, f.mul(f.load("i64", f.offset(runs_at, run.index, "i64")), some), element)
                with f.loop(0, depth, height, [left, run.carried[0]]) as k:
                    left, to = k.carried
                    f.call_address(tile, [left, pixel, gradients, to, to, width, block.columns, count, segments.at])
                    k.next = [f.offset(left, height, element), f.offset(to, next_sums, element)]
                run.next = [f.offset(run.carried[0], f.mul(run_rows, width), element)]
            h.next = run.results
        d.next = h.results
    return d.results[0]


def _segments(f: Function, args: Val, table: Table, block: Block, tap: tuple[Val, Val], some: Val) -> Val:
    """Fill the table with the rows of the block that see the input through a kernel position along the outer axes."""
    (width,) = FIELDS.read(f, args, "width")
    pitch, row_size = f.mul(block.w_count, some), f.mul(block.columns, width)
    tap_d, tap_h = tap
    with f.loop(0, block.planes, 1, [f.int(0), f.int(0)]) as p:
        slab = emit_slab(f, args, block, p.index, tap_d)
        with f.loop(0, block.rows, 1, p.carried) as r:
            count, right = r.carried
            line, seen = emit_line(f, args, block, slab, r.index, tap_h)
            r.next = [table.put(count, f.mul(line, pitch), right, seen), f.add(right, row_size)]
        p.next = r.results
    return p.results[0]


# ---------------------------------------------------------------------------------------------- totals


def generate_total(target: Target, element: str, in_runs: bool) -> str:
    """`total`: one task adds up the partial sums of a panel of filters and some channels. `in_runs` where the elements
    of a filter follow each other in memory."""
    m = Module(target)
    f, args, lo, hi = m.entry("total")
    square = f.stack(element, target.lanes(BYTES[element]) ** 2)
    sums, w, w_group, w_filter, w_channel, size, partials, chunks, filter_blocks = TOTAL_FIELDS.read(
        f, args, "sums_at w_at w_group w_filter w_channel sum partials chunks filter_blocks"
    )
    channels, chunk, filters, width, panels, each, runs, run_rows, taps, run_taps = TOTAL_FIELDS.read(
        f, args, "channels chunk filters width panels panels_each runs run_rows taps run_taps"
    )
    panel_size = f.mul(f.mul(f.udiv(taps, run_taps), run_rows), width)
    with f.loop(lo, hi) as task:
        number, panel, group = split_task(f, task.index, chunks, panels)
        channel, filter = f.mul(number, chunk), f.mul(panel, width)
        known = f.min(width, f.sub(filters, filter))
        block = f.add(f.mul(f.add(f.mul(group, filter_blocks), f.udiv(panel, each)), chunks), number)
        start = f.add(f.mul(f.mul(block, partials), size), f.mul(f.urem(panel, each), panel_size))
        to = f.add(f.add(f.mul(group, w_group), f.mul(filter, w_filter)), f.mul(channel, w_channel))
        some = f.min(chunk, f.sub(channels, channel))
        places = f.offset(sums, start, element), f.offset(w, to, element)
        (_total_runs if in_runs else _total_any)(f, args, element, *places, some, known, square)
    f.ret()
    f.close()
    return m.text()


def _row(f: Function, args: Val, tap: Val, channel: Val, some: Val) -> Val:
    """The number of the row of a tap and a channel in the sums of a panel."""
    run_taps, run_rows = TOTAL_FIELDS.read(f, args, "run_taps run_rows")
    return f.add(f.mul(f.udiv(tap, run_taps), run_rows), f.add(f.mul(f.urem(tap, run_taps), some), channel))


def _added(f: Function, args: Val, element: str, sums: Val, row: Val, filter: Val) -> Val:
    """The total of a vector of filters."""
    width, size, partials = TOTAL_FIELDS.read(f, args, "width sum partials")
    type = vector(element, f.target.lanes(BYTES[element]))
    first = f.offset(sums, f.add(f.mul(row, width), filter), element)
    with f.loop(0, partials, 1, [f.float(0.0, type), first], guard=False) as part:
        total, at = part.carried
        part.next = [f.fadd(total, f.load(type, at)), f.offset(at, size, element)]
    return part.results[0]


def _total_runs(f: Function, args: Val, element: str, sums: Val, w: Val, some: Val, known: Val, square: Val) -> None:
    """Squares of filters and of what follows each other in one, turned over in registers."""
    w_filter, rows, shares, kernel = TOTAL_FIELDS.read(f, args, "w_filter rows_at shares_at kernel")
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    length = f.mul(some, kernel)
    with f.loop(0, known, lanes) as i, f.loop(0, length, lanes, [f.int(0), f.int(0)]) as j:
        count = f.min(f.sub(length, j.index), lanes)
        with f.loop(0, count, 1, j.carried, guard=False) as k:
            channel, position = k.carried
            share = f.mul(f.load("i64", f.offset(shares, position, "i64")), some)
            row = f.add(f.load("i64", f.offset(rows, position, "i64")), f.add(share, channel))
            total = _added(f, args, element, sums, row, i.index)
            f.store(total, f.offset(square, f.mul(k.index, lanes), element))
            over = f.compare("eq", f.add(position, 1), kernel)
            k.next = [f.add(channel, f.cast("zext", over, "i64")), f.select(over, f.int(0), f.add(position, 1))]
        j.next = k.results
        turned = transposed(f, [f.load(type, f.offset(square, k * lanes, element)) for k in range(lanes)])
        for lane, x in enumerate(turned):
            f.store(x, f.offset(square, lane * lanes, element))
        mask = f.mask_below(count, lanes)
        place = f.offset(w, f.add(f.mul(i.index, w_filter), j.index), element)
        with f.loop(0, f.min(f.sub(known, i.index), lanes), 1, [square, place]) as k:
            f.store_masked(f.load(type, k.carried[0]), k.carried[1], mask)
            k.next = [f.offset(k.carried[0], lanes, element), f.offset(k.carried[1], w_filter, element)]


def _total_any(f: Function, args: Val, element: str, sums: Val, w: Val, some: Val, known: Val, square: Val) -> None:
    w_filter, w_channel, offsets, taps = TOTAL_FIELDS.read(f, args, "w_filter w_channel taps_at taps")
    lanes = f.target.lanes(BYTES[element])
    with f.loop(0, taps) as tap, f.loop(0, some) as c, f.loop(0, known, lanes) as i:
        f.store(_added(f, args, element, sums, _row(f, args, tap.index, c.index, some), i.index), square)
        offset = f.add(f.load("i64", f.offset(offsets, tap.index, "i64")), f.mul(c.index, w_channel))
        place = f.offset(w, f.add(offset, f.mul(i.index, w_filter)), element)
        with f.loop(0, f.min(f.sub(known, i.index), lanes), 1, [place]) as k:
            f.store(f.load(element, f.offset(square, k.index, element)), k.carried[0])
            k.next = [f.offset(k.carried[0], w_filter, element)]
