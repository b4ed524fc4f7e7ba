"""Kullback-Leibler divergences between distributions (`torch.distributions.kl_divergence`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flambeau.nn.functional as F
from flambeau import _api as torch
from flambeau import linalg
from flambeau.distributions import discrete, multivariate, positive, real, transformed
from flambeau.distributions.distribution import Distribution, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

_RULES: dict[tuple[type, type], Callable] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable], Callable]:
    """Decorator: the function gives the divergence for distributions of these types, and of types derived from them
    for which nothing closer is registered. Any class is taken, since a library's base of distributions need not derive
    from this one's; TypeError for what is no class.

    Example::

        >>> @register_kl(real.VonMises, real.VonMises)
        ... def _(p, q):
        ...     return p.loc * 0
    """
    for kind in (type_p, type_q):
        if not isinstance(kind, type):
            raise TypeError(f"Expected type_p and type_q to be subclasses of Distribution but got {kind}")

    def register(function: Callable) -> Callable:
        _RULES[type_p, type_q] = function
        return function

    return register


def _rule(p: type, q: type) -> Callable | None:
    """The rule for the nearest ancestors of both types."""
    best, found = math.inf, None
    for (a, b), function in _RULES.items():
        if a in p.__mro__ and b in q.__mro__:
            distance = p.__mro__.index(a) + q.__mro__.index(b)
            if distance < best:
                best, found = distance, function
    return found


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The Kullback-Leibler divergence of `q` from `p`, of shape batch_shape; NotImplementedError where no formula is
    registered.

    Example::

        >>> kl_divergence(real.Normal(0.0, 1.0), real.Normal(1.0, 1.0))
        tensor(0.5000)
    """
    rule = _rule(type(p), type(q))
    if rule is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; estimate it "
            "with p.log_prob(x) - q.log_prob(x) over samples x of p, or register_kl a formula"
        )
    return rule(p, q)


@register_kl(discrete.Bernoulli, discrete.Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    a = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    b = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    return a + b


@register_kl(positive.Beta, positive.Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    sizes = c.lgamma() + d.lgamma() + (a + b).lgamma() - (c + d).lgamma() - a.lgamma() - b.lgamma()
    return sizes + (a - c) * a.digamma() + (b - d) * b.digamma() + (c + d - a - b) * (a + b).digamma()


@register_kl(discrete.Binomial, discrete.Binomial)
def _binomial(p: Any, q: Any) -> Any:
    found = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return found.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(discrete.Categorical, discrete.Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = terms.masked_fill((q.probs == 0).expand(terms.shape), math.inf)
    return terms.masked_fill((p.probs == 0).expand(terms.shape), 0.0).sum(-1)


@register_kl(discrete.OneHotCategorical, discrete.OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(discrete.ContinuousBernoulli, discrete.ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    first = p.mean * (p.logits - q.logits)
    return first + p._log_norm() + (-p.probs).log1p() - q._log_norm() - (-q.probs).log1p()


@register_kl(positive.Dirichlet, positive.Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    sizes = total_p.lgamma() - total_q.lgamma() - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    slopes = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return sizes + ((p.concentration - q.concentration) * slopes).sum(-1)


@register_kl(positive.Exponential, positive.Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(positive.Gamma, positive.Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration, p.rate, q.concentration, q.rate
    return c * (b / d).log() + c.lgamma() - a.lgamma() + (a - c) * a.digamma() + (d - b) * (a / b)


@register_kl(real.Gumbel, real.Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    shift, back = q.loc / q.scale, p.loc / q.scale
    middle = shift - back
    return -ratio.log() - middle + ratio * real.EULER + (middle + (1 + ratio).lgamma()).exp() - (1 + real.EULER)


@register_kl(discrete.Geometric, discrete.Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(positive.HalfNormal, positive.HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio - 1 - ratio.log())


@register_kl(real.Laplace, real.Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(real.Cauchy, real.Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    both = ((p.scale + q.scale).square() + (p.loc - q.loc).square()).log()
    return both - (4 * p.scale * q.scale).log()


@register_kl(real.Normal, real.Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(real.Normal, real.Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    distance = p.loc - q.loc
    z = distance / p.scale
    mean = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z.square()).exp() + distance * (z / math.sqrt(2)).erf()
    return -p.scale.log() - 0.5 * math.log(2 * math.pi) - 0.5 + (2 * q.scale).log() + mean / q.scale


@register_kl(positive.Exponential, positive.Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    a = q.concentration
    return -a * ratio.log() + ratio + a.lgamma() + (a - 1) * real.EULER - 1


@register_kl(positive.Uniform, positive.Uniform)
def _uniform(p: Any, q: Any) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return found.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(positive.Uniform, real.Normal)
def _uniform_normal(p: Any, q: Any) -> Any:
    width = p.high - p.low
    distance = (p.high + p.low - 2 * q.loc) / 2
    squares = width.square() / 12 + distance.square()
    return 0.5 * math.log(2 * math.pi) + (q.scale / width).log() + squares / (2 * q.scale.square())


@register_kl(discrete.Poisson, discrete.Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(transformed.Pareto, transformed.Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    found = q.alpha * ratio.log() + (p.alpha / q.alpha).log() + q.alpha / p.alpha - 1
    return found.masked_fill(p.support.lower_bound < q.support.lower_bound, math.inf)


@register_kl(transformed.TransformedDistribution, transformed.TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL divergence of distributions with different transforms")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(transformed.Independent, transformed.Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL divergence of Independent distributions of different events")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(multivariate.MultivariateNormal, multivariate.MultivariateNormal)
@register_kl(multivariate.MultivariateNormal, multivariate.LowRankMultivariateNormal)
@register_kl(multivariate.LowRankMultivariateNormal, multivariate.MultivariateNormal)
@register_kl(multivariate.LowRankMultivariateNormal, multivariate.LowRankMultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    lower_p, lower_q = p.scale_tril, q.scale_tril
    batch = torch.broadcast_shapes(tuple(lower_p.shape), tuple(lower_q.shape))
    lower_p, lower_q = lower_p.expand(batch), lower_q.expand(batch)
    trace = linalg.solve_triangular(lower_q, lower_p, upper=False).square().sum((-2, -1))
    distance = multivariate._mahalanobis(lower_q, (q.loc - p.loc).expand(batch[:-1]))
    determinants = multivariate._half_log_det(lower_q) - multivariate._half_log_det(lower_p)
    return determinants + 0.5 * (trace + distance - p.event_shape[0])
