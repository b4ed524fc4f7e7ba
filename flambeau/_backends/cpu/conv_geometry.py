"""Where a convolution reads and writes: its spatial axes, and how its work is cut into blocks and tasks.

Forward and transposed convolutions are one thing here, a *correlation*: output q of an axis sees the inputs
q * step + offset, one for each of its taps. A transposed convolution with stride s is s correlations an axis, one for
the outputs of every residue modulo s, each with the kernel's taps that fall on it: nothing is multiplied by the zeros
between the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flambeau._backends.cpu.target import Target

POSITION_BYTES = 1024  # of output positions in a block, an output channel
COLUMN_BYTES = 192 << 10  # of unfolded input in a block: it stays in a second-level cache
LINE_BYTES = 64 << 10  # of padded input lines in a block
DEPTH = 320  # products added up in registers before the sums go to memory
FILTERS = 128  # output channels in a task
FEWEST_FILTERS = 32
TASKS = 16  # at least, where there is work for as many
SEGMENTS = 32  # pieces of the depth that are looked up
SEGMENT_DEPTH = 16  # products for which a piece of its own pays
CACHE_LINE = 64


class Axis(NamedTuple):
    """One spatial dimension of a correlation.

    Its input has `size` positions, its output `out`; output q sees inputs q * step + offsets[i] through the kernel's
    position taps[i] and is stored at position first + q * stride."""

    size: int
    out: int
    step: int
    offsets: tuple[int, ...]
    taps: tuple[int, ...]
    first: int = 0
    stride: int = 1

    @property
    def low(self) -> int:
        """The lowest offset."""
        return min(self.offsets, default=0)

    @property
    def span(self) -> int:
        """From the lowest offset to the highest."""
        return max(self.offsets, default=0) - self.low

    def reach(self, count: int) -> int:
        """How many input positions `count` neighbouring outputs see, gaps included."""
        return (count - 1) * self.step + self.span + 1

    @property
    def plain(self) -> bool:
        """Is every output made of the input in its place, and nothing else?"""
        return self.offsets == (0,) and self.step == 1 and self.size == self.out and self.stride == 1


Axes = tuple[Axis, Axis, Axis]
POINT = Axis(1, 1, 1, (0,), (0,))


def forward_axis(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The axis of a convolution."""
    return Axis(size, count, stride, tuple([k * dilation - padding for k in range(kernel)]), tuple(range(kernel)))


def transposed_axes(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> list[Axis]:
    """The axes of a transposed convolution, one a residue of the output position modulo the stride.

    Input i adds to output i * stride + k * dilation - padding, so output q * stride + r sees input
    q + (r + padding - k * dilation) / stride wherever that is a whole number."""
    axes = []
    for r in range(min(stride, count)):
        reach = [(r + padding - k * dilation, k) for k in range(kernel)]
        seen = sorted([(distance // stride, k) for distance, k in reach if distance % stride == 0])
        axes.append(
            Axis(
                size, -(-(count - r) // stride), 1, tuple([o for o, _ in seen]), tuple([k for _, k in seen]), r, stride
            )
        )
    return axes


class Strides(NamedTuple):
    """Elements from one position to the next: images, channels, and the three spatial dimensions."""

    image: int
    channel: int
    space: tuple[int, int, int]


def spatial_strides(strides: Sequence[int]) -> Strides:
    """The strides of a batch of images (N, C, *space)."""
    image, channel, *space = strides
    padded = (0, 0, *space)
    return Strides(image, channel, (padded[-3], padded[-2], padded[-1]))


class Correlation(NamedTuple):
    """One correlation of a batch of images with `groups` groups of filters.

    `x` and `y` are the strides of input and output; those of the output are from one output position of the axes to
    the next, and `y_first` is where the first one lies."""

    batch: int
    groups: int
    channels: int
    filters: int
    axes: Axes
    x: Strides
    y: Strides
    y_first: int

    @property
    def taps(self) -> int:
        return math.prod([len(axis.offsets) for axis in self.axes])

    @property
    def depth(self) -> int:
        """Products that make one output."""
        return self.channels * self.taps

    @property
    def planes(self) -> int:
        """Two-dimensional slices of the output, in all images."""
        return self.batch * self.axes[0].out

    @property
    def positions(self) -> int:
        return self.batch * math.prod([axis.out for axis in self.axes])


def correlation(batch: int, groups: int, channels: int, filters: int, axes: Axes, x: Sequence[int], y: Sequence[int]
                ) -> Correlation:  # fmt: skip
    """A correlation over an input and an output with the strides `x` and `y` (elements, NC and space)."""
    xs, ys = spatial_strides(x), spatial_strides(y)
    first = sum(axis.first * step for axis, step in zip(axes, ys.space, strict=True))
    d, h, w = (axis.stride * step for axis, step in zip(axes, ys.space, strict=True))
    (d_in, x_d), (h_in, x_h), (w_in, x_w) = (_dense(*pair) for pair in zip(axes, xs.space, strict=True))
    axes, x_space, y_space = _merged((d_in, h_in, w_in), (x_d, x_h, x_w), (d, h, w))
    return Correlation(batch, groups, channels, filters, axes, xs._replace(space=x_space),
                       ys._replace(space=y_space), first)  # fmt: skip


def _dense(axis: Axis, stride: int) -> tuple[Axis, int]:
    """An axis and the stride of its input without the inputs that nobody sees, if every output sees but one."""
    if axis.offsets == (0,) and axis.step > 1 and (axis.out - 1) * axis.step < axis.size:
        return axis._replace(size=axis.out, step=1), stride * axis.step
    return axis, stride


Space = tuple[int, int, int]


def _merged(axes: Axes, x: Space, y: Space) -> tuple[Axes, Space, Space]:
    """Neighbouring axes whose every output sees the input in its place are one long axis, if memory allows."""
    d, h, w = axes
    if h.plain and w.plain and _one_run(h, w, x[1:], y[1:]):
        h, w = POINT, Axis(h.size * w.size, h.out * w.out, 1, (0,), (0,))
        if d.plain and _one_run(d, w, (x[0], x[2]), (y[0], y[2])):
            d, w = POINT, Axis(d.size * w.size, d.out * w.out, 1, (0,), (0,))
    return (d, h, w), x, y


def _one_run(outer: Axis, inner: Axis, x: Sequence[int], y: Sequence[int]) -> bool:
    return outer.out == 1 or all(s[0] == inner.size * s[1] for s in (x, y))


class Blocks(NamedTuple):
    """How a correlation is cut. A block is `planes` slices x `rows` x `columns` of output positions; its input is
    unfolded for `channels` input channels at a time. A task is a block for `panels` panels of output channels.

    `line` is the number of elements from one residue of a padded input line (modulo the step) to the next, `pitch`
    from one row of unfolded input to the next. `shifted`: kernel positions that differ in the row share the rows of
    unfolded input, read some lines further."""

    planes: int
    rows: int
    columns: int
    channels: int
    line: int
    pitch: int
    shifted: bool


class RowClasses(NamedTuple):
    """The kernel's positions along the rows, in classes that share unfolded input.

    A class begins at the line `starts` of those gathered and has `extra` lines more than the block has rows. Position
    i belongs to class `number[i]`, and sees its lines from `line[i]` on."""

    starts: list[int]
    extra: list[int]
    number: list[int]
    line: list[int]


def row_classes(h: Axis, shifted: bool) -> RowClasses:
    """A class for every position; if `shifted`, one for all positions of the same residue modulo the step."""
    slots = [offset - h.low for offset in h.offsets]
    if not shifted:
        return RowClasses(slots, [0] * len(slots), list(range(len(slots))), [0] * len(slots))
    residues = sorted({slot % h.step for slot in slots})
    members = [[slot for slot in slots if slot % h.step == residue] for residue in residues]
    starts = [min(m) for m in members]
    number = [residues.index(slot % h.step) for slot in slots]
    return RowClasses(starts, [(max(m) - min(m)) // h.step for m in members], number,
                      [(slot - starts[n]) // h.step for slot, n in zip(slots, number, strict=True)])  # fmt: skip


def round_up(n: int, step: int) -> int:
    return -(-n // step) * step


def evenly(total: int, most: int) -> int:
    """The size of equal parts of at most `most`; the last may be smaller."""
    parts = max(1, -(-total // max(1, most)))
    return -(-total // parts)


def _pitch(positions: int, target: Target, itemsize: int) -> int:
    """Room for whole tiles and a vector too many, in an odd number of cache lines so that rows do not fall on the same
    ones."""
    lanes = target.lanes(itemsize)
    nbytes = (round_up(positions, 2 * lanes) + lanes) * itemsize
    return (-(-nbytes // CACHE_LINE) | 1) * CACHE_LINE // itemsize


def fixed_pitch(shifted: bool, target: Target, itemsize: int) -> int:
    """A pitch for blocks of all sizes."""
    return _pitch((1 + shifted) * POSITION_BYTES // itemsize, target, itemsize)


def blocks_of(c: Correlation, target: Target, itemsize: int, fixed: bool = False) -> Blocks | None:
    """Blocks whose unfolded input fits the buffers; None if a single row of positions does not. `fixed`: with the
    fixed pitch instead of what the positions need."""
    found = None
    h = c.axes[1]
    segments = len(c.axes[0].offsets) * len(h.offsets)
    if 1 < segments <= SEGMENTS and len(row_classes(h, True).starts) < len(h.offsets):
        found = _blocks(c, target, itemsize, fixed, True)
        if found and found.channels * len(c.axes[2].offsets) < SEGMENT_DEPTH:
            found = None
    return found or _blocks(c, target, itemsize, fixed, False)


def _blocks(c: Correlation, target: Target, itemsize: int, fixed: bool, shifted: bool) -> Blocks | None:
    lanes = target.lanes(itemsize)
    d, h, w = c.axes
    width = 2 * lanes  # of a tile
    taps = max(1, c.taps)
    classes = row_classes(h, shifted)
    extra = max(classes.extra, default=0)
    depth = max(1, len(d.offsets) * len(classes.starts) * len(w.offsets))  # rows of unfolded input a channel
    most = POSITION_BYTES // itemsize
    while most >= width:
        if w.out > most:
            columns, rows, planes = min(round_up(evenly(w.out, most), width), w.out), 1, 1
        else:
            columns, rows = w.out, _fitting_rows(h.out, w.out, most, width)
            planes = evenly(c.planes, most // (rows * columns)) if rows == h.out else 1
        if shifted and (planes > 1 or (rows + extra) * columns > 2 * POSITION_BYTES // itemsize):
            return None
        pitch = _pitch(planes * (rows + extra) * columns, target, itemsize)
        pitch = fixed_pitch(shifted, target, itemsize) if fixed else pitch
        line = round_up(-(-w.reach(columns) // w.step) + lanes, lanes)
        channel_lines = max(1, len(d.offsets)) * h.reach(rows) * w.step * line
        fitting = min(max(1, DEPTH // taps), COLUMN_BYTES // (depth * pitch * itemsize),
                      LINE_BYTES // (channel_lines * itemsize))  # fmt: skip
        if fitting >= 1:
            return Blocks(planes, rows, columns, evenly(c.channels, fitting), line, pitch, shifted)
        most //= 2
    return None


def _fitting_rows(rows: int, columns: int, most: int, width: int) -> int:
    """How many rows of at most `most` positions make the least work: positions are multiplied `width` at a time, and
    a block costs about as much as half a tile beside that."""

    def cost(n: int) -> int:
        whole, rest = divmod(rows, n)
        tiles = whole * -(-n * columns // width) + -(-rest * columns // width)
        return 2 * tiles + whole + (rest > 0)

    return min(range(1, min(rows, most // columns) + 1), key=lambda n: (cost(n), -n))


class Panels(NamedTuple):
    """Output channels in panels of `height` or, from panel number `tall` on, one less; `each` panels a task."""

    number: int
    height: int
    tall: int
    each: int


def panels_of(filters: int, tile_rows: int, others: int = TASKS) -> Panels:
    """The filters of a group, split evenly into panels of at most `tile_rows`. `others`: tasks that there are besides;
    where they are few, a task has fewer filters, but enough to be worth its unfolded input."""
    number = -(-filters // tile_rows)
    low, tall = divmod(filters, number)
    wanted = -(-TASKS // others)
    most = max(FEWEST_FILTERS // tile_rows, min(FILTERS // tile_rows, number // wanted), 1)
    return Panels(number, low + (tall > 0), tall or number, evenly(number, most))
