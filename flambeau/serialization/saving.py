"""`torch.save`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import IO, Any

from flambeau.serialization import archive, legacy
from flambeau.serialization.atomic import replacing
from flambeau.serialization.memory import bytes_of
from flambeau.serialization.writing import pickled

DEFAULT_PROTOCOL = 2  # what PyTorch's safe reader understands


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write tensors and what contains them to a file that `load`, PyTorch's too, can read.

    `obj` may be a tensor, a parameter, a `state_dict`, any nesting of lists, dicts, tuples, sets, numbers, text and
    bytes. Tensors that share memory will share it again; the whole memory of a view is written. `f` is a path or a
    binary file to write to. A path is replaced at once when everything is on the disk: a crash leaves the old file or
    the new one.

    `_use_new_zipfile_serialization=False` writes the format of PyTorch before 2020, which has no checksums.

    AttributeError for an `f` that is neither; RuntimeError if the folder does not exist; pickle's errors for what
    cannot be pickled.

    Example::

        >>> import io, flambeau as torch
        >>> file = io.BytesIO()
        >>> torch.save({"weight": torch.ones(2), "epoch": 3}, file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if pickle_module is not None:
        raise ValueError("save() has a pickler of its own; leave out pickle_module")
    if isinstance(f, str | os.PathLike):
        path = os.fspath(f)
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise RuntimeError(f"Parent directory {folder} does not exist; make it with os.makedirs(...) first")
        write = _prepared(obj, pickle_protocol, _use_new_zipfile_serialization)
        with replacing(path) as file:
            write(file)
    elif hasattr(f, "write"):
        _prepared(obj, pickle_protocol, _use_new_zipfile_serialization)(f)
    else:
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute, got {type(f).__name__}"
        )


def _prepared(obj: Any, protocol: int, as_zip: bool) -> Callable[[IO[bytes]], None]:
    """What writes the checkpoint of `obj`; all that can be refused has been refused by then."""
    data, storages = pickled(obj, protocol, view_metadata=not as_zip)
    if as_zip:
        return lambda file: archive.write(file, data, (bytes_of(storage) for storage, _ in storages))
    return lambda file: legacy.save(file, data, [(count, partial(bytes_of, storage)) for storage, count in storages])
