"""The gradient of a convolution's weight: the unfolded input, transposed, times the gradient of the output.

A task adds up the products of some blocks of positions for some rows of the unfolded input and some filters. How
many blocks share a sum depends on the shapes alone, and a second launch adds these partial sums in their order.
"""

from __future__ import annotations

from flambeau._backends.cpu import conv_blocks
from flambeau._backends.cpu.conv_blocks import block_words, emit_block, emit_segments, segment_table
from flambeau._backends.cpu.conv_geometry import (
    COLUMN_BYTES,
    FILTERS,
    LINE_BYTES,
    Correlation,
    blocks_of,
    evenly,
    fixed_pitch,
    round_up,
)
from flambeau._backends.cpu.conv_pack import FilterStrides, tap_offsets
from flambeau._backends.cpu.conv_tile import VECTORS, tile_kernel, tile_rows, tile_width
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch, Word, Words
from flambeau._backends.cpu.lines import Lines, buffer, move, turn_square
from flambeau._backends.cpu.target import Target

TASKS = 32  # at least, where there are as many blocks
FIELDS = Fields(
    f"{conv_blocks.NAMES} sums_at turn_at g_at g_image g_channel g_d g_h g_w tile_at tile_rows filters filter_panels "
    "panels_each chunk_rows segment_rows sum blocks_w blocks_h blocks partials chunks filter_blocks"
)
TOTAL_FIELDS = Fields(
    "sums_at w_at w_group w_filter w_channel taps_at outer_taps taps_w shifted channels chunk filters filter_panels "
    "panels_each chunk_rows segment_rows sum partials chunks filter_blocks"
)


def weight_launches(
    target: Target, element: str, c: Correlation, x: Address, g: Address, w: Address, weight: FilterStrides
) -> tuple[list[Launch], int] | None:
    """The launches that compute the gradient at `w`, and the bytes of scratch memory they need."""
    itemsize = BYTES[element]
    width = tile_width(target, element)
    b = blocks_of(c, target, itemsize, fixed=True)
    if b is None:
        return None
    blocks_w, blocks_h = -(-c.axes[2].out // b.columns), -(-c.axes[1].out // b.rows)
    blocks = blocks_w * blocks_h * -(-c.planes // b.planes)
    segments = c.taps // len(c.axes[2].offsets) if b.shifted else 1
    depth = b.channels * c.taps // segments
    rows = evenly(depth, tile_rows(target))
    segment_rows = round_up(depth, rows)
    chunk_rows = segments * segment_rows
    panels = -(-c.filters // width)
    each = evenly(panels, FILTERS // width)
    chunks, filter_blocks = -(-c.channels // b.channels), -(-panels // each)
    apart = c.groups * filter_blocks * chunks
    partials = min(blocks, -(-TASKS // apart))
    size = chunk_rows * each * width
    shared: dict[str, Word] = {
        "sums_at": Scratch(), "filters": c.filters, "filter_panels": panels, "panels_each": each,
        "chunk_rows": chunk_rows, "segment_rows": segment_rows, "sum": size, "partials": partials, "chunks": chunks,
        "filter_blocks": filter_blocks,
    }  # fmt: skip
    turn = Kernel(generate_turn, (element, c.y.channel == 1), ("turn",))
    words = FIELDS.words(
        **block_words(target, element, c, b, x), **shared, turn_at=Entry(turn, "turn"), g_at=g, g_image=c.y.image,
        g_channel=c.y.channel, g_d=c.y.space[0], g_h=c.y.space[1], g_w=c.y.space[2],
        tile_at=Entry(tile_kernel(element, rows, b.pitch), "tile"), tile_rows=rows, blocks_w=blocks_w,
        blocks_h=blocks_h, blocks=blocks,
    )  # fmt: skip
    total = TOTAL_FIELDS.words(
        **shared, w_at=w, w_group=weight.group, w_filter=weight.filter, w_channel=weight.channel,
        taps_at=Words(tuple(tap_offsets(c, weight.space))), 
        outer_taps=c.taps // len(c.axes[2].offsets), taps_w=len(c.axes[2].offsets), shifted=int(b.shifted),
        channels=c.channels, chunk=b.channels,
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
    itemsize, width = BYTES[element], tile_width(target, element)
    spare = tile_rows(target) * fixed_pitch(True, target, itemsize) * itemsize  # rows that a last tile reads too many
    f, args, lo, hi = m.entry("products")
    gathered, matrix = buffer(f, element, LINE_BYTES), buffer(f, element, COLUMN_BYTES + spare)
    turned = buffer(f, element, width * fixed_pitch(False, target, itemsize) * itemsize)
    starts, nothing = segment_table(f), f.stack("i64", 1)
    f.store(f.int(0), nothing)
    sums, tile, turn, rows, size, chunk_rows, panels, each = FIELDS.read(
        f, args, "sums_at tile_at turn_at tile_rows sum chunk_rows filter_panels panels_each"
    )
    channels, chunk, segments, segment_taps, segment_rows, pitch, planes, h_block, w_block = FIELDS.read(
        f, args, "channels chunk segments segment_taps segment_rows pitch planes rows columns"
    )
    partials, chunks, filter_blocks, blocks_w, blocks_h, blocks = FIELDS.read(
        f, args, "partials chunks filter_blocks blocks_w blocks_h blocks"
    )
    with f.loop(lo, hi) as task:
        sum = f.offset(sums, f.mul(task.index, size), element)
        _clear(f, element, sum, size)
        part, number, filter_block, group = split_task(f, task.index, partials, chunks, filter_blocks)
        channel = f.mul(number, chunk)
        some = f.min(chunk, f.sub(channels, channel))
        source, depth = f.add(f.mul(group, channels), channel), f.mul(some, segment_taps)
        panel = f.mul(filter_block, each)
        end = f.min(f.add(panel, each), panels)
        first = f.udiv(f.mul(part, blocks), partials)
        with f.loop(first, f.udiv(f.mul(f.add(part, 1), blocks), partials)) as block:
            w, h, p = split_task(f, block.index, blocks_w, blocks_h)
            start = f.mul(p, planes), f.mul(h, h_block), f.mul(w, w_block)
            place = emit_block(f, args, element, start, source, some, gathered, matrix)
            positions = f.mul(f.mul(place[0], place[1]), place[2])
            emit_segments(f, args, starts, some, place[2])
            sizes = [positions, f.int(width), f.int(width), f.int(0), f.int(1), nothing]
            with f.loop(panel, end, 1, [sum]) as n:
                f.call_address(turn, [args, turned, group, n.index, *start, *place])
                with f.loop(0, segments) as s, f.loop(0, depth, rows) as k:
                    begin = f.load("i64", f.offset(starts, s.index, "i64"))
                    left = f.offset(matrix, f.add(begin, f.mul(k.index, pitch)), element)
                    row = f.add(f.mul(s.index, segment_rows), k.index)
                    to = f.offset(n.carried[0], f.mul(row, width), element)
                    f.call_address(tile, [left, turned, to, to, *sizes])
                n.next = [f.offset(n.carried[0], f.mul(chunk_rows, width), element)]
    f.ret()
    f.close()
    return m.text()


def _clear(f: Function, element: str, to: Val, count: Val) -> None:
    """Zeros; `count` is a multiple of a tile's width."""
    lanes = f.target.lanes(BYTES[element])
    with f.loop(0, count, lanes) as i:
        f.store(f.float(0.0, vector(element, lanes)), f.offset(to, i.index, element))


def generate_turn(target: Target, element: str, across: bool) -> str:
    """`turn`: the gradients of a panel of filters at a block's positions, as a matrix (position, filter); `across`
    where filters are side by side in memory."""
    m = Module(target)
    width = tile_width(target, element)
    names = ("group", "panel", "plane", "h0", "w0", "planes", "rows", "columns")
    f = m.function("turn", "void", [("args", "ptr"), ("to", "ptr")] + [(n, "i64") for n in names])
    args, to, group, panel, plane, h0, w0, planes, rows, columns = f.parameters
    g, image, channel, g_d, g_h, g_w, filters, count_d = FIELDS.read(
        f, args, "g_at g_image g_channel g_d g_h g_w filters count_d"
    )
    first = f.mul(panel, width)
    known = f.min(f.sub(filters, first), width)
    filter = f.add(f.mul(group, filters), first)
    corner = f.add(f.mul(filter, channel), f.add(f.mul(h0, g_h), f.mul(w0, g_w)))
    side = None if across else buffer(f, element, width * fixed_pitch(False, target, BYTES[element]) * BYTES[element])
    with f.loop(0, planes, 1, [to if side is None else side]) as p:
        number = f.add(plane, p.index)
        start = f.add(f.mul(f.udiv(number, count_d), image), f.mul(f.urem(number, count_d), g_d))
        source = f.offset(g, f.add(start, corner), element)
        collect = _collect_across if across else _collect
        p.next = [collect(f, args, element, p.carried[0], source, known, rows, columns)]
    if side is not None:
        _turn(f, element, to, side, known, f.mul(f.mul(planes, rows), columns))
    f.ret()
    f.close()
    return m.text()


def _collect(f: Function, args: Val, element: str, side: Val, source: Val, known: Val, rows: Val, columns: Val) -> Val:
    """A slice of the block, as a matrix (filter, position) with the fixed pitch; returns where the next one goes."""
    channel, g_h, g_w = FIELDS.read(f, args, "g_channel g_h g_w")
    pitch = fixed_pitch(False, f.target, BYTES[element])
    lines = Lines(f, args)
    with f.loop(0, known, 1, [side, source]) as i:
        with f.loop(0, rows, 1, i.carried) as r:
            lines.copy(r.carried[0], r.carried[1], columns, g_w)
            r.next = [f.offset(r.carried[0], columns, element), f.offset(r.carried[1], g_h, element)]
        i.next = [f.offset(i.carried[0], pitch, element), f.offset(i.carried[1], channel, element)]
    return f.offset(side, f.mul(rows, columns), element)


def _turn(f: Function, element: str, to: Val, side: Val, known: Val, positions: Val) -> None:
    """Squares of (filter, position) to (position, filter), zeros for filters that there are not."""
    lanes, width = f.target.lanes(BYTES[element]), tile_width(f.target, element)
    pitch = fixed_pitch(False, f.target, BYTES[element])
    with f.loop(known, width) as i, f.loop(0, positions, lanes) as j:
        at = f.offset(side, f.add(f.mul(i.index, pitch), j.index), element)
        f.store(f.float(0.0, vector(element, lanes)), at)
    with f.loop(0, positions, lanes) as j, f.loop(0, width, lanes) as i:
        source = f.offset(side, f.add(f.mul(i.index, pitch), j.index), element)
        place = f.offset(to, f.add(f.mul(j.index, width), i.index), element)
        turn_square(f, element, place, f.int(width), source, f.int(pitch))


def _collect_across(f: Function, args: Val, element: str, to: Val, source: Val, known: Val, rows: Val, columns: Val
                    ) -> Val:  # fmt: skip
    """A slice of the block, as a matrix (position, filter); returns where the next one goes."""
    g_h, g_w = FIELDS.read(f, args, "g_h g_w")
    lanes, width = f.target.lanes(BYTES[element]), tile_width(f.target, element)
    lines = Lines(f, args)
    whole = f.compare("eq", known, width)
    with f.loop(0, rows, 1, [to, source]) as r:
        with f.loop(0, columns, 1, r.carried) as i:
            place, at = i.carried
            vectors, piece, after = (f.fresh_label(n) for n in ("vectors", "piece", "after"))
            f.branch(whole, vectors, piece)
            f.label(vectors)
            for v in range(width // lanes):
                move(f, element, lanes, place, at, f.int(v * lanes))
            f.jump(after)
            f.label(piece)
            for v in range(width // lanes):
                f.store(f.float(0.0, vector(element, lanes)), f.offset(place, v * lanes, element))
            lines.copy(place, at, known, f.int(1))
            f.jump(after)
            f.label(after)
            i.next = [f.offset(place, width, element), f.offset(at, g_w, element)]
        r.next = [i.results[0], f.offset(r.carried[1], g_h, element)]
    return r.results[0]


def generate_total(target: Target, element: str) -> str:
    """`total`: one task adds up the partial sums of a panel of filters and some channels."""
    m = Module(target)
    f, args, lo, hi = m.entry("total")
    width = tile_width(target, element)
    sums, w, w_group, w_filter, w_channel, offsets = TOTAL_FIELDS.read(
        f, args, "sums_at w_at w_group w_filter w_channel taps_at"
    )
    outer_taps, taps_w, shifted, channels, chunk, filters, panels, each = TOTAL_FIELDS.read(
        f, args, "outer_taps taps_w shifted channels chunk filters filter_panels panels_each"
    )
    chunk_rows, segment_rows, size, partials, chunks, filter_blocks = TOTAL_FIELDS.read(
        f, args, "chunk_rows segment_rows sum partials chunks filter_blocks"
    )
    spare = f.stack(element, width)
    with f.loop(lo, hi) as task:
        number, panel, group = split_task(f, task.index, chunks, panels)
        channel, filter = f.mul(number, chunk), f.mul(panel, width)
        known = f.min(width, f.sub(filters, filter))
        block = f.add(f.mul(f.add(f.mul(group, filter_blocks), f.udiv(panel, each)), chunks), number)
        start = f.add(f.mul(f.mul(block, partials), size), f.mul(f.mul(f.urem(panel, each), chunk_rows), width))
        to = f.add(f.add(f.mul(group, w_group), f.mul(filter, w_filter)), f.mul(channel, w_channel))
        some = f.min(chunk, f.sub(channels, channel))
        taps_rows = f.select(f.compare("ne", shifted, 0), segment_rows, f.mul(some, taps_w))
        with f.loop(0, outer_taps) as tap, f.loop(0, some) as c, f.loop(0, taps_w) as k:
            row = f.add(f.mul(tap.index, taps_rows), f.add(f.mul(c.index, taps_w), k.index))
            _add_up(f, element, spare, f.offset(sums, f.add(start, f.mul(row, width)), element), partials, size)
            offset = f.load("i64", f.offset(offsets, f.add(f.mul(tap.index, taps_w), k.index), "i64"))
            place = f.offset(w, f.add(to, f.add(f.mul(c.index, w_channel), offset)), element)
            with f.loop(0, known, 1, [place]) as i:
                f.store(f.load(element, f.offset(spare, i.index, element)), i.carried[0])
                i.next = [f.offset(i.carried[0], w_filter, element)]
    f.ret()
    f.close()
    return m.text()


def _add_up(f: Function, element: str, to: Val, sums: Val, partials: Val, size: Val) -> None:
    """The total of a row of `partials` sums that lie `size` elements apart."""
    lanes = f.target.lanes(BYTES[element])
    zeros = [f.float(0.0, vector(element, lanes))] * VECTORS
    with f.loop(0, partials, 1, [*zeros, sums]) as part:
        at = part.carried[-1]
        parts = [f.load(x.type, f.offset(at, v * lanes, element)) for v, x in enumerate(zeros)]
        added = [f.fadd(total, x) for total, x in zip(part.carried, parts, strict=False)]
        part.next = [*added, f.offset(at, size, element)]
    for v, total in enumerate(part.results[:-1]):
        f.store(total, f.offset(to, v * lanes, element))
