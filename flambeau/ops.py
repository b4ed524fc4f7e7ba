"""`torch.ops`: operators by their names, `torch.ops.namespace.name`; those of the package are in `torch.ops.aten`."""

from __future__ import annotations as _annotations

from typing import NoReturn as _NoReturn

from flambeau._core.errors import explain as _explain
from flambeau.library import operators as _operators

loaded_libraries: set[str] = set()  # there are none


def load_library(path: str) -> _NoReturn:
    """NotImplementedError: operators written in C++ are made for PyTorch's own tensors."""
    raise NotImplementedError(
        _explain(
            f"torch.ops.load_library({str(path)!r}): a shared library of operators is compiled for PyTorch itself",
            hint="torch.library.custom_op makes an operator from a Python function, which may call a library by ctypes",
        )
    )


def __getattr__(name: str) -> _operators.Namespace:
    if name.startswith("__"):
        raise AttributeError(f"module 'torch.ops' has no attribute {name!r}")
    return _operators.namespace_of(name)


def __dir__() -> list[str]:
    return sorted({"load_library", "loaded_libraries", *_operators.namespaces})
