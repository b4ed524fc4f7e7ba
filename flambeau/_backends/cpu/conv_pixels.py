"""Correlations pixel by pixel: how they are cut, and their input with the channels of a pixel side by side.

Where there are filters enough to fill vectors, an input element meets all of them at once: it is read into all lanes
and multiplied with vectors of packed filters, which takes neither a copy of the input for every kernel position nor
vectors that reach beyond the end of a row. For this, a block's lines are gathered as (line, pixel, channel), so that
neighbouring positions of a kernel's row are one run of elements. Kernel positions beyond the border are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu import conv_pixels_gather
from flambeau._backends.cpu.conv_geometry import CACHE_LINE, FILTERS, Axis, Correlation, evenly, round_up
from flambeau._backends.cpu.conv_pixels_gather import gather_kernel
from flambeau._backends.cpu.emit import BYTES, Function, Val
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Entry, Word
from flambeau._backends.cpu.lines import table
from flambeau._backends.cpu.target import Target

LINES_BYTES = 192 << 10  # of gathered input: with a panel of filters it stays in a second-level cache
SUMS_BYTES = 196 << 10  # of a block's sums
PANEL_BYTES = 160 << 10  # of a panel's filters, a chunk of channels
MOST_VECTORS = 4
SUMS = 28  # vectors of them in a tile, at most
UNDER_WAY = 8  # products that a processor has begun and not finished; times a tile takes are counted in products
LOAD = 1.1  # of what is in the first-level cache
FILTER_LOAD = 0.25  # more for a vector of filters
POSITIONS = 96  # in a block that is made smaller for the sake of more channels at a time, at least
MET = 1024  # filters, times taps, that a gathered element meets if there are as many: gathering takes as long as 30
SEGMENTS = 256  # runs of input that make an output
TASKS = 16  # at least, where there is work for as many

NAMES = (
    f"{conv_pixels_gather.NAMES} x_at x_image step_d step_h step_w low_h low_w span_h span_w taps_h offsets_h_at runs "
    "runs_at run_taps taps channels chunk planes rows columns count_d count_h count_w all_planes height"
)
FIELDS = Fields(NAMES)


class Tile(NamedTuple):
    """`height` pixels by `vectors` vectors of filters."""

    height: int
    vectors: int

    def lower(self) -> Tile:
        """The tile that stands in for some of a row's, so that they end where it does."""
        return self._replace(height=max(1, self.height - 1))


class PixelBlocks(NamedTuple):
    """A block is `planes` slices x `rows` x `columns` output positions; `channels` of its input are gathered at a time.
    Its rows are multiplied in tiles, with up to `panels` panels of filters."""

    planes: int
    rows: int
    columns: int
    channels: int
    panels: int
    tile: Tile


def runs_of(w: Axis) -> tuple[list[int], int]:
    """Where the runs of a row of kernel positions begin, seen from its first, and how many positions one has."""
    slots = [offset - w.low for offset in w.offsets]
    if slots == list(range(len(slots))):
        return [0], len(slots)
    return slots, 1


def most_rows(target: Target, vectors: int) -> int:
    """The rows of a tile that wide for which the registers hold its sums, a row of vectors of the right matrix, and an
    element of the left one in all lanes."""
    return min(SUMS // vectors, (target.registers - 1 - vectors) // vectors)


def tiles_of(rows: int, height: int) -> tuple[int, int]:
    """(tiles, those of them that are one lower) for so many rows. If all are lower, that may still be too many rows."""
    tiles = -(-rows // height)
    return tiles, min(tiles, tiles * height - rows)


def padded_columns(columns: int, height: int) -> int:
    """The pixels in a row's tiles."""
    tiles, lower = tiles_of(columns, height)
    return tiles * height - lower


def tile_of(target: Target, itemsize: int, rows: int, filters: int) -> Tile:
    """The tile with which so many rows of sums take the least time."""
    vectors = -(-filters // target.lanes(itemsize))

    def step(tile: Tile) -> float:
        # A step of the depth is bound by its products, of which some must be under way at any time, or by its loads;
        # filters come from the second-level cache. A tile costs about one product in each step more.
        height, wide = tile
        return max(height * wide, UNDER_WAY, LOAD * (height + wide)) + FILTER_LOAD * wide + 1

    def cost(tile: Tile) -> tuple[float, int]:
        tiles, lower = tiles_of(rows, tile.height)
        row = (tiles - lower) * step(tile) + lower * step(tile.lower())
        return row * -(-vectors // tile.vectors), tile.vectors

    wide = range(1, min(vectors, MOST_VECTORS) + 1)
    return min([Tile(evenly(rows, most_rows(target, v)), v) for v in wide], key=cost)


def pixel_blocks(c: Correlation, target: Target, itemsize: int, weight: bool = False) -> PixelBlocks | None:
    """Blocks whose input and sums fit the buffers; None for what is better done another way. `weight`: for the gradient
    of the weight, where a tile's rows are the run of input channels that an output sees."""
    d, h, w = c.axes
    lanes = target.lanes(itemsize)
    runs, run_taps = runs_of(w)
    outer = len(d.offsets) * len(h.offsets)
    if not target.masks or c.filters < lanes or outer * len(runs) > SEGMENTS or w.out < 4:
        return None
    together = FILTERS if weight else _filters_together(c, itemsize)
    most = SUMS_BYTES // (itemsize * together)
    columns = evenly(w.out, most)
    line = CACHE_LINE // itemsize
    if line < columns < w.out and round_up(columns, line) <= most:
        columns = round_up(columns, line)
    tile = tile_of(target, itemsize, run_taps * min(c.channels, 4 * lanes) if weight else columns, c.filters)
    width = tile.vectors * lanes
    each = evenly(-(-c.filters // width), max(1, together // width))
    padded = columns if weight else padded_columns(columns, tile.height)
    rows = evenly(h.out, max(1, SUMS_BYTES // (itemsize * each * width * padded)))
    most = max(1, SUMS_BYTES // (itemsize * each * width * padded * rows))
    others = c.groups * -(-c.filters // (each * width))  # tasks that there are besides
    planes = evenly(c.planes, min(most, max(1, c.planes * others // TASKS))) if rows == h.out else 1
    beyond = (padded - columns) * w.step + lanes  # pixels that the last tile sees, or the last square writes
    panel = PANEL_BYTES // (max(1, c.taps) * width * itemsize)
    found = _shrunk(c, (planes, rows, columns), itemsize, beyond, (lanes, panel), weight)
    if found is None:
        return None
    planes, rows, fitting = found
    chunk = evenly(c.channels, fitting)
    if chunk < c.channels:
        chunk = min(round_up(chunk, lanes), max(lanes, fitting // lanes * lanes))
    if weight:
        tile = Tile(evenly(run_taps * chunk, most_rows(target, tile.vectors)), tile.vectors)
    return PixelBlocks(planes, rows, columns, chunk, each, tile)


def _shrunk(
    c: Correlation, block: tuple[int, int, int], itemsize: int, beyond: int, channels: tuple[int, int], weight: bool
) -> tuple[int, int, int] | None:
    """(slices, rows, input channels that fit) of a block that is made smaller until enough channels fit: a vector, or,
    while it is spacious, half of them, but of sums of a gradient no more than the cache holds beside the rest. For
    every chunk of channels sums are read again, or gradients gathered; but an output's lines are gathered more often if
    they have fewer neighbours, so a block keeps its rows for their sake. `channels`: the fewest and the most."""
    planes, rows, columns = block
    fewest, most = channels
    _, h, w = c.axes
    while True:
        pixels = planes * len(c.axes[0].offsets) * h.reach(rows) * w.reach(columns) + beyond
        fitting = min(LINES_BYTES // (pixels * itemsize), most)
        spacious = planes * rows * columns >= 2 * POSITIONS and (planes > 1 or (weight and rows > 1))
        half = min(-(-c.channels // 2), most // 2 if weight else most) if spacious else 0
        if fitting >= max(half, min(c.channels, fewest)):
            return planes, rows, fitting
        if planes > 1:
            planes = -(-planes // 2)
        elif rows > 1:
            rows = -(-rows // 2)
        else:
            return None


def _filters_together(c: Correlation, itemsize: int) -> int:
    """How many filters a task has at most: enough to be worth gathering its input, and not so many that there are few
    tasks."""
    most = min(max(FILTERS, MET // max(1, c.taps)), round_up(c.filters, FILTERS))
    positions = c.axes[1].out * c.axes[2].out

    def tasks(filters: int) -> int:
        blocks = -(-positions * itemsize * filters // SUMS_BYTES)
        return c.groups * c.planes * blocks * -(-c.filters // filters)

    while most > FILTERS and tasks(most) < TASKS:
        most = max(FILTERS, most // 2)
    return most


def block_words(element: str, c: Correlation, b: PixelBlocks, x: Word) -> dict[str, Word]:
    """The values of NAMES."""
    d, h, w = c.axes
    runs, run_taps = runs_of(w)
    values: dict[str, Word] = {"gather_at": Entry(gather_kernel(element, c.x, c.channels), "gather")}
    for name, axis, stride in zip("dhw", c.axes, c.x.space, strict=True):
        values |= {f"x_{name}": stride, f"size_{name}": axis.size, f"step_{name}": axis.step, f"count_{name}": axis.out}
    return values | {
        "x_at": x, "x_image": c.x.image, "x_channel": c.x.channel, "low_h": h.low, "low_w": w.low, "span_h": h.span,
        "span_w": w.span, "taps_d": len(d.offsets) if c.taps else 0, "taps_h": len(h.offsets),
        "offsets_d_at": table(d.offsets), "offsets_h_at": table(h.offsets), "runs": len(runs),
        "runs_at": table(runs), "run_taps": run_taps,
        "taps": c.taps, "channels": c.channels, "chunk": b.channels, "planes": b.planes, "rows": b.rows,
        "columns": b.columns, "all_planes": c.planes, "height": b.tile.height,
    }  # fmt: skip


class Block(NamedTuple):
    """The block at hand, in a kernel: where it starts, its size, and of its gathered lines the number of those of one
    kernel position along the outermost axis, and the pixels of one."""

    plane: Val
    h0: Val
    w0: Val
    planes: Val
    rows: Val
    columns: Val
    h_count: Val
    w_count: Val


def emit_place(f: Function, args: Val, start: Sequence[Val]) -> Block:
    """The block that starts at (slice, row, column)."""
    plane, h0, w0 = start
    all_planes, count_h, count_w, planes, rows, columns, step_h, step_w, span_h, span_w = FIELDS.read(
        f, args, "all_planes count_h count_w planes rows columns step_h step_w span_h span_w"
    )
    planes = f.min(planes, f.sub(all_planes, plane))
    rows, columns = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
    h_count = f.add(f.add(f.mul(f.sub(rows, 1), step_h), span_h), 1)
    w_count = f.add(f.add(f.mul(f.sub(columns, 1), step_w), span_w), 1)
    return Block(plane, h0, w0, planes, rows, columns, h_count, w_count)


def emit_gather(f: Function, args: Val, element: str, block: Block, channel: Val, channels: Val, lines: Val) -> None:
    """Gather the block's input from input channel `channel` on, as (slice, outermost tap, line, pixel, channel)."""
    gather, x, x_image, x_channel, count_d, step_d, step_h, step_w, low_h, low_w, taps_d = FIELDS.read(
        f, args, "gather_at x_at x_image x_channel count_d step_d step_h step_w low_h low_w taps_d"
    )
    size = f.mul(f.mul(taps_d, block.h_count), f.mul(block.w_count, channels))
    h, w = f.add(f.mul(block.h0, step_h), low_h), f.add(f.mul(block.w0, step_w), low_w)
    with f.loop(0, block.planes, 1, [lines]) as i:
        number = f.add(block.plane, i.index)
        image, d = f.udiv(number, count_d), f.urem(number, count_d)
        source = f.offset(x, f.add(f.mul(image, x_image), f.mul(channel, x_channel)), element)
        numbers = [channels, channels, f.mul(d, step_d), h, block.h_count, w, block.w_count]
        f.call_address(gather, [args, source, i.carried[0], *numbers])
        i.next = [f.offset(i.carried[0], size, element)]


class Slab(NamedTuple):
    """The gathered lines of one slice of a block and one kernel position along the outermost axis: the number of the
    first, and whether they are inside of the input."""

    first: Val
    seen: Val


def emit_slab(f: Function, args: Val, block: Block, plane: Val, tap: Val) -> Slab:
    count_d, step_d, size_d, taps_d, offsets_d = FIELDS.read(f, args, "count_d step_d size_d taps_d offsets_d_at")
    position = f.mul(f.urem(f.add(block.plane, plane), count_d), step_d)
    d = f.add(position, f.load("i64", f.offset(offsets_d, tap, "i64")))
    first = f.mul(f.add(f.mul(plane, taps_d), tap), block.h_count)
    return Slab(first, f.compare("ult", d, size_d))


def emit_line(f: Function, args: Val, block: Block, slab: Slab, row: Val, tap: Val) -> tuple[Val, Val]:
    """(the number of the line that output `row` of a block sees through a kernel position along the rows, whether it is
    inside of the input)."""
    step_h, low_h, size_h, offsets_h = FIELDS.read(f, args, "step_h low_h size_h offsets_h_at")
    offset = f.load("i64", f.offset(offsets_h, tap, "i64"))
    h = f.add(f.mul(f.add(block.h0, row), step_h), offset)
    seen = f.binary("and", slab.seen, f.compare("ult", h, size_h))
    return f.add(slab.first, f.add(f.mul(row, step_h), f.sub(offset, low_h))), seen


class Table:
    """The runs of input for a tile, in a kernel: pairs of where one begins on the left, and on the right."""

    def __init__(self, f: Function) -> None:
        """To be made at a function's beginning."""
        self.f, self.at = f, f.stack("i64", 2 * (SEGMENTS + 1))

    def put(self, count: Val, left: Val, right: Val, seen: Val) -> Val:
        """Entry number `count`; returns their number, in which it counts only if it is `seen`."""
        f = self.f
        place = f.offset(self.at, f.mul(count, 2), "i64")
        f.store(left, place)
        f.store(right, f.offset(place, 1, "i64"))
        return f.add(count, f.cast("zext", seen, "i64"))


def lines_buffer(f: Function, element: str) -> Val:
    """Memory for gathered lines."""
    return f.stack(element, (LINES_BYTES + 8 * CACHE_LINE) // BYTES[element])


def sums_buffer(f: Function, element: str) -> Val:
    """Memory for a block's sums, with a tile too many."""
    return f.stack(element, SUMS_BYTES // BYTES[element] + MET * SUMS)
