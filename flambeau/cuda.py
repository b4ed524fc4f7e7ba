"""Questions about GPUs (`torch.cuda`): there is no CUDA backend yet, and everything here says so."""

from __future__ import annotations

from typing import Any

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

amp = lazy_module("flambeau.amp.of_cuda", "Mixed precision for GPUs, under its older names.")


def is_available() -> bool:
    """Can tensors live on a GPU? Not yet; `why_not()` says why.

    Example::

        >>> is_available()
        False
    """
    return False


def why_not() -> str:
    """Why no GPU can be used, in a sentence.

    Example::

        >>> why_not()
        'this version of Flambeau has no CUDA backend; everything runs on the CPU'
    """
    return "this version of Flambeau has no CUDA backend; everything runs on the CPU"


def device_count() -> int:
    """The number of GPUs that can be used: 0.

    Example::

        >>> device_count()
        0
    """
    return 0


def is_initialized() -> bool:
    """Has CUDA been started? No.

    Example::

        >>> is_initialized()
        False
    """
    return False


def manual_seed(seed: int) -> None:
    """Seed the current GPU's generator: without a GPU nothing happens.

    Example::

        >>> manual_seed(0)
    """


def manual_seed_all(seed: int) -> None:
    """Seed all GPUs' generators: without a GPU nothing happens.

    Example::

        >>> manual_seed_all(0)
    """


def empty_cache() -> None:
    """Return cached GPU memory: there is none.

    Example::

        >>> empty_cache()
    """


def synchronize(device: Any = None) -> None:
    """Wait for the GPU: RuntimeError, there is none.

    Example::

        >>> synchronize()
        Traceback (most recent call last):
        ...
        RuntimeError: this version of Flambeau has no CUDA backend; everything runs on the CPU
    """
    raise RuntimeError(why_not())


# ---------------------------------------------------------------------------------------------- what there is none of


def _nothing(name: str, value: Any, what: str) -> Any:
    """A question about GPUs whose answer does not need one."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        return value

    answer.__name__ = answer.__qualname__ = name
    answer.__doc__ = f"{what}: {value!r}, there is no GPU."
    return answer


def _refused(name: str, what: str) -> Any:
    """Something that only a GPU can do."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"torch.cuda.{name}(): {why_not()}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"{what}: RuntimeError, there is no GPU."
    return refuse


ANSWERS = {
    "can_device_access_peer": (False, "Can one GPU read another's memory?"),
    "current_blas_handle": (0, "The handle of cuBLAS"),
    "get_arch_list": ([], "The architectures there are kernels for"),
    "get_gencode_flags": ("", "The compiler's flags for them"),
    "has_half": (False, "Can GPUs compute in half precision?"),
    "ipc_collect": (None, "Memory of other processes given back"),
    "is_bf16_supported": (False, "Can the GPU compute in bfloat16?"),
    "is_current_stream_capturing": (False, "Is a graph being captured?"),
    "is_tf32_supported": (False, "Can the GPU compute in TF32?"),
    "max_memory_allocated": (0, "The most bytes that tensors have occupied"),
    "max_memory_cached": (0, "The most bytes that were reserved"),
    "max_memory_reserved": (0, "The most bytes that were reserved"),
    "memory_allocated": (0, "The bytes that tensors occupy"),
    "memory_cached": (0, "The bytes that are reserved"),
    "memory_reserved": (0, "The bytes that are reserved"),
    "reset_accumulated_memory_stats": (None, "Counts begun anew"),
    "reset_max_memory_allocated": (None, "Counts begun anew"),
    "reset_max_memory_cached": (None, "Counts begun anew"),
    "reset_peak_memory_stats": (None, "Counts begun anew"),
    "seed": (None, "The current GPU's generator seeded"),
    "seed_all": (None, "All generators seeded"),
}
REFUSED = {
    "current_device": "The number of the current GPU",
    "current_stream": "The current stream",
    "default_stream": "The default stream",
    "get_device_capability": "The GPU's compute capability",
    "get_device_name": "The GPU's name",
    "get_device_properties": "What the GPU is like",
    "get_rng_state": "The state of the GPU's generator",
    "init": "CUDA started",
    "initial_seed": "The seed of the GPU's generator",
    "mem_get_info": "Free and total memory",
    "memory_stats": "Counts of the memory's use",
    "memory_summary": "A table of the memory's use",
    "set_device": "Another GPU made the current one",
    "set_rng_state": "The state of the GPU's generator set",
    "set_stream": "Another stream made the current one",
    "utilization": "How busy the GPU is",
}
globals().update({name: _nothing(name, value, what) for name, (value, what) in ANSWERS.items()})
globals().update({name: _refused(name, what) for name, what in REFUSED.items()})


class Stream:
    """A stream of a GPU's work: RuntimeError, there is no GPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"torch.cuda.{type(self).__name__}: {why_not()}")


class Event(Stream):
    """A mark in a stream: RuntimeError, there is no GPU."""


class _Indifferent:
    """A context for GPUs, which has nothing to do."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass


class device(_Indifferent):  # noqa: N801 (PyTorch's name)
    """A context with another current GPU; without a GPU nothing happens."""


class stream(_Indifferent):  # noqa: N801 (PyTorch's name)
    """A context with another current stream; without a GPU nothing happens."""

__getattr__ = absent("torch.cuda")
