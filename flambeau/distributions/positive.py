"""Distributions of positive numbers and of intervals: Gamma and its kin, Exponential, Beta, Uniform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau.nn.functional as F
from flambeau import _api as torch
from flambeau import special
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution, standard_uniform, together
from flambeau.distributions.real import ExponentialFamily


class Gamma(ExponentialFamily):
    """The gamma distribution of shape `concentration` and inverse scale `rate`.

    Example:
        >>> Gamma(1.0, 1.0).log_prob(torch.tensor(1.0))
        tensor(-1.)
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """concentration / rate."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        """(concentration - 1) / rate, at least 0."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        """concentration / rate^2."""
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Standard gamma numbers over the rate."""
        shape = self._extended_shape(sample_shape)
        drawn = torch._standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        return drawn.clamp(min=torch.finfo(drawn.dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        value = torch.as_tensor(value, dtype=self.rate.dtype)
        if self._validate_args:
            self._validate_sample(value)
        a, b = self.concentration, self.rate
        return torch.xlogy(a, b) + torch.xlogy(a - 1, value) - b * value - a.lgamma()

    def cdf(self, value: Any) -> Any:
        """The regularised incomplete gamma function."""
        if self._validate_args:
            self._validate_sample(value)
        return special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        """a - log rate + log Gamma(a) + (1 - a) digamma(a)."""
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()


class Chi2(Gamma):
    """The chi-squared distribution with `df` degrees of freedom."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = together(df)
        super().__init__(0.5 * self.df, torch.full_like(self.df, 0.5), validate_args=validate_args)


class InverseGamma(Distribution):
    """The distribution of 1 / x for gamma-distributed x."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """rate / (concentration - 1); infinite up to 1."""
        return (self.rate / (self.concentration - 1)).masked_fill(self.concentration <= 1, math.inf)

    @property
    def mode(self) -> Any:
        """rate / (concentration + 1)."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        """rate^2 / ((concentration - 1)^2 (concentration - 2)); infinite up to 2."""
        a = self.concentration
        return (self.rate.square() / ((a - 1).square() * (a - 2))).masked_fill(a <= 2, math.inf)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """One over gamma numbers."""
        return 1 / Gamma(self.concentration, self.rate, validate_args=False).rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return a * self.rate.log() - a.lgamma() - (a + 1) * value.log() - self.rate / value

    def cdf(self, value: Any) -> Any:
        """The gamma distribution's probability of what is above 1 / value."""
        if self._validate_args:
            self._validate_sample(value)
        return special.gammaincc(self.concentration, self.rate / value)

    def entropy(self) -> Any:
        """a + log rate + log Gamma(a) - (1 + a) digamma(a)."""
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()


class Exponential(ExponentialFamily):
    """The exponential distribution with this rate: waiting times."""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """1 / rate."""
        return self.rate.reciprocal()

    stddev = mean

    @property
    def mode(self) -> Any:
        """0."""
        return torch.zeros_like(self.rate)

    @property
    def variance(self) -> Any:
        """1 / rate^2."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Standard exponential numbers over the rate."""
        return self.rate.new_empty(self._extended_shape(sample_shape)).exponential_() / self.rate

    def log_prob(self, value: Any) -> Any:
        """log rate - rate value."""
        if self._validate_args:
            self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """1 - exp(-rate value)."""
        if self._validate_args:
            self._validate_sample(value)
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Any) -> Any:
        """-log(1 - value) / rate."""
        return -(-value).log1p() / self.rate

    def entropy(self) -> Any:
        """1 - log rate."""
        return 1 - self.rate.log()


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution of points of the simplex, with these concentrations in the last dimension."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        """The concentrations over their sum."""
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        """Where all concentrations are above 1 those less 1, over their sum."""
        less = (self.concentration - 1).clamp(min=0)
        found = less / less.sum(-1, True)
        corner = F.one_hot(found.argmax(-1), self.concentration.shape[-1]).to(found.dtype)
        return torch.where((self.concentration < 1).all(-1, True), corner, found)

    @property
    def variance(self) -> Any:
        """Of each part."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Gamma numbers over their sum."""
        return torch._sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return torch.xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Any:
        """By lgamma and digamma."""
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)


class Beta(ExponentialFamily):
    """The beta distribution of numbers between 0 and 1."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        both = torch.stack([self.concentration1, self.concentration0], -1)
        self._dirichlet = Dirichlet(both, validate_args=False)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """concentration1 over both."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        """(concentration1 - 1) over both less 2."""
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Any:
        """The variance."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The first part of Dirichlet points."""
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(torch.stack([value, 1.0 - value], -1))

    def entropy(self) -> Any:
        """That of the Dirichlet distribution."""
        return self._dirichlet.entropy()


class Uniform(Distribution):
    """Numbers from `low` to below `high`, all equally probable."""

    arg_constraints = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ValueError("Uniform is not defined when low>= high")

    @property
    def support(self) -> Any:
        """From low to high."""
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        """NaN: there is no most probable one."""
        return math.nan * self.high

    @property
    def variance(self) -> Any:
        """The squared width over 12."""
        return (self.high - self.low).square() / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """low + width * standard uniform numbers."""
        u = torch.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        """-log width inside, minus infinity outside."""
        if self._validate_args:
            self._validate_sample(value)
        inside = (self.low <= value) & (self.high > value)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """The share of the width."""
        if self._validate_args:
            self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Any) -> Any:
        """low + width value."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        """log width."""
        return (self.high - self.low).log()


class FisherSnedecor(Distribution):
    """The F distribution: of the ratio of two mean squares with `df1` and `df2` degrees of freedom."""

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = together(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """df2 / (df2 - 2); NaN up to 2."""
        return (self.df2 / (self.df2 - 2)).masked_fill(self.df2 <= 2, math.nan)

    @property
    def mode(self) -> Any:
        """(df1 - 2) / df1 * df2 / (df2 + 2); NaN up to df1 = 2."""
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return found.masked_fill(self.df1 <= 2, math.nan)

    @property
    def variance(self) -> Any:
        """NaN up to df2 = 4."""
        a, b = self.df1, self.df2
        found = 2 * b.square() * (a + b - 2) / (a * (b - 2).square() * (b - 4))
        return found.masked_fill(b <= 4, math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """The ratio of two gamma numbers."""
        x1 = Gamma(self.df1 / 2, self.df1 / 2, validate_args=False).rsample(sample_shape)
        x2 = Gamma(self.df2 / 2, self.df2 / 2, validate_args=False).rsample(sample_shape)
        tiny = torch.finfo(x2.dtype).tiny
        return (x1 / x2.clamp(min=tiny)).clamp(min=tiny)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        a, b = self.df1 / 2, self.df2 / 2
        ratio = self.df1 / self.df2
        size = (a + b).lgamma() - a.lgamma() - b.lgamma() + a * ratio.log()
        return size + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()


class HalfNormal(Distribution):
    """The distribution of |x| for normal x of mean 0."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_of_unit, _variance_of_unit = math.sqrt(2 / math.pi), 1 - 2 / math.pi

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """scale sqrt(2 / pi)."""
        return self.scale * self._mean_of_unit

    @property
    def mode(self) -> Any:
        """0."""
        return torch.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        """scale^2 (1 - 2 / pi)."""
        return self.scale.square() * self._variance_of_unit

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """|scale * standard normal numbers|."""
        return (torch.randn(self._extended_shape(sample_shape), dtype=self.scale.dtype) * self.scale).abs()

    def log_prob(self, value: Any) -> Any:
        """Twice the normal density."""
        if self._validate_args:
            self._validate_sample(value)
        z = value / self.scale
        found = math.log(2) - 0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)
        return torch.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Any:
        """By the error function."""
        if self._validate_args:
            self._validate_sample(value)
        return (value / (self.scale * math.sqrt(2))).erf()

    def icdf(self, value: Any) -> Any:
        """By the inverse error function."""
        return self.scale * math.sqrt(2) * value.erfinv()

    def entropy(self) -> Any:
        """That of the normal distribution less log 2."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log() - math.log(2)


class HalfCauchy(Distribution):
    """The distribution of |x| for Cauchy x of median 0."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """Infinite."""
        return torch.full_like(self.scale, math.inf)

    variance = mean

    @property
    def mode(self) -> Any:
        """0."""
        return torch.zeros_like(self.scale)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """|scale * standard Cauchy numbers|."""
        return (self.scale.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale).abs()

    def log_prob(self, value: Any) -> Any:
        """Twice the Cauchy density."""
        value = torch.as_tensor(value, dtype=self.scale.dtype)
        if self._validate_args:
            self._validate_sample(value)
        found = math.log(2) - math.log(math.pi) - self.scale.log() - (value / self.scale).square().log1p()
        return torch.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Any:
        """By the arc tangent."""
        if self._validate_args:
            self._validate_sample(value)
        return 2 * torch.atan(value / self.scale) / math.pi

    def icdf(self, value: Any) -> Any:
        """By the tangent."""
        return torch.tan(math.pi * value / 2) * self.scale

    def entropy(self) -> Any:
        """log(2 pi scale)."""
        return math.log(2 * math.pi) + self.scale.log()


class GeneralizedPareto(Distribution):
    """The generalised Pareto distribution of excesses over `loc`: a power law for a positive concentration, bounded for
    a negative one."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = together(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """From loc on, for concentration < 0 up to loc - scale / concentration."""
        upper = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, torch.where(self.concentration < 0, upper, math.inf))

    @property
    def mean(self) -> Any:
        """loc + scale / (1 - concentration); infinite from 1 on."""
        return (self.loc + self.scale / (1 - self.concentration)).masked_fill(self.concentration >= 1, math.inf)

    @property
    def mode(self) -> Any:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Any:
        """Infinite from concentration 1/2 on."""
        c = self.concentration
        return (self.scale.square() / ((1 - c).square() * (1 - 2 * c))).masked_fill(c >= 0.5, math.inf)

    def _is_exponential(self) -> Any:
        return self.concentration.abs() < 1e-9

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the inverse of the distribution function."""
        return self.icdf(standard_uniform(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        plain = self._is_exponential()
        c = self.concentration.masked_fill(plain, 1.0)
        return torch.where(plain, -z, -(1 + 1 / c) * (c * z).log1p()) - self.scale.log()

    def _log_survival(self, value: Any) -> Any:
        z = (value - self.loc) / self.scale
        plain = self._is_exponential()
        c = self.concentration.masked_fill(plain, 1.0)
        return torch.where(plain, -z, -(c * z).log1p() / c)

    def log_survival_function(self, value: Any) -> Any:
        """log(1 - cdf)."""
        return self._log_survival(value)

    def log_cdf(self, value: Any) -> Any:
        """The logarithm of `cdf`."""
        return (-self._log_survival(value).exp()).log1p()

    def cdf(self, value: Any) -> Any:
        """1 - (1 + concentration z)^(-1 / concentration)."""
        if self._validate_args:
            self._validate_sample(value)
        return -self._log_survival(value).expm1()

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        plain = self._is_exponential()
        c = self.concentration.masked_fill(plain, 1.0)
        log = (-value).log1p()
        return self.loc + self.scale * torch.where(plain, -log, (-c * log).expm1() / c)

    def entropy(self) -> Any:
        """log scale + concentration + 1."""
        return self.scale.log() + self.concentration + 1
