"""Which kernel computes attention: here there is one, so the choice is checked and changes nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

# Not every program uses these, and `import flambeau` should not wait for them.
bias = lazy_module("flambeau.nn.attention.bias", "Masks of causal attention.")
flex_attention = lazy_module("flambeau.nn.attention.flex_attention", "Attention with functions of the scores.")

__all__ = ["SDPBackend", "bias", "flex_attention", "sdpa_kernel"]


class SDPBackend(enum.Enum):
    """PyTorch's implementations of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """A context in which PyTorch would choose among these implementations. On the CPU there is one for all, which never
    keeps the scores in memory. AssertionError for what is no `SDPBackend`.

    Example::

        >>> from flambeau.nn.attention import SDPBackend, sdpa_kernel
        >>> q = torch.ones(1, 2, 4)
        >>> with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        ...     torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
        torch.Size([1, 2, 4])
    """
    for backend in backends if isinstance(backends, list) else [backends]:
        assert isinstance(backend, SDPBackend), (
            f"Backend must be an instance of SDPBackend or a list of SDPBackend instances, got {type(backend).__name__}"
        )
    yield


__getattr__ = absent("torch.nn.attention")
