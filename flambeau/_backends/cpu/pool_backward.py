"""The gradients of maxima and averages of windows: every window's goes to the inputs it came from.

A task is one plane of the input, which is cleared and then added to, window after window. Where windows two elements
wide tile their rows, whole vectors are stored instead.
"""

from __future__ import annotations

from flambeau._backends.cpu.conv_geometry import Strides
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Word
from flambeau._backends.cpu.pool_geometry import TASK_POSITIONS, Windows, lanes_for
from flambeau._backends.cpu.pool_words import along
from flambeau._backends.cpu.target import Target

FIELDS = Fields(
    "x_at g_at g_image g_channel g_d g_h g_w code_at channels count_d count_h count_w size_d size_h size_w "
    "kernel_d kernel_h kernel_w stride_d stride_h stride_w padding_d padding_h padding_w "
    "dilation_d dilation_h dilation_w include_pad divisor covered"
)


def backward_launch(
    target: Target, kind: str, element: str, v: Windows, x: Address, g: Address, gs: Strides, code: Word = 0,
    include_pad: bool = False, divisor: int = 0,
) -> Launch:  # fmt: skip
    """The launch that computes the gradient of maxima ("max8", "max32") or averages ("average") of a row-major input
    at `x`."""
    values: dict[str, Word] = {"x_at": x, "g_at": g, "g_image": gs.image, "g_channel": gs.channel, "code_at": code}
    for i, d in enumerate("dhw"):
        values |= {f"g_{d}": gs.space[i], f"size_{d}": v.size[i], f"count_{d}": v.out[i], f"kernel_{d}": v.kernel[i]}
        values |= {f"stride_{d}": v.stride[i], f"padding_{d}": v.padding[i], f"dilation_{d}": v.dilation[i]}
    apart = all(s > d * (k - 1) for s, d, k in zip(v.stride, v.dilation, v.kernel, strict=True))
    paired = apart and v.inside and v.kernel[2] == v.stride[2] == 2 and v.dilation[2] == 1 and gs.space[2] == 1
    covered = paired and all(n == o * k for n, o, k in zip(v.size, v.out, v.kernel, strict=True))
    words = FIELDS.words(
        **values, channels=v.channels, include_pad=int(include_pad), divisor=divisor, covered=int(covered)
    )
    positions = v.out[0] * v.out[1] * v.out[2] + v.size[0] * v.size[1] * v.size[2] // 4
    lanes = lanes_for(v, target, BYTES[element]) if paired else 0
    kernel = Kernel(generate_place, (kind, element, v.kernel[1], v.kernel[2], lanes), ("place",))
    return Launch(kernel, "place", words, v.planes, max(1, TASK_POSITIONS // positions))


class Placing:
    """What the functions below share: the function being written, the kernel's words, the kind of pooling."""

    def __init__(self, f: Function, args: Val, kind: str, element: str) -> None:
        self.f, self.kind, self.element = f, kind, element
        self.code = f"i{kind[3:]}" if kind != "average" else "i8"
        self.words = dict(zip(FIELDS.names, FIELDS.read(f, args, " ".join(FIELDS.names)), strict=True))
        self.steps: Val | None = None  # see `_steps`

    def __getitem__(self, names: str) -> list[Val]:
        """The fields of those names."""
        return [self.words[name] for name in names.split()]


def generate_place(target: Target, kind: str, element: str, kernel_h: int, kernel_w: int, lanes: int) -> str:
    """`place`: one task is one plane. `lanes` is not 0 for windows that are stored whole."""
    m = Module(target)
    f, args, lo, hi = m.entry("place")
    p = Placing(f, args, kind, element)
    if kind == "max8" and not lanes:
        p.steps = _steps(p, kernel_h, kernel_w)
    x, g, image, channel, channels, code = p["x_at g_at g_image g_channel channels code_at"]
    count_d, count_h, count_w, size_d, size_h, size_w = p["count_d count_h count_w size_d size_h size_w"]
    size = f.mul(f.mul(size_d, size_h), size_w)
    count = f.mul(f.mul(count_d, count_h), count_w)
    with f.loop(lo, hi) as task:
        c, n = split_task(f, task.index, channels)
        plane = f.offset(x, f.mul(task.index, size), element)
        with f.when(f.compare("eq", p["covered"][0], 0)):
            _clear(f, plane, size, vector(element, target.lanes(BYTES[element])))
        values = f.offset(g, f.add(f.mul(n, image), f.mul(c, channel)), element)
        with f.loop(0, count_d) as d, f.loop(0, count_h) as h:
            row = f.offset(values, f.add(f.mul(d.index, p["g_d"][0]), f.mul(h.index, p["g_h"][0])), element)
            number = f.add(f.mul(task.index, count), f.mul(f.add(f.mul(d.index, count_h), h.index), count_w))
            codes = f.offset(code, number, p.code)
            (_pairs if lanes else _windows)(p, plane, [d.index, h.index], row, codes, kernel_h, kernel_w, lanes)
    f.ret()
    f.close()
    return m.text()


def _clear(f: Function, to: Val, count: Val, type: str) -> None:
    """Zeros, and nothing behind them touched."""
    lanes, element = Val("", type).lanes, Val("", type).element
    whole = f.binary("and", count, -lanes)
    with f.loop(0, whole, lanes) as i:
        f.store(f.float(0.0, type), f.offset(to, i.index, element))
    with f.loop(whole, count) as i:
        f.store(f.float(0.0, element), f.offset(to, i.index, element))


def _start(p: Placing, dim: str, number: Val) -> Val:
    stride, padding = p[f"stride_{dim} padding_{dim}"]
    return p.f.sub(p.f.mul(number, stride), padding)


def _windows(
    p: Placing, plane: Val, row: list[Val], values: Val, codes: Val, kernel_h: int, kernel_w: int, _: int
) -> None:
    """A row of windows, one at a time."""
    f = p.f
    d, h = (_start(p, dim, number) for dim, number in zip("dh", row, strict=True))
    count_w, g_w = p["count_w g_w"]
    if p.kind == "average":
        with f.loop(0, count_w) as i:
            value = f.load(p.element, f.offset(values, f.mul(i.index, g_w), p.element))
            share = f.fdiv(value, _divisor(p, [*row, i.index]))
            _share(p, plane, [d, h, _start(p, "w", i.index)], share)
        return
    low, high = _inner(p, d, h)
    if p.steps is not None:
        corner = f.offset(plane, _index(p, [d, h, _start(p, "w", f.int(0))]), p.element)
        stride = p["stride_w"][0]
        with f.loop(low, high) as i:
            value, code = _value_and_code(p, values, codes, i.index)
            place = f.add(f.mul(i.index, stride), f.load("i64", f.offset(p.steps, code, "i64")))
            _add(p, f.offset(corner, place, p.element), value)
    else:
        low, high = f.int(0), f.int(0)
    inner = f.sub(high, low)
    with f.loop(0, f.sub(count_w, inner)) as i:
        w = f.select(f.compare("slt", i.index, low), i.index, f.add(i.index, inner))
        value, code = _value_and_code(p, values, codes, w)
        at = _position(p, [d, h, _start(p, "w", w)], code, kernel_h, kernel_w)
        seen = f.int(
            1, "i1"
        )  # a code may mean a place over the border if its window holds nothing but the lowest number
        for number, size in zip(at, p["size_d size_h size_w"], strict=True):
            seen = f.binary("and", seen, f.compare("ult", number, size))
        with f.when(seen):
            _add(p, f.offset(plane, _index(p, at), p.element), value)


def _value_and_code(p: Placing, values: Val, codes: Val, w: Val) -> tuple[Val, Val]:
    """The gradient and the code of a row's window number `w`."""
    f = p.f
    value = f.load(p.element, f.offset(values, f.mul(w, p["g_w"][0]), p.element))
    return value, f.cast("zext", f.load(p.code, f.offset(codes, w, p.code)), "i64")


def _index(p: Placing, at: list[Val]) -> Val:
    """The place of an input in its plane."""
    f = p.f
    _, size_h, size_w = p["size_d size_h size_w"]
    return f.add(f.mul(f.add(f.mul(at[0], size_h), at[1]), size_w), at[2])


def _add(p: Placing, to: Val, value: Val) -> None:
    p.f.store(p.f.fadd(p.f.load(p.element, to), value), to)


def _steps(p: Placing, kernel_h: int, kernel_w: int) -> Val:
    """A table of where the positions of a window lie, in elements from its first; all that one byte can mean."""
    f = p.f
    steps = f.stack("i64", 256)
    nothing = [f.int(0)] * 3
    with f.loop(0, f.mul(p["kernel_d"][0], kernel_h * kernel_w)) as i:
        f.store(_index(p, _position(p, nothing, i.index, kernel_h, kernel_w)), f.offset(steps, i.index, "i64"))
    return steps


def _inner(p: Placing, d: Val, h: Val) -> tuple[Val, Val]:
    """The windows of a row, from and to, that reach over no border; none if the row's windows do."""
    f = p.f
    inside = f.int(1, "i1")
    for start, dim in ((d, "d"), (h, "h")):
        size, kernel, dilation = p[f"size_{dim} kernel_{dim} dilation_{dim}"]
        end = f.add(start, f.mul(f.sub(kernel, 1), dilation))
        inside = f.binary("and", inside, f.binary("and", f.compare("sge", start, 0), f.compare("slt", end, size)))
    size, kernel, dilation, stride, padding, count = p["size_w kernel_w dilation_w stride_w padding_w count_w"]
    low = f.min(f.udiv(f.add(padding, f.sub(stride, 1)), stride), count)
    room = f.sub(f.sub(f.add(size, padding), f.mul(f.sub(kernel, 1), dilation)), 1)  # the last start that fits
    fitting = f.select(f.compare("sge", room, 0), f.add(f.udiv(f.max(room, 0), stride), 1), f.int(0))
    high = f.max(f.min(fitting, count), low)
    return f.select(inside, low, f.int(0)), f.select(inside, high, f.int(0))


def _position(p: Placing, start: list[Val], code: Val, kernel_h: int, kernel_w: int) -> list[Val]:
    """Which input a window's code means."""
    f = p.f
    line = f.udiv(code, kernel_w)
    numbers = (f.udiv(line, kernel_h), f.urem(line, kernel_h), f.urem(code, kernel_w))
    steps = p["dilation_d dilation_h dilation_w"]
    return [f.add(s, f.mul(number, step)) for s, number, step in zip(start, numbers, steps, strict=True)]


def _share(p: Placing, plane: Val, start: list[Val], value: Val) -> None:
    """Add to every input of a window that has no gaps."""
    f = p.f
    sizes, kernels = p["size_d size_h size_w"], p["kernel_d kernel_h kernel_w"]
    lows = [f.max(s, 0) for s in start]
    highs = [f.min(f.add(s, k), n) for s, k, n in zip(start, kernels, sizes, strict=True)]
    with f.loop(lows[0], highs[0]) as d, f.loop(lows[1], highs[1]) as h:
        row = f.offset(plane, f.mul(f.add(f.mul(d.index, sizes[1]), h.index), sizes[2]), p.element)
        with f.loop(lows[2], highs[2]) as w:
            place = f.offset(row, w.index, p.element)
            f.store(f.fadd(f.load(p.element, place), value), place)


def _divisor(p: Placing, window: list[Val]) -> Val:
    """How many elements a window averages, as a number of the values' type."""
    f = p.f
    total = f.int(1)
    for number, dim in zip(window, "dhw", strict=True):
        size, padding, kernel = p[f"size_{dim} padding_{dim} kernel_{dim}"]
        total = f.mul(total, along(f, _start(p, dim, number), size, padding, kernel, p["include_pad"][0]))
    (fixed,) = p["divisor"]
    return f.cast("sitofp", f.select(f.compare("ne", fixed, 0), fixed, total), p.element)


def _pairs(p: Placing, plane: Val, row: list[Val], values: Val, codes: Val, kernel_h: int, kernel_w: int, lanes: int
           ) -> None:  # fmt: skip
    """A row of windows that share no input and reach over no border, `lanes` at a time, the last ones perhaps twice."""
    f = p.f
    type = vector(p.element, lanes)
    bits = vector(p.code, lanes)
    (d, h), (size_h, size_w) = (_start(p, dim, n) for dim, n in zip("dh", row, strict=True)), p["size_h size_w"]
    count_w, kernel_d = p["count_w kernel_d"]
    last = f.sub(count_w, lanes)
    with f.loop(0, count_w, lanes) as i:
        w = f.min(i.index, last)
        value = f.load(type, f.offset(values, w, p.element))
        if p.kind == "average":
            value = f.fdiv(value, f.splat(_divisor(p, [*row, w]), lanes))
        code = f.load(bits, f.offset(codes, w, p.code)) if p.kind != "average" else None
        with f.loop(0, kernel_d) as kd, f.loop(0, f.int(kernel_h)) as kh:
            depth = f.add(d, f.mul(kd.index, p["dilation_d"][0]))
            height = f.add(h, f.mul(kh.index, p["dilation_h"][0]))
            line = f.mul(f.add(f.mul(depth, size_h), height), size_w)
            to = f.offset(plane, f.add(line, f.mul(w, 2)), p.element)
            base = f.mul(f.add(f.mul(kd.index, kernel_h), kh.index), kernel_w)
            shares = [_chosen(p, value, code, f.add(base, k)) for k in range(2)]
            for half in range(2):
                order = [lane // 2 + lanes * (lane % 2) for lane in range(half * lanes, (half + 1) * lanes)]
                f.store(f.shuffle(shares[0], shares[1], order), f.offset(to, half * lanes, p.element))


def _chosen(p: Placing, value: Val, code: Val | None, position: Val) -> Val:
    """The values of windows that point at `position`, zeros for the others."""
    if code is None:
        return value
    f = p.f
    narrow = f.op(p.code, f"trunc {position} to {p.code}")
    return f.select(f.compare("eq", code, f.splat(narrow, code.lanes)), value, f.float(0.0, value.type))
