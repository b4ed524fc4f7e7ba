"""Messages between a loader and its workers: pickles whose arrays travel as raw memory.

A short message goes through the connection itself. A long one is written to a scratch file without a name (in memory,
where the system offers that) whose descriptor goes through the connection. So neither side ever waits for the other
to read: a worker runs ahead by as many batches as it was asked for, nothing is left behind when a process is killed,
and no limit on shared memory or on open files is met, for the receiver reads the file into memory of its own and
closes it.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import tempfile
    from multiprocessing import reduction
    from multiprocessing.connection import Connection

    import numpy as np
else:
    reduction = lazy_module("multiprocessing.reduction")
    tempfile = lazy_module("tempfile")
    np = lazy_module("numpy")

INLINE_BYTES = 4096  # small enough that the messages of a few dozen batches fit into the connection's own buffer
ALIGNMENT = 64
INLINE, DESCRIPTOR, PATH = range(3)  # how the bytes of a message travel
MEMORY_FILES = hasattr(os, "memfd_create")


def send(connection: Connection, message: Any, receiver_pid: int | None = None) -> None:
    """Send a message; raises whatever pickling it raises before anything is sent."""
    parts = _pickled(message)
    sizes = [part.nbytes for part in parts]
    if sum(map(_padded, sizes)) <= INLINE_BYTES:
        connection.send_bytes(_header(INLINE, sizes))
        connection.send_bytes(b"".join(_with_padding(parts)))
        return
    descriptor, path = (os.memfd_create("batch"), "") if MEMORY_FILES else tempfile.mkstemp(prefix="flambeau-batch-")
    try:
        _write(descriptor, parts)
        connection.send_bytes(_header(DESCRIPTOR if MEMORY_FILES else PATH, sizes))
        if MEMORY_FILES:
            reduction.send_handle(connection, descriptor, receiver_pid)
        else:
            connection.send_bytes(path.encode())
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """The next message; EOFError when the other side has closed the connection."""
    header = connection.recv_bytes()
    carrier, *sizes = struct.unpack(f"<{len(header) // 8}q", header)
    memory = np.empty(sum(map(_padded, sizes)), np.uint8).data
    if carrier == INLINE:
        memory[:] = connection.recv_bytes()
    elif carrier == DESCRIPTOR:
        with open(reduction.recv_handle(connection), "rb", buffering=0) as file:
            file.seek(0)
            _read(file, memory)
    else:
        path = connection.recv_bytes().decode()
        with open(path, "rb", buffering=0) as file:
            _read(file, memory)
        os.unlink(path)
    stream, *buffers = _cut(memory, sizes)
    return pickle.loads(stream, buffers=buffers)


# ---------------------------------------------------------------------------------------------- pickling


class _Pickler(pickle.Pickler):
    """Refuses what would lose its history on the way."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "a worker cannot send a tensor that is the result of a differentiable operation\n"
                "  hint: detach() it in the data set or in collate_fn"
            )
        return NotImplemented


def _pickled(message: Any) -> list[memoryview]:
    """The pickle, and the elements of its tensors and arrays, to which it refers as buffers."""
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    _Pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(message)
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


# ---------------------------------------------------------------------------------------------- bytes


def _header(carrier: int, sizes: list[int]) -> bytes:
    return struct.pack(f"<{1 + len(sizes)}q", carrier, *sizes)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _with_padding(parts: list[memoryview]) -> list[Any]:
    return [piece for part in parts for piece in (part, bytes(_padded(part.nbytes) - part.nbytes))]


def _cut(memory: memoryview, sizes: list[int]) -> list[memoryview]:
    """The parts that were written one after the other with padding."""
    views, start = [], 0
    for size in sizes:
        views.append(memory[start : start + size])
        start += _padded(size)
    return views


def _write(descriptor: int, parts: list[memoryview]) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        for piece in _with_padding(parts):
            file.write(piece)


def _read(file: io.FileIO, memory: memoryview) -> None:
    done = 0
    while done < len(memory):
        count = file.readinto(memory[done:])
        if not count:
            raise EOFError("a batch of a DataLoader worker is incomplete")
        done += count
