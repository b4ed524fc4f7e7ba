"""Several processes (`torch.distributed`): there are no process groups yet, and everything here says so."""

from __future__ import annotations

from typing import Any

from flambeau._core.unsupported import refuse

__all__ = [
    "is_available", "is_backend_available", "is_gloo_available", "is_initialized", "is_mpi_available",
    "is_nccl_available", "is_torchelastic_launched", "is_ucc_available", "is_xccl_available",
]  # fmt: skip


def is_available() -> bool:
    """Can processes be grouped? Not yet.

    Example::

        >>> is_available()
        False
    """
    return False


def is_initialized() -> bool:
    """Is there a group of processes? No.

    Example::

        >>> is_initialized()
        False
    """
    return False


def is_backend_available(backend: str) -> bool:
    """Can processes be grouped by such a backend? No.

    Example::

        >>> is_backend_available("gloo")
        False
    """
    return False


def is_torchelastic_launched() -> bool:
    """Was the process started by torchrun? It has no meaning here.

    Example::

        >>> is_torchelastic_launched()
        False
    """
    return False


is_gloo_available = is_mpi_available = is_nccl_available = is_ucc_available = is_xccl_available = is_available


def __getattr__(name: str) -> Any:
    raise refuse("torch.distributed", name)
