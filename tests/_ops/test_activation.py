"""Activation functions against PyTorch's numbers; gradients, tails, in-place forms and refusals."""

import math

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.autograd import gradcheck, gradgradcheck

POINTS = [-3.5, -1.0, -0.25, 0.0, 0.25, 1.0, 3.5]

# fmt: off
GOLDEN = {  # PyTorch 2.13 in float64
    "relu(x)": [0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 3.5],
    "relu6(x * 2)": [0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 6.0],
    "leaky_relu(x, 0.2)": [-0.7, -0.2, -0.05, 0.0, 0.25, 1.0, 3.5],
    "elu(x, 1.5)": [-1.45470392487, -0.948180838243, -0.331798825393, 0.0, 0.25, 1.0, 3.5],
    "selu(x)": [-1.70500934096, -1.11133073781, -0.388890197478, 0.0, 0.262675246839, 1.05070098736, 3.67745345574],
    "celu(x, 2.0)": [-1.6524521131, -0.786938680575, -0.235006194831, 0.0, 0.25, 1.0, 3.5],
    "gelu(x)": [
        -0.000814201776624, -0.158655253931, -0.100323418579, 0.0, 0.149676581421, 0.841344746069, 3.49918579822,
    ],
    "gelu(x, approximate='tanh')": [
        -0.000616197655374, -0.158808009392, -0.100324649298, 0.0, 0.149675350702, 0.841191990608, 3.49938380234,
    ],
    "silu(x)": [-0.10259280763, -0.26894142137, -0.109455874779, 0.0, 0.140544125221, 0.73105857863, 3.39740719237],
    "mish(x)": [
        -0.104095754486, -0.303401461374, -0.129926963679, 0.0, 0.169572409664, 0.865098388267, 3.49399071512,
    ],
    "softplus(x)": [
        0.0297504182726, 0.313261687518, 0.575939419879, 0.69314718056, 0.825939419879, 1.31326168752,
        3.52975041827,
    ],
    "softplus(x, 2.0, 1.0)": [
        0.000455733226887, 0.0634640055215, 0.23703849209, 0.34657359028, 0.48703849209, 1.0, 3.5,
    ],
    "logsigmoid(x)": [
        -3.52975041827, -1.31326168752, -0.825939419879, -0.69314718056, -0.575939419879, -0.313261687518,
        -0.0297504182726,
    ],
    "hardtanh(x, -0.5, 2.0)": [-0.5, -0.5, -0.25, 0.0, 0.25, 1.0, 2.0],
    "hardsigmoid(x)": [0.0, 0.333333333333, 0.458333333333, 0.5, 0.541666666667, 0.666666666667, 1.0],
    "hardswish(x)": [-0.0, -0.333333333333, -0.114583333333, 0.0, 0.135416666667, 0.666666666667, 3.5],
    "hardshrink(x, 0.3)": [-3.5, -1.0, 0.0, 0.0, 0.0, 1.0, 3.5],
    "softshrink(x, 0.3)": [-3.2, -0.7, -0.0, 0.0, 0.0, 0.7, 3.2],
    "softsign(x)": [-0.777777777778, -0.5, -0.2, 0.0, 0.2, 0.5, 0.777777777778],
    "tanhshrink(x)": [
        -2.50182210239, -0.238405844044, -0.00508133759629, 0.0, 0.00508133759629, 0.238405844044, 2.50182210239,
    ],
    "threshold(x, 0.1, 20.0)": [20.0, 20.0, 20.0, 20.0, 0.25, 1.0, 3.5],
    "prelu(x, torch.tensor([0.3], dtype=x.dtype))": [-1.05, -0.3, -0.075, 0.0, 0.25, 1.0, 3.5],
    "rrelu(x, 0.2, 0.4)": [-1.05, -0.3, -0.075, 0.0, 0.25, 1.0, 3.5],
    "glu(x[:6])": [-1.75, -0.562176500886, -0.182764644658],
    "sigmoid(x)": [
        0.0293122307514, 0.26894142137, 0.437823499114, 0.5, 0.562176500886, 0.73105857863, 0.970687769249,
    ],
    "tanh(x)": [
        -0.998177897611, -0.761594155956, -0.244918662404, 0.0, 0.244918662404, 0.761594155956, 0.998177897611,
    ],
}
# fmt: on
SLOPED = [-2.9, -1.3, -0.2, 0.15, 0.8, 3.3]  # away from every kink


def call(expression, x):
    return eval("F." + expression, {"F": F, "x": x, "torch": torch})


@pytest.mark.parametrize("expression", GOLDEN)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 1e-6)])
def test_values_like_pytorch(expression, dtype, tolerance):
    x = torch.tensor(POINTS, dtype=getattr(torch, dtype))
    result = call(expression, x)
    assert result.dtype is x.dtype
    assert result.tolist() == pytest.approx(GOLDEN[expression], rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("expression", GOLDEN)
def test_first_and_second_derivatives(expression):
    x = torch.tensor(SLOPED, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t: call(expression, t), (x,))
    assert gradgradcheck(lambda t: call(expression, t), (x,))


INPLACE = ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardtanh", "hardsigmoid", "hardswish")


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_writes_and_still_differentiates(name):
    function = getattr(F, name)
    plain, written = (torch.tensor(SLOPED, requires_grad=True) for _ in range(2))
    function(plain * 1).sum().backward()
    y = written * 1
    assert function(y, inplace=True) is y
    y.sum().backward()
    assert written.grad.tolist() == plain.grad.tolist()
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        function(plain, inplace=True)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "celu", "hardtanh"])
def test_functions_with_an_underscore(name):
    x = torch.tensor(POINTS)
    expected = getattr(F, name)(x).tolist()
    assert getattr(F, name + "_")(x) is x and x.tolist() == expected


def test_tails_do_not_overflow_and_keep_their_digits():
    x = torch.tensor([-200.0, 200.0])
    assert F.softplus(x).tolist() == [0.0, 200.0]
    assert F.logsigmoid(x).tolist() == [-200.0, 0.0]
    assert F.mish(x).tolist() == [0.0, 200.0] and F.silu(x).tolist() == [0.0, 200.0]
    assert x.sigmoid().tolist() == [0.0, 1.0]
    assert F.gelu(torch.tensor(-5.0)).item() == pytest.approx(-1.4332578e-6, abs=2e-7)  # PyTorch's has as few digits
    assert F.softplus(torch.tensor(-30.0)).item() == pytest.approx(math.exp(-30), rel=1e-6)


def test_nan_goes_through():
    x = torch.tensor([math.nan])
    for name in (*INPLACE, "gelu", "softplus", "logsigmoid", "hardshrink", "softshrink", "tanhshrink", "softsign"):
        assert getattr(F, name)(x).isnan().all(), name


def test_gradients_at_the_kinks():
    x = torch.tensor([0.0, 6.0, -1.0, 1.0], requires_grad=True)
    (F.relu(x) + F.relu6(x) + F.hardtanh(x)).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 2.0]  # PyTorch 2.13


def test_prelu_has_one_slope_a_channel():
    x, w = torch.full((2, 3, 2), -1.0), torch.tensor([0.1, 0.2, 0.3], requires_grad=True)
    y = F.prelu(x, w)
    assert y[0, :, 0].tolist() == pytest.approx([-0.1, -0.2, -0.3])
    y.sum().backward()
    assert w.grad.tolist() == [-4.0, -4.0, -4.0]
    with pytest.raises(RuntimeError, match="Mismatch of parameter numbers and input channel size"):
        F.prelu(x, torch.ones(2))


def test_rrelu_draws_its_slopes_in_training():
    torch.manual_seed(0)
    x = torch.full((1000,), -1.0, requires_grad=True)
    y = F.rrelu(x, 0.2, 0.4, training=True)
    slopes = -y.detach()
    assert 0.2 <= slopes.min().item() < 0.22 and 0.38 < slopes.max().item() <= 0.4
    y.sum().backward()
    assert x.grad.tolist() == slopes.tolist()
    assert F.rrelu(torch.ones(3), training=True).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: F.gelu(torch.ones(1), approximate="x"),
            RuntimeError,
            "approximate argument must be either none or tanh",
        ),
        (lambda: F.hardtanh(torch.ones(1), 2, 1), ValueError, "min_val cannot be greater than max_val"),
        (lambda: F.celu(torch.ones(1), 0), RuntimeError, "alpha cannot be 0"),
        (lambda: F.glu(torch.ones(3)), RuntimeError, "Halving dimension must be even"),
        (lambda: F.softshrink(torch.ones(1), -1), RuntimeError, "lambda must be in range"),
        (lambda: F.elu(torch.ones(1, dtype=torch.int64)), NotImplementedError, "not implemented for 'Long'"),
        (lambda: F.relu(torch.tensor([True])), RuntimeError, "Boolean inputs not supported for relu"),
    ],
)
def test_what_has_no_meaning_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
