"""Convolutions, transposed convolutions and the gradient of a convolution's weight, as steps of a plan.

Shapes: images (N, C, *space), weight (filters, C / groups, *kernel) or, transposed, (C, filters / groups, *kernel),
with one to three spatial dimensions, any strides; float32 and float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from flambeau._backends.cpu import conv_pixels_forward, conv_pixels_pack, conv_pixels_weight
from flambeau._backends.cpu.conv_direct import direct_block, direct_launch
from flambeau._backends.cpu.conv_direct_weight import direct_weight_launches
from flambeau._backends.cpu.conv_forward import correlation_launch
from flambeau._backends.cpu.conv_geometry import (
    CACHE_LINE,
    POINT,
    Axes,
    Axis,
    Correlation,
    blocks_of,
    correlation,
    forward_axis,
    panels_of,
    round_up,
    transposed_axes,
)
from flambeau._backends.cpu.conv_pack import FilterStrides, pack_launch, packed_elements
from flambeau._backends.cpu.conv_pixels import pixel_blocks
from flambeau._backends.cpu.conv_pixels_pack import padded_filters
from flambeau._backends.cpu.conv_residues import in_step
from flambeau._backends.cpu.conv_tile import tile_rows
from flambeau._backends.cpu.conv_weight import weight_launches
from flambeau._backends.cpu.emit import BYTES
from flambeau._backends.cpu.kernel import Address, Launch, Step, Word, Words
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

ELEMENTS = {"float32": "float", "float64": "double"}
MOST_TAPS = 128  # kernel positions whose gradients are computed together


def lower_conv(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """y = x * w + b. params: stride, padding, dilation, groups; inputs: x, w and perhaps b; output: y."""
    stride, padding, dilation, groups = params
    x, w, y = inputs[0], inputs[1], outputs[0]
    if not _supported(*inputs, y):
        return None
    rows = zip(x.shape[2:], y.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    axes = _three([forward_axis(*numbers) for numbers in rows])
    filters = w.shape[0] // groups
    c = correlation(x.shape[0], groups, w.shape[1], filters, axes, x.strides, y.strides)
    weight = FilterStrides(filters * w.strides[0], w.strides[0], w.strides[1], _space(w.strides))
    return _step(target, [c], weight, inputs, y)


def lower_conv_transposed(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
                          ) -> Step | None:  # fmt: skip
    """The transpose of a convolution, plus a bias. params: stride, padding, dilation, output_padding, groups; inputs:
    x, w and perhaps a bias; output: y. The sizes of y say what output_padding does."""
    stride, padding, dilation, _, groups = params
    x, w, y = inputs[0], inputs[1], outputs[0]
    if not _supported(*inputs, y):
        return None
    rows = zip(x.shape[2:], y.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    choices = [[POINT]] * (5 - x.ndim) + [transposed_axes(*numbers) for numbers in rows]
    channels = w.shape[0] // groups
    weight = FilterStrides(channels * w.strides[0], w.strides[1], w.strides[0], _space(w.strides))
    correlations = [
        correlation(x.shape[0], groups, channels, w.shape[1], (d, h, v), x.strides, y.strides)
        for d, h, v in itertools.product(*choices)
    ]
    return _step(target, correlations, weight, inputs, y)


def lower_conv_weight(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]
                      ) -> Step | None:  # fmt: skip
    """The gradient of a convolution's weight. params: stride, padding, dilation, groups; inputs: the gradient of y, x;
    output: that of w."""
    stride, padding, dilation, groups = params
    (g, x), w = inputs, outputs[0]
    if not _supported(g, x, w):
        return None
    element = ELEMENTS[w.dtype.name]
    itemsize = BYTES[element]
    rows = zip(x.shape[2:], g.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    axes = _three([forward_axis(*numbers) for numbers in rows])
    filters = w.shape[0] // groups
    weight = FilterStrides(filters * w.strides[0], w.strides[0], w.strides[1], _space(w.strides))
    gradient, images, result = [Address(i, m.offset * itemsize) for i, m in enumerate((g, x, w))]
    launches: list[Launch] = []
    scratch = 0
    for piece in _pieces(axes):
        c = correlation(x.shape[0], groups, w.shape[1], filters, piece, x.strides, g.strides)
        block = direct_block(c, target, itemsize) if c.channels == 1 else None
        found: tuple[list[Launch], int] | None
        if block is not None:
            found = direct_weight_launches(target, element, c, block, images, gradient, result, weight)
        elif pixels := pixel_blocks(c, target, itemsize, weight=True):
            kernel = w.shape[2:]
            found = conv_pixels_weight.weight_launches(
                target, element, c, pixels, images, gradient, result, weight, kernel
            )
        else:
            found = weight_launches(target, element, c, images, gradient, result, weight)
        if found is None:
            return None
        launches += found[0]
        scratch = max(scratch, found[1])
    operations = 2 * math.prod(w.shape) * math.prod(g.shape[2:]) * g.shape[0]
    return Step(tuple(launches), scratch, sum(m.nbytes for m in (g, x, w)), operations)


def _pieces(axes: Axes) -> list[Axes]:
    """The axes, with the positions of large kernels dealt out to several correlations."""
    if math.prod([len(axis.taps) for axis in axes]) <= MOST_TAPS:
        return [axes]
    i = max(range(3), key=lambda i: len(axes[i].taps))
    axis, half = axes[i], len(axes[i].taps) // 2
    halves = [axis._replace(offsets=axis.offsets[s], taps=axis.taps[s]) for s in (slice(half), slice(half, None))]
    pieces = []
    for part in halves:
        d, h, w = [part if j == i else axis for j, axis in enumerate(axes)]
        pieces += _pieces((d, h, w))
    return pieces


def _supported(*metas: Meta) -> bool:
    dtype = metas[0].dtype.name
    return dtype in ELEMENTS and all(m.dtype.name == dtype for m in metas) and all(m.numel for m in metas)


def _three(axes: Sequence[Axis]) -> tuple[Axis, Axis, Axis]:
    d, h, w = [POINT] * (3 - len(axes)) + list(axes)
    return d, h, w


def _space(strides: Sequence[int]) -> tuple[int, int, int]:
    """The strides of the spatial dimensions of an (N, C, *space) tensor; a dimension that is not there has 0."""
    d, h, w = ((0, 0, *strides[2:]))[-3:]
    return d, h, w


def _step(target: Target, correlations: list[Correlation], weight: FilterStrides, inputs: tuple[Meta, ...], y: Meta
          ) -> Step | None:  # fmt: skip
    """Pack the filters of each correlation, then run it. Operands: x, weight, perhaps a bias, y."""
    element = ELEMENTS[y.dtype.name]
    itemsize = BYTES[element]
    x, w, *rest = [Address(i, m.offset * itemsize) for i, m in enumerate((*inputs, y))]
    bias: Word = rest[0] if len(rest) == 2 else Words((0,))
    bias_step = inputs[2].strides[0] if len(rest) == 2 else 0
    packs: list[Launch] = []
    runs: list[Launch] = []
    scratch = 0
    for c in correlations:
        biases = round_up(scratch + packed_elements(c) * itemsize, CACHE_LINE)
        few = direct_block(c, target, itemsize)
        pixels = None if few else pixel_blocks(c, target, itemsize)
        if pixels:
            width = pixels.tile.vectors * target.lanes(itemsize)
            filters = c.groups * padded_filters(c, width)
            biases = round_up(scratch + filters * c.depth * itemsize, CACHE_LINE)
            kernel = inputs[1].shape[2:]
            packs.append(
                conv_pixels_pack.pack_launch(
                    target, element, c, pixels, w, weight, kernel, bias, bias_step, scratch, biases
                )
            )
            runs.append(
                conv_pixels_forward.correlation_launch(target, element, c, pixels, x, rest[-1], scratch, biases)
            )
            scratch = round_up(biases + filters * itemsize, CACHE_LINE)
            continue
        blocks = None if few else blocks_of(c, target, itemsize)
        if few:
            panels, chunk = panels_of(c.filters, 1), 1
            run = direct_launch(element, c, few, x, rest[-1], scratch, biases)
        elif blocks:
            panels, chunk = panels_of(c.filters, tile_rows(target)), blocks.channels
            run = correlation_launch(target, element, c, blocks, x, rest[-1], scratch, biases)
        else:
            return None
        packs.append(pack_launch(element, c, panels, chunk, w, weight, bias, bias_step, scratch, biases))
        runs.append(run)
        scratch = round_up(biases + c.groups * c.filters * itemsize, CACHE_LINE)
    operations = sum(2 * c.positions * c.groups * c.filters * c.depth for c in correlations)
    runs = [in_step(runs)] if len(runs) > 1 else runs
    return Step((*packs, *runs), scratch, sum(m.nbytes for m in (*inputs, y)), operations)
