"""Lines of images with the channels of a pixel side by side, and zeros beyond the border."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from flambeau._backends.cpu.conv_geometry import CACHE_LINE, Strides
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.matmul_pack import transposed
from flambeau._backends.cpu.target import Target

TOGETHER = 2  # cache lines of a channel's pixels that are read one after the other

# The first words of every kernel that gathers pixels.
NAMES = "gather_at x_channel x_d x_h x_w size_d size_h size_w taps_d offsets_d_at"
FIELDS = Fields(NAMES)


def order_of(x: Strides) -> str:
    """How a tensor lies in memory: "across" where its channels are neighbours, "along" where its pixels are, "apart"
    where they are every other one's neighbours, otherwise "any"."""
    if x.channel == 1:
        return "across"
    return "along" if x.space[2] == 1 else "apart" if x.space[2] == 2 else "any"


def gather_kernel(element: str, x: Strides, channels: int) -> Kernel:
    """The kernel for an input with so many channels at a time."""
    order = "line" if channels == 1 and x.space[2] == 1 else order_of(x)
    return Kernel(generate_gather, (element, order), ("gather",))


def generate_gather(target: Target, element: str, order: str) -> str:
    """`gather(args, source, lines, channels, pitch, d, h, h_count, w, w_count)`: the input's lines h.. of h_count,
    their pixels w.. of w_count, for every tap of the outermost axis (seen from d) and as many channels from `source`
    on. From one pixel of `lines` to the next there are `pitch` elements."""
    m = Module(target)
    _emit_clear(m, element)
    names = ("channels", "pitch", "d", "h", "h_count", "w", "w_count")
    parameters = [("args", "ptr"), ("source", "ptr"), ("lines", "ptr"), *[(n, "i64") for n in names]]
    f = m.function("gather", "void", parameters)
    args, source, lines, channels, pitch, d, h, h_count, w, w_count = f.parameters
    x_channel, x_d, x_h, x_w, size_d, size_h, size_w, taps_d, offsets_d = FIELDS.read(
        f, args, "x_channel x_d x_h x_w size_d size_h size_w taps_d offsets_d_at"
    )
    before = f.min(f.max(f.sub(0, w), 0), w_count)
    end = f.max(f.min(f.sub(size_w, w), w_count), before)
    inside, behind = f.sub(end, before), f.sub(w_count, end)
    first = f.mul(f.add(w, before), x_w)
    line = f.mul(w_count, pitch)
    write = _WRITERS[order]
    with f.loop(0, taps_d, 1, [lines]) as tap:
        depth = f.add(d, f.load("i64", f.offset(offsets_d, tap.index, "i64")))
        with f.loop(0, h_count, 1, tap.carried) as row:
            to = row.carried[0]
            height = f.add(h, row.index)
            seen = f.binary("and", f.compare("ult", depth, size_d), f.compare("ult", height, size_h))
            with f.when(seen):
                at = f.add(f.add(f.mul(depth, x_d), f.mul(height, x_h)), first)
                f.call("void", "clear", [to, f.mul(before, pitch)], declare=False)
                middle = f.offset(to, f.mul(before, pitch), element)
                write(
                    f, element, middle, f.offset(source, at, element), inside, _Steps(channels, pitch, x_channel, x_w)
                )
                rest = f.offset(to, f.mul(end, pitch), element)
                f.call("void", "clear", [rest, f.mul(behind, pitch)], declare=False)
            row.next = [f.offset(to, line, element)]
        tap.next = row.results
    f.ret()
    f.close()
    return m.text()


def _emit_clear(m: Module, element: str) -> None:
    """`clear(to, count)`: zeros, up to a vector too many."""
    lanes = m.target.lanes(BYTES[element])
    f = m.function("clear", "void", (("to", "ptr"), ("count", "i64")), internal=True)
    to, count = f.parameters
    with f.loop(0, count, lanes) as i:
        f.store(f.float(0.0, vector(element, lanes)), f.offset(to, i.index, element))
    f.ret()
    f.close()


def _copied(f: Function, element: str, to: Val, source: Val, count: Val) -> None:
    """Copy neighbours; writes up to a vector too many."""
    lanes = f.target.lanes(BYTES[element])
    type = vector(element, lanes)
    with f.loop(0, count, lanes) as i:
        mask = f.mask_below(f.sub(count, i.index), lanes)
        f.store(f.load_masked(type, f.offset(source, i.index, element), mask), f.offset(to, i.index, element))


class _Steps(NamedTuple):
    """The channels of a pixel, the elements from one gathered pixel to the next, and in the input from one channel and
    from one pixel to the next."""

    channels: Val
    pitch: Val
    x_channel: Val
    x_w: Val


# Writes the inside of a line: (function, element, where it goes, from where, pixels, steps). It may write a vector of
# pixels too many, as they are written again.
_Write = Callable[[Function, str, Val, Val, Val, _Steps], None]


def _line(f: Function, element: str, to: Val, source: Val, pixels: Val, _: _Steps) -> None:
    _copied(f, element, to, source, pixels)


def _across(f: Function, element: str, to: Val, source: Val, pixels: Val, s: _Steps) -> None:
    with f.loop(0, pixels, 1, [to, source]) as i:
        _copied(f, element, i.carried[0], i.carried[1], s.channels)
        i.next = [f.offset(i.carried[0], s.pitch, element), f.offset(i.carried[1], s.x_w, element)]


def _any(f: Function, element: str, to: Val, source: Val, pixels: Val, s: _Steps) -> None:
    with f.loop(0, pixels, 1, [to, source]) as i:
        with f.loop(0, s.channels, 1, [i.carried[1]]) as c:
            f.store(f.load(element, c.carried[0]), f.offset(i.carried[0], c.index, element))
            c.next = [f.offset(c.carried[0], s.x_channel, element)]
        i.next = [f.offset(i.carried[0], s.pitch, element), f.offset(i.carried[1], s.x_w, element)]


def _squares(f: Function, element: str, to: Val, source: Val, pixels: Val, s: _Steps, step: int = 1) -> None:
    """Squares of pixels and channels, turned over in registers: all channels of some cache lines of pixels, then of the
    next, since pixels may lie as far apart as the same places of a first-level cache. The next ones are sent for."""
    lanes, together = f.target.lanes(BYTES[element]), TOGETHER * CACHE_LINE // BYTES[element]
    last = f.sub(s.channels, 1)
    with (
        f.loop(0, pixels, together) as some,
        f.loop(0, s.channels, lanes) as c,
        f.loop(some.index, f.min(f.add(some.index, together), pixels), lanes) as i,
    ):
        begin = f.offset(source, f.mul(i.index, step), element)
        seen = f.add(f.mul(f.sub(f.sub(pixels, i.index), 1), step), 1)
        masks = [f.mask_below(f.sub(seen, v * lanes), lanes) for v in range(step)]
        rows = []
        for k in range(lanes):
            place = f.offset(begin, f.mul(f.min(f.add(c.index, k), last), s.x_channel), element)
            f.prefetch(f.offset(place, step * together, element))
            rows.append(_read_row(f, element, place, masks))
        place = f.offset(to, f.add(f.mul(i.index, s.pitch), c.index), element)
        whole = f.compare("sle", f.add(c.index, lanes), s.channels)
        mask = f.mask_below(f.sub(s.channels, c.index), lanes)
        square = transposed(f, rows)
        inside, edge, after = (f.fresh_label(name) for name in ("inside", "edge", "after"))
        f.branch(whole, inside, edge)
        f.label(inside)
        for k, row in enumerate(square):
            f.store(row, f.offset(place, f.mul(s.pitch, k), element))
        f.jump(after)
        f.label(edge)
        for k, row in enumerate(square):
            f.store_masked(row, f.offset(place, f.mul(s.pitch, k), element), mask)
        f.jump(after)
        f.label(after)


def _read_row(f: Function, element: str, place: Val, masks: list[Val]) -> Val:
    """A vector, or every other element of two."""
    lanes = masks[0].lanes
    type = vector(element, lanes)
    halves = [f.load_masked(type, f.offset(place, v * lanes, element), mask) for v, mask in enumerate(masks)]
    return halves[0] if len(halves) == 1 else f.shuffle(halves[0], halves[1], range(0, 2 * lanes, 2))


_WRITERS: dict[str, _Write] = {"line": _line, "across": _across, "along": _squares,
                              "apart": partial(_squares, step=2), "any": _any}  # fmt: skip
