"""Draws that try until a value is accepted: Poisson, binomial, gamma and Dirichlet.

How much of the stream an element uses depends on what comes, so these run element by element (about a microsecond
each). The values and the consumption are PyTorch's, but for a decision that hangs on the last bit of a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ops.draws import PRECISION, require, round_to, unit_doubles
from flambeau._ops.mersenne import MersenneTwister

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

TIGHT = 0.07  # inside this distance from the ends the box of Hoermann's methods is not tight


class _Doubles:
    """Even draws of float64 one at a time, fetched in bulk; leaving it puts the generator behind the last one used."""

    def __init__(self, gen: MersenneTwister) -> None:
        self.gen = gen

    def __enter__(self) -> _Doubles:
        self.scout = self.gen.clone()
        self.ready: list[float] = []
        self.used = 0
        self.size = 16
        return self

    def __call__(self) -> float:
        if not self.ready:
            self.size = min(2 * self.size, 1 << 14)
            self.ready = unit_doubles(self.scout, self.size)[::-1].tolist()
        self.used += 1
        return self.ready.pop()

    def normal(self) -> float:
        """A standard normal draw; of each pair the second is kept in the generator."""
        kept, self.gen.next_double_normal = self.gen.next_double_normal, None
        if kept is not None:
            return kept
        u1, u2 = self(), self()
        radius = math.sqrt(-2.0 * math.log1p(-u2))
        theta = 2.0 * math.pi * u1
        self.gen.next_double_normal = radius * math.sin(theta)
        return radius * math.cos(theta)

    def __exit__(self, *error: object) -> None:
        self.gen.skip(2 * self.used)


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


# ---------------------------------------------------------------------------------------------- Poisson


def poisson(gen: MersenneTwister, rate: np.ndarray) -> np.ndarray:
    """Numbers of events at the rates given, in their shape and dtype. RuntimeError for a negative rate.

    From rate 10 on by W. Hoermann's transformed rejection (The transformed rejection method for generating Poisson
    random variables, 1993), below by multiplying even draws (Knuth).

    Example::

        >>> poisson(MersenneTwister(0), np.array([1.0, 100.0])).tolist()
        [2.0, 117.0]
    """
    require(dtypes.from_numpy(rate.dtype).name, PRECISION, "poisson_cpu")
    if not np.all(rate >= 0):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    with _Doubles(gen) as even:
        drawn = [_poisson_large(r, even) if r >= 10 else _poisson_small(r, even) for r in _floats(rate)]
    return _shaped(drawn, rate)


def _poisson_small(rate: float, even: _Doubles) -> float:
    if rate == 0:
        return 0.0
    bound, product, count = math.exp(-rate), even(), 0
    while product > bound:
        product *= even()
        count += 1
    return float(count)


def _poisson_large(rate: float, even: _Doubles) -> float:
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    tight = 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = even() - 0.5, even()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= TIGHT and v <= tight:
            return float(k)
        if k < 0 or (us < 0.013 and v > us):
            continue
        if _log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= k * log_rate - rate - math.lgamma(
            k + 1.0
        ):
            return float(k)


# ---------------------------------------------------------------------------------------------- binomial


def binomial(gen: MersenneTwister, count: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Successes among `count` trials of probability `prob` (same shape and floating-point dtype), in that dtype.

    Where ten successes or failures are expected, by W. Hoermann's BTRS (The generation of binomial random variates,
    1993); else by adding geometric draws. A NaN probability gives NaN.

    Example::

        >>> binomial(MersenneTwister(0), np.array([10.0, 1000.0]), np.array([0.5, 0.3])).tolist()
        [7.0, 303.0]
    """
    real = _real(count, "binomial_cpu")
    with _Doubles(gen) as even:
        drawn = [_binomial(real, n, p, even) for n, p in zip(_floats(count), _floats(prob), strict=True)]
    return _shaped(drawn, count)


def _binomial(real: Callable[[float], Any], count: float, prob: float, even: _Doubles) -> float:
    if count <= 0.0 or prob <= 0.0:
        return 0.0
    if prob >= 1.0:
        return count
    if math.isnan(prob):
        return math.nan
    rare = prob if prob <= 0.5 else float(real(1.0 - prob))
    method = _binomial_large if real(count) * real(rare) >= 10.0 else _binomial_small
    found = method(real, count, rare, even)
    return found if prob <= 0.5 else count - found


def _binomial_small(real: Callable[[float], Any], count: float, prob: float, even: _Doubles) -> float:
    log_failure = float(real(math.log1p(-prob)))
    trials, successes = 0.0, -1
    while trials <= count:
        trials += math.ceil(max(_log(even()), -1e300) / log_failure)
        successes += 1
    return float(successes)


def _binomial_large(real: Callable[[float], Any], count: float, prob: float, even: _Doubles) -> float:
    n, p = real(count), real(prob)  # these products are rounded to the dtype, as PyTorch's are
    deviation = float(np.sqrt(n * p * (real(1) - p)))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * prob
    c = float(n * p) + 0.5
    tight = 0.92 - 4.2 / b
    odds = float(p / (real(1) - p))
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((n + real(1)) * p)
    while True:
        u, v = even() - 0.5, even()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = math.floor((2 * a / us + b) * u + c)
        if not 0 <= k <= count:
            continue
        if us >= TIGHT and v <= tight:
            return float(k)
        bound = (
            (mode + 0.5) * math.log((mode + 1) / (odds * (count - mode + 1)))
            + (count + 1) * math.log((count - mode + 1) / (count - k + 1))
            + (k + 0.5) * math.log(odds * (count - k + 1) / (k + 1))
            + _stirling_rest(mode)
            + _stirling_rest(count - mode)
            - _stirling_rest(k)
            - _stirling_rest(count - k)
        )
        if _log(v * alpha / (a / (us * us) + b)) <= bound:
            return float(k)


def _stirling_rest(k: float) -> float:
    """log k! less Stirling's approximation of it, (k + 1/2) log(k + 1) - (k + 1) + log(2 pi) / 2."""
    if k < len(STIRLING_REST):
        return STIRLING_REST[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


STIRLING_REST = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- gamma, Dirichlet


def standard_gamma(gen: MersenneTwister, alpha: np.ndarray) -> np.ndarray:
    """Gamma draws of shape `alpha` and scale 1, in its shape and dtype; at least the dtype's smallest normal number.

    G. Marsaglia, W. W. Tsang: A simple method for generating gamma variables, 2000.

    Example::

        >>> [round(x, 6) for x in standard_gamma(MersenneTwister(0), np.array([0.5, 3.0])).tolist()]
        [0.000789, 1.272843]
    """
    real = _real(alpha, "gamma_cpu")
    with _Doubles(gen) as even:
        drawn = [_gamma(real, a, even) for a in _floats(alpha)]
    return np.maximum(_shaped(drawn, alpha), alpha.dtype.type(_smallest(alpha.dtype)))


def dirichlet(gen: MersenneTwister, alpha: np.ndarray) -> np.ndarray:
    """Points of the simplex, Dirichlet-distributed along the last dimension: gamma draws over their sum.

    Strictly between 0 and 1. In float64 the sum may differ from PyTorch's by its order, thus in the last places.
    """
    _real(alpha, "dirichlet")
    gamma = standard_gamma(gen, alpha.astype(np.float64))
    share = round_to(gamma / gamma.sum(-1, keepdims=True), dtypes.from_numpy(alpha.dtype).name)
    one = alpha.dtype.type(1)
    return np.clip(share, alpha.dtype.type(_smallest(alpha.dtype)), np.nextafter(one, alpha.dtype.type(0)))


def _gamma(real: Callable[[float], Any], alpha: float, even: _Doubles) -> float:
    scale = 1.0
    if alpha == 0.0:
        return 0.0
    if alpha < 1.0:  # draw at alpha + 1 and shrink, for better acceptance
        scale = math.pow(1.0 - even(), float(real(1.0) / real(alpha)))
        alpha = float(real(alpha) + real(1.0))
    d = float(real(alpha) - real(THIRD))
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = even.normal()
        if (root := 1.0 + c * x) <= 0.0:
            continue
        v = root * root * root
        u = 1.0 - even()
        square = x * x
        if u < 1.0 - SQUEEZE * square * square or math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


THIRD, SQUEEZE = 0.3333333432674408, 0.03310000151395798  # 1/3 and 0.0331 as float32, in which the method states them


# ---------------------------------------------------------------------------------------------- arrays


def _real(x: np.ndarray, kernel: str) -> Callable[[float], Any]:
    """The NumPy scalar type whose roundings the parameters' arithmetic has: float32 or float64, nothing else."""
    require(dtypes.from_numpy(x.dtype).name, ("float32", "float64"), kernel)
    return x.dtype.type


def _floats(x: np.ndarray) -> list[float]:
    return x.astype(np.float64).ravel().tolist()


def _shaped(values: list[float], like: np.ndarray) -> np.ndarray:
    return round_to(np.array(values, dtype=np.float64), dtypes.from_numpy(like.dtype).name).reshape(like.shape)


def _smallest(dtype: np.dtype) -> float:
    """The smallest positive normal number."""
    return float(np.finfo(dtype).tiny)
