"""What the kernels that pool share: their words, and the step from one kernel position to the next."""

from __future__ import annotations

import math

from flambeau._backends.cpu import lines
from flambeau._backends.cpu.emit import BYTES, Function, Val, vector
from flambeau._backends.cpu.fields import Fields

FIELDS = Fields(
    f"{lines.NAMES} x_at x_image y_at y_image y_channel y_d y_h y_w code_at inside channels count_d count_h count_w "
    "kernel_d kernel_h kernel_w stride_d stride_h stride_w padding_d padding_h padding_w "
    "dilation_d dilation_h dilation_w rows columns blocks_h blocks_w include_pad divisor"
)


class Pooling:
    """The code of one kind of pooling: what is carried from one kernel position to the next, and what is stored."""

    def __init__(self, f: Function, args: Val, kind: str, element: str, lanes: int) -> None:
        self.f, self.kind, self.element, self.lanes = f, kind, element, lanes
        self.kept = f"i{kind[3:]}" if kind != "average" else "i8"  # the type of a code in memory
        self.values = vector(element, lanes)
        self.codes = vector(f"i{8 * BYTES[element]}", lanes)
        self.words = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))

    def __getitem__(self, names: str) -> list[Val]:
        """The fields of those names."""
        return [self.words[name] for name in names.split()]

    @property
    def start(self) -> list[Val]:
        if self.kind == "average":
            return [self.f.float(0.0, self.values)]
        return [self.f.float(-math.inf, self.values), self.f.int(0, self.codes)]

    def add(self, carried: list[Val], x: Val, position: Val) -> list[Val]:
        f = self.f
        if self.kind == "average":
            return [f.fadd(carried[0], x)]
        # A NaN wins, the last one; otherwise what is greater than all before.
        better = f.binary("or", f.fcompare("ogt", x, carried[0]), f.fcompare("uno", x, x))
        narrow = position if self.codes.endswith("i64>") else f.op("i32", f"trunc {position} to i32")
        return [f.select(better, x, carried[0]), f.select(better, f.splat(narrow, self.lanes), carried[1])]

    def output(self, place: list[Val]) -> tuple[Val, Val]:
        """Where the row (image, channel, d, h) of values and that of codes begin."""
        f = self.f
        index = f.int(0)
        for number, step in zip(place, self["y_image y_channel y_d y_h"], strict=True):
            index = f.add(index, f.mul(number, step))
        y, code, channels, count_d, count_h, count_w = self["y_at code_at channels count_d count_h count_w"]
        flat = place[0]
        for count, number in zip((channels, count_d, count_h), place[1:], strict=True):
            flat = f.add(f.mul(flat, count), number)
        return f.offset(y, index, self.element), f.offset(code, f.mul(flat, count_w), self.kept)


def along(f: Function, start: Val, size: Val, padding: Val, kernel: Val, include_pad: Val) -> Val:
    """Elements of windows along one dimension: those inside the input, or inside it and its padding."""
    end = f.min(f.add(start, kernel), f.add(size, padding))
    inside = f.sub(f.min(end, size), f.max(start, 0))
    return f.select(f.compare("ne", include_pad, 0), f.sub(end, start), inside)
