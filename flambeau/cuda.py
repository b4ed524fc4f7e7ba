"""Questions about GPUs (`torch.cuda`): there is no CUDA backend yet, and everything here says so."""

from __future__ import annotations

import copy
from typing import Any

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

amp = lazy_module("flambeau.amp.of_cuda", "Mixed precision for GPUs, under its older names.")


has_magma = False
default_generators: tuple = ()  # one a GPU


class NoGPU(RuntimeError, AssertionError):
    """What only a GPU can do was asked for: of PyTorch's functions some raise AssertionError, others RuntimeError."""


class CudaError(RuntimeError):
    """An error that CUDA reports; none does here."""


class DeferredCudaCallError(Exception):
    """An error of what waited for CUDA to start; nothing here does."""


class cudaStatus:  # noqa: N801 (PyTorch's name)
    """Codes with which CUDA answers."""

    SUCCESS = 0
    ERROR_NOT_READY = 34


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
        flambeau.cuda.NoGPU: this version of Flambeau has no CUDA backend; everything runs on the CPU
    """
    raise NoGPU(why_not())


# ---------------------------------------------------------------------------------------------- what there is none of


def _nothing(name: str, value: Any, what: str) -> Any:
    """A question about GPUs whose answer does not need one."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        return copy.copy(value)

    answer.__name__ = answer.__qualname__ = name
    answer.__doc__ = f"{what}: {value!r}, there is no GPU."
    return answer


def _refused(name: str, what: str) -> Any:
    """Something that only a GPU can do."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NoGPU(f"torch.cuda.{name}(): {why_not()}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"{what}: NoGPU, which is a RuntimeError and an AssertionError."
    return refuse


ANSWERS: dict[str, tuple[Any, str]] = {
    "caching_allocator_enable": (None, "Memory of GPUs kept for later tensors, or not"),
    "can_device_access_peer": (False, "Can one GPU read another's memory?"),
    "current_blas_handle": (0, "The handle of cuBLAS"),
    "get_arch_list": ([], "The architectures there are kernels for"),
    "get_gencode_flags": ("", "The compiler's flags for them"),
    "get_rng_state_all": ([], "The states of all GPUs' generators"),
    "has_half": (False, "Can GPUs compute in half precision?"),
    "host_memory_stats": ({}, "Counts of the use of memory for copies to GPUs"),
    "host_memory_stats_as_nested_dict": ({}, "The same, as a tree"),
    "ipc_collect": (None, "Memory of other processes given back"),
    "is_bf16_supported": (False, "Can the GPU compute in bfloat16?"),
    "is_current_stream_capturing": (False, "Is a graph being captured?"),
    "is_tf32_supported": (False, "Can the GPU compute in TF32?"),
    "list_gpu_processes": ("there is no GPU", "The processes that use the GPU"),
    "max_memory_allocated": (0, "The most bytes that tensors have occupied"),
    "max_memory_cached": (0, "The most bytes that were reserved"),
    "max_memory_reserved": (0, "The most bytes that were reserved"),
    "memory_allocated": (0, "The bytes that tensors occupy"),
    "memory_cached": (0, "The bytes that are reserved"),
    "memory_reserved": (0, "The bytes that are reserved"),
    "memory_stats": ({}, "Counts of the memory's use"),
    "memory_stats_as_nested_dict": ({}, "The same, as a tree"),
    "reset_accumulated_host_memory_stats": (None, "Counts begun anew"),
    "reset_accumulated_memory_stats": (None, "Counts begun anew"),
    "reset_max_memory_allocated": (None, "Counts begun anew"),
    "reset_max_memory_cached": (None, "Counts begun anew"),
    "reset_peak_host_memory_stats": (None, "Counts begun anew"),
    "reset_peak_memory_stats": (None, "Counts begun anew"),
    "seed": (None, "The current GPU's generator seeded"),
    "seed_all": (None, "All generators seeded"),
    "set_rng_state_all": (None, "The states of all GPUs' generators set"),
}
REFUSED = {
    "caching_allocator_alloc": "Memory of the GPU taken",
    "caching_allocator_delete": "Memory of the GPU given back",
    "change_current_allocator": "Another allocator of the GPU's memory",
    "check_error": "An answer of CUDA's that is an error raised",
    "clock_rate": "The GPU's clock rate",
    "cudart": "CUDA's library",
    "current_device": "The number of the current GPU",
    "current_solver_handle": "The handle of cuSOLVER",
    "current_stream": "The current stream",
    "default_stream": "The default stream",
    "device_memory_used": "The memory that the GPU has in use",
    "get_allocator_backend": "How the GPU's memory is managed",
    "get_device_capability": "The GPU's compute capability",
    "get_device_name": "The GPU's name",
    "get_device_properties": "What the GPU is like",
    "get_per_process_memory_fraction": "The share of the GPU's memory that may be used",
    "get_rng_state": "The state of the GPU's generator",
    "get_stream_from_external": "A stream made by others",
    "get_sync_debug_mode": "What waits for the GPU are answered with",
    "graph_pool_handle": "Memory for graphs",
    "init": "CUDA started",
    "initial_seed": "The seed of the GPU's generator",
    "make_graphed_callables": "Functions whose work is recorded once and replayed",
    "mem_get_info": "Free and total memory",
    "memory_snapshot": "All blocks of the GPU's memory",
    "memory_summary": "A table of the memory's use",
    "memory_usage": "How busy the GPU's memory is",
    "power_draw": "The power that the GPU takes",
    "set_device": "Another GPU made the current one",
    "set_per_process_memory_fraction": "A limit to the GPU's memory",
    "set_rng_state": "The state of the GPU's generator set",
    "set_stream": "Another stream made the current one",
    "set_sync_debug_mode": "What waits for the GPU should be answered with",
    "temperature": "How warm the GPU is",
    "use_mem_pool": "Memory taken from a pool",
    "utilization": "How busy the GPU is",
}
globals().update({name: _nothing(name, value, what) for name, (value, what) in ANSWERS.items()})
globals().update({name: _refused(name, what) for name, what in REFUSED.items()})


class Stream:
    """A stream of a GPU's work: NoGPU, there is none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NoGPU(f"torch.cuda.{type(self).__name__}: {why_not()}")


class Event(Stream):
    """A mark in a stream: NoGPU, there is none."""


class ExternalStream(Stream):
    """A stream that others made: NoGPU, there is none."""


class CUDAGraph(Stream):
    """Work that is recorded once and replayed: NoGPU. `torch.compile` does this on the CPU."""


class graph(Stream):  # noqa: N801 (PyTorch's name)
    """A context that records into a CUDAGraph: NoGPU, there is none."""


class MemPool(Stream):
    """Memory of a GPU for certain tensors: NoGPU, there is none."""


class CUDAPluggableAllocator(Stream):
    """A library that manages a GPU's memory: NoGPU, there is none."""


def _tensor_type(name: str) -> type:
    """A type of tensors of GPUs, of which there are no instances."""

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        raise TypeError(f"type torch.cuda.{name} not available: {why_not()}")

    return type(name, (), {"__new__": __new__, "__doc__": "Tensors of GPUs: TypeError.", "__module__": __name__})


def _storage_type(name: str) -> type:
    return type(name, (Stream,), {"__doc__": "Memory of GPUs: NoGPU, there is none.", "__module__": __name__})


for _kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short"):
    globals()[f"{_kind}Tensor"] = _tensor_type(f"{_kind}Tensor")
for _kind in (*("BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat"), "Double", "Float", "Half", "Int",
              "Long", "Short"):  # fmt: skip
    globals()[f"{_kind}Storage"] = _storage_type(f"{_kind}Storage")


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


class device_of(_Indifferent):  # noqa: N801 (PyTorch's name)
    """A context whose current GPU is that of a tensor; without a GPU nothing happens."""


class StreamContext(_Indifferent):
    """A context with another current stream; without a GPU nothing happens."""


def stream(stream: Any) -> StreamContext:
    """A context with another current stream; without a GPU nothing happens.

    Example::

        >>> with stream(None):
        ...     pass
    """
    return StreamContext(stream)


def caching_allocator_disabled() -> Any:
    """A context in which GPUs' memory is not kept for later tensors; without a GPU nothing happens.

    Example::

        >>> with caching_allocator_disabled():
        ...     pass
    """
    return _Indifferent()


__getattr__ = absent("torch.cuda")
