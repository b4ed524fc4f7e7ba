"""Switches of libraries that PyTorch is built on (`torch.backends`): programs set them, and nothing changes.

Each backend says truly whether it is there. Attributes such as `torch.backends.cudnn.benchmark` may be set and read.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from flambeau._core.homes import absent

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized"]


class Backend(ModuleType):
    """A library with switches. `is_available()` says whether it is used; `flags(...)` is a context."""

    def __init__(self, name: str, available: bool = False, **switches: Any) -> None:
        super().__init__(f"{__name__}.{name}", f"Switches of {name}.")
        self.__spec__ = ModuleSpec(self.__name__, None)
        self.__dict__.update(switches)
        self._available = available
        sys.modules[self.__name__] = self  # for programs that import it

    def is_available(self) -> bool:
        """Is the library used?"""
        return self._available

    is_built = is_available

    def version(self) -> None:
        """The library's version: None, it is not used."""

    def flags(self, **switches: Any) -> _Flags:
        """A context in which switches are set otherwise."""
        return _Flags(self, switches)

    def __repr__(self) -> str:
        return f"<{self.__name__.replace('flambeau', 'torch')}: {'used' if self._available else 'not used'}>"


class _Flags:
    """Sets switches and puts them back."""

    def __init__(self, backend: Backend, switches: dict[str, Any]) -> None:
        self.backend, self.switches = backend, switches

    def __enter__(self) -> None:
        known = vars(self.backend)
        self.before = {name: known[name] for name in self.switches if name in known}
        known.update(self.switches)

    def __exit__(self, *exception: Any) -> None:
        vars(self.backend).update(self.before)


class _Matmul:
    """How products may be computed on GPUs: remembered, and without effect."""

    def __init__(self) -> None:
        self.allow_tf32 = False
        self.allow_fp16_reduced_precision_reduction = self.allow_bf16_reduced_precision_reduction = True


cudnn = Backend(
    "cudnn",
    enabled=True,
    benchmark=False,
    deterministic=False,
    allow_tf32=True,
    benchmark_limit=10,
    fp32_precision="none",
)
cuda = Backend("cuda", matmul=_Matmul(), preferred_linalg_library=lambda *a: None)
cpu = Backend("cpu", True)
mps = Backend("mps")
mkl = Backend("mkl")
mkldnn = Backend("mkldnn", enabled=False, deterministic=False, allow_tf32=False)
openmp = Backend("openmp")
opt_einsum = Backend("opt_einsum", enabled=False, strategy=None)
quantized = Backend("quantized", engine="none", supported_engines=["none"])

__getattr__ = absent("torch.backends")
