"""Questions about GPUs (`torch.cuda`): there is no CUDA backend yet, and everything here says so."""

from __future__ import annotations

from typing import Any


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
