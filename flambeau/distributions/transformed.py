"""Distributions made of others: transformed, independent, mixed, relaxed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau.distributions import constraints
from flambeau.distributions.discrete import BINARY, SIMPLEX, Categorical, _ProbsOrLogits
from flambeau.distributions.distribution import Distribution, standard_uniform, sum_rightmost, together
from flambeau.distributions.positive import Exponential, Uniform
from flambeau.distributions.real import EULER, Normal
from flambeau.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    StickBreakingTransform,
    Transform,
)


class Independent(Distribution):
    """A distribution whose last `reinterpreted_batch_ndims` batch dimensions make one event.

    Example:
        >>> Independent(Normal(torch.zeros(3), torch.ones(3)), 1).log_prob(torch.zeros(3)).shape
        torch.Size([])
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        count = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > count:
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {count}"
            )
        shape = base_distribution.batch_shape + base_distribution.event_shape
        split = count - reinterpreted_batch_ndims
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        super().__init__(shape[:split], shape[split:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Has the base?"""
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Has the base, if no dimension is an event's?"""
        return self.reinterpreted_batch_ndims == 0 and self.base_dist.has_enumerate_support

    @property
    def support(self) -> Any:
        """The base's, for whole events."""
        base = self.base_dist.support
        return constraints.independent(base, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else base

    @property
    def mean(self) -> Any:
        """The base's."""
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        """The base's."""
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        """The base's."""
        return self.base_dist.variance

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        inner = self.base_dist.batch_shape[len(self.base_dist.batch_shape) - self.reinterpreted_batch_ndims :]
        base = self.base_dist.expand(torch.Size([*batch_shape, *inner]))
        return Independent(base, self.reinterpreted_batch_ndims, self._validate_args)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The base's draws."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The base's draws."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        """The base's, summed over the event."""
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        """The base's, summed over the event."""
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Any:
        """The base's; NotImplementedError for events of several dimensions."""
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of transforms, one after the other, of another distribution's samples.

    Example:
        >>> TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()]).log_prob(torch.tensor(1.0))
        tensor(-0.9189)
    """

    def __init__(self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        whole = ComposeTransform(self.transforms)
        base_shape = base_distribution.batch_shape + base_distribution.event_shape
        if len(base_shape) < whole.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, but got "
                f"{base_shape}."
            )
        shape = whole.forward_shape(base_shape)
        needed = whole.inverse_shape(shape)
        if tuple(needed) != tuple(base_shape):
            base_distribution = base_distribution.expand(needed[: len(needed) - len(base_distribution.event_shape)])
        extra = whole.domain.event_dim - len(base_distribution.event_shape)
        if extra > 0:
            base_distribution = Independent(base_distribution, extra)
        self.base_dist = base_distribution
        changed = whole.codomain.event_dim - whole.domain.event_dim
        event = max(whole.codomain.event_dim, len(base_distribution.event_shape) + changed)
        super().__init__(shape[: len(shape) - event], shape[len(shape) - event :], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Has the base?"""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """The last transform's codomain."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        extra = len(self.event_shape) - found.event_dim
        return constraints.independent(found, extra) if extra > 0 else found

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        whole = ComposeTransform(self.transforms)
        shape = whole.inverse_shape(torch.Size([*batch_shape, *self.event_shape]))
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.base_dist = base
        Distribution.__init__(made, batch_shape, self.event_shape, validate_args=False)
        made._validate_args = self._validate_args
        return made

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The base's draws, transformed."""
        with torch.no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The base's draws, transformed."""
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        """The base's at the inverse, less the logarithms of the Jacobian determinants."""
        if self._validate_args:
            self._validate_sample(value)
        event = len(self.event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event += transform.domain.event_dim - transform.codomain.event_dim
            total = total - sum_rightmost(transform.log_abs_det_jacobian(x, y), event - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _monotone(self, value: Any) -> Any:
        """A probability, reversed where the transforms decrease."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        """The base's at the inverse, reversed for decreasing transforms."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotone(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        """The transforms of the base's."""
        return self._transformed(self.base_dist.icdf(self._monotone(value)))

    def __repr__(self) -> str:
        return super().__repr__() if self.arg_constraints else f"{type(self).__name__}()"


class LogNormal(TransformedDistribution):
    """The distribution of exp(x) for normal x."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale  # type: ignore[attr-defined]

    @property
    def mean(self) -> Any:
        """exp(loc + scale^2 / 2)."""
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Any:
        """exp(loc - scale^2)."""
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Any:
        """(exp(scale^2) - 1) exp(2 loc + scale^2)."""
        square = self.scale.square()
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self) -> Any:
        """The normal distribution's and loc."""
        return self.base_dist.entropy() + self.loc


class LogisticNormal(TransformedDistribution):
    """Points of the simplex: stick breaking of normal vectors."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal vectors."""
        return self.base_dist.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Any:
        """The standard deviations of the normal vectors."""
        return self.base_dist.base_dist.scale  # type: ignore[attr-defined]


class Pareto(TransformedDistribution):
    """The Pareto distribution: a power law from `scale` on."""

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = together(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        return Pareto(self.scale.expand(tuple(batch_shape)), self.alpha.expand(tuple(batch_shape)), False)

    @property
    def support(self) -> Any:
        """From scale on."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        """alpha scale / (alpha - 1); infinite up to alpha = 1."""
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        """The scale."""
        return self.scale

    @property
    def variance(self) -> Any:
        """Infinite up to alpha = 2."""
        a = self.alpha.clamp(min=2)
        return self.scale.square() * a / ((a - 1).square() * (a - 2))

    def entropy(self) -> Any:
        """log(scale / alpha) + 1 + 1 / alpha."""
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(TransformedDistribution):
    """The Weibull distribution of life times."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = together(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(torch.ones_like(self.scale), validate_args=validate_args)
        power = PowerTransform(self.concentration_reciprocal)
        super().__init__(base, [power, AffineTransform(0, self.scale)], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        shape = tuple(batch_shape)
        return Weibull(self.scale.expand(shape), self.concentration.expand(shape), False)

    @property
    def mean(self) -> Any:
        """scale Gamma(1 + 1 / concentration)."""
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Any:
        """scale (1 - 1 / concentration)^(1 / concentration)."""
        return self.scale * (1 - self.concentration_reciprocal) ** self.concentration_reciprocal

    @property
    def variance(self) -> Any:
        """By two gamma functions."""
        r = self.concentration_reciprocal
        return self.scale.square() * ((1 + 2 * r).lgamma().exp() - (2 * (1 + r).lgamma()).exp())

    def entropy(self) -> Any:
        """Euler's constant (1 - 1 / c) + log(scale / c) + 1."""
        r = self.concentration_reciprocal
        return EULER * (1 - r) + (self.scale * r).log() + 1


class Kumaraswamy(TransformedDistribution):
    """Numbers between 0 and 1, much as beta-distributed ones, with a simple distribution function."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        base = Uniform(torch.zeros_like(self.concentration0), torch.ones_like(self.concentration0), False)
        transforms = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        super().__init__(base, transforms, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        shape = tuple(batch_shape)
        return Kumaraswamy(self.concentration1.expand(shape), self.concentration0.expand(shape), False)

    def _moment(self, n: int) -> Any:
        one = 1 + n / self.concentration1
        log = one.lgamma() + self.concentration0.lgamma() - (one + self.concentration0).lgamma()
        return self.concentration0 * log.exp()

    @property
    def mean(self) -> Any:
        """The first moment."""
        return self._moment(1)

    @property
    def mode(self) -> Any:
        """NaN unless both are at least 1 and one above."""
        a, b = self.concentration1, self.concentration0
        log = a.reciprocal() * ((a - 1).log() - (a * b - 1).log())
        return log.exp().masked_fill((a < 1) | (b < 1), math.nan)

    @property
    def variance(self) -> Any:
        """The second moment less the square of the first."""
        return self._moment(2) - self.mean.square()

    def entropy(self) -> Any:
        """By digamma."""
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()


class LogitRelaxedBernoulli(_ProbsOrLogits):
    """Logits of relaxed Bernoulli draws: logistic numbers around the logits, over the temperature.

    Example:
        >>> LogitRelaxedBernoulli(torch.tensor(1.0), probs=torch.tensor(0.5)).log_prob(torch.tensor(0.0))
        tensor(-1.3863)
    """

    arg_constraints = BINARY
    support = constraints.real
    has_rsample = True

    def __init__(self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        self.temperature = temperature
        super().__init__(self._take(probs, logits).shape, validate_args=validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """(logit of a uniform number + logits) / temperature."""
        shape = self._extended_shape(sample_shape)
        eps = torch.finfo(self._param.dtype).eps
        u = standard_uniform(shape, self._param).clamp(eps, 1 - eps)
        return (u.log() - (-u).log1p() + self.logits.expand(shape)) / self.temperature

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        self._check(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        difference = logits - value * self.temperature
        temperature = torch.as_tensor(self.temperature)
        return temperature.log() + difference - 2 * difference.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Bernoulli draws relaxed to numbers between 0 and 1 (Maddison et al. 2017; Jang et al. 2017): nearly 0 or 1 for a
    small temperature, with gradients."""

    arg_constraints = BINARY
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform(), validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature  # type: ignore[attr-defined]

    @property
    def logits(self) -> Any:
        """The logits."""
        return self.base_dist.logits  # type: ignore[attr-defined]

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs  # type: ignore[attr-defined]


class ExpRelaxedCategorical(_ProbsOrLogits):
    """Logarithms of relaxed one-hot draws.

    Example:
        >>> ExpRelaxedCategorical(torch.tensor(1.0), torch.tensor([0.5, 0.5])).sample().exp().sum()
        tensor(1.)
    """

    arg_constraints = SIMPLEX
    support = constraints.real_vector
    has_rsample = True
    _binary = False

    def __init__(self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        self.temperature = temperature
        given = self._take(probs, logits)
        super().__init__(given.shape[:-1], given.shape[-1:], validate_args)

    def _other_arguments(self, batch_shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Gumbel noise and logits over the temperature, normalised."""
        shape = self._extended_shape(sample_shape)
        eps = torch.finfo(self._param.dtype).eps
        u = standard_uniform(shape, self._param).clamp(eps, 1 - eps)
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, True)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        self._check(value)
        n = self._event_shape[0]
        logits, value = torch.broadcast_tensors(self.logits, value)
        temperature = torch.as_tensor(self.temperature, dtype=value.dtype)
        size = math.lgamma(n) + (n - 1) * temperature.log()
        score = logits - value * temperature
        return (score - score.logsumexp(-1, True)).sum(-1) + size


class RelaxedOneHotCategorical(TransformedDistribution):
    """One-hot draws relaxed to points of the simplex, with gradients (Maddison et al. 2017; Jang et al. 2017)."""

    arg_constraints = SIMPLEX
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(ExpRelaxedCategorical(temperature, probs, logits), ExpTransform(), validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature  # type: ignore[attr-defined]

    @property
    def logits(self) -> Any:
        """The logits."""
        return self.base_dist.logits  # type: ignore[attr-defined]

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs  # type: ignore[attr-defined]


class MixtureSameFamily(Distribution):
    """A mixture: a Categorical chooses among the distributions in the last batch dimension of another.

    Example:
        >>> two = Normal(torch.tensor([-1.0, 1.0]), torch.ones(2))
        >>> MixtureSameFamily(Categorical(torch.ones(2)), two).mean
        tensor(0.)
    """

    def __init__(
        self, mixture_distribution: Any, component_distribution: Distribution, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        if mixture_distribution.logits.shape[-1] != component_distribution.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({mixture_distribution.logits.shape[-1]}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({component_distribution.batch_shape[-1]})"
            )
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._num_component = component_distribution.batch_shape[-1]
        super().__init__(component_distribution.batch_shape[:-1], component_distribution.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Any:
        """Which distribution is chosen."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The distributions to choose from."""
        return self._component_distribution

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        components = self._component_distribution.expand(torch.Size([*batch_shape, self._num_component]))
        return MixtureSameFamily(self._mixture_distribution.expand(batch_shape), components, self._validate_args)

    @property
    def support(self) -> Any:
        """What all components may draw."""
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    def _weights(self) -> Any:
        probs = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *[1] * len(self._event_shape)))

    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Any:
        """The components' means, weighted."""
        return (self._weights() * self._component_distribution.mean).sum(self._axis())

    @property
    def variance(self) -> Any:
        """The variance within and between the components."""
        weights, axis = self._weights(), self._axis()
        within = (weights * self._component_distribution.variance).sum(axis)
        between = (weights * (self._component_distribution.mean - self.mean.unsqueeze(axis)).square()).sum(axis)
        return within + between

    def cdf(self, value: Any) -> Any:
        """The components', weighted."""
        x = value.unsqueeze(self._axis())
        return (self._component_distribution.cdf(x) * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        logs = self._component_distribution.log_prob(value.unsqueeze(self._axis()))
        return (logs + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """A draw of the chosen component."""
        with torch.no_grad():
            chosen = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            index = chosen.reshape((*chosen.shape, 1, *[1] * len(self._event_shape)))
            axis = len(chosen.shape)
            index = index.expand((*chosen.shape, 1, *self._event_shape))
            return drawn.gather(axis, index).squeeze(axis)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self._mixture_distribution}, {self._component_distribution})"
