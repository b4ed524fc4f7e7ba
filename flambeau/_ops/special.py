"""Special functions (`torch.special`, some also `torch`)."""

from __future__ import annotations

import math
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._ops import reduce, rounding, softmax, transcendental
from flambeau._ops.registry import OPS, camel_case, composite, pointwise


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={"input": lambda g, input: g * (-input * input).exp() * (2 / math.sqrt(math.pi))},
)
def erf(k: Any, input: Any) -> Any:
    """The error function.

    Example::

        >>> import flambeau as torch
        >>> torch.erf(torch.tensor([0.]))
        tensor([0.])
    """
    return k.erf(input)


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={"input": lambda g, input: g * (-input * input).exp() * (-2 / math.sqrt(math.pi))},
)
def erfc(k: Any, input: Any) -> Any:
    """1 - erf(input), exact for large input.

    Example::

        >>> import flambeau as torch
        >>> torch.erfc(torch.tensor([0.]))
        tensor([1.])
    """
    return k.erfc(input)


@pointwise(
    inplace=True,
    result="float",
    refuses=("complex",),
    gradient={"input": lambda g, input: g * (erfinv(input) * erfinv(input)).exp() * (math.sqrt(math.pi) / 2)},
)
def erfinv(k: Any, input: Any) -> Any:
    """The inverse of the error function.

    Example::

        >>> import flambeau as torch
        >>> torch.erfinv(torch.tensor([0.]))
        tensor([0.])
    """
    return k.erfinv(input)


@pointwise(inplace=True, result="float", refuses=("complex",), gradient={"input": lambda g, input: g * input.digamma()})
def lgamma(k: Any, input: Any) -> Any:
    """The logarithm of |gamma(input)|.

    Example::

        >>> import flambeau as torch
        >>> torch.lgamma(torch.tensor([1.]))
        tensor([0.])
    """
    return k.lgamma(input)


@pointwise(
    inplace=True, result="float", refuses=("complex",), gradient={"input": lambda g, input: g * polygamma(1, input)}
)
def digamma(k: Any, input: Any) -> Any:
    """The derivative of lgamma.

    Example::

        >>> import flambeau as torch
        >>> torch.digamma(torch.tensor([1.]))
        tensor([-0.5772])
    """
    return k.digamma(input)


def special(**options: Any) -> Any:
    """Declares a pointwise operation of torch.special."""
    options = {"method": False, "namespace": "special", "result": "float", "refuses": ("complex",), **options}
    return lambda body: pointwise(**{"node_name": f"Special{camel_case(body.__name__)}Backward0", **options})(body)


@special(
    overlap="free",
    snapshots=("input",),
    gradient={"input": lambda g, input: g * (input * input * -0.5).exp() * (1 / math.sqrt(2 * math.pi))},
)
def ndtr(k: Any, input: Any) -> Any:
    """The normal distribution function.

    Example::

        >>> import flambeau as torch
        >>> torch.special.ndtr(torch.tensor([0.]))
        tensor([0.5000])
    """
    return k.erfc(input * -0.7071067811865476) * 0.5


@special(gradient={"input": lambda g, out: g * (out * out * 0.5).exp() * math.sqrt(2 * math.pi)})
def ndtri(k: Any, input: Any) -> Any:
    """The inverse of the normal distribution function.

    Example::

        >>> import flambeau as torch
        >>> torch.special.ndtri(torch.tensor([0.5]))
        tensor([0.])
    """
    return k.ndtri(input)


@special(
    gradient={"input": lambda g, input, out: g * (input * input * -0.5 - out).exp() * (1 / math.sqrt(2 * math.pi))}
)
def log_ndtr(k: Any, input: Any) -> Any:
    """The logarithm of the normal distribution function.

    Example::

        >>> import flambeau as torch
        >>> torch.special.log_ndtr(torch.tensor([0.]))
        tensor([-0.6931])
    """
    return k.log_ndtr(input)


@special(gradient={"input": lambda g, input, out: g * (2 * input * out - 2 / math.sqrt(math.pi))})
def erfcx(k: Any, input: Any) -> Any:
    """exp(input^2) erfc(input).

    Example::

        >>> import flambeau as torch
        >>> torch.special.erfcx(torch.tensor([0.]))
        tensor([1.])
    """
    return k.erfcx(input)


@special(gradient={"input": lambda g, input: g * (-input.log() - 1)})
def entr(k: Any, input: Any) -> Any:
    """-x log(x), 0 at 0 and minus infinity below.

    Example::

        >>> import flambeau as torch
        >>> torch.special.entr(torch.tensor([0., 1.]))
        tensor([0., -0.])
    """
    return k.where(input > 0, -input * k.log(input), k.where(input == 0, input * 0, input * 0 - math.inf))


@special()
def zeta(k: Any, input: Any, other: Any) -> Any:
    """Hurwitz' zeta function: the sum of (other + k) ** -input.

    Example::

        >>> import flambeau as torch
        >>> torch.special.zeta(torch.tensor([2.]), torch.tensor([1.]))
        tensor([1.6449])
    """
    return k.zeta(input, other)


@special(
    gradient={
        "input": lambda g, input, other: g * other_log1p(input, other, g),
        "other": lambda g, input, other: g * input / (other + 1),
    }
)
def xlog1py(k: Any, input: Any, other: Any) -> Any:
    """`input * log1p(other)`, 0 where `input` is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.special.xlog1py(torch.tensor([0., 1.]), torch.tensor([-1., 0.]))
        tensor([0., 0.])
    """
    return k.where((input == 0) & (other == other), input * 0, input * k.log1p(other))


def other_log1p(x: Any, y: Any, like: Any) -> Any:
    y = transcendental.lifted(y, like)
    return y.log1p().masked_fill((transcendental.lifted(x, like) == 0) & (y <= -1), 0)


def _no_derivative(op: str) -> Any:
    raise RuntimeError(
        errors.explain(
            f"the derivative for '{op}: input' is not implemented.", hint="only the second argument has a gradient"
        )
    )


@pointwise(
    numbers=False,
    inplace=True,
    refuses=("bool", "integer", "complex"),
    gradient={
        "input": lambda g: _no_derivative("igamma"),
        "other": lambda g, input, other: g * _gamma_density(input, other),
    },
)
def igamma(k: Any, input: Any, other: Any) -> Any:
    """The regularised lower incomplete gamma function: the integral of t^(input - 1) exp(-t) from 0 to `other`, over
    gamma(input). Both are floating point and not negative (NaN otherwise); only `other` has a gradient.

    Example::

        >>> import flambeau as torch
        >>> torch.igamma(torch.tensor([1., 2.]), torch.tensor([1., 1.]))
        tensor([0.6321, 0.2642])
    """
    return k.igamma(input, other)


@pointwise(
    numbers=False,
    inplace=True,
    refuses=("bool", "integer", "complex"),
    gradient={
        "input": lambda g: _no_derivative("igammac"),
        "other": lambda g, input, other: -g * _gamma_density(input, other),
    },
)
def igammac(k: Any, input: Any, other: Any) -> Any:
    """The regularised upper incomplete gamma function 1 - igamma(input, other), exact where that is small.

    Example::

        >>> import flambeau as torch
        >>> torch.igammac(torch.tensor([1., 2.]), torch.tensor([1., 1.]))
        tensor([0.3679, 0.7358])
    """
    return k.igammac(input, other)


def _gamma_density(a: Any, x: Any) -> Any:
    """The derivative of the lower incomplete gamma function by its second argument."""
    return ((a - 1) * x.log() - x - lgamma(a)).exp()


@pointwise(
    node_name="PolygammaBackward0",
    method=False,
    function=False,
    result="float",
    refuses=("complex",),
    operands=("input",),
    gradient={"input": lambda g, n, input: g * polygamma_of(n + 1, input)},
)
def polygamma_of(k: Any, n: Any, input: Any) -> Any:
    """The n-th derivative of digamma, n >= 1: (-1)^(n+1) n! zeta(n + 1, x)."""
    return k.zeta(input * 0 + (n + 1), input) * ((-1.0) ** (n + 1) * math.factorial(int(n)))


@composite(out="castable", overlap="same", inplace=True)
def polygamma(n: Any, input: Any) -> Any:
    """The n-th derivative of digamma (as a method: `x.polygamma(n)`).

    Example::

        >>> import flambeau as torch
        >>> torch.polygamma(1, torch.tensor([1.]))
        tensor([1.6449])
    """
    n, input = (input, n) if hasattr(n, "_meta") else (n, input)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return digamma(input) if n == 0 else polygamma_of(n, input)


@composite(out="castable", node_name="MvlgammaBackward0", shows=("input",), inplace=True, aliases=())
def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`.

    Example::

        >>> import flambeau as torch
        >>> torch.mvlgamma(torch.tensor([1.]), 1)
        tensor([0.])
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    input = input if input.dtype.differentiable else input.to(dtypes.get_default_dtype())
    total = lgamma(input) + (p * (p - 1) / 4 * math.log(math.pi))
    for j in range(1, p):
        total = total + lgamma(input - j / 2)
    return total


# Functions of torch.special that have another home: (name here, function)
SHARED = (
    ("erf", erf),
    ("erfc", erfc),
    ("erfinv", erfinv),
    ("gammaln", lgamma),
    ("gammainc", igamma),
    ("gammaincc", igammac),
    ("digamma", digamma),
    ("psi", digamma),
    ("polygamma", polygamma),
    ("multigammaln", mvlgamma),
    ("expit", transcendental.sigmoid),
    ("exp2", transcendental.exp2),
    ("expm1", transcendental.expm1),
    ("log1p", transcendental.log1p),
    ("logit", transcendental.logit),
    ("sinc", transcendental.sinc),
    ("xlogy", transcendental.xlogy),
    ("round", rounding.round),
    ("logsumexp", reduce.logsumexp),
    ("softmax", softmax.softmax),
    ("log_softmax", softmax.log_softmax),
)


def _share(name: str, function: Any) -> None:
    def body(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    body.__name__, body.__doc__ = name, function.__doc__
    rule = OPS[function.__name__].out_rule
    composite(method=False, namespace="special", name=name, out=rule.dtype, overlap=rule.overlap)(body)


for _name, _function in SHARED:
    _share(_name, _function)
