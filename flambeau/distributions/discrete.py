"""Distributions of counts and classes: Bernoulli, Categorical, Binomial, Poisson and their kin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau.nn.functional as F
from flambeau import _api as torch
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution, standard_uniform, together, with_logits
from flambeau.distributions.real import ExponentialFamily


class _ProbsOrLogits(Distribution):
    """Distributions given by probabilities or by logits; the other is computed when asked for. `_binary` ones have a
    probability each, others a vector of them."""

    _binary = True

    def _take(self, probs: Any, logits: Any) -> Any:
        """Keep what is given, and return it."""
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = logits if probs is None else probs
        if self._binary:
            (given,) = together(given)
        elif given.dim() < 1:
            raise ValueError(f"`{'logits' if probs is None else 'probs'}` parameter must be at least one-dimensional.")
        if probs is None:
            self.logits = given if self._binary else given - given.logsumexp(-1, True)
        else:
            self.probs = given if self._binary else given / given.sum(-1, True)
        return given

    def __getattr__(self, name: str) -> Any:
        if name == "probs" and "logits" in self.__dict__:
            self.probs = self.logits.sigmoid() if self._binary else self.logits.softmax(-1)
            return self.probs
        if name == "logits" and "probs" in self.__dict__:
            self.logits = with_logits(self.probs, self._binary)
            return self.logits
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def _param(self) -> Any:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.size()

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        name = "probs" if "probs" in self.__dict__ else "logits"
        tail = () if self._binary else self._param.shape[-1:]
        given = {name: self._param.expand((*batch_shape, *tail))}
        made = type(self)(**given, **self._other_arguments(batch_shape), validate_args=False)
        made._validate_args = self._validate_args
        return made

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {}

    def _check(self, value: Any) -> None:
        if self._validate_args:
            self._validate_sample(value)


BINARY: Any = {"probs": constraints.unit_interval, "logits": constraints.real}


class Bernoulli(_ProbsOrLogits, ExponentialFamily):
    """1 with probability `probs`, else 0.

    Example:
        >>> Bernoulli(0.25).entropy()
        tensor(0.5623)
    """

    arg_constraints = BINARY
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(self._take(probs, logits).shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The probability."""
        return self.probs

    @property
    def mode(self) -> Any:
        """The more probable; NaN for one half."""
        return (self.probs >= 0.5).to(self.probs.dtype).masked_fill(self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Any:
        """p (1 - p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws."""
        with torch.no_grad():
            return torch.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Any:
        """-p log p - (1 - p) log(1 - p)."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        """0 and 1."""
        return self._enumerated(torch.arange(2, dtype=self._param.dtype), expand)


class ContinuousBernoulli(_ProbsOrLogits, ExponentialFamily):
    """Numbers between 0 and 1 with a density proportional to p^x (1 - p)^(1 - x) (Loaiza-Ganem & Cunningham 2019).

    Around p = 1/2, within `lims`, series take the place of formulas that divide by zero there.
    """

    arg_constraints = BINARY
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        super().__init__(self._take(probs, logits).shape, validate_args=validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"lims": self._lims}

    def _unsafe(self) -> tuple[Any, Any]:
        """(where the formulas do not hold, probabilities that are kept away from there)."""
        near = (self.probs > self._lims[0]) & (self.probs <= self._lims[1])
        return near, self.probs.masked_fill(near, self._lims[0])

    def _log_norm(self) -> Any:
        near, p = self._unsafe()
        exact = ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()
        x = (self.probs - 0.5).square()
        return torch.where(near, math.log(2.0) + (4 / 3 + 104 / 45 * x) * x, exact)

    @property
    def mean(self) -> Any:
        """The mean."""
        near, p = self._unsafe()
        exact = p / (2 * p - 1) + 1 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return torch.where(near, 0.5 + (1 / 3 + 16 / 45 * x.square()) * x, exact)

    @property
    def variance(self) -> Any:
        """The variance."""
        near, p = self._unsafe()
        exact = p * (p - 1) / (1 - 2 * p).square() + 1 / ((-p).log1p() - p.log()).square()
        x = (self.probs - 0.5).square()
        return torch.where(near, 1 / 12 - (1 / 15 - 128 / 945 * x) * x, exact)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the inverse of the distribution function."""
        return self.icdf(standard_uniform(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        self._check(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value: Any) -> Any:
        """The probability of what is at most `value`."""
        self._check(value)
        near, p = self._unsafe()
        exact = (p.pow(value) * (1 - p).pow(1 - value) + p - 1) / (2 * p - 1)
        return torch.where(near, value, exact).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        near, p = self._unsafe()
        exact = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return torch.where(near, value, exact)

    def entropy(self) -> Any:
        """-mean (log p - log(1 - p)) - log norm - log(1 - p)."""
        low = (-self.probs).log1p()
        return self.mean * (low - self.probs.log()) - self._log_norm() - low


class Geometric(_ProbsOrLogits):
    """How many trials fail before the first success."""

    arg_constraints = BINARY
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(self._take(probs, logits).shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not bool((self.probs > 0).all()):
            raise ValueError("Expected parameter probs of Geometric to be positive")

    @property
    def mean(self) -> Any:
        """1 / p - 1."""
        return 1 / self.probs - 1

    @property
    def mode(self) -> Any:
        """0."""
        return torch.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        """(1 / p - 1) / p."""
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the inverse of the distribution function."""
        with torch.no_grad():
            u = standard_uniform(self._extended_shape(sample_shape), self.probs)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        """value log(1 - p) + log p."""
        self._check(value)
        value, probs = torch.broadcast_tensors(value, self.probs)
        return torch.xlogy(value, 1 - probs) + probs.log()

    def entropy(self) -> Any:
        """That of a Bernoulli variable over p."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs


class Binomial(_ProbsOrLogits):
    """How many of `total_count` trials succeed, each with probability `probs`."""

    arg_constraints = {"total_count": constraints.nonnegative_integer, **BINARY}
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        name = "logits" if probs is None else "probs"
        self.total_count, self.__dict__[name] = together(total_count, given)
        self.total_count = self.total_count.to(given.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"total_count": self.total_count.expand(tuple(batch_shape))}

    @property
    def support(self) -> Any:
        """0 to total_count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        """n p."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        """The integer part of (n + 1) p, at most n."""
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Any:
        """n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return ways + value * logits - n * (logits.clamp(min=0) + (-logits.abs()).exp().log1p())

    def enumerate_support(self, expand: bool = True) -> Any:
        """0 to total_count, which must be the same for the whole batch."""
        n = int(self.total_count.max())
        if bool((self.total_count != n).any()):
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        return self._enumerated(torch.arange(1 + n, dtype=self._param.dtype), expand)

    def entropy(self) -> Any:
        """The sum over the support."""
        logs = self.log_prob(self.enumerate_support(False))
        return -(logs.exp() * logs).sum(0)


class NegativeBinomial(_ProbsOrLogits):
    """How many trials succeed before `total_count` fail, each succeeding with probability `probs`."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        name = "logits" if probs is None else "probs"
        self.total_count, self.__dict__[name] = together(total_count, given)
        self.total_count = self.total_count.to(given.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"total_count": self.total_count.expand(tuple(batch_shape))}

    @property
    def mean(self) -> Any:
        """n exp(logits)."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        """The integer part of (n - 1) exp(logits), at least 0."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Any:
        """The mean over 1 - p."""
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Poisson numbers with gamma-distributed rates."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            rate = torch._standard_gamma(self.total_count.expand(shape)) / (-self.logits).exp().expand(shape)
            return torch.poisson(rate)

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        n = self.total_count
        ways = (n + value).lgamma() - (1 + value).lgamma() - n.lgamma()
        ways = ways.masked_fill(n + value == 0, 0.0)
        return ways + n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)


class Poisson(ExponentialFamily):
    """Counts of what happens `rate` times on average."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The rate."""
        return self.rate

    variance = mean

    @property
    def mode(self) -> Any:
        """The integer part of the rate."""
        return self.rate.floor()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws."""
        with torch.no_grad():
            return torch.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """value log rate - rate - log value!."""
        if self._validate_args:
            self._validate_sample(value)
        rate, value = torch.broadcast_tensors(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()


SIMPLEX: Any = {"probs": constraints.simplex, "logits": constraints.real_vector}


class Categorical(_ProbsOrLogits):
    """One of n classes, by probabilities (or unnormalised logarithms, `logits`) in the last dimension.

    Example:
        >>> Categorical(torch.tensor([1.0, 3.0])).probs
        tensor([0.2500, 0.7500])
    """

    arg_constraints = SIMPLEX
    has_enumerate_support = True
    _binary = False

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._take(probs, logits)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @property
    def support(self) -> Any:
        """0 to n - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Any:
        """NaN: classes are no numbers."""
        return torch.full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    variance = mean

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws, int64."""
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            flat = self.probs.reshape(-1, self._num_events)
            drawn = torch.multinomial(flat, shape.numel(), True).T
            return drawn.reshape(self._extended_shape(shape))

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        value = value.long().unsqueeze(-1)
        value, logits = torch.broadcast_tensors(value, self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        """The entropy."""
        logits = self.logits.clamp(min=torch.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        """All classes."""
        return self._enumerated(torch.arange(self._num_events), expand)


class OneHotCategorical(_ProbsOrLogits):
    """One of n classes, as a vector with a 1 there."""

    arg_constraints = SIMPLEX
    support = constraints.one_hot
    has_enumerate_support = True
    _binary = False

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._take(probs, logits)
        super().__init__(given.shape[:-1], given.shape[-1:], validate_args)

    @property
    def _categorical(self) -> Categorical:
        return Categorical(self.__dict__.get("probs"), None if "probs" in self.__dict__ else self.logits, False)

    @property
    def mean(self) -> Any:
        """The probabilities."""
        return self.probs

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return F.one_hot(self.probs.argmax(-1), self._event_shape[0]).to(self.probs.dtype)

    @property
    def variance(self) -> Any:
        """p (1 - p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws."""
        drawn = self._categorical.sample(sample_shape)
        return F.one_hot(drawn, self._event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        """The entropy."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        """All vectors."""
        n = self._event_shape[0]
        values = torch.eye(n, dtype=self._param.dtype).reshape((n, *[1] * len(self._batch_shape), n))
        return values.expand((n, *self._batch_shape, n)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """The same, with draws whose gradients are those of the probabilities (Bengio et al. 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """A draw, with the probabilities' gradient."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(_ProbsOrLogits):
    """How often each of n classes is drawn in `total_count` draws."""

    arg_constraints = SIMPLEX
    _binary = False

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        given = self._take(probs, logits)
        super().__init__(given.shape[:-1], given.shape[-1:], validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"total_count": self.total_count}

    @property
    def support(self) -> Any:
        """Counts up to total_count."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        """n p."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        """n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws counted."""
        each = Categorical(self.probs, validate_args=False).sample((self.total_count, *sample_shape))
        return F.one_hot(each, self._event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        """The probability's logarithm."""
        self._check(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Any:
        """By the entropies of the counts of each class."""
        n = torch.tensor(float(self.total_count))
        counts = Binomial(self.total_count, probs=self.probs, validate_args=False)
        support = counts.enumerate_support(False)[1:]
        weight = counts.log_prob(support).exp()
        ways = (weight * (support + 1).lgamma()).sum((0, -1))
        return self.total_count * Categorical(self.probs, validate_args=False).entropy() - (n + 1).lgamma() + ways
