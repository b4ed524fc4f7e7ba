"""The header: which tensors a file holds, and where."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

from flambeau import _api as torch
from flambeau._core.dtypes import BY_NAME
from flambeau.serialization.kinds import SAFETENSORS_HEADER_MOST

LENGTH_BYTES = 8
MOST_DIMENSIONS = 64
METADATA = "__metadata__"
DTYPES: dict[str, torch.dtype] = {
    code: BY_NAME[name]
    for code, name in {
        "U64": "uint64", "I64": "int64", "F64": "float64", "C64": "complex64", "F32": "float32", "U32": "uint32",
        "I32": "int32", "BF16": "bfloat16", "F16": "float16", "U16": "uint16", "I16": "int16", "I8": "int8",
        "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
        "F8_E8M0": "float8_e8m0fnu",
    }.items()
}  # fmt: skip  # in the order in which tensors are written: wide ones first, so that all are aligned
CODES = {d: code for code, d in DTYPES.items()}


class SafetensorError(Exception):
    """What is wrong with a safetensors file, or with what should become one."""


class Entry(NamedTuple):
    """A tensor in a file: its dtype and shape, and the bytes begin:end, counted from the end of the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """The tensors by name, the texts that the writer added, and where in the file the header ends."""

    entries: dict[str, Entry]
    metadata: dict[str, str] | None
    end: int


def read(file: IO[bytes], name: str) -> Header:
    """The header of a file, all of whose numbers fit each other and the size of the file; SafetensorError if not."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        end = LENGTH_BYTES + length
        if size < LENGTH_BYTES:
            raise SafetensorError(f"HeaderTooSmall: it has {size} bytes")
        if length > SAFETENSORS_HEADER_MOST:
            raise SafetensorError(f"HeaderTooLarge: its header would be {length} bytes; it may be another kind of file")
        if end > size:
            raise SafetensorError(f"InvalidHeaderLength: its header would end at byte {end} of {size}")
        parsed = _parsed(file.read(length))
        metadata = _metadata(parsed.pop(METADATA, None))
        entries = {key: _entry(key, value) for key, value in parsed.items()}
        _check_places(entries, size - end)
        return Header(entries, metadata, end)
    except SafetensorError as error:
        raise SafetensorError(f"{name}: {error}\n  hint: if the file is incomplete, copy it again") from error.__cause__


def write(entries: Mapping[str, Entry], metadata: Mapping[str, str] | None) -> bytes:
    """The length and the header, which ends at a multiple of 8 bytes."""
    table: dict[str, Any] = {} if metadata is None else {METADATA: dict(metadata)}
    for name, entry in entries.items():
        offsets = [entry.begin, entry.end]
        table[name] = {"dtype": CODES[entry.dtype], "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _parsed(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise SafetensorError("InvalidHeaderStart: its header does not begin with '{'")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise SafetensorError(f"InvalidHeaderDeserialization: its header is no JSON ({str(error)[:100]})") from error


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None or (isinstance(value, dict) and all(isinstance(text, str) for text in value.values())):
        return value
    raise SafetensorError("InvalidHeaderDeserialization: its metadata are not all texts")


def _entry(name: str, value: Any) -> Entry:
    wrong = f"the header's entry of {name[:200]!r}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise SafetensorError(f"InvalidHeaderDeserialization: {wrong} is not dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise SafetensorError(f"{wrong} has the dtype {str(code)[:20]}; read are {', '.join(DTYPES)}")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            raise SafetensorError(f"InvalidHeaderDeserialization: {wrong} has sizes or places that are no such numbers")
    if len(offsets) != 2 or len(shape) > MOST_DIMENSIONS:
        raise SafetensorError(f"{wrong} has {len(shape)} dimensions and {len(offsets)} places")
    begin, end = offsets
    expected = math.prod(shape) * DTYPES[code].itemsize
    if end - begin != expected:
        raise SafetensorError(f"TensorInvalidInfo: {wrong} has {end - begin} bytes, its shape needs {expected}")
    return Entry(DTYPES[code], tuple(shape), begin, end)


def _check_places(entries: Mapping[str, Entry], size: int) -> None:
    """The tensors lie one after the other and fill the file."""
    place = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != place:
            raise SafetensorError(f"InvalidOffset: the data of {name[:200]!r} begin at {entry.begin}, not at {place}")
        place = entry.end
    if place != size:
        raise SafetensorError(f"MetadataIncompleteBuffer: it has {size} bytes of data, its header speaks of {place}")
