"""Softmax and its kin: rows turned into probabilities, without overflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site, warn
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops import _expand
from flambeau._ops.infer import wrap_dim
from flambeau._ops.reduce import accumulated
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


def infer_rows(op: str, m: Meta, dim: int) -> Meta:
    """The meta of a row-wise result; integers have no softmax."""
    wrap_dim(dim, m.ndim)
    if m.dtype.category != dtypes.FLOAT:
        raise NotImplementedError(
            errors.explain(
                f"\"{op}_lastdim_kernel_impl\" not implemented for '{errors.TYPE_NAMES[m.dtype.name]}'",
                hint="the scores must be floating point: convert with .float(), and check the order of arguments of a "
                "loss (input, target)",
                site=user_site(5),
            )
        )
    return contiguous(m.dtype, m.shape)


def shifted(x: np.ndarray, dim: int) -> np.ndarray:
    """The row minus its maximum."""
    x = accumulated(x)
    return x - x.max(axis=dim, keepdims=True) if x.size else x


@library(
    expand=_expand.softmax,
    category="norm",
    method=False,
    function=False,
    node_name="SoftmaxBackward0",
    infer=lambda m, dim: infer_rows("softmax", m, dim),
    gradient={"input": lambda g, out, dim: softmax_backward(g, out, dim)},
)
def softmax_rows(input: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along `dim`."""
    if input.ndim == 0:
        return np.ones_like(accumulated(input))
    e = np.exp(shifted(input, dim))
    e /= e.sum(axis=dim, keepdims=True)
    return e


def softmax_backward(g: Any, out: Any, dim: int) -> Any:
    return (g - (g * out).sum(dim, True)) * out  # the difference first: it is what vanishes where one class has it all


@library(
    expand=_expand.log_softmax,
    category="norm",
    method=False,
    function=False,
    node_name="LogSoftmaxBackward0",
    infer=lambda m, dim: infer_rows("log_softmax", m, dim),
    gradient={"input": lambda g, out, dim: g - out.exp() * g.sum(dim, True)},
)
def log_softmax_rows(input: Any, dim: int) -> Any:
    """log(exp(x) / sum(exp(x))) along `dim`."""
    if input.ndim == 0:
        return np.zeros_like(accumulated(input))
    x = shifted(input, dim)
    return x - np.log(np.exp(x).sum(axis=dim, keepdims=True))


def _dim_or_default(name: str, dim: int | None, ndim: int) -> int:
    """`dim`, or the dimension PyTorch picks, with a warning, if none is given."""
    if dim is not None:
        return dim
    chosen = 0 if ndim in (0, 1, 3) else 1
    warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument: "
        f"dim={chosen} was chosen here; dim=-1 is the last one."
    )
    return chosen


def _as(input: Any, dtype: dtype_class | None) -> Any:
    return input if dtype is None else input.to(dtype)


@composite()
def softmax(input: Any, dim: int, dtype: dtype_class | None = None) -> Any:
    """Probabilities proportional to exp(input) along `dim`; `dtype` converts first.

    Example::

        >>> import flambeau as torch
        >>> torch.softmax(torch.zeros(2), 0)
        tensor([0.5000, 0.5000])
    """
    return softmax_rows(_as(input, dtype), dim)


@composite()
def log_softmax(input: Any, dim: int, dtype: dtype_class | None = None) -> Any:
    """Logarithms of the softmax along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.log_softmax(torch.zeros(2), 0)
        tensor([-0.6931, -0.6931])
    """
    return log_softmax_rows(_as(input, dtype), dim)


@composite(method=False, namespace="nn.functional", name="softmax")
def functional_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: dtype_class | None = None
) -> Any:
    """Probabilities proportional to exp(input) along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.softmax(torch.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    return softmax_rows(_as(input, dtype), _dim_or_default("softmax", dim, input.dim()))


@composite(method=False, namespace="nn.functional", name="log_softmax")
def functional_log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: dtype_class | None = None
) -> Any:
    """Logarithms of the softmax along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.log_softmax(torch.zeros(2), dim=0)
        tensor([-0.6931, -0.6931])
    """
    return log_softmax_rows(_as(input, dtype), _dim_or_default("log_softmax", dim, input.dim()))


@composite(method=False, namespace="nn.functional")
def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: dtype_class | None = None) -> Any:
    """The softmax of minus `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.softmin(torch.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    return softmax_rows(_as(-input, dtype), _dim_or_default("softmin", dim, input.dim()))


@composite(method=False, namespace="nn.functional")
def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A random relaxed one-hot vector (Jang et al. 2017); `hard` makes it one-hot with the soft gradient.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.gumbel_softmax(torch.zeros(3), hard=True).sum()
        tensor(1.)
    """
    noise = -logits.new_empty(logits.shape).exponential_().log()
    soft = softmax_rows((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True).indices
    one_hot = logits.new_zeros(logits.shape).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
