"""Names for kinds of arguments (`torch.types`), for annotations."""

from __future__ import annotations

import os
from typing import IO, TypeAlias

from flambeau import _api as torch
from flambeau._tensor.interop import StorageBase

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number: TypeAlias = int | float | bool
Device: TypeAlias = torch.device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Storage: TypeAlias = StorageBase
