"""What event files hold: summaries of scalars, histograms, images, texts and hyperparameters, as messages of
TensorBoard's `summary.proto`, `tensor.proto` and those of its plugins."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module
from flambeau.utils.tensorboard.records import block, double, doubles, integer, single

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

FLOAT, DOUBLE, STRING = 1, 2, 7  # kinds of tensors
TEXT, BOOL, NUMBER = 1, 2, 3  # kinds of hyperparameters


def summary(tag: str, *fields: bytes) -> bytes:
    """A summary of one value."""
    return block(1, block(1, tag) + b"".join(fields))


def _plugin(name: str, content: bytes = b"") -> bytes:
    """Which of TensorBoard's plugins shows a value."""
    return block(9, block(1, block(1, name) + (block(2, content) if content else b"")))


def array(values: Any) -> Any:
    """A tensor, number or sequence as an array."""
    return values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def scalar(tag: str, value: Any, new_style: bool, double_precision: bool) -> bytes:
    """A number; AssertionError for more than one."""
    numbers = array(value)
    if numbers.size != 1:
        raise AssertionError(f"add_scalar: expected one number for {tag!r}, got an array of shape {numbers.shape}")
    number = float(numbers.reshape(()))
    if not new_style:
        return summary(tag, single(2, number))
    tensor = integer(1, DOUBLE) + double(6, number) if double_precision else integer(1, FLOAT) + single(5, number)
    return summary(tag, block(8, tensor), _plugin("scalars"))


def text(tag: str, value: str) -> bytes:
    """A text, shown as Markdown."""
    shape = block(2, block(2, integer(1, 1)))
    return summary(f"{tag}/text_summary", block(8, integer(1, STRING) + shape + block(8, value)), _plugin("text"))


# ---------------------------------------------------------------------------------------------- histograms


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None) -> bytes:
    """How often values lie in bins: "tensorflow", each a tenth wider than the one before, or what NumPy takes.
    ValueError without values."""
    values = array(values).reshape(-1).astype(np.float64)
    if not values.size:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(values, _growing() if isinstance(bins, str) and bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        limits = np.append(limits[:-1:step], limits[-1])
    used = np.flatnonzero(counts)
    # Bins are known by their upper limits: an empty one below says where the lowest begins.
    first, last = (used[0], used[-1]) if used.size else (0, 0)
    kept = [0.0, *counts[first : last + 1]]
    return raw_histogram(
        tag, values.min(), values.max(), len(values), values.sum(), values @ values, limits[first : last + 2], kept
    )


def _growing() -> list[float]:
    upper, limits = 1e-12, []
    while upper < 1e20:
        limits.append(upper)
        upper *= 1.1
    return [-x for x in reversed(limits)] + [0.0] + limits


def raw_histogram(
    tag: str, low: float, high: float, number: float, total: float, squares: float, limits: Any, counts: Any
) -> bytes:
    """A histogram of which all is known: `limits` are the upper ones of bins."""
    numbers = [double(i, float(x)) for i, x in enumerate((low, high, number, total, squares), 1)]
    return summary(tag, block(5, b"".join(numbers) + doubles(6, map(float, limits)) + doubles(7, map(float, counts))))


# ---------------------------------------------------------------------------------------------- images


def image(tag: str, picture: Any, dataformats: str) -> bytes:
    """A picture, of bytes or of floats from 0 to 1, whose dimensions `dataformats` names ("CHW", "HWC" or "HW");
    several ("NCHW", "NHWC") side by side."""
    rows = _arranged(array(picture), dataformats.upper())
    if rows.dtype != np.uint8:
        rows = (rows.astype(np.float64).clip(0, 1) * 255).astype(np.uint8)
    height, width, channels = rows.shape
    sizes = integer(1, height) + integer(2, width) + integer(3, channels)
    return summary(tag, block(4, sizes + block(4, _png(rows))))


def _arranged(picture: Any, dataformats: str) -> Any:
    """A picture of dimensions (height, width, channels)."""
    if len(dataformats) != picture.ndim or set(dataformats) - set("NCHW") or len(set(dataformats)) != picture.ndim:
        raise AssertionError(
            f"add_image: dataformats={dataformats!r} does not name the dimensions of a tensor of shape {picture.shape}"
        )
    if "C" not in dataformats:
        picture, dataformats = picture[..., None], dataformats + "C"
    if "N" not in dataformats:
        return picture.transpose([dataformats.index(d) for d in "HWC"])
    pictures = picture.transpose([dataformats.index(d) for d in "NHWC"])
    count, height, width, channels = pictures.shape
    columns = min(count, 8)
    lines = -(-count // columns)
    blank = np.zeros((lines * columns - count, height, width, channels), pictures.dtype)
    grid = np.concatenate((pictures, blank)).reshape(lines, columns, height, width, channels)
    return grid.swapaxes(1, 2).reshape(lines * height, columns * width, channels)


def _png(rows: Any) -> bytes:
    """A picture of bytes in the PNG format (https://www.w3.org/TR/png)."""
    height, width, channels = rows.shape
    if channels not in (1, 2, 3, 4):
        raise AssertionError(f"add_image: expected 1 to 4 channels, got {channels}")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = np.concatenate((np.zeros((height, 1), np.uint8), rows.reshape(height, -1)), 1)  # 0: not filtered
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines.tobytes())), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ---------------------------------------------------------------------------------------------- hyperparameters


def hyperparameters(values: dict[str, Any], metrics: dict[str, Any], discrete: dict[str, list]) -> list[bytes]:
    """Three summaries: what an experiment has, the values at its start, and that it ended."""
    known = {name: _hyperparameter(name, value) for name, value in values.items() if value is not None}
    infos = b""
    for name, (kind, _) in known.items():
        choices = b"".join([block(1, _hyperparameter(name, choice)[1]) for choice in discrete.get(name, ())])
        infos += block(4, block(1, name) + integer(4, kind) + (block(5, choices) if choices else b""))
    infos += b"".join([block(5, block(1, block(2, tag))) for tag in metrics])
    start = b"".join([block(1, block(1, name) + block(2, value)) for name, (_, value) in known.items()])
    parts = {"experiment": block(2, infos), "session_start_info": block(3, start), "session_end_info":
             block(4, integer(1, 1))}  # fmt: skip
    return [summary(f"_hparams_/{name}", _plugin("hparams", content)) for name, content in parts.items()]


def _hyperparameter(name: str, value: Any) -> tuple[int, bytes]:
    """The kind of a value, and the value; ValueError for one that has none."""
    if isinstance(value, bool):
        return BOOL, integer(4, value)
    if isinstance(value, str):
        return TEXT, block(3, value)
    if isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1):
        return NUMBER, double(2, float(value))
    raise ValueError(
        f"value should be one of int, float, str, bool, or torch.Tensor, got {type(value).__name__} for {name!r}"
    )
