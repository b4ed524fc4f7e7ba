"""Activation functions, each with its formula once; `nn.functional`'s forms with `inplace` stand beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.sites import user_site
from flambeau._ops.pointwise import FLOATS_ONLY, choose
from flambeau._ops.registry import composite, in_place, pointwise

FUNCTIONAL = {"method": False, "namespace": "nn.functional"}
INTERNAL = {"method": False, "function": False}

# S. Elfwing et al. (2018) and G. Klambauer et al.: Self-Normalizing Neural Networks (2017), equation 14
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _applied(function: Callable, input: Any, inplace: bool, *args: Any) -> Any:
    """The function of `input`, written into it if `inplace`."""
    return in_place(function, input, *args) if inplace else function(input, *args)


def _refuse_bool(op: str, kind: str = "Boolean") -> Callable[[tuple], None]:
    def check(metas: tuple) -> None:
        if metas[0].dtype is dtypes.bool_:
            raise RuntimeError(errors.explain(f"{kind} inputs not supported for {op}", site=user_site(5)))

    return check


# ---------------------------------------------------------------------------------------------- piecewise linear


@pointwise(
    inplace=True,
    refuses=("complex",),
    check=_refuse_bool("relu"),
    gradient={"input": lambda g, out: flow_above_zero(g, out)},
)
def relu(k: Any, input: Any) -> Any:
    """max(0, input), the rectified linear unit; the gradient at 0 is 0. RuntimeError for booleans.

    Example::

        >>> import flambeau as torch
        >>> torch.relu(torch.tensor([-1., 2.]))
        tensor([0., 2.])
    """
    return k.maximum(input, 0)


@pointwise(
    node_name="ThresholdBackwardBackward0",
    gradient={"flow": lambda g, out: flow_above_zero(g, out)},
    **INTERNAL,
)
def flow_above_zero(k: Any, flow: Any, out: Any) -> Any:
    """`flow` unless `out` is 0 or less: what reaches the input of `relu`."""
    return k.where(out <= 0, 0, flow)


@composite(name="relu", **FUNCTIONAL)
def functional_relu(input: Any, inplace: bool = False) -> Any:
    """max(0, input), the rectified linear unit; `inplace` writes it into `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.relu(torch.tensor([-1., 2.]))
        tensor([0., 2.])
    """
    return _applied(relu, input, inplace)


@pointwise(
    refuses=("complex",),
    check=_refuse_bool("hardtanh", "Bool"),
    node_name="HardtanhBackward0",
    **INTERNAL,
    gradient={
        "input": lambda g, input, min_val, max_val: choose((input <= min_val) | (input >= max_val), 0, g),
    },
)
def hard_bounds(k: Any, input: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    """`input` kept between two numbers; no gradient at the bounds."""
    return k.minimum(k.maximum(input, min_val), max_val)


@composite(**FUNCTIONAL)
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """`input` kept between `min_val` and `max_val`; ValueError if they are in the wrong order.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.hardtanh(torch.tensor([-2., 0.5, 3.]))
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError(
            errors.explain(f"min_val cannot be greater than max_val: got {min_val} and {max_val}", site=user_site(2))
        )
    return _applied(hard_bounds, input, inplace, min_val, max_val)


@composite(**FUNCTIONAL)
def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(0, input), 6).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.relu6(torch.tensor([-1., 2., 7.]))
        tensor([0., 2., 6.])
    """
    return _applied(hard_bounds, input, inplace, 0, 6)


@pointwise(
    name="leaky_relu_kernel",
    node_name="LeakyReluBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input, negative_slope: choose(input > 0, g, g * negative_slope),
    },
)
def leak(k: Any, input: Any, negative_slope: Any = 0.01) -> Any:
    """`input` where it is positive, else `negative_slope * input`."""
    return k.where(input > 0, input, input * negative_slope)


@composite(**FUNCTIONAL)
def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """`input` where it is positive, else `negative_slope * input`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.leaky_relu(torch.tensor([-1., 2.]))
        tensor([-0.0100,  2.0000])
    """
    return _applied(leak, input, inplace, negative_slope)


@pointwise(
    name="prelu_kernel",
    node_name="PreluKernelBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input, weight: choose(input > 0, g, g * weight),
        "weight": lambda g, input: choose(input > 0, 0, g * input),
    },
)
def learned_leak(k: Any, input: Any, weight: Any) -> Any:
    """`input` where it is positive, else `weight * input`."""
    return k.where(input > 0, input, input * weight)


@composite()
def prelu(input: Any, weight: Any) -> Any:
    """`input` where it is positive, else `weight * input`: K. He et al. (2015), with learned slopes.

    `weight` holds one slope, or one for each channel (dimension 1 of `input`); RuntimeError for another number of them.

    Example::

        >>> import flambeau as torch
        >>> torch.prelu(torch.tensor([-1., 2.]), torch.tensor([0.25]))
        tensor([-0.2500,  2.0000])
    """
    m, w = input._meta, weight._meta
    if m.dtype is not w.dtype:
        raise RuntimeError(
            errors.explain(f"prelu: Type promoting not supported. Got {m.dtype} and {w.dtype}", site=user_site(2))
        )
    if w.ndim > 1:
        raise RuntimeError(
            errors.explain(
                f"prelu: Expected `weight` to be a scalar or 1D tensor, but got shape {list(w.shape)}",
                site=user_site(2),
            )
        )
    if w.numel == 1:
        return learned_leak(input, weight.reshape(()) if m.ndim == 0 else weight.reshape((1,) * m.ndim))
    channels = m.shape[1] if m.ndim > 1 else 1
    if w.numel != channels:
        raise RuntimeError(
            errors.explain(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {w.numel} "
                f"and channel size = {channels}.",
                site=user_site(2),
            )
        )
    return learned_leak(input, weight.reshape([channels if i == 1 else 1 for i in range(m.ndim)]))


@pointwise(
    name="threshold_kernel",
    node_name="ThresholdBackward0",
    refuses=("bool", "complex"),
    **INTERNAL,
    gradient={
        "input": lambda g, input, threshold: choose(input <= threshold, 0, g),
    },
)
def cut(k: Any, input: Any, threshold: Any = 0, value: Any = 0) -> Any:
    """`input` where it is above `threshold`, else `value`."""
    return k.where(input <= threshold, value, input)


@composite(method=False)
def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """`input` where it is above `threshold`, else `value`.

    Example::

        >>> import flambeau as torch
        >>> torch.threshold(torch.tensor([0.5, 2.]), 1, 20)
        tensor([20.,  2.])
    """
    return _applied(cut, input, inplace, threshold, value)


@pointwise(
    refuses=("bool", "integer", "complex"),
    gradient={
        "input": lambda g, input, lambd: choose((input >= -lambd) & (input <= lambd), 0, g),
    },
)
def hardshrink(k: Any, input: Any, lambd: Any = 0.5) -> Any:
    """`input` where its absolute value exceeds `lambd`, else 0.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([-1., 0.3, 2.]).hardshrink()
        tensor([-1.,  0.,  2.])
    """
    return k.where((input >= -lambd) & (input <= lambd), 0, input)


@pointwise(
    name="softshrink_kernel",
    node_name="SoftshrinkBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input, lambd: choose((input >= -lambd) & (input <= lambd), 0, g),
    },
)
def shrink(k: Any, input: Any, lambd: Any = 0.5) -> Any:
    """`input` moved towards 0 by `lambd`, and 0 if that is farther than 0; NaN stays."""
    return k.where(input > lambd, input - lambd, k.where(input < -lambd, input + lambd, input * 0))


@composite(overlap="same", **FUNCTIONAL)
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """`input` moved towards 0 by `lambd` (not negative), but not past it.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.softshrink(torch.tensor([-1., 0.3, 2.]))
        tensor([-0.5000,  0.0000,  1.5000])
    """
    if lambd < 0:
        raise RuntimeError(errors.explain(f"lambda must be in range [0, inf), but found {lambd}", site=user_site(2)))
    return shrink(input, lambd)


@pointwise(
    name="hardsigmoid_kernel",
    node_name="HardsigmoidBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input: choose((input > -3) & (input < 3), g / 6, 0),
    },
)
def hard_sigmoid(k: Any, input: Any) -> Any:
    """min(max(input + 3, 0), 6) / 6."""
    return k.minimum(k.maximum(input + 3, 0), 6) / 6


@composite(**FUNCTIONAL)
def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(input + 3, 0), 6) / 6, a piecewise linear logistic function.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.hardsigmoid(torch.tensor([-4., 0., 1.]))
        tensor([0.0000, 0.5000, 0.6667])
    """
    return _applied(hard_sigmoid, input, inplace)


@pointwise(
    name="hardswish_kernel",
    node_name="HardswishBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input: choose(input <= -3, 0, choose(input < 3, g * (input / 3 + 0.5), g)),
    },
)
def hard_swish(k: Any, input: Any) -> Any:
    """input * min(max(input + 3, 0), 6) / 6."""
    return input * k.minimum(k.maximum(input + 3, 0), 6) / 6


@composite(**FUNCTIONAL)
def hardswish(input: Any, inplace: bool = False) -> Any:
    """input * hardsigmoid(input): A. Howard et al., Searching for MobileNetV3 (2019).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.hardswish(torch.tensor([-4., 1., 4.]))
        tensor([-0.0000, 0.6667, 4.0000])
    """
    return _applied(hard_swish, input, inplace)


@composite(overlap="same", name="hardshrink", **FUNCTIONAL)
def functional_hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """`input` where its absolute value exceeds `lambd`, else 0.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.hardshrink(torch.tensor([-1., 0.3, 2.]))
        tensor([-1.,  0.,  2.])
    """
    return hardshrink(input, lambd)


# ---------------------------------------------------------------------------------------------- exponential


@pointwise(
    name="elu_kernel",
    node_name="EluBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input, alpha, scale, rate: choose(
            input > 0, g * scale, g * (input * rate).exp() * (alpha * scale * rate)
        ),
    },
)
def scaled_elu(k: Any, input: Any, alpha: Any = 1.0, scale: Any = 1.0, rate: Any = 1.0) -> Any:
    """scale * (input where positive, else alpha * (exp(rate * input) - 1))."""
    return k.where(input > 0, input * scale, k.expm1(input * rate) * (alpha * scale))


@composite(**FUNCTIONAL)
def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """`input` where it is positive, else alpha * (exp(input) - 1): D. Clevert et al. (2015).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.elu(torch.tensor([-1., 2.]))
        tensor([-0.6321,  2.0000])
    """
    return _applied(scaled_elu, input, inplace, alpha)


@composite(method=False)
def selu(input: Any, inplace: bool = False) -> Any:
    """The self-normalising ELU: scale * elu(input, alpha), with the constants of G. Klambauer et al. (2017).

    Example::

        >>> import flambeau as torch
        >>> torch.selu(torch.tensor([-1., 2.]))
        tensor([-1.1113,  2.1014])
    """
    return _applied(scaled_elu, input, inplace, SELU_ALPHA, SELU_SCALE)


@composite(node_name="CeluBackward0", shows=("input",), method=False)
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """`input` where it is positive, else alpha * (exp(input / alpha) - 1): J. Barron (2017).

    RuntimeError if `alpha` is 0.

    Example::

        >>> import flambeau as torch
        >>> torch.celu(torch.tensor([-1., 2.]), 2.)
        tensor([-0.7869,  2.0000])
    """
    if alpha == 0:
        raise RuntimeError(errors.explain("ZeroDivisionError: alpha cannot be 0 for CELU", site=user_site(2)))
    return _applied(scaled_elu, input, inplace, alpha, 1.0, 1.0 / alpha)


@pointwise(
    name="softplus_kernel",
    node_name="SoftplusBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={
        "input": lambda g, input, beta, threshold: choose(input * beta > threshold, g, g * (input * beta).sigmoid()),
    },
)
def soft_plus(k: Any, input: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    """log(1 + exp(beta * input)) / beta, without overflow."""
    scaled = input * beta
    return k.where(scaled > threshold, input, (k.maximum(scaled, 0) + k.log1p(k.exp(-k.abs(scaled)))) / beta)


@composite(overlap="same", **FUNCTIONAL)
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * input)) / beta, a smooth relu; `input` itself where beta * input exceeds `threshold`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.softplus(torch.tensor([0., 30.]))
        tensor([ 0.6931, 30.0000])
    """
    return soft_plus(input, beta, threshold)


@pointwise(
    out="exact",
    overlap="free",
    namespace="nn.functional",
    method=False,
    refuses=FLOATS_ONLY,
    node_name="LogSigmoidBackward0",
    gradient={"input": lambda g, input: g * (-input).sigmoid()},
)
def logsigmoid(k: Any, input: Any) -> Any:
    """log(sigmoid(input)), without overflow.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.logsigmoid(torch.tensor([-100., 0.]))
        tensor([-100.0000,   -0.6931])
    """
    return k.minimum(input, 0) - k.log1p(k.exp(-k.abs(input)))


@pointwise(
    name="silu_kernel",
    node_name="SiluBackward0",
    refuses=("bool", "integer"),
    **INTERNAL,
    gradient={"input": lambda g, input: _silu_grad(g, input)},
)
def sigmoid_weighted(k: Any, input: Any) -> Any:
    """input * sigmoid(input)."""
    return input * k.sigmoid(input)


def _silu_grad(g: Any, x: Any) -> Any:
    s = x.sigmoid()
    slope = s * (x * (1 - s) + 1)
    return g * (slope.conj() if slope._meta.dtype.is_complex else slope)


@composite(**FUNCTIONAL)
def silu(input: Any, inplace: bool = False) -> Any:
    """input * sigmoid(input), also called swish: S. Elfwing et al. (2018).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.silu(torch.tensor([-1., 2.]))
        tensor([-0.2689,  1.7616])
    """
    return _applied(sigmoid_weighted, input, inplace)


@pointwise(
    name="mish_kernel",
    node_name="MishBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={"input": lambda g, input: _mish_grad(g, input)},
)
def tanh_softplus_weighted(k: Any, input: Any) -> Any:
    """input * tanh(log(1 + exp(input))); the tanh is n / (n + 2) with n = exp(input) * (exp(input) + 2)."""
    e = k.exp(k.minimum(input, 20))
    n = e * (e + 2)
    return input * (n / (n + 2))


def _mish_grad(g: Any, x: Any) -> Any:
    t = soft_plus(x).tanh()
    return g * (t + x * x.sigmoid() * (1 - t * t))


@composite(**FUNCTIONAL)
def mish(input: Any, inplace: bool = False) -> Any:
    """input * tanh(softplus(input)): D. Misra (2019).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.mish(torch.tensor([-1., 2.]))
        tensor([-0.3034,  1.9440])
    """
    return _applied(tanh_softplus_weighted, input, inplace)


@pointwise(
    name="gelu_kernel",
    node_name="GeluBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={"input": lambda g, input: g * gelu_slope(input)},
)
def normal_weighted(k: Any, input: Any) -> Any:
    """input * P(N(0, 1) <= input), by the error function as PyTorch has it: quicker than its complement."""
    return input * 0.5 * (k.erf(input * math.sqrt(0.5)) + 1)


@pointwise(
    **INTERNAL,
    gradient={
        "input": lambda g, input: g * (2 - input * input) * (input * input * -0.5).exp() * (1 / math.sqrt(2 * math.pi)),
    },
)
def gelu_slope(k: Any, input: Any) -> Any:
    """The derivative of gelu: the normal distribution function plus input times its density."""
    below = (k.erf(input * math.sqrt(0.5)) + 1) * 0.5
    return below + input * (k.exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi)))


@pointwise(
    name="gelu_tanh_kernel",
    node_name="GeluBackward0",
    refuses=FLOATS_ONLY,
    **INTERNAL,
    gradient={"input": lambda g, input: _gelu_tanh_grad(g, input)},
)
def tanh_weighted(k: Any, input: Any) -> Any:
    """The approximation input * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input ** 3))) / 2."""
    inner = (input + input * input * input * 0.044715) * math.sqrt(2 / math.pi)
    return input * ((k.tanh(inner) + 1) * 0.5)


def _gelu_tanh_grad(g: Any, x: Any) -> Any:
    square = x * x
    t = ((square * 0.044715 + 1) * x * math.sqrt(2 / math.pi)).tanh()
    slope = (square * (3 * 0.044715) + 1) * math.sqrt(2 / math.pi)
    return g * ((t + 1) * 0.5 + x * (1 - t * t) * slope * 0.5)


@composite(overlap="same", **FUNCTIONAL)
def gelu(input: Any, approximate: str = "none") -> Any:
    """input * P(N(0, 1) <= input), or with `approximate="tanh"` its approximation: D. Hendrycks, K. Gimpel (2016).

    RuntimeError for another `approximate`.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.gelu(torch.tensor([-1., 2.]))
        tensor([-0.1587,  1.9545])
    """
    if approximate == "none":
        return normal_weighted(input)
    if approximate == "tanh":
        return tanh_weighted(input)
    raise RuntimeError(
        errors.explain(f"approximate argument must be either none or tanh, got {approximate!r}.", site=user_site(2))
    )


@composite(**FUNCTIONAL)
def softsign(input: Any) -> Any:
    """input / (1 + |input|).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.softsign(torch.tensor([-1., 3.]))
        tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1)


@composite(**FUNCTIONAL)
def tanhshrink(input: Any) -> Any:
    """input - tanh(input).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.tanhshrink(torch.tensor([-1., 2.]))
        tensor([-0.2384,  1.0360])
    """
    return input - input.tanh()


@composite(name="sigmoid", **FUNCTIONAL)
def functional_sigmoid(input: Any) -> Any:
    """The logistic function 1 / (1 + exp(-input)).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.sigmoid(torch.tensor([0., 2.]))
        tensor([0.5000, 0.8808])
    """
    return input.sigmoid()


@composite(name="tanh", **FUNCTIONAL)
def functional_tanh(input: Any) -> Any:
    """The hyperbolic tangent.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.tanh(torch.tensor([0., 1.]))
        tensor([0.0000, 0.7616])
    """
    return input.tanh()


@composite(node_name="GluBackward0", shows=("input",), **FUNCTIONAL)
def glu(input: Any, dim: int = -1) -> Any:
    """a * sigmoid(b), where a and b are the halves of `input` along `dim`: Y. Dauphin et al. (2016).

    RuntimeError if `dim` has an odd size.

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.glu(torch.tensor([1., 2., 0., 0.]))
        tensor([0.5000, 1.0000])
    """
    m = input._meta
    if m.ndim == 0:
        raise RuntimeError(errors.explain("glu does not support 0-dimensional tensors", site=user_site(2)))
    size = m.shape[dim]
    if size % 2:
        raise RuntimeError(
            errors.explain(
                f"Halving dimension must be even, but dimension {dim % m.ndim} is size {size}", site=user_site(2)
            )
        )
    return input.narrow(dim, 0, size // 2) * input.narrow(dim, size // 2, size // 2).sigmoid()


# ---------------------------------------------------------------------------------------------- leaks at random


@composite(node_name="RreluWithNoiseBackward0", shows=("input",), method=False)
def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """`input` where it is positive, else a slope times it: B. Xu et al. (2015).

    In training the slopes are drawn uniformly between `lower` and `upper`, one for each element that is not positive;
    otherwise the slope is their mean.

    Example::

        >>> import flambeau as torch
        >>> torch.rrelu(torch.tensor([-1., 2.]), 0.2, 0.4)
        tensor([-0.3000,  2.0000])
    """
    if lower > upper:
        raise RuntimeError(
            errors.explain(
                f"Lower bound should be less than or equal to the upper bound: {lower} > {upper}", site=user_site(2)
            )
        )
    if not training:
        return _applied(leak, input, inplace, (lower + upper) / 2)
    slopes = input.detach().new_empty(input.shape).uniform_(lower, upper)
    return _applied(learned_leak, input, inplace, slopes)


# ---------------------------------------------------------------------------------------------- the other names


def _inplace_form(function: Callable) -> None:
    """`function_`, which writes into its input, in the namespaces that have `function`."""

    def form(input: Any, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, inplace=True, **kwargs)

    name = function.__name__ + "_"
    form.__doc__ = f"In-place version of :func:`{function.__name__}`."
    form.__module__ = __name__
    composite(name=name, **FUNCTIONAL)(form)
    if function in (selu, celu, threshold, rrelu):
        composite(name=name, method=False)(form)


for _shared in (selu, celu, threshold, rrelu, prelu):
    composite(**FUNCTIONAL)(getattr(_shared, "__wrapped__"))  # noqa: B009 (type checkers do not know the attribute)
for _function in (functional_relu, hardtanh, leaky_relu, elu, selu, celu, threshold, rrelu):
    _inplace_form(_function)
