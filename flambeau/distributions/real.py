"""Distributions of numbers on the whole line: Normal, Laplace, Cauchy, StudentT, Gumbel, and the circle's VonMises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import special
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution, together

EULER = 0.57721566490153286061


class ExponentialFamily(Distribution):
    """Distributions with a density exp(natural parameters . statistics - normaliser)."""


class _LocationScale(Distribution):
    """Distributions with a location and a scale."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mode(self) -> Any:
        """The location."""
        return self.loc

    def _standardised(self, value: Any) -> Any:
        """(value - loc) / scale."""
        if self._validate_args:
            self._validate_sample(value)
        return (value - self.loc) / self.scale


class Normal(_LocationScale, ExponentialFamily):
    """The normal (Gaussian) distribution of mean `loc` and standard deviation `scale`.

    Example:
        >>> Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
        tensor(-0.9189)
    """

    @property
    def mean(self) -> Any:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Any:
        """The square of the scale."""
        return self.scale.square()

    @property
    def stddev(self) -> Any:
        """The scale."""
        return self.scale

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """loc + scale * standard normal numbers."""
        return self.loc + torch.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype) * self.scale

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        z = self._standardised(value)
        return -0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def cdf(self, value: Any) -> Any:
        """By the error function."""
        return 0.5 * (1 + (self._standardised(value) / math.sqrt(2)).erf())

    def icdf(self, value: Any) -> Any:
        """By the inverse error function."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        """log(scale sqrt(2 pi e))."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Laplace(_LocationScale):
    """The Laplace distribution: exponential on both sides of `loc`."""

    @property
    def mean(self) -> Any:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Any:
        """2 scale^2."""
        return 2 * self.scale.square()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the inverse of the distribution function."""
        finfo = torch.finfo(self.loc.dtype)
        u = self.loc.new_empty(self._extended_shape(sample_shape)).uniform_(finfo.eps - 1, 1)
        return self.loc - self.scale * u.sign() * (-u.abs().clamp(min=finfo.tiny)).log1p()

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        return -(2 * self.scale).log() - self._standardised(value).abs()

    def cdf(self, value: Any) -> Any:
        """In both halves exponential."""
        z = self._standardised(value)
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Any:
        """1 + log(2 scale)."""
        return 1 + (2 * self.scale).log()


class Cauchy(_LocationScale):
    """The Cauchy distribution of median `loc` and half width `scale`, which has neither mean nor variance."""

    @property
    def mean(self) -> Any:
        """NaN."""
        return torch.full(self._extended_shape(), math.nan, dtype=self.loc.dtype)

    @property
    def variance(self) -> Any:
        """Infinite."""
        return torch.full(self._extended_shape(), math.inf, dtype=self.loc.dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """loc + scale * standard Cauchy numbers."""
        return self.loc + self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        return -math.log(math.pi) - self.scale.log() - self._standardised(value).square().log1p()

    def cdf(self, value: Any) -> Any:
        """By the arc tangent."""
        return torch.atan(self._standardised(value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        """By the tangent."""
        return torch.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Any:
        """log(4 pi scale)."""
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_LocationScale):
    """The Gumbel distribution: of the greatest of many."""

    @property
    def mean(self) -> Any:
        """loc + Euler's constant scale."""
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Any:
        """(pi scale)^2 / 6."""
        return self.stddev.square()

    @property
    def stddev(self) -> Any:
        """pi scale / sqrt(6)."""
        return math.pi / math.sqrt(6) * self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the inverse of the distribution function."""
        finfo = torch.finfo(self.loc.dtype)
        u = self.loc.new_empty(self._extended_shape(sample_shape)).uniform_(finfo.tiny, 1 - finfo.eps)
        return self.loc - self.scale * (-u.log()).log()

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        z = -self._standardised(value)
        return z - z.exp() - self.scale.log()

    def cdf(self, value: Any) -> Any:
        """exp(-exp(-z))."""
        return (-(-self._standardised(value)).exp()).exp()

    def icdf(self, value: Any) -> Any:
        """loc - scale log(-log value)."""
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Any:
        """log scale + 1 + Euler's constant."""
        return self.scale.log() + (1 + EULER)


class StudentT(Distribution):
    """Student's t distribution with `df` degrees of freedom, moved and scaled."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The location; NaN for df <= 1."""
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Any:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Any:
        """scale^2 df / (df - 2); infinite up to df = 2, NaN up to 1."""
        safe = self.df.clamp(min=2 + 1e-6)
        found = (self.scale.square() * safe / (safe - 2)).masked_fill(self.df <= 2, math.inf)
        return found.masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """A normal number over the root of a chi-squared one."""
        shape = self._extended_shape(sample_shape)
        normal = torch.randn(shape, dtype=self.df.dtype)
        squares = torch._standard_gamma((self.df / 2).expand(shape)) * 2
        return self.loc + self.scale * normal * (squares / self.df).rsqrt()

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        size = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
        size = size + (0.5 * self.df).lgamma() - (0.5 * (self.df + 1)).lgamma()
        return -0.5 * (self.df + 1) * (z.square() / self.df).log1p() - size

    def entropy(self) -> Any:
        """By digamma and the beta function."""
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return self.scale.log() + more * (more.digamma() - half.digamma()) + 0.5 * self.df.log() + beta


class VonMises(Distribution):
    """The von Mises distribution of angles: around `loc`, the narrower the greater `concentration`."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = together(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The circular mean: the location."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        """The circular variance 1 - I1 / I0."""
        return 1 - special.i1e(self.concentration) / special.i0e(self.concentration)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        size = math.log(2 * math.pi) + special.i0e(self.concentration).log() + self.concentration
        return self.concentration * torch.cos(value - self.loc) - size

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By rejection from a wrapped Cauchy distribution (Best & Fisher 1979)."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            k = self.concentration.double().expand(shape)
            tau = 1 + (1 + 4 * k * k).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = torch.where(k < 1e-5, 1 / k + k, (1 + rho * rho) / (2 * rho))
            found = torch.zeros(shape, dtype=torch.float64)
            done = torch.zeros(shape, dtype=torch.bool)
            while not bool(done.all()):
                u1, u2, u3 = torch.rand((3, *shape), dtype=torch.float64).unbind()
                z = torch.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accepted = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
                angle = (u3 - 0.5).sign() * f.clamp(-1, 1).acos()
                found = torch.where(accepted & ~done, angle, found)
                done = done | accepted
            return ((found + math.pi + self.loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)


__all__ = ["Cauchy", "ExponentialFamily", "Gumbel", "Laplace", "Normal", "StudentT", "VonMises"]
