"""Maxima and averages of windows for images with their channels side by side, a vector of channels at a time."""

from __future__ import annotations

from flambeau._backends.cpu.emit import Function, Module, Val
from flambeau._backends.cpu.fields import split_task
from flambeau._backends.cpu.pool_words import Pooling, along
from flambeau._backends.cpu.target import Target


def generate_pool_channels(target: Target, kind: str, element: str, lanes: int) -> str:
    """`pool`: one task is one row of windows of a slice. The last vector of channels overlaps the one before."""
    m = Module(target)
    f, args, lo, hi = m.entry("pool")
    p = Pooling(f, args, kind, element, lanes)
    count_d, count_h, count_w, channels = p["count_d count_h count_w channels"]
    last = f.sub(channels, lanes)
    with f.loop(lo, hi) as task:
        h, d, n = split_task(f, task.index, count_h, count_d)
        with f.loop(0, count_w) as w:
            taps = [_taps(p, dim, number) for dim, number in zip("dhw", (d, h, w.index), strict=True)]
            corner = _corner(p, n, taps)
            to, code = p.output([n, f.int(0), d, h])
            to = f.offset(to, f.mul(w.index, p["y_w"][0]), element)
            divisor = _divisor(p, [d, h, w.index]) if kind == "average" else None
            with f.loop(0, channels, lanes) as c:
                channel = f.min(c.index, last)
                found = _window(p, f.offset(corner, channel, element), taps)
                if divisor is not None:
                    found = [f.fdiv(found[0], f.splat(divisor, lanes))]
                f.store(found[0], f.offset(to, channel, element))
                if kind != "average":
                    _store_codes(p, found[1], f.offset(code, w.index, p.kept), channel)
    f.ret()
    f.close()
    return m.text()


Taps = tuple[Val, Val, Val]


def _taps(p: Pooling, dim: str, number: Val) -> Taps:
    """Along a dimension: the first and the end of the kernel's positions that lie in the input, and where that first
    one does."""
    f = p.f
    size, kernel, stride, padding, dilation = p[f"size_{dim} kernel_{dim} stride_{dim} padding_{dim} dilation_{dim}"]
    start = f.sub(f.mul(number, stride), padding)
    round = f.sub(dilation, 1)
    first = f.udiv(f.add(f.max(f.sub(0, start), 0), round), dilation)
    end = f.min(f.udiv(f.add(f.max(f.sub(size, start), 0), round), dilation), kernel)
    return first, end, f.add(start, f.mul(first, dilation))


def _corner(p: Pooling, n: Val, taps: list[Taps]) -> Val:
    """The first element of the input that a window sees, in channel 0."""
    f = p.f
    x, image, *steps = p["x_at x_image x_d x_h x_w"]
    index = f.mul(n, image)
    for (_, _, at), step in zip(taps, steps, strict=True):
        index = f.add(index, f.mul(at, step))
    return f.offset(x, index, p.element)


def _window(p: Pooling, corner: Val, taps: list[Taps]) -> list[Val]:
    """The positions of one window that lie in the input, in row-major order."""
    f, e = p.f, p.element
    kernel_h, kernel_w = p["kernel_h kernel_w"]
    step_d, step_h, step_w = (f.mul(*p[f"x_{d} dilation_{d}"]) for d in "dhw")
    (d0, d1, _), (h0, h1, _), (w0, w1, _) = taps
    with f.loop(d0, d1, 1, [*p.start, corner]) as d:
        with f.loop(h0, h1, 1, d.carried) as h:
            line = f.mul(f.add(f.mul(d.index, kernel_h), h.index), kernel_w)
            with f.loop(w0, w1, 1, h.carried) as w:
                *found, at = w.carried
                w.next = [*p.add(found, f.load(p.values, at), f.add(line, w.index)), f.offset(at, step_w, e)]
            h.next = [*w.results[:-1], f.offset(h.carried[-1], step_h, e)]
        d.next = [*h.results[:-1], f.offset(d.carried[-1], step_d, e)]
    return d.results[:-1]


def _divisor(p: Pooling, window: list[Val]) -> Val:
    """How many elements a window averages, as a number of the values' type."""
    f: Function = p.f
    total = f.int(1)
    for number, dim in zip(window, "dhw", strict=True):
        size, padding, kernel, stride = p[f"size_{dim} padding_{dim} kernel_{dim} stride_{dim}"]
        start = f.sub(f.mul(number, stride), padding)
        total = f.mul(total, along(f, start, size, padding, kernel, p["include_pad"][0]))
    (fixed,) = p["divisor"]
    return f.cast("sitofp", f.select(f.compare("ne", fixed, 0), fixed, total), p.element)


def _store_codes(p: Pooling, codes: Val, to: Val, channel: Val) -> None:
    """Codes are row-major: those of neighbouring channels lie a slice apart."""
    f = p.f
    size = f.mul(f.mul(*p["count_d count_h"]), p["count_w"][0])
    narrow = f.cast("trunc", codes, p.kept) if codes.element != p.kept else codes
    for lane in range(p.lanes):
        f.store(f.extract(narrow, lane), f.offset(to, f.mul(size, f.add(channel, lane)), p.kept))
