"""The base of distributions (`torch.distributions.Distribution`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.distributions import constraints

Size = torch.Size


class Distribution:
    """A batch of distributions: `batch_shape` of them, whose samples have `event_shape`.

    A subclass names its parameters, with the sets they lie in, in `arg_constraints` and keeps them as attributes of the
    same names; then `expand` and `repr` work by themselves. Parameters and values are checked unless
    `validate_args=False`.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: Any = {}
    _validate_args = __debug__

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint) or name not in self.__dict__:
                continue
            value = getattr(self, name)
            if not bool(constraint.check(value).all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Say whether distributions check by default."""
        if value not in (True, False):
            raise ValueError("expected True or False")
        Distribution._validate_args = value

    @property
    def batch_shape(self) -> Any:
        """How many distributions there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one sample."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The set that samples lie in."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most probable value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch, without copies."""
        given = {}
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = getattr(self, name)
                tail = value.shape[value.dim() - constraint.event_dim :] if constraint.event_dim else ()
                given[name] = value.expand(Size([*batch_shape, *tail]))
        made = type(self)(**given, **self._other_arguments(), validate_args=False)
        made._validate_args = self._validate_args
        return made

    def _other_arguments(self) -> dict[str, Any]:
        """Arguments of the constructor that are no parameters."""
        return {}

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws [*sample_shape, *batch_shape, *event_shape], without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws through which gradients flow to the parameters; NotImplementedError where there is no such form."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample: use sample, and log_prob for gradients")

    def sample_n(self, n: int) -> Any:
        """`sample((n,))`, PyTorch's older form."""
        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density or probability at `value`."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of what is at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values, along a new dimension 0; with `expand` for the whole batch."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Any:
        return Size([*sample_shape, *self._batch_shape, *self._event_shape])

    def _enumerated(self, values: Any, expand: bool) -> Any:
        """Values along dimension 0, with a dimension for each of the batch."""
        values = values.reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _validate_sample(self, value: Any) -> None:
        """ValueError for values outside the support or of a shape that does not fit."""
        if not isinstance(value, torch.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = len(self._event_shape)
        if value.dim() < events or tuple(value.shape[value.dim() - events :]) != tuple(self._event_shape):
            raise ValueError(
                f"The right-most size of value must match event_shape: {tuple(value.shape)} vs "
                f"{tuple(self._event_shape)}."
            )
        for a, b in zip(reversed(value.shape), reversed(self._extended_shape()), strict=False):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {tuple(value.shape)} vs "
                    f"{tuple(self._extended_shape())}."
                )
        try:
            support = self.support
        except NotImplementedError:
            return
        if not bool(support.check(value).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        names = [n for n in self.arg_constraints if n in self.__dict__]
        shown = [f"{n}: {v if v.numel() == 1 else v.size()}" for n, v in [(n, self.__dict__[n]) for n in names]]
        return f"{type(self).__name__}({', '.join(shown)})"


def together(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape and floating-point dtype."""
    tensors = [v for v in values if isinstance(v, torch.Tensor)]
    dtype = tensors[0].dtype if tensors else torch.get_default_dtype()
    made = [v if isinstance(v, torch.Tensor) else torch.tensor(float(v), dtype=dtype) for v in values]
    return tuple(torch.broadcast_tensors(*made))


def standard_uniform(shape: Any, like: Any) -> Any:
    """Uniform numbers above 0 and below 1."""
    finfo = torch.finfo(like.dtype)
    return torch.rand(shape, dtype=like.dtype).clamp(min=finfo.tiny)


def sum_rightmost(value: Any, dims: int) -> Any:
    """The sum over the last `dims` dimensions."""
    return value if dims == 0 else value.reshape((*value.shape[: value.dim() - dims], -1)).sum(-1)


def with_logits(probs: Any, binary: bool = False) -> Any:
    """Logits of probabilities: log(p), or log(p / (1 - p)) of binary ones, finite."""
    eps = torch.finfo(probs.dtype).eps
    p = probs.clamp(eps, 1 - eps)
    return p.log() - (-p).log1p() if binary else p.log()
