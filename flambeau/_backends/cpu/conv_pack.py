"""Filters, packed for tiles: panels of a few filters, and in a panel the filters' elements side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.conv_geometry import Correlation, Panels
from flambeau._backends.cpu.emit import Module
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scratch, Word, Words
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    "w_at w_group w_filter w_channel taps_at bias_at bias_step packed_at packed_bias_at "
    "filters channels chunk outer_taps taps_w panels height tall"
)
ELEMENTS = 1 << 14  # in a chunk of tasks


class FilterStrides(NamedTuple):
    """Elements from one group, filter of a group, channel and kernel position of the weight to the next."""

    group: int
    filter: int
    channel: int
    space: tuple[int, int, int]


def packed_elements(c: Correlation) -> int:
    return c.groups * c.filters * c.depth


def tap_offsets(c: Correlation, space: Sequence[int]) -> list[int]:
    """Where the taps of `c` lie in a kernel with those strides."""
    taps = itertools.product(*[axis.taps for axis in c.axes])
    return [sum(k * step for k, step in zip(tap, space, strict=True)) for tap in taps]


def pack_launch(
    element: str, c: Correlation, p: Panels, chunk: int, w: Address, strides: FilterStrides, bias: Word, bias_step: int,
    packed: int, packed_bias: int,
) -> Launch:  # fmt: skip
    """The launch that fills scratch memory from `packed` on with the filters of `c`, from `packed_bias` on with their
    biases. The elements of a filter are in the order (chunk of `chunk` channels, outer taps, channel, tap in a row)."""
    taps_w = len(c.axes[2].offsets)
    words = FIELDS.words(
        w_at=w, w_group=strides.group, w_filter=strides.filter, w_channel=strides.channel,
        taps_at=Words(tuple(tap_offsets(c, strides.space)) or (0,)), bias_at=bias, bias_step=bias_step,
        packed_at=Scratch(packed), packed_bias_at=Scratch(packed_bias), filters=c.filters, channels=c.channels,
        chunk=chunk, outer_taps=c.taps // max(1, taps_w), taps_w=taps_w, panels=p.number, height=p.height, tall=p.tall,
    )  # fmt: skip
    grain = max(1, ELEMENTS // max(1, c.depth * p.height))
    return Launch(Kernel(generate_pack, (element,), ("pack",)), "pack", words, c.groups * p.number, grain)


def generate_pack(target: Target, element: str) -> str:
    """`pack`: one task is one panel."""
    m = Module(target)
    f, args, lo, hi = m.entry("pack")
    w, w_group, w_filter, w_channel, offsets, bias, bias_step, packed, packed_bias = FIELDS.read(
        f, args, "w_at w_group w_filter w_channel taps_at bias_at bias_step packed_at packed_bias_at"
    )
    filters, channels, chunk, outer_taps, taps_w, panels, height, tall = FIELDS.read(
        f, args, "filters channels chunk outer_taps taps_w panels height tall"
    )
    with f.loop(lo, hi) as task:
        group, panel = f.udiv(task.index, panels), f.urem(task.index, panels)
        row = f.sub(f.mul(panel, height), f.max(f.sub(panel, tall), 0))
        rows = f.select(f.compare("slt", panel, tall), height, f.sub(height, 1))
        number = f.add(f.mul(group, filters), row)
        with f.loop(0, rows) as i:
            at = f.add(number, i.index)
            value = f.load(element, f.offset(bias, f.mul(at, bias_step), element))
            f.store(value, f.offset(packed_bias, at, element))
        source = f.offset(w, f.add(f.mul(group, w_group), f.mul(row, w_filter)), element)
        depth = f.mul(channels, f.mul(outer_taps, taps_w))
        with f.loop(0, channels, chunk, [f.offset(packed, f.mul(number, depth), element)]) as c:
            end = f.min(f.add(c.index, chunk), channels)
            with f.loop(0, outer_taps, 1, c.carried) as tap:
                first = f.offset(offsets, f.mul(tap.index, taps_w), "i64")
                with f.loop(c.index, end, 1, tap.carried) as channel:
                    at = f.offset(source, f.mul(channel.index, w_channel), element)
                    with f.loop(0, taps_w, 1, channel.carried) as k:
                        place = f.offset(at, f.load("i64", f.offset(first, k.index, "i64")), element)
                        with f.loop(0, rows, 1, [place, k.carried[0]], guard=False) as i:
                            f.store(f.load(element, i.carried[0]), i.carried[1])
                            i.next = [f.offset(i.carried[0], w_filter, element), f.offset(i.carried[1], 1, element)]
                        k.next = [i.results[1]]
                    channel.next = k.results
                tap.next = channel.results
            c.next = tap.results
    f.ret()
    f.close()
    return m.text()
