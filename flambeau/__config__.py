"""`torch.__config__`: what the package computes with."""

from __future__ import annotations

import platform

from flambeau import version
from flambeau._api import get_num_interop_threads, get_num_threads
from flambeau._core.lazy import lazy_module
from flambeau.backends import cpu

llvmlite, numpy = lazy_module("llvmlite"), lazy_module("numpy")


def show() -> str:
    """The libraries underneath, the processor's abilities that are used, and which of PyTorch's options are there.

    Example::

        >>> "USE_CUDA=0" in show()
        True
    """
    options = "USE_CUDA=0, USE_MKL=OFF, USE_MKLDNN=OFF, USE_MPI=OFF, USE_NCCL=OFF, USE_OPENMP=OFF, USE_ROCM=OFF"
    lines = (
        f"Flambeau {version.__version__}",
        f"Python {platform.python_version()}",
        f"NumPy {numpy.__version__}",
        f"llvmlite {llvmlite.__version__}",
        f"CPU capability usage: {cpu.get_cpu_capability()}",
        f"Build settings: TORCH_VERSION={version.PYTORCH}, {options}",
    )
    return "PyTorch's interface, built with:\n" + "".join([f"  - {line}\n" for line in lines])


def parallel_info() -> str:
    """How many threads there are.

    Example::

        >>> "get_num_threads" in parallel_info()
        True
    """
    return (
        "Threads:\n"
        f"\ttorch.get_num_threads() : {get_num_threads()}\n"
        f"\ttorch.get_num_interop_threads() : {get_num_interop_threads()}\n"
        "Parallel backend: a pool of native threads\n"
    )
