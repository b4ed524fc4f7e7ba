"""Maxima and averages of windows, for a vector of neighbouring windows at a time.

A row's last vector overlaps the one before, so that there are no single windows left over. Windows that reach over the
border see a padded copy of the lines around them.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu.conv_forward import buffer, split_task
from flambeau._backends.cpu.conv_geometry import Strides
from flambeau._backends.cpu.conv_unfold import Copies, emit_gather
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Word, Words
from flambeau._backends.cpu.pool_geometry import LINE_BYTES, TASK_POSITIONS, Windows, blocks_of, lanes_for
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    "x_at x_image x_channel x_d x_h x_w size_d size_h size_w step_w taps_d offsets_d_at line "
    "y_at y_image y_channel y_d y_h y_w code_at inside channels count_d count_h count_w kernel_h kernel_w "
    "stride_d stride_h stride_w padding_d padding_h padding_w dilation_d dilation_h dilation_w "
    "rows columns blocks_h blocks_w include_pad divisor"
)
UNROLLED = 8  # kernel positions along a row that are written out


def forward_launch(
    target: Target, kind: str, element: str, v: Windows, x: Address, xs: Strides, y: Address, ys: Strides, code: Word = 0,
    include_pad: bool = False, divisor: int = 0,
) -> Launch | None:  # fmt: skip
    """The launch that computes maxima and their positions within the window ("max8", "max32": the bits of the code),
    or averages ("average"; `divisor` 0: by how many elements there are)."""
    itemsize = BYTES[element]
    b = blocks_of(v, target, itemsize)
    if b is None:
        return None
    values: dict[str, Word] = {"x_at": x, "x_image": xs.image, "x_channel": xs.channel}
    values |= {"y_at": y, "y_image": ys.image, "y_channel": ys.channel}
    for i, d in enumerate("dhw"):
        values |= {f"x_{d}": xs.space[i], f"y_{d}": ys.space[i], f"size_{d}": v.size[i], f"count_{d}": v.out[i]}
        values |= {f"stride_{d}": v.stride[i], f"padding_{d}": v.padding[i], f"dilation_{d}": v.dilation[i]}
    blocks_h, blocks_w = -(-v.out[1] // b.rows), -(-v.out[2] // b.columns)
    values |= {
        "step_w": 1, "taps_d": v.kernel[0], "offsets_d_at": Words(tuple([k * v.dilation[0] for k in range(v.kernel[0])])),
        "line": b.line, "code_at": code, "inside": int(v.inside and xs.space[2] == 1), "channels": v.channels,
        "kernel_h": v.kernel[1], "kernel_w": v.kernel[2], "rows": b.rows, "columns": b.columns, "blocks_h": blocks_h,
        "blocks_w": blocks_w, "include_pad": int(include_pad), "divisor": divisor,
    }  # fmt: skip
    unrolled = v.kernel[2] if v.kernel[2] <= UNROLLED else 0
    kernel = Kernel(generate_pool, (kind, element, lanes_for(v, target, itemsize), unrolled, v.stride[2], v.dilation[2]),
                    ("pool",))  # fmt: skip
    tasks = v.planes * v.out[0] * blocks_h * blocks_w
    return Launch(kernel, "pool", FIELDS.words(**values), tasks, max(1, TASK_POSITIONS // (b.rows * b.columns)))


class Pooling:
    """The code of one kind of pooling: what is carried from one kernel position to the next, and what is stored."""

    def __init__(self, f: Function, args: Val, kind: str, element: str, lanes: int) -> None:
        self.f, self.kind, self.element, self.lanes = f, kind, element, lanes
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


def generate_pool(target: Target, kind: str, element: str, lanes: int, kernel_w: int, stride_w: int, dilation_w: int
                  ) -> str:  # fmt: skip
    """`pool`: one task is some rows and columns of windows of one slice. `kernel_w` 0: any."""
    m = Module(target)
    copies = Copies(m, element, 0.0 if kind == "average" else -math.inf)
    copies.emit()
    emit_gather(copies, FIELDS)
    f, args, lo, hi = m.entry("pool")
    lines = buffer(f, element, LINE_BYTES)
    p = Pooling(f, args, kind, element, lanes)
    count_d, channels, rows, columns, count_h, count_w, blocks_h, blocks_w = p[
        "count_d channels rows columns count_h count_w blocks_h blocks_w"
    ]
    with f.loop(lo, hi) as task:
        block_w, block_h, d, c, n = split_task(f, task.index, blocks_w, blocks_h, count_d, channels)
        h0, w0 = f.mul(block_h, rows), f.mul(block_w, columns)
        rows_here, columns_here = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
        source, pitch, slab = _source(p, args, lines, [n, c, d, h0, w0], rows_here, columns_here)
        last = f.sub(columns_here, lanes)
        with f.loop(0, rows_here) as r:
            h = f.add(h0, r.index)
            row = f.offset(source, f.mul(f.mul(r.index, p["stride_h"][0]), pitch), element)
            to, code = _row_of_output(p, [n, c, d, h])
            height = _row_count(p, [d, h]) if kind == "average" else h
            with f.loop(0, columns_here, lanes) as i:
                w = f.min(i.index, last)
                window = f.offset(row, f.mul(w, stride_w), element)
                found = _window(p, window, pitch, slab, kernel_w, stride_w, dilation_w)
                w = f.add(w0, w)
                if kind == "average":
                    found = [f.fdiv(found[0], _divisor(p, height, w, stride_w))]
                _store(p, found, to, code, w)
    f.ret()
    f.close()
    return m.text()


def _source(p: Pooling, args: Val, lines: Val, place: list[Val], rows: Val, columns: Val) -> tuple[Val, Val, Val]:
    """Where a block's first window begins, elements to the next line and to the next slice that windows see: in the
    input, or in a padded copy that is made."""
    f = p.f
    n, c, d, h0, w0 = place
    x, image, channel, x_d, x_h, x_w, line, inside = p["x_at x_image x_channel x_d x_h x_w line inside"]
    stride_d, stride_h, stride_w, dilation_d = p["stride_d stride_h stride_w dilation_d"]
    padding_d, padding_h, padding_w = p["padding_d padding_h padding_w"]
    kernel_h, kernel_w, dilation_h, dilation_w = p["kernel_h kernel_w dilation_h dilation_w"]
    plane = f.offset(x, f.add(f.mul(n, image), f.mul(c, channel)), p.element)
    depth, top = f.sub(f.mul(d, stride_d), padding_d), f.sub(f.mul(h0, stride_h), padding_h)
    left = f.sub(f.mul(w0, stride_w), padding_w)
    reach_h = f.add(f.add(f.mul(f.sub(rows, 1), stride_h), f.mul(f.sub(kernel_h, 1), dilation_h)), 1)
    reach_w = f.add(f.add(f.mul(f.sub(columns, 1), stride_w), f.mul(f.sub(kernel_w, 1), dilation_w)), 1)
    with f.when(f.compare("eq", inside, 0)):
        f.call("void", "gather", [args, plane, lines, f.int(1), depth, top, reach_h, left, reach_w], declare=False)
    direct = f.offset(plane, f.add(f.add(f.mul(depth, x_d), f.mul(top, x_h)), f.mul(left, x_w)), p.element)
    is_inside = f.compare("ne", inside, 0)
    return (f.select(is_inside, direct, lines), f.select(is_inside, x_h, line),
            f.select(is_inside, f.mul(dilation_d, x_d), f.mul(reach_h, line)))  # fmt: skip


def _window(p: Pooling, window: Val, pitch: Val, slab: Val, kernel_w: int, stride_w: int, dilation_w: int) -> list[Val]:
    """All positions of the windows from `window` on, in row-major order."""
    f = p.f
    taps_d, kernel_h, kernel, dilation_h = p["taps_d kernel_h kernel_w dilation_h"]
    step = f.mul(dilation_h, pitch)
    with f.loop(0, taps_d, 1, [*p.start, window, f.int(0)], guard=False) as d:
        with f.loop(0, kernel_h, 1, d.carried, guard=False) as h:
            *found, at, code = h.carried
            if kernel_w:
                for k, x in enumerate(_row(p, at, kernel_w, stride_w, dilation_w)):
                    found = p.add(found, x, f.add(code, k))
            else:
                with f.loop(0, kernel, 1, found, guard=False) as k:
                    x = _strided(p, f.offset(at, f.mul(k.index, dilation_w), p.element), stride_w)
                    k.next = p.add(k.carried, x, f.add(code, k.index))
                found = k.results
            h.next = [*found, f.offset(at, step, p.element), f.add(code, kernel)]
        d.next = [*h.results[:-2], f.offset(d.carried[-2], slab, p.element), h.results[-1]]
    return d.results[:-2]


def _row(p: Pooling, at: Val, kernel: int, stride: int, dilation: int) -> list[Val]:
    """The positions along a row. With stride 2 two neighbours come from the same two vectors; no element is read that
    belongs to no window."""
    f = p.f
    if stride != 2 or dilation != 1 or kernel == 1:
        return [_strided(p, f.offset(at, k * dilation, p.element), stride) for k in range(kernel)]
    found: list[Val] = []
    for k in range(0, kernel - 1, 2):
        found += _pair(p, f.offset(at, k, p.element))
    if kernel % 2:
        found.append(_pair(p, f.offset(at, kernel - 2, p.element))[1])
    return found


def _pair(p: Pooling, at: Val) -> list[Val]:
    """The even and the odd elements of two vectors."""
    f, n = p.f, p.lanes
    a, b = f.load(p.values, at), f.load(p.values, f.offset(at, n, p.element))
    return [f.shuffle(a, b, range(first, 2 * n, 2)) for first in (0, 1)]


def _strided(p: Pooling, at: Val, stride: int) -> Val:
    """A vector of every stride-th element."""
    f = p.f
    if stride == 1:
        return f.load(p.values, at)
    x = Val("poison", p.values)
    for i in range(p.lanes):
        x = f.insert(x, f.load(p.element, f.offset(at, i * stride, p.element)), i)
    return x


def _row_of_output(p: Pooling, place: list[Val]) -> tuple[Val, Val]:
    """Where a row of values and one of codes begin."""
    f = p.f
    index = f.int(0)
    for number, step in zip(place, p["y_image y_channel y_d y_h"], strict=True):
        index = f.add(index, f.mul(number, step))
    y, code, channels, count_d, count_h, count_w = p["y_at code_at channels count_d count_h count_w"]
    flat = place[0]
    for count, number in zip((channels, count_d, count_h), place[1:], strict=True):
        flat = f.add(f.mul(flat, count), number)
    kept = f"i{p.kind[3:]}" if p.kind != "average" else "i8"
    return f.offset(y, index, p.element), f.offset(code, f.mul(flat, count_w), kept)


def _row_count(p: Pooling, place: list[Val]) -> Val:
    """How many elements the windows of a row average in each column."""
    f = p.f
    total = f.int(1)
    for number, d, kernel in zip(place, "dh", p["taps_d kernel_h"], strict=True):
        size, padding, stride = p[f"size_{d} padding_{d} stride_{d}"]
        total = f.mul(
            total, along(f, f.sub(f.mul(number, stride), padding), size, padding, kernel, p["include_pad"][0])
        )
    return total


def _divisor(p: Pooling, height: Val, w: Val, stride_w: int) -> Val:
    """How many elements the windows from column `w` on average, as numbers of the values' type."""
    f = p.f
    narrow = [f.op("i32", f"trunc {v} to i32") for v in (w, height, *p["size_w padding_w kernel_w divisor"])]
    w, height, size, padding, kernel, fixed = [f.splat(v, p.lanes) for v in narrow]
    start = f.sub(f.mul(f.add(w, f.lane_numbers(w.type)), stride_w), padding)
    every = f.mul(height, along(f, start, size, padding, kernel, p["include_pad"][0]))
    is_fixed = f.compare("ne", p["divisor"][0], 0)
    return f.cast("sitofp", f.op(fixed.type, f"select {is_fixed}, {fixed}, {every}"), p.element)


def along(f: Function, start: Val, size: Val, padding: Val, kernel: Val, include_pad: Val) -> Val:
    """Elements of windows along one dimension: those inside the input, or inside it and its padding."""
    end = f.min(f.add(start, kernel), f.add(size, padding))
    inside = f.sub(f.min(end, size), f.max(start, 0))
    return f.select(f.compare("ne", include_pad, 0), f.sub(end, start), inside)


def _store(p: Pooling, found: list[Val], to: Val, code: Val, w: Val) -> None:
    f = p.f
    (y_w,) = p["y_w"]
    to = f.offset(to, f.mul(w, y_w), p.element)
    together, apart, after = (f.fresh_label(n) for n in ("together", "apart", "after"))
    f.branch(f.compare("eq", y_w, 1), together, apart)
    f.label(together)
    f.store(found[0], to)
    f.jump(after)
    f.label(apart)
    for i in range(p.lanes):
        f.store(f.extract(found[0], i), f.offset(to, f.mul(y_w, i), p.element))
    f.jump(after)
    f.label(after)
    if p.kind != "average":
        kept = f"i{p.kind[3:]}"
        narrow = f.cast("trunc", found[1], kept) if found[1].element != kept else found[1]
        f.store(narrow, f.offset(code, w, kept))
