"""Filters, packed for tiles of pixels: panels of filters side by side, for every kernel position and channel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from flambeau._backends.cpu.conv_geometry import Correlation
from flambeau._backends.cpu.conv_pack import ELEMENTS, FilterStrides, tap_offsets
from flambeau._backends.cpu.conv_pixels import PixelBlocks
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scratch, Word
from flambeau._backends.cpu.lines import table
from flambeau._backends.cpu.matmul_pack import transposed
from flambeau._backends.cpu.target import Target

AHEAD = 2  # squares, that what a panel's filters have in memory far apart is asked for before it is read

FIELDS = Fields(
    "w_at w_group w_filter w_channel taps_at order_at runs length bias_at bias_step packed_at packed_bias_at "
    "kernel filters channels chunk taps panels"
)


def padded_filters(c: Correlation, width: int) -> int:
    """The filters of a group in whole panels."""
    return -(-c.filters // width) * width


def one_run(strides: FilterStrides, kernel: Sequence[int]) -> bool:
    """Do the positions of a kernel of those sizes follow each other in memory?"""
    size = 1
    for n, step in zip(reversed(kernel), reversed(strides.space), strict=False):
        if n != 1 and step != size:
            return False
        size *= n
    return True


def tap_numbers(c: Correlation, kernel: Sequence[int]) -> list[int]:
    """For every position of a kernel of those sizes the number of its tap among those of `c`, or -1."""
    numbers = [-1] * math.prod(kernel)
    _, rows, columns = [1] * (3 - len(kernel)) + list(kernel)
    for number, (i, j, k) in enumerate(itertools.product(*[axis.taps for axis in c.axes])):
        numbers[(i * rows + j) * columns + k] = number
    return numbers


def pack_launch(
    target: Target, element: str, c: Correlation, b: PixelBlocks, w: Address, strides: FilterStrides,
    kernel: Sequence[int], bias: Word, bias_step: int, packed: int, packed_bias: int,
) -> Launch:  # fmt: skip
    """The launch that fills scratch memory from `packed` on with the filters of `c`, from `packed_bias` on with their
    biases. `kernel`: the sizes of the weight's spatial dimensions. A panel's filters are in the order (chunk of
    channels, tap, channel, filter); what is beyond the last filter is of no account."""
    width = b.tile.vectors * target.lanes(BYTES[element])
    offsets = tap_offsets(c, strides.space)
    size = math.prod(kernel)
    runs, length = (1, c.channels * size) if strides.channel == size else (c.channels, size)
    if strides.filter == 1:
        order = "filters"
    else:
        order = "run" if one_run(strides, kernel) else "any"
    panels = -(-c.filters // width)
    words = FIELDS.words(
        w_at=w, w_group=strides.group, w_filter=strides.filter, w_channel=strides.channel, taps_at=table(offsets),
        order_at=table(tap_numbers(c, kernel)), runs=runs, length=length, bias_at=bias,
        bias_step=bias_step, packed_at=Scratch(packed), packed_bias_at=Scratch(packed_bias), kernel=size,
        filters=c.filters, channels=c.channels, chunk=b.channels, taps=c.taps, panels=panels,
    )  # fmt: skip
    grain = max(1, ELEMENTS // max(1, c.depth * width))
    return Launch(Kernel(generate_pack, (element, width, order), ("pack",)), "pack", words, c.groups * panels, grain)


def generate_pack(target: Target, element: str, width: int, order: str) -> str:
    """`pack`: one task is one panel. `order`: "filters" where filters are neighbours in memory, "run" where the
    kernel's positions are."""
    m = Module(target)
    f, args, lo, hi = m.entry("pack")
    square = f.stack(element, target.lanes(BYTES[element]) ** 2)
    w, w_group, w_filter, bias, bias_step, packed, packed_bias, filters, channels, taps, panels = FIELDS.read(
        f, args, "w_at w_group w_filter bias_at bias_step packed_at packed_bias_at filters channels taps panels"
    )
    with f.loop(lo, hi) as task:
        panel, group = split_task(f, task.index, panels)
        first = f.mul(panel, width)
        known = f.min(f.sub(filters, first), width)
        number = f.mul(task.index, width)
        with f.loop(0, width) as i:
            at = f.add(f.mul(group, filters), f.add(first, f.min(i.index, f.sub(known, 1))))
            value = f.load(element, f.offset(bias, f.mul(at, bias_step), element))
            f.store(value, f.offset(packed_bias, f.add(number, i.index), element))
        source = f.offset(w, f.add(f.mul(group, w_group), f.mul(first, w_filter)), element)
        to = f.offset(packed, f.mul(number, f.mul(channels, taps)), element)
        if order == "run":
            _run(f, args, element, width, source, to, known, square)
        else:
            (_filters if order == "filters" else _any)(f, args, element, width, source, to, known)
    f.ret()
    f.close()
    return m.text()


def _row(f: Function, args: Val, channel: Val, tap: Val) -> Val:
    """Where a channel's filters for a tap are packed: the number of their row in the panel."""
    channels, chunk, taps = FIELDS.read(f, args, "channels chunk taps")
    first = f.mul(f.udiv(channel, chunk), chunk)
    some = f.min(chunk, f.sub(channels, first))
    return f.add(f.add(f.mul(first, taps), f.mul(tap, some)), f.sub(channel, first))


def _filters(f: Function, args: Val, element: str, width: int, source: Val, to: Val, known: Val) -> None:
    w_channel, offsets, channels, taps = FIELDS.read(f, args, "w_channel taps_at channels taps")
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    masks = [f.mask_below(f.sub(known, v), lanes) for v in range(0, width, lanes)]
    with f.loop(0, channels) as c, f.loop(0, taps) as tap:
        offset = f.load("i64", f.offset(offsets, tap.index, "i64"))
        at = f.offset(source, f.add(f.mul(c.index, w_channel), offset), element)
        place = f.offset(to, f.mul(_row(f, args, c.index, tap.index), width), element)
        for v, mask in enumerate(masks):
            x = f.load_masked(type, f.offset(at, v * lanes, element), mask)
            f.store(x, f.offset(place, v * lanes, element))


def _run(f: Function, args: Val, element: str, width: int, source: Val, to: Val, known: Val, square: Val) -> None:
    """Squares of filters and of what follows each other in one, turned over in registers."""
    w_filter, w_channel, order, runs, length, kernel = FIELDS.read(
        f, args, "w_filter w_channel order_at runs length kernel"
    )
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    with f.loop(0, runs) as run, f.loop(0, length, lanes) as j, f.loop(0, width, lanes) as i:
        begin = f.offset(source, f.add(f.mul(run.index, w_channel), j.index), element)
        left = f.sub(length, j.index)
        mask = f.mask_below(left, lanes)
        numbers = [f.min(f.add(i.index, k), f.sub(known, 1)) for k in range(lanes)]
        starts = [f.offset(begin, f.mul(n, w_filter), element) for n in numbers]
        for start in starts:
            f.prefetch(f.offset(start, AHEAD * lanes, element))
        rows = [f.load_masked(type, start, mask) for start in starts]
        for lane, row in enumerate(transposed(f, rows)):
            f.store(row, f.offset(square, lane * lanes, element))
        with f.loop(0, f.min(left, lanes)) as k:
            number = f.add(f.mul(run.index, length), f.add(j.index, k.index))
            channel, position = f.udiv(number, kernel), f.urem(number, kernel)
            tap = f.load("i64", f.offset(order, position, "i64"))
            with f.when(f.compare("sge", tap, 0)):
                place = f.offset(to, f.add(f.mul(_row(f, args, channel, tap), width), i.index), element)
                f.store(f.load(type, f.offset(square, f.mul(k.index, lanes), element)), place)


def _any(f: Function, args: Val, element: str, width: int, source: Val, to: Val, known: Val) -> None:
    w_filter, w_channel, offsets, channels, taps = FIELDS.read(f, args, "w_filter w_channel taps_at channels taps")
    with f.loop(0, channels) as c, f.loop(0, taps) as tap:
        offset = f.load("i64", f.offset(offsets, tap.index, "i64"))
        at = f.offset(source, f.add(f.mul(c.index, w_channel), offset), element)
        place = f.offset(to, f.mul(_row(f, args, c.index, tap.index), width), element)
        with f.loop(0, known) as i:
            f.store(f.load(element, f.offset(at, f.mul(i.index, w_filter), element)), f.offset(place, i.index, element))
