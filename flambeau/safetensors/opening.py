"""A file opened for reading tensor by tensor."""

from __future__ import annotations

import os
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau.safetensors import header
from flambeau.safetensors.header import Entry, SafetensorError
from flambeau.serialization.memory import storage_over, tensor_over

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

FRAMEWORKS = ("pt", "torch", "pytorch", "np", "numpy")


class safe_open:  # noqa: N801 (the library's name)
    """Read single tensors of a file: `framework` is "pt" for tensors or "np" for arrays; `device` can be the CPU only.

    SafetensorError, naming the file, if it is damaged or something else; FileNotFoundError.

    Example::

        >>> import os, tempfile, flambeau as torch
        >>> from flambeau.safetensors.torch import save_file
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save_file({"weight": torch.arange(6.0).view(2, 3)}, path)
        >>> with safe_open(path, framework="pt") as file:
        ...     file.keys(), file.get_slice("weight")[:, 1]
        (['weight'], tensor([1., 4.]))
    """

    def __init__(
        self, filename: str | os.PathLike[str], framework: str, device: Any = "cpu", *, backend: str = "mmap"
    ) -> None:
        if framework not in FRAMEWORKS:
            raise SafetensorError(f"framework {framework!r} is invalid; there are {', '.join(FRAMEWORKS)}")
        if torch.device(device).type != "cpu":
            raise SafetensorError(f"device {device} is not available here\n  hint: device='cpu'")
        self._as_arrays = framework in ("np", "numpy")
        self._name = os.fspath(filename)
        self._file: IO[bytes] = open(filename, "rb")
        try:
            self._header = header.read(self._file, self._name)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._header.entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors in the order of their bytes."""
        return sorted(self._header.entries, key=lambda name: self._header.entries[name].begin)

    def metadata(self) -> dict[str, str] | None:
        """The texts that the writer added."""
        return self._header.metadata

    def get_tensor(self, name: str) -> Any:
        """A tensor; SafetensorError if there is none of that name."""
        if name not in self._header.entries:
            raise SafetensorError(f"File does not contain tensor {name}; it has {', '.join(self.keys())[:300]}")
        made = read_tensor(self._file, self._name, name, self._header.entries[name], self._header.end)
        return made.numpy() if self._as_arrays else made

    def get_tensors(self) -> dict[str, Any]:
        """All tensors by name."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> Slice:
        """A tensor to be read when it is indexed."""
        return Slice(self, name, self._header.entries[name])


class Slice:
    """A tensor of an open file that can be indexed."""

    def __init__(self, file: safe_open, name: str, entry: Entry) -> None:
        self._file, self._name, self._entry = file, name, entry

    def get_shape(self) -> list[int]:
        """The sizes."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The dtype as the format writes it: "F32"."""
        return header.CODES[self._entry.dtype]

    def __getitem__(self, index: Any) -> Any:
        return self._file.get_tensor(self._name)[index]


def read_tensor(file: IO[bytes], file_name: str, name: str, entry: Entry, start: int) -> torch.Tensor:
    """A tensor in memory of its own. The header has been held against the size of the file."""
    data = np.empty(entry.end - entry.begin, np.uint8)
    file.seek(start + entry.begin)
    if file.readinto(data.data) != data.nbytes:  # type: ignore[attr-defined]
        raise SafetensorError(f'{file_name}: the data of "{name}" ends too early; the file has changed meanwhile')
    strides = contiguous(entry.dtype, entry.shape).strides
    return tensor_over(torch.Tensor, storage_over(data, entry.dtype), entry.dtype, 0, entry.shape, tuple(strides))
