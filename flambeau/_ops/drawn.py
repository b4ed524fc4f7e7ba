"""Gradients of draws by their parameters: how a sample moves when its distribution does, at equal probability.

With the distribution function F(x, a) the sample's slope is -(dF/da) / (dF/dx) (Figurnov, Mohamed & Mnih 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau._ops.registry import library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


@library(
    category="random",
    method=False,
    function=False,
    node_name="StandardGammaBackward0",
    infer=lambda value, alpha: value,
    gradient={
        "alpha": lambda g, value, alpha: g * gamma_slope(alpha.detach(), value, (alpha.detach() + 1).digamma()),
    },
)
def gamma_drawn(value: Any, alpha: Any) -> Any:
    """`value`, which was drawn from the gamma distribution of shape `alpha` and scale 1."""
    return value


@library(category="random", method=False, function=False, infer=lambda alpha, value, digamma: value)
def gamma_slope(alpha: Any, value: Any, digamma: Any) -> Any:
    """The slope of gamma draws `value` by their shape: -x/a times the sum of r_n (log x - digamma(a + n + 1)) with
    r_n = x^n / ((a + 1) ... (a + n)), from the series of the incomplete gamma function; `digamma` is that of a + 1."""
    a, x, psi = [np.asarray(t, np.float64) for t in (alpha, value, digamma)]
    x = np.minimum(x, 700.0 + a)  # beyond, nothing is drawn and the terms overflow
    log = np.log(x)
    ratio, total, n = np.ones_like(x), log - psi, 0
    while x.size and n < 100_000:
        n += 1
        step = a + n
        ratio = ratio * (x / step)
        psi = psi + 1 / step
        term = ratio * (log - psi)
        total = total + term
        if (np.abs(term) <= 1e-16 * np.abs(total)).all() and (step > x).all():
            break
    return -x / a * total
