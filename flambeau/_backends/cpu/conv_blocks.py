"""The unfolded input of a block of outputs, for the kernels that multiply it."""

from __future__ import annotations

from flambeau._backends.cpu import lines
from flambeau._backends.cpu.conv_geometry import SEGMENTS, Blocks, Correlation, row_classes
from flambeau._backends.cpu.emit import BYTES, Function, Val
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Word
from flambeau._backends.cpu.target import Target

NAMES = (
    f"{lines.NAMES} x_at x_image step_d low_h low_w span_h span_w channels chunk taps depth planes rows columns "
    "count_d count_h count_w all_planes segments segment_taps segment_classes_at segment_lines_at"
)
FIELDS = Fields(NAMES)


def block_words(target: Target, element: str, c: Correlation, b: Blocks, x: Word) -> dict[str, Word]:
    """The values of NAMES."""
    d, h, w = c.axes
    fewest = c.channels - (-(-c.channels // b.channels) - 1) * b.channels  # in the last chunk
    across = c.x.channel == 1 and fewest >= target.lanes(BYTES[element])
    classes = row_classes(h, b.shifted)
    segments = range(len(d.offsets) * len(h.offsets)) if b.shifted else range(1)
    positions = len(h.offsets) if b.shifted else 1
    return lines.line_words(element, c.axes, c.x, b.line, b.pitch, across=across, shifted=b.shifted) | {
        "x_at": x, "x_image": c.x.image, "step_d": d.step, "low_h": h.low, "low_w": w.low, "span_h": h.span,
        "span_w": w.span, "channels": c.channels, "chunk": b.channels, "taps": c.taps, "depth": c.depth,
        "planes": b.planes, "rows": b.rows, "columns": b.columns, "count_d": d.out, "count_h": h.out,
        "count_w": w.out, "all_planes": c.planes, "segments": len(segments),
        "segment_taps": len(w.offsets) if b.shifted else c.taps,
        "segment_classes_at": lines.table([
            i // positions * len(classes.starts) + classes.number[i % positions] if b.shifted else 0 for i in segments
        ]),
        "segment_lines_at": lines.table([classes.line[i % positions] if b.shifted else 0 for i in segments]),
    }  # fmt: skip


def emit_block(f: Function, args: Val, element: str, start: tuple[Val, Val, Val], channel: Val, channels: Val,
               buffer: Val, matrix: Val) -> list[Val]:  # fmt: skip
    """Gather and unfold the input of the block that starts at (slice, row, column), from input channel `channel` on.
    Returns the block's slices, rows and columns."""
    plane, h0, w0 = start
    x, x_image, x_channel, count_d, count_h, count_w, all_planes, planes, rows, columns = FIELDS.read(
        f, args, "x_at x_image x_channel count_d count_h count_w all_planes planes rows columns"
    )
    step_d, step_h, step_w, low_h, low_w, span_h, span_w = FIELDS.read(
        f, args, "step_d step_h step_w low_h low_w span_h span_w"
    )
    pieces = lines.Lines(f, args)
    planes = f.min(planes, f.sub(all_planes, plane))
    rows, columns = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
    h_count = f.add(f.add(f.mul(f.sub(rows, 1), step_h), span_h), 1)
    w_count = f.add(f.add(f.mul(f.sub(columns, 1), step_w), span_w), 1)
    h, w = f.add(f.mul(h0, step_h), low_h), f.add(f.mul(w0, step_w), low_w)
    with f.loop(0, planes) as i:
        number = f.add(plane, i.index)
        image, d = f.udiv(number, count_d), f.urem(number, count_d)
        source = f.offset(x, f.add(f.mul(image, x_image), f.mul(channel, x_channel)), element)
        pieces.gather(source, buffer, channels, f.mul(d, step_d), h, h_count, w, w_count)
        to = f.offset(matrix, f.mul(i.index, f.mul(rows, columns)), element)
        pieces.unfold(buffer, to, channels, rows, columns, h_count)
    return [planes, rows, columns]


def segment_table(f: Function) -> Val:
    """Memory for `emit_segments`; to be asked for at a function's beginning."""
    return f.stack("i64", SEGMENTS)


def emit_segments(f: Function, args: Val, segments: Val, channels: Val, columns: Val) -> None:
    """Fill in where in the unfolded input of a block each piece of the depth begins: that of one kernel position along
    the outer axes, if positions share rows of it, else all of it."""
    count, taps, classes, starts, pitch = FIELDS.read(
        f, args, "segments segment_taps segment_classes_at segment_lines_at pitch"
    )
    size = f.mul(f.mul(channels, taps), pitch)
    with f.loop(0, count) as i:
        number, line = (f.load("i64", f.offset(at, i.index, "i64")) for at in (classes, starts))
        f.store(f.add(f.mul(number, size), f.mul(line, columns)), f.offset(segments, i.index, "i64"))
