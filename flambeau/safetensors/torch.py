"""Tensors to and from safetensors files: `safetensors.torch`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau.safetensors import header
from flambeau.safetensors.header import CODES, Entry
from flambeau.safetensors.opening import read_tensor, safe_open
from flambeau.serialization.atomic import replacing
from flambeau.serialization.memory import bytes_of

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model", "storage_ptr", "storage_size"]


def save_file(
    tensors: Mapping[str, torch.Tensor], filename: str | os.PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors by their names, and texts about them. The file is replaced at once when all is on the disk.

    ValueError for what is no dense contiguous tensor or has a dtype that the format lacks; RuntimeError for tensors
    that share memory, which the format cannot say.

    Example::

        >>> import os, tempfile, flambeau as torch
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save_file({"weight": torch.ones(2, dtype=torch.bfloat16)}, path)
        >>> load_file(path)
        {'weight': tensor([1., 1.], dtype=torch.bfloat16)}
    """
    pieces = list(_serialized(tensors, metadata))
    with replacing(os.fspath(filename)) as file:
        file.writelines(pieces)


def save(tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes that `save_file` would write."""
    return b"".join(_serialized(tensors, metadata))


def load_file(
    filename: str | os.PathLike[str], device: Any = "cpu", *, backend: str = "mmap"
) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, each in memory of its own. Errors as for `safe_open`."""
    with safe_open(filename, framework="pt", device=device) as file:
        return file.get_tensors()


def load(data: bytes) -> dict[str, torch.Tensor]:
    """The tensors that the bytes of a file hold; SafetensorError if they are damaged.

    Example::

        >>> import flambeau as torch
        >>> load(save({"x": torch.arange(3)}))
        {'x': tensor([0, 1, 2])}
    """
    file = io.BytesIO(data)
    found = header.read(file, "<bytes>")
    return {name: read_tensor(file, "<bytes>", name, entry, found.end) for name, entry in found.entries.items()}


def save_model(
    model: nn.Module,
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Write the state of a module. Of tensors that are the same one only the first name is written; the metadata say
    which name each other one goes by."""
    state = model.state_dict()
    names = _first_names(state)
    doubles = {name: first for name, first in names.items() if name != first}
    kept = {name: state[name].contiguous() if force_contiguous else state[name] for name in set(names.values())}
    save_file(kept, filename, {**doubles, **(metadata or {})} if doubles or metadata else None)


def load_model(
    model: nn.Module, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu", *,
    backend: str = "mmap",
) -> tuple[set[str], list[str]]:  # fmt: skip
    """Give a module the state that `save_model` wrote; returns the names that are missing and those that are
    unexpected, which if `strict` are a RuntimeError."""
    state = load_file(filename, device)
    missing, unexpected = model.load_state_dict(state, strict=False)
    names = _first_names(model.state_dict())
    written = {names[name] for name in state if name in names}
    absent = {name for name in missing if names[name] not in written}
    if strict and (absent or unexpected):
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(model).__name__}:"
            + _listed("Missing", sorted(absent))
            + _listed("Unexpected", sorted(unexpected))
        )
    return absent, list(unexpected)


def storage_ptr(tensor: torch.Tensor) -> int:
    """The address of the memory that a tensor shares with its views.

    Example::

        >>> x = torch.ones(3)
        >>> storage_ptr(x[1:]) == storage_ptr(x)
        True
    """
    return int(tensor.untyped_storage().data_ptr())


def storage_size(tensor: torch.Tensor) -> int:
    """How many bytes that memory has.

    Example::

        >>> storage_size(torch.ones(3)[1:])
        12
    """
    return int(tensor.untyped_storage().nbytes())


def _listed(kind: str, names: Iterable[str]) -> str:
    text = ", ".join(f'"{name}"' for name in names)
    return f"\n    {kind} key(s) in state_dict: {text}" if text else ""


def _layout(t: torch.Tensor) -> tuple[Any, ...]:
    return id(t._storage), t.dtype, t.storage_offset(), tuple(t.shape), tuple(t.stride())


def _first_names(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """For each name the first, in alphabetical order, of those that have the same tensor."""
    first: dict[tuple[Any, ...], str] = {}
    return {name: first.setdefault(_layout(state[name]), name) for name in sorted(state)}


def _serialized(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None) -> Iterator[Any]:
    """The header, then the bytes of the tensors."""
    _check(tensors, metadata)
    ranks = list(CODES)
    order = sorted(tensors, key=lambda name: (ranks.index(tensors[name].dtype), name))
    entries, place = {}, 0
    for name in order:
        t = tensors[name]
        entries[name] = Entry(t.dtype, tuple(t.shape), place, place := place + t.numel() * t.dtype.itemsize)
    yield header.write(entries, metadata)
    for name in order:
        t = tensors[name]
        yield bytes_of(t._storage)[slice(*_span(t))].data


def _check(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None) -> None:
    if not isinstance(tensors, Mapping):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors).__name__}")
    if not all(isinstance(text, str) for pair in (metadata or {}).items() for text in pair):
        raise ValueError("metadata must be a dict of texts")
    shared: dict[int, str] = {}
    for name, t in tensors.items():
        if not isinstance(name, str) or name == header.METADATA:
            raise ValueError(f"a tensor cannot have the name {name!r}")
        if not isinstance(t, torch.Tensor) or t.layout is not torch.strided:
            raise ValueError(f"Key `{name}` is invalid, expected a dense torch.Tensor but received {type(t).__name__}")
        if t.dtype not in CODES:
            raise ValueError(f"Key `{name}` has the dtype {t.dtype}, which the format lacks")
        if not t.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}`\n  hint: save {name}.contiguous() instead"
            )
        other = shared.setdefault(id(t._storage), name) if t.numel() else name
        if other != name and _overlap(tensors[other], t):
            raise RuntimeError(
                f"Some tensors share memory, which the format cannot say: `{other}` and `{name}`\n"
                "  hint: save a clone() of one, or the module by save_model()"
            )


def _overlap(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Do two contiguous tensors over one storage, neither of them empty, share bytes?"""
    (a_begin, a_end), (b_begin, b_end) = _span(a), _span(b)
    return max(a_begin, b_begin) < min(a_end, b_end)


def _span(t: torch.Tensor) -> tuple[int, int]:
    """Where the bytes of a contiguous tensor begin and end in its storage."""
    begin = t.storage_offset() * t.dtype.itemsize
    return begin, begin + t.numel() * t.dtype.itemsize
