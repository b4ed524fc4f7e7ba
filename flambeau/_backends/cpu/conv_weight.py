"""The gradient of a convolution's weight: the unfolded input, transposed, times the gradient of the output.

A task adds up the products of some blocks of positions for some rows of the unfolded input and some filters. How
many blocks share a sum depends on the shapes alone, and a second launch adds these partial sums in their order.
"""

from __future__ import annotations

from flambeau._backends.cpu.conv_forward import buffer, emit_block, split_task
from flambeau._backends.cpu.conv_geometry import (
    COLUMN_BYTES,
    FILTERS,
    LINE_BYTES,
    POSITION_BYTES,
    Correlation,
    blocks_of,
    evenly,
    longest_pitch,
    round_up,
)
from flambeau._backends.cpu.conv_pack import FilterStrides, tap_offsets
from flambeau._backends.cpu.conv_tile import tile_kernel, tile_rows, tile_width
from flambeau._backends.cpu.conv_unfold import INPUT_NAMES, Copies, emit_gather, emit_unfold, input_words
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch, Word, Words
from flambeau._backends.cpu.target import Target

TASKS = 32  # at least, where there are as many blocks
FIELDS = Fields(
    f"{INPUT_NAMES} sums_at g_at g_image g_channel g_d g_h g_w tile_at tile_rows filters filter_panels "
    "panels_each chunk_rows sum blocks_w blocks_h blocks partials chunks filter_blocks"
)
TOTAL_FIELDS = Fields(
    "sums_at w_at w_group w_filter w_channel taps_at taps channels chunk filters filter_panels panels_each chunk_rows "
    "sum partials chunks filter_blocks"
)


def weight_launches(
    target: Target, element: str, c: Correlation, x: Address, g: Address, w: Address, weight: FilterStrides
) -> tuple[list[Launch], int] | None:
    """The launches that compute the gradient at `w`, and the bytes of scratch memory they need."""
    itemsize = BYTES[element]
    width = tile_width(target, element)
    pitch = longest_pitch(target, itemsize)
    b = blocks_of(c, target, itemsize, pitch)
    if b is None:
        return None
    blocks_w, blocks_h = -(-c.axes[2].out // b.columns), -(-c.axes[1].out // b.rows)
    blocks = blocks_w * blocks_h * -(-c.planes // b.planes)
    rows = evenly(b.channels * c.taps, tile_rows(target))
    chunk_rows = round_up(b.channels * c.taps, rows)
    panels = -(-c.filters // width)
    each = evenly(panels, FILTERS // width)
    chunks, filter_blocks = -(-c.channels // b.channels), -(-panels // each)
    apart = c.groups * filter_blocks * chunks
    partials = min(blocks, -(-TASKS // apart))
    size = chunk_rows * each * width
    shared: dict[str, Word] = {
        "sums_at": Scratch(), "filters": c.filters, "filter_panels": panels, "panels_each": each,
        "chunk_rows": chunk_rows, "sum": size, "partials": partials, "chunks": chunks, "filter_blocks": filter_blocks,
    }  # fmt: skip
    words = FIELDS.words(
        **input_words(c, b, x), **shared, g_at=g, g_image=c.y.image, g_channel=c.y.channel, g_d=c.y.space[0],
        g_h=c.y.space[1], g_w=c.y.space[2], tile_at=Entry(tile_kernel(element, rows, pitch), "tile"), tile_rows=rows,
        blocks_w=blocks_w, blocks_h=blocks_h, blocks=blocks,
    )  # fmt: skip
    total = TOTAL_FIELDS.words(
        **shared, w_at=w, w_group=weight.group, w_filter=weight.filter, w_channel=weight.channel,
        taps_at=Words(tuple(tap_offsets(c, weight.space))), taps=c.taps, channels=c.channels, chunk=b.channels,
    )  # fmt: skip
    launches = [
        Launch(Kernel(generate_weight, (element,), ("products",)), "products", words, apart * partials, 1),
        Launch(Kernel(generate_total, (element,), ("total",)), "total", total, c.groups * panels * chunks,
               max(1, (1 << 16) // (chunk_rows * width * partials))),
    ]  # fmt: skip
    return launches, apart * partials * size * itemsize


def generate_weight(target: Target, element: str) -> str:
    """`products`: one task is a partial sum for some filters of a group and some of its channels."""
    m = Module(target)
    copies = Copies(m, element)
    copies.emit()
    emit_gather(copies, FIELDS)
    emit_unfold(copies, FIELDS)
    _emit_turn(copies)
    _emit_products(copies)
    return m.text()


def _emit_products(copies: Copies) -> None:
    m, element = copies.m, copies.element
    itemsize, width = BYTES[element], tile_width(copies.m.target, element)
    most, pitch = tile_rows(m.target), longest_pitch(m.target, itemsize)
    f, args, lo, hi = m.entry("products")
    lines, matrix = buffer(f, element, LINE_BYTES), buffer(f, element, COLUMN_BYTES + most * pitch * itemsize)
    turned = buffer(f, element, FILTERS * POSITION_BYTES)
    side = buffer(f, element, width * pitch * itemsize)
    sums, tile, rows, size, chunk_rows, panels, each = FIELDS.read(
        f, args, "sums_at tile_at tile_rows sum chunk_rows filter_panels panels_each"
    )
    channels, chunk, taps, per_block, h_block, w_block = FIELDS.read(f, args, "channels chunk taps planes rows columns")
    partials, chunks, filter_blocks, blocks_w, blocks_h, blocks = FIELDS.read(
        f, args, "partials chunks filter_blocks blocks_w blocks_h blocks"
    )
    with f.loop(lo, hi) as task:
        sum = f.offset(sums, f.mul(task.index, size), element)
        f.call("void", "clear", [sum, size], declare=False)
        part, number, filter_block, group = split_task(f, task.index, partials, chunks, filter_blocks)
        channel = f.mul(number, chunk)
        some = f.min(chunk, f.sub(channels, channel))
        source, depth = f.add(f.mul(group, channels), channel), f.mul(some, taps)
        panel = f.mul(filter_block, each)
        end = f.min(f.add(panel, each), panels)
        first = f.udiv(f.mul(part, blocks), partials)
        with f.loop(first, f.udiv(f.mul(f.add(part, 1), blocks), partials)) as block:
            w, h, p = split_task(f, block.index, blocks_w, blocks_h)
            plane, h0, w0 = f.mul(p, per_block), f.mul(h, h_block), f.mul(w, w_block)
            place = emit_block(f, args, element, plane, h0, w0, source, some, lines, matrix, FIELDS)
            positions = f.mul(f.mul(place[0], place[1]), place[2])
            with f.loop(panel, end, 1, [sum]) as n:
                f.call("void", "turn", [args, turned, side, group, n.index, plane, h0, w0, *place], declare=False)
                with f.loop(0, depth, rows) as k:
                    left = f.offset(matrix, f.mul(k.index, pitch), element)
                    to = f.offset(n.carried[0], f.mul(k.index, width), element)
                    sizes = [positions, f.int(width), f.int(width), f.int(0)]
                    f.call_address(tile, [left, turned, to, to, *sizes])
                n.next = [f.offset(n.carried[0], f.mul(chunk_rows, width), element)]
    f.ret()
    f.close()


def _emit_turn(copies: Copies) -> None:
    """`turn`: the gradients of a panel of filters at a block's positions, as a matrix (position, filter).

    They are collected (filter, position) in `side` first."""
    m, e, lanes = copies.m, copies.element, copies.lanes
    width, pitch = tile_width(m.target, e), longest_pitch(m.target, BYTES[e])
    names = ("group", "panel", "plane", "h0", "w0", "here", "rows", "columns")
    parameters = [(n, "ptr") for n in ("args", "to", "side")] + [(n, "i64") for n in names]
    f = m.function("turn", "void", parameters, internal=True)
    args, to, side, group, panel, plane, h0, w0, here, rows, columns = f.parameters
    g, image, channel, g_d, g_h, g_w, filters, count_d = FIELDS.read(
        f, args, "g_at g_image g_channel g_d g_h g_w filters count_d"
    )
    positions = f.mul(f.mul(here, rows), columns)
    first = f.mul(panel, width)
    known = f.min(f.sub(filters, first), width)
    corner = f.add(f.mul(h0, g_h), f.mul(w0, g_w))
    with f.loop(0, known, 1, [side]) as i:
        filter = f.add(f.mul(group, filters), f.add(first, i.index))
        with f.loop(0, here, 1, [i.carried[0]]) as p:
            number = f.add(plane, p.index)
            start = f.add(f.mul(f.udiv(number, count_d), image), f.mul(f.urem(number, count_d), g_d))
            start = f.add(f.add(start, corner), f.mul(filter, channel))
            with f.loop(0, rows, 1, [p.carried[0], f.offset(g, start, e)]) as r:
                f.call("void", "copy", [*r.carried, columns, g_w], declare=False)
                r.next = [f.offset(r.carried[0], columns, e), f.offset(r.carried[1], g_h, e)]
            p.next = [r.results[0]]
        i.next = [f.offset(i.carried[0], pitch, e)]
    with f.loop(known, width) as i:
        f.call("void", "clear", [f.offset(side, f.mul(i.index, pitch), e), positions], declare=False)
    with f.loop(0, positions, lanes) as p, f.loop(0, width, lanes) as i:
        source = f.offset(side, f.add(f.mul(i.index, pitch), p.index), e)
        corner = f.offset(to, f.add(f.mul(p.index, width), i.index), e)
        square = [f.load(copies.vector, f.offset(source, pitch * k, e)) for k in range(lanes)]
        for k, row in enumerate(transpose(f, square)):
            f.store(row, f.offset(corner, width * k, e))
    f.ret()
    f.close()


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


def generate_total(target: Target, element: str) -> str:
    """`total`: one task adds up the partial sums of a panel of filters and some channels."""
    m = Module(target)
    f, args, lo, hi = m.entry("total")
    width, lanes = tile_width(target, element), target.lanes(BYTES[element])
    sums, w, w_group, w_filter, w_channel, offsets = TOTAL_FIELDS.read(
        f, args, "sums_at w_at w_group w_filter w_channel taps_at"
    )
    taps, channels, chunk, filters, panels, each, chunk_rows, size, partials, chunks, filter_blocks = TOTAL_FIELDS.read(
        f, args, "taps channels chunk filters filter_panels panels_each chunk_rows sum partials chunks filter_blocks"
    )
    with f.loop(lo, hi) as task:
        number, panel, group = split_task(f, task.index, chunks, panels)
        channel, filter = f.mul(number, chunk), f.mul(panel, width)
        known = f.min(width, f.sub(filters, filter))
        block = f.add(f.mul(f.add(f.mul(group, filter_blocks), f.udiv(panel, each)), chunks), number)
        start = f.add(f.mul(f.mul(block, partials), size), f.mul(f.mul(f.urem(panel, each), chunk_rows), width))
        to = f.add(f.add(f.mul(group, w_group), f.mul(filter, w_filter)), f.mul(channel, w_channel))
        some = f.min(chunk, f.sub(channels, channel))
        spare = f.stack(element, width)
        with f.loop(0, some, 1, [f.offset(sums, start, element), f.offset(w, to, element)]) as c:
            with f.loop(0, taps, 1, [c.carried[0]]) as tap:
                zeros = [f.float(0.0, vector(element, lanes))] * 2
                with f.loop(0, partials, 1, [*zeros, tap.carried[0]]) as part:
                    at = part.carried[2]
                    added = [f.fadd(part.carried[v], f.load(zeros[v].type, f.offset(at, v * lanes, element)))
                             for v in range(2)]  # fmt: skip
                    part.next = [*added, f.offset(at, size, element)]
                for v in range(2):
                    f.store(part.results[v], f.offset(spare, v * lanes, element))
                place = f.offset(c.carried[1], f.load("i64", f.offset(offsets, tap.index, "i64")), element)
                with f.loop(0, known, 1, [place]) as i:
                    f.store(f.load(element, f.offset(spare, i.index, element)), i.carried[0])
                    i.next = [f.offset(i.carried[0], w_filter, element)]
                tap.next = [f.offset(tap.carried[0], width, element)]
            c.next = [tap.results[0], f.offset(c.carried[1], w_channel, element)]
    f.ret()
    f.close()
    return m.text()
