"""What distributions of one's own are made of (`torch.distributions.utils`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau.distributions.distribution import together, with_logits

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]  # fmt: skip


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors and numbers as tensors of one shape; numbers get the dtype of the first tensor. ValueError for anything
    else.

    Example::

        >>> broadcast_all(torch.zeros(2), 1)
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    if not all(isinstance(value, (torch.Tensor, int, float, complex)) for value in values):
        kinds = ", ".join(type(value).__name__ for value in values)
        raise ValueError(f"Input arguments must all be instances of Number or torch.Tensor, got {kinds}")
    return together(*values)


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    """A draw from the standard normal distribution; libraries call it, though it is private."""
    return torch.randn(shape, dtype=dtype, device=device)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dimensions; libraries call it, though it is private."""
    return value if dim == 0 else value.sum(tuple(range(-dim, 0)))


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept off 0 and 1 by the dtype's epsilon.

    Example::

        >>> clamp_probs(torch.tensor([0.0, 0.5]))
        tensor([1.1921e-07, 5.0000e-01])
    """
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of logits: their softmax along the last dimension, or, `is_binary`, each one's sigmoid.

    Example::

        >>> logits_to_probs(torch.zeros(2)), logits_to_probs(torch.zeros(2), is_binary=True)
        (tensor([0.5000, 0.5000]), tensor([0.5000, 0.5000]))
    """
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Logits of probabilities, which are kept off 0 and 1: logarithms, or, `is_binary`, log p - log (1 - p).

    Example::

        >>> probs_to_logits(torch.tensor([0.5]), is_binary=True)
        tensor([0.])
    """
    return with_logits(probs, is_binary)


class lazy_property:  # noqa: N801 (PyTorch's name)
    """Decorator: a property computed, with gradients, when it is first asked for, and an attribute from then on.

    Example::

        >>> class Circle:
        ...     @lazy_property
        ...     def area(self):
        ...         print("computed")
        ...         return 3.0
        >>> circle = Circle()
        >>> circle.area + circle.area
        computed
        6.0
    """

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return property(self.wrapped)
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def _below(n: int, diag: int, device: Any) -> Any:
    """Which elements of a square matrix lie on or below a diagonal?"""
    return torch.ones(n, n, dtype=torch.bool, device=device).tril(diag)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The elements of square matrices on and below the diagonal `diag`, row after row. ValueError for a diagonal that
    the matrices do not have.

    Example::

        >>> tril_matrix_to_vec(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 3, 4])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[..., _below(n, diag, mat.device)]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Square matrices that have the elements of `vec` on and below the diagonal `diag`, row after row, and 0 above.
    ValueError if no square has so many.

    Example::

        >>> vec_to_tril_matrix(torch.tensor([1.0, 3.0, 4.0]))
        tensor([[1., 0.],
                [3., 4.]])
    """
    count = vec.shape[-1]
    # n rows of diag + 1, ..., diag + n elements; below the main diagonal the first -diag rows are empty
    side = math.isqrt((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1))
    n = (side - 1 - 2 * diag) // 2
    below = _below(n, diag, vec.device)
    if int(below.sum()) != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of a square "
            "D x D matrix."
        )
    made = vec.new_zeros((*vec.shape[:-1], n, n))
    made[..., below] = vec
    return made
