"""`torch.save`."""

from __future__ import annotations

import os
from typing import IO, Any

from flambeau.serialization import archive
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

    AttributeError for an `f` that is neither; RuntimeError if the folder does not exist; ValueError for the format
    before 2020 (`_use_new_zipfile_serialization=False`), which is only read; pickle's errors for what cannot be
    pickled.

    Example::

        >>> import io, flambeau as torch
        >>> file = io.BytesIO()
        >>> torch.save({"weight": torch.ones(2), "epoch": 3}, file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if not _use_new_zipfile_serialization:
        raise ValueError("the format without zip is only read; leave out _use_new_zipfile_serialization=False")
    if pickle_module is not None:
        raise ValueError("save() has a pickler of its own; leave out pickle_module")
    if isinstance(f, str | os.PathLike):
        path = os.fspath(f)
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise RuntimeError(f"Parent directory {folder} does not exist; make it with os.makedirs(...) first")
        data, storages = pickled(obj, pickle_protocol)
        with replacing(path) as file:
            archive.write(file, data, map(bytes_of, storages))
    elif hasattr(f, "write"):
        data, storages = pickled(obj, pickle_protocol)
        archive.write(f, data, map(bytes_of, storages))
    else:
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute, got {type(f).__name__}"
        )
