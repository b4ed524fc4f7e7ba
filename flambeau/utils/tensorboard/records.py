"""The bytes of event files: fields of protocol buffers (https://protobuf.dev/programming-guides/encoding), and the
records that hold them, with checksums (TFRecord: length, its sum, data, their sum)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache

CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, its bits reversed


def varint(number: int) -> bytes:
    """A number in groups of 7 bits, the lowest first; negative ones as 64 bits.

    Example::

        >>> varint(300)
        b'\\xac\\x02'
    """
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def integer(field: int, value: int) -> bytes:
    """A field with an integer, a bool or a choice."""
    return varint(field << 3) + varint(int(value))


def double(field: int, value: float) -> bytes:
    """A field with a float of 64 bits."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    """A field with a float of 32 bits."""
    return varint(field << 3 | 5) + struct.pack("<f", value)


def block(field: int, value: str | bytes) -> bytes:
    """A field with a text, with bytes, or with a message of fields."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def doubles(field: int, values: Iterable[float]) -> bytes:
    """A field with many floats of 64 bits."""
    numbers = list(values)
    return block(field, struct.pack(f"<{len(numbers)}d", *numbers))


@cache
def _sums_of_bytes() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """The CRC-32C sum of bytes.

    Example::

        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    table, found = _sums_of_bytes(), 0xFFFFFFFF
    for byte in data:
        found = table[(found ^ byte) & 255] ^ found >> 8
    return found ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    """The sum as records have it: rotated and moved, lest sums of sums be weak."""
    found = crc32c(data)
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """A record of a file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)
