"""Maxima and averages of windows, for a vector of neighbouring windows at a time.

A row's last vector overlaps the one before, so that there are no single windows left over. Windows that reach over the
border see a padded copy of the lines around them.
"""

from __future__ import annotations

import math

from flambeau._backends.cpu import lines
from flambeau._backends.cpu.conv_geometry import Axes, Axis, Strides
from flambeau._backends.cpu.emit import BYTES, Module, Val
from flambeau._backends.cpu.fields import split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Word
from flambeau._backends.cpu.lines import buffer, line_words
from flambeau._backends.cpu.pool_channels import generate_pool_channels
from flambeau._backends.cpu.pool_geometry import LINE_BYTES, TASK_POSITIONS, Windows, blocks_of, lanes_for
from flambeau._backends.cpu.pool_words import FIELDS, Pooling, along
from flambeau._backends.cpu.target import Target

UNROLLED = 8  # kernel positions along a row that are written out


def forward_launch(
    target: Target, kind: str, element: str, v: Windows, x: Address, xs: Strides, y: Address, ys: Strides,
    code: Word = 0, include_pad: bool = False, divisor: int = 0,
) -> Launch | None:  # fmt: skip
    """The launch that computes maxima and their positions within the window ("max8", "max32": the bits of the code),
    or averages ("average"; `divisor` 0: by how many elements there are)."""
    itemsize = BYTES[element]
    b = blocks_of(v, target, itemsize)
    if b is None:
        return None
    values: dict[str, Word] = {"x_at": x, "x_image": xs.image, "code_at": code}
    values |= {"y_at": y, "y_image": ys.image, "y_channel": ys.channel}
    for i, d in enumerate("dhw"):
        values |= {f"y_{d}": ys.space[i], f"count_{d}": v.out[i], f"stride_{d}": v.stride[i]}
        values |= {f"padding_{d}": v.padding[i], f"dilation_{d}": v.dilation[i], f"kernel_{d}": v.kernel[i]}
    blocks_h, blocks_w = -(-v.out[1] // b.rows), -(-v.out[2] // b.columns)
    words = FIELDS.words(
        **line_words(element, _axes(v), xs, b.line, outside=0.0 if kind == "average" else -math.inf), **values,
        inside=int(v.inside and xs.space[2] == 1), channels=v.channels, 
        rows=b.rows, columns=b.columns, blocks_h=blocks_h, blocks_w=blocks_w, include_pad=int(include_pad),
        divisor=divisor,
    )  # fmt: skip
    unrolled = v.kernel[2] if v.kernel[2] <= UNROLLED else 0
    params = (kind, element, lanes_for(v, target, itemsize), unrolled, v.stride[2], v.dilation[2])
    lanes = target.lanes(itemsize)
    if xs.channel == ys.channel == 1 and v.channels >= lanes:
        kernel = Kernel(generate_pool_channels, (kind, element, lanes), ("pool",))
        grain = max(1, TASK_POSITIONS // (v.channels * v.out[2]))
        return Launch(kernel, "pool", words, v.images * v.out[0] * v.out[1], grain)
    tasks = v.planes * v.out[0] * blocks_h * blocks_w
    grain = max(1, TASK_POSITIONS // (b.rows * b.columns))
    return Launch(Kernel(generate_pool, params, ("pool",)), "pool", words, tasks, grain)


def _axes(v: Windows) -> Axes:
    """What is gathered: all lines and positions of a range, of those slices that windows see."""
    d, h, w = (Axis(size, out, 1, (0,), (0,)) for size, out in zip(v.size, v.out, strict=True))
    return d._replace(offsets=tuple([k * v.dilation[0] for k in range(v.kernel[0])])), h, w


def generate_pool(target: Target, kind: str, element: str, lanes: int, kernel_w: int, stride_w: int, dilation_w: int
                  ) -> str:  # fmt: skip
    """`pool`: one task is some rows and columns of windows of one slice. `kernel_w` 0: any."""
    m = Module(target)
    f, args, lo, hi = m.entry("pool")
    gathered = buffer(f, element, LINE_BYTES)
    p = Pooling(f, args, kind, element, lanes)
    count_d, channels, rows, columns, count_h, count_w, blocks_h, blocks_w = p[
        "count_d channels rows columns count_h count_w blocks_h blocks_w"
    ]
    with f.loop(lo, hi) as task:
        block_w, block_h, d, c, n = split_task(f, task.index, blocks_w, blocks_h, count_d, channels)
        h0, w0 = f.mul(block_h, rows), f.mul(block_w, columns)
        rows_here, columns_here = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
        source, pitch, slab = _source(p, args, gathered, [n, c, d, h0, w0], rows_here, columns_here)
        last = f.sub(columns_here, lanes)
        with f.loop(0, rows_here) as r:
            h = f.add(h0, r.index)
            row = f.offset(source, f.mul(f.mul(r.index, p["stride_h"][0]), pitch), element)
            to, code = p.output([n, c, d, h])
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


def _source(p: Pooling, args: Val, gathered: Val, place: list[Val], rows: Val, columns: Val) -> tuple[Val, Val, Val]:
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
        lines.Lines(f, args).gather(plane, gathered, f.int(1), depth, top, reach_h, left, reach_w)
    direct = f.offset(plane, f.add(f.add(f.mul(depth, x_d), f.mul(top, x_h)), f.mul(left, x_w)), p.element)
    is_inside = f.compare("ne", inside, 0)
    return (f.select(is_inside, direct, gathered), f.select(is_inside, x_h, line),
            f.select(is_inside, f.mul(dilation_d, x_d), f.mul(reach_h, line)))  # fmt: skip


def _window(p: Pooling, window: Val, pitch: Val, slab: Val, kernel_w: int, stride_w: int, dilation_w: int) -> list[Val]:
    """All positions of the windows from `window` on, in row-major order."""
    f = p.f
    kernel_d, kernel_h, kernel, dilation_h = p["kernel_d kernel_h kernel_w dilation_h"]
    step = f.mul(dilation_h, pitch)
    with f.loop(0, kernel_d, 1, [*p.start, window, f.int(0)], guard=False) as d:
        with f.loop(0, kernel_h, 1, d.carried, guard=False) as h:
            *found, at, code = h.carried
            if kernel_w:
                for number, x in enumerate(_row(p, at, kernel_w, stride_w, dilation_w)):
                    found = p.add(found, x, f.add(code, number))
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


def _row_count(p: Pooling, place: list[Val]) -> Val:
    """How many elements the windows of a row average in each column."""
    f = p.f
    total = f.int(1)
    for number, d, kernel in zip(place, "dh", p["kernel_d kernel_h"], strict=True):
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
        narrow = f.cast("trunc", found[1], p.kept) if found[1].element != p.kept else found[1]
        f.store(narrow, f.offset(code, w, p.kept))
