"""Where pooling windows lie, and how the work is cut into tasks."""

from __future__ import annotations

from typing import NamedTuple

from flambeau._backends.cpu.conv_geometry import Strides
from flambeau._backends.cpu.target import Target
from flambeau._ir.meta import Meta

LINE_BYTES = 64 << 10  # of padded input lines in a block
TASK_POSITIONS = 1 << 13  # output positions of a chunk of tasks

Sizes = tuple[int, int, int]


class Windows(NamedTuple):
    """Windows over `planes` = images x channels volumes, all sizes for three spatial dimensions."""

    images: int
    channels: int
    size: Sizes
    out: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes

    @property
    def planes(self) -> int:
        return self.images * self.channels

    @property
    def inside(self) -> bool:
        """Does no window reach over the border?"""
        return not any(self.padding) and all(
            (o - 1) * s + d * (k - 1) + 1 <= n
            for o, s, d, k, n in zip(self.out, self.stride, self.dilation, self.kernel, self.size, strict=True)
        )

    def reach(self, dim: int, count: int) -> int:
        """How many input positions `count` neighbouring windows see along a dimension."""
        return (count - 1) * self.stride[dim] + (self.kernel[dim] - 1) * self.dilation[dim] + 1


def windows_of(x: Meta, y: Meta, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple) -> Windows:
    """The windows of a pooling of `x` ((N,) C, *space) that gives `y`."""
    n = len(kernel)
    images = x.shape[0] if x.ndim == n + 2 else 1
    return Windows(images, x.shape[-n - 1], _three(x.shape[-n:], 1), _three(y.shape[-n:], 1), _three(kernel, 1),
                   _three(stride, 1), _three(padding, 0), _three(dilation, 1))  # fmt: skip


def strides_of(m: Meta, n: int) -> Strides:
    """The strides of images with `n` spatial dimensions, with or without a batch dimension."""
    image = m.strides[0] if m.ndim == n + 2 else 0
    return Strides(image, m.strides[-n - 1], _three(m.strides[-n:], 0))


def _three(numbers: tuple[int, ...], missing: int) -> Sizes:
    d, h, w = (missing, missing, missing, *numbers)[-3:]
    return d, h, w


class Blocks(NamedTuple):
    """A task is `rows` x `columns` windows of one slice; `line` elements from one padded input line to the next."""

    rows: int
    columns: int
    line: int


def blocks_of(v: Windows, target: Target, itemsize: int) -> Blocks | None:
    """Blocks whose padded lines fit the buffer; None for windows for which there are none."""
    slack = 2 * target.lanes(itemsize)
    most = LINE_BYTES // itemsize
    columns, parts = v.out[2], 1
    while True:
        line = v.reach(2, columns) + slack
        rows = v.out[1]
        while rows > 1 and v.kernel[0] * v.reach(1, rows) * line > most:
            rows = (rows + 1) // 2
        if v.kernel[0] * v.reach(1, rows) * line <= most:
            break
        parts *= 2
        columns = -(-v.out[2] // parts)
        if columns < slack:
            return None
    rest = v.out[2] % columns
    if 0 < rest < lanes_for(v, target, itemsize):
        return None
    return Blocks(rows, columns, line)


def lanes_for(v: Windows, target: Target, itemsize: int) -> int:
    """Windows that are handled at once: as many as a vector has lanes, or fewer in short rows."""
    lanes = target.lanes(itemsize)
    while lanes > v.out[2]:
        lanes //= 2
    return lanes
