"""Switches of libraries that PyTorch is built on (`torch.backends`): programs set them, and nothing changes.

Each backend says truly whether it is there. Attributes such as `torch.backends.cudnn.benchmark` may be set and read.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

host = lazy_module("flambeau._backends.cpu.host")

__all__ = ["cpu", "cuda", "cudnn", "mha", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized"]


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

    def __getattr__(self, name: str) -> Any:
        return absent(self.__name__.replace("flambeau", "torch"))(name)

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


def _switch(get: str, set: str, value: bool) -> dict[str, Any]:
    """Two functions, one that says what the other was told."""
    state = [value]

    def getter() -> bool:
        return state[0]

    def setter(value: bool) -> None:
        state[0] = bool(value)

    getter.__name__, setter.__name__ = get, set
    getter.__doc__, setter.__doc__ = f"What `{set}` was told.", "Remember a choice that changes nothing here."
    return {get: getter, set: setter}


def _attention_switches() -> dict[str, Any]:
    """Which of PyTorch's kernels for attention may be used: remembered. None of them is used, so none can be."""
    found = _switch("fp16_bf16_reduction_math_sdp_allowed", "allow_fp16_bf16_reduction_math_sdp", False)
    for name in ("cudnn", "flash", "math", "mem_efficient"):
        found |= _switch(f"{name}_sdp_enabled", f"enable_{name}_sdp", True)
    for name in ("is_ck_sdpa_available", "is_flash_attention_available"):
        found[name] = lambda: False
    for name in ("cudnn", "efficient", "flash"):
        found[f"can_use_{name}_attention"] = lambda params, debug=False: False
    return found


def _get_cpu_capability() -> str:
    """The vector instructions that kernels are made for: "AVX512", "AVX2" or "DEFAULT".

    Example::

        >>> _get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
        True
    """
    return {64: "AVX512", 32: "AVX2"}.get(host.host_target().vector_bytes, "DEFAULT")


cudnn = Backend(
    "cudnn",
    enabled=True,
    benchmark=False,
    deterministic=False,
    allow_tf32=True,
    benchmark_limit=10,
    fp32_precision="none",
)
cuda = Backend(
    "cuda",
    matmul=_Matmul(),
    preferred_linalg_library=lambda *a: None,
    preferred_blas_library=lambda *a: None,
    **_attention_switches(),
)
cpu = Backend("cpu", True, get_cpu_capability=_get_cpu_capability)
mha = Backend("mha", **_switch("get_fastpath_enabled", "set_fastpath_enabled", True))
mps = Backend("mps")
mkl = Backend("mkl")
mkldnn = Backend("mkldnn", enabled=False, deterministic=False, allow_tf32=False)
openmp = Backend("openmp")
opt_einsum = Backend("opt_einsum", enabled=False, strategy=None)
quantized = Backend("quantized", engine="none", supported_engines=["none"])

__getattr__ = absent("torch.backends")
