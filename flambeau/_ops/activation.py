"""Activation functions (`nn.functional`, some also `torch`)."""

from __future__ import annotations

import math
from typing import Any

from flambeau._ops.pointwise import choose
from flambeau._ops.registry import OPS, composite, pointwise

REFUSED = ("bool", "integer", "complex")


@pointwise(inplace=True, refuses=("bool", "complex"), gradient={"input": lambda g, out: g * (out > 0)})
def relu(k: Any, input: Any) -> Any:
    """max(input, 0); NaN stays.

    Example::

        >>> import flambeau as torch
        >>> torch.relu(torch.tensor([-1., 2.]))
        tensor([0., 2.])
    """
    return k.maximum(input, 0)


def functional(name: str, function: Any, doc: str, *defaults: tuple[str, Any], inplace: bool = True) -> Any:
    """Declares the form in nn.functional: parameters with these defaults, and `inplace`."""
    names = [n for n, _ in defaults]

    def body(input: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip([*names, "inplace"] if inplace else names, args, strict=False)) | kwargs
        write = given.pop("inplace", False)
        unknown = set(given) - set(names)
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument '{sorted(unknown)[0]}'")
        result = function(input, *[given.get(n, d) for n, d in defaults])
        return input.copy_(result) if write else result

    body.__name__, body.__doc__ = name, doc
    return composite(method=False, namespace="nn.functional", name=name)(body)


def written(name: str, function: Any) -> None:
    """Declares `name_`, the in-place function of nn.functional and torch."""

    def body(input: Any, *args: Any, **kwargs: Any) -> Any:
        return input.copy_(function(input, *args, **kwargs))

    body.__name__, body.__doc__ = name + "_", f"In-place version of :func:`{name}`."
    composite(method=False, namespace="nn.functional", name=name + "_")(body)


@pointwise(
    method=False,
    function=False,
    node_name="LeakyReluBackward0",
    refuses=REFUSED,
    gradient={
        "input": lambda g, input, negative_slope: choose(input > 0, g, g * negative_slope),
    },
)
def leaky(k: Any, input: Any, negative_slope: Any = 0.01) -> Any:
    """`input` above zero, `negative_slope * input` below."""
    return k.where(input > 0, input, input * negative_slope)


@pointwise(
    method=False,
    function=False,
    node_name="EluBackward0",
    refuses=REFUSED,
    gradient={
        "input": lambda g, input, alpha, scale, input_scale: (
            g * choose(input > 0, scale, (input * input_scale).clamp(max=0).exp() * (alpha * scale * input_scale))
        ),
    },
)
def exponential_linear(k: Any, input: Any, alpha: Any = 1.0, scale: Any = 1.0, input_scale: Any = 1.0) -> Any:
    """scale * (x above zero, alpha * (exp(input_scale * x) - 1) below) (Clevert et al. 2016)."""
    return k.where(input > 0, input * scale, k.expm1(k.minimum(input * input_scale, 0)) * (alpha * scale))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


@composite(method=False)
def selu(input: Any) -> Any:
    """The self-normalising ELU.

    Example::

        >>> import flambeau as torch
        >>> torch.selu(torch.tensor([1.]))
        tensor([1.0507])
    """
    return exponential_linear(input, SELU_ALPHA, SELU_SCALE, 1.0)


@composite(method=False)
def celu(input: Any, alpha: float = 1.0) -> Any:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) (Barron 2017).

    Example::

        >>> import flambeau as torch
        >>> torch.celu(torch.tensor([1.]))
        tensor([1.])
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return exponential_linear(input, alpha, 1.0, 1.0 / alpha)


@pointwise(
    method=False,
    function=False,
    node_name="GeluBackward0",
    refuses=REFUSED,
    gradient={"input": lambda g, input: g * _gelu_slope(input)},
)
def gelu_by_erf(k: Any, input: Any) -> Any:
    """x times the normal distribution function, by erfc so that the left tail keeps its digits (Hendrycks & Gimpel
    2016)."""
    return input * 0.5 * k.erfc(input * -0.7071067811865476)


def _gelu_slope(x: Any) -> Any:
    return 0.5 * (x * -0.7071067811865476).erfc() + x * (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))


@pointwise(
    method=False,
    function=False,
    node_name="GeluBackward0",
    refuses=REFUSED,
    gradient={"input": lambda g, input: g * _gelu_tanh_slope(input)},
)
def gelu_by_tanh(k: Any, input: Any) -> Any:
    """The approximation of GELU by a hyperbolic tangent."""
    inner = (input + input * input * input * 0.044715) * 0.7978845608028654
    return input * 0.5 * (k.tanh(inner) + 1)


def _gelu_tanh_slope(x: Any) -> Any:
    t = ((x + x * x * x * 0.044715) * 0.7978845608028654).tanh()
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (0.7978845608028654 * (1 + 3 * 0.044715 * x * x))


def _gelu(input: Any, approximate: str) -> Any:
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    return gelu_by_tanh(input) if approximate == "tanh" else gelu_by_erf(input)


@pointwise(
    method=False,
    function=False,
    node_name="SiluBackward0",
    refuses=("bool", "integer"),
    gradient={"input": lambda g, input: g * _silu_slope(input)},
)
def swish(k: Any, input: Any) -> Any:
    """x * sigmoid(x)."""
    return input * k.sigmoid(input)


def _silu_slope(x: Any) -> Any:
    s = x.sigmoid()
    slope = s * (1 + x * (1 - s))
    return slope.conj() if x.dtype.is_complex else slope


@pointwise(
    method=False,
    function=False,
    node_name="SoftplusBackward0",
    refuses=REFUSED,
    gradient={
        "input": lambda g, input, beta, threshold: g * choose(input * beta > threshold, 1.0, (input * beta).sigmoid()),
    },
)
def soft_plus(k: Any, input: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; the line above `threshold`."""
    z = input * beta
    return k.where(z > threshold, input, (k.maximum(z, 0) + k.log1p(k.exp(-k.abs(z)))) / beta)


@pointwise(
    method=False,
    function=False,
    node_name="LogSigmoidBackward0",
    refuses=("bool", "integer"),
    gradient={"input": lambda g, input: g * (-input).sigmoid()},
)
def log_sigmoid(k: Any, input: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return k.minimum(input, 0) - k.log1p(k.exp(-k.abs(input)))


@pointwise(
    method=False,
    function=False,
    node_name="HardtanhBackward0",
    refuses=("bool", "complex"),
    gradient={
        "input": lambda g, input, min_val, max_val: g * ((input > min_val) & (input < max_val)),
    },
)
def hard_tanh(k: Any, input: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    """`input` kept between two numbers; no gradient at the ends."""
    return k.minimum(k.maximum(input, min_val), max_val)


@pointwise(
    method=False,
    function=False,
    node_name="HardsigmoidBackward0",
    refuses=REFUSED,
    gradient={"input": lambda g, input: g * ((input > -3) & (input < 3)) * (1 / 6)},
)
def hard_sigmoid(k: Any, input: Any) -> Any:
    """The line from 0 at -3 to 1 at 3."""
    return k.minimum(k.maximum(input + 3, 0), 6) / 6


@pointwise(
    method=False,
    function=False,
    node_name="HardswishBackward0",
    refuses=REFUSED,
    gradient={
        "input": lambda g, input: g * choose(input <= -3, 0.0, choose(input < 3, input / 3 + 0.5, 1.0)),
    },
)
def hard_swish(k: Any, input: Any) -> Any:
    """x * hardsigmoid(x) (Howard et al. 2019)."""
    return input * k.minimum(k.maximum(input + 3, 0), 6) / 6


@pointwise(
    method=False,
    function=False,
    node_name="HardshrinkBackward0",
    refuses=REFUSED,
    gradient={"input": lambda g, input, lambd: g * ((input > lambd) | (input < -lambd))},
)
def hard_shrink(k: Any, input: Any, lambd: Any = 0.5) -> Any:
    """0 within `lambd` of zero, else x; NaN stays."""
    return k.where((input >= -lambd) & (input <= lambd), 0, input)


@pointwise(
    method=False,
    function=False,
    node_name="SoftshrinkBackward0",
    refuses=REFUSED,
    gradient={"input": lambda g, input, lambd: g * ((input > lambd) | (input < -lambd))},
)
def soft_shrink(k: Any, input: Any, lambd: Any = 0.5) -> Any:
    """x moved towards zero by `lambd`, 0 within it; NaN stays."""
    return k.where(input > lambd, input - lambd, k.where(input < -lambd, input + lambd, input * 0))


@pointwise(
    method=False,
    function=False,
    node_name="ThresholdBackward0",
    refuses=("bool", "complex"),
    gradient={"input": lambda g, input, threshold: g * (input > threshold)},
)
def above(k: Any, input: Any, threshold: Any, value: Any) -> Any:
    """x where it is above `threshold`, else `value`."""
    return k.where(input <= threshold, value, input)


above_op: Any = OPS["above"]
above_op.operands = frozenset({0})  # the numbers do not take part in promotion


@pointwise(
    method=False,
    function=False,
    node_name="PreluKernelBackward0",
    refuses=REFUSED,
    operands=("input", "weight"),
    gradient={
        "input": lambda g, input, weight: choose(input > 0, g, g * weight),
        "weight": lambda g, input: choose(input > 0, 0, input) * g,
    },
)
def parametric(k: Any, input: Any, weight: Any) -> Any:
    """x above zero, `weight * x` below."""
    return k.where(input > 0, input, input * weight)


@composite(method=True)
def prelu(input: Any, weight: Any) -> Any:
    """x above zero, `weight * x` below, with one weight or one for each channel (dimension 1) (He et al. 2015).

    Example::

        >>> import flambeau as torch
        >>> torch.prelu(torch.tensor([-1., 2.]), torch.tensor([0.5]))
        tensor([-0.5000,  2.0000])
    """
    if weight.numel() != 1:
        channels = input.shape[1] if input.dim() > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}."
            )
        weight = weight.reshape([1, -1] + [1] * (input.dim() - 2)) if input.dim() > 1 else weight
    else:
        weight = weight.reshape([1] * input.dim())
    return parametric(input, weight)


def _rrelu(input: Any, lower: float, upper: float, training: bool) -> Any:
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky(input, (lower + upper) / 2)
    slopes = choose(input <= 0, input.new_empty(input.shape).uniform_(lower, upper), 1.0)
    return input * slopes


@composite(method=False)
def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, generator: Any = None) -> Any:
    """Leaky ReLU with a random slope while training, the mean slope otherwise (Xu et al. 2015).

    Example::

        >>> import flambeau as torch
        >>> torch.rrelu(torch.tensor([2.]))
        tensor([2.])
    """
    return _rrelu(input, lower, upper, training)


@composite(method=False, namespace="nn.functional")
def glu(input: Any, dim: int = -1) -> Any:
    """The first half along `dim` times the sigmoid of the second (Dauphin et al. 2017).

    Example::

        >>> import flambeau as torch
        >>> torch.nn.functional.glu(torch.tensor([2., 0.]))
        tensor([1.])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.shape[dim] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _threshold(input: Any, threshold: float, value: float) -> Any:
    return above(input, threshold, value)


FORMS: tuple[tuple[str, Any, str, tuple], ...] = (
    ("relu", relu, "max(input, 0).", ()),
    ("leaky_relu", leaky, "`input` above zero, `negative_slope * input` below.", (("negative_slope", 0.01),)),
    (
        "elu",
        lambda x, alpha: exponential_linear(x, alpha),
        "x above zero, alpha * (exp(x) - 1) below.",
        (("alpha", 1.0),),
    ),
    ("selu", selu, "The self-normalising ELU (Klambauer et al. 2017).", ()),
    ("celu", celu, "max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).", (("alpha", 1.0),)),
    ("silu", swish, "x * sigmoid(x).", ()),
    ("mish", lambda x: x * soft_plus(x).tanh(), "x * tanh(softplus(x)) (Misra 2019).", ()),
    ("hardtanh", hard_tanh, "x kept between `min_val` and `max_val`.", (("min_val", -1.0), ("max_val", 1.0))),
    ("relu6", lambda x: hard_tanh(x, 0.0, 6.0), "x kept between 0 and 6.", ()),
    ("hardsigmoid", hard_sigmoid, "The line from 0 at -3 to 1 at 3.", ()),
    ("hardswish", hard_swish, "x * hardsigmoid(x).", ()),
    ("threshold", _threshold, "x where it is above `threshold`, else `value`.", (("threshold", 0.0), ("value", 0.0))),
    (
        "rrelu",
        _rrelu,
        "Leaky ReLU with a random slope while training.",
        (("lower", 1 / 8), ("upper", 1 / 3), ("training", False)),
    ),
)
PLAIN: tuple[tuple[str, Any, str, tuple], ...] = (
    (
        "gelu",
        _gelu,
        'x times the normal distribution function; `approximate` "none" or "tanh".',
        (("approximate", "none"),),
    ),
    ("softplus", soft_plus, "log(1 + exp(beta x)) / beta.", (("beta", 1.0), ("threshold", 20.0))),
    ("logsigmoid", log_sigmoid, "log(sigmoid(x)).", ()),
    ("hardshrink", hard_shrink, "0 within `lambd` of zero, else x.", (("lambd", 0.5),)),
    ("softshrink", soft_shrink, "x moved towards zero by `lambd`.", (("lambd", 0.5),)),
    ("softsign", lambda x: x / (x.abs() + 1), "x / (1 + |x|).", ()),
    ("tanhshrink", lambda x: x - x.tanh(), "x - tanh(x).", ()),
)

for _name, _function, _doc, _defaults in FORMS:
    functional(_name, _function, _doc, *_defaults)
for _name, _function, _doc, _defaults in PLAIN:
    functional(_name, _function, _doc, *_defaults, inplace=False)
for _name in ("relu", "leaky_relu", "elu", "selu", "celu", "hardtanh", "threshold", "rrelu"):
    written(_name, OPS["nn.functional." + _name].function)


@composite(method=True)
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 within `lambd` of zero, else x.

    Example::

        >>> import flambeau as torch
        >>> torch.hardshrink(torch.tensor([0.2, 2.]))
        tensor([0., 2.])
    """
    return hard_shrink(input, lambd)


@composite(method=False)
def threshold(input: Any, threshold: float, value: float) -> Any:
    """x where it is above `threshold`, else `value`.

    Example::

        >>> import flambeau as torch
        >>> torch.threshold(torch.tensor([0.2, 2.]), 1, 0)
        tensor([0., 2.])
    """
    return above(input, threshold, value)
