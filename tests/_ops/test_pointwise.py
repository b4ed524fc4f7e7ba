"""Every pointwise operation against NumPy in float64, its gradients by central differences, and the properties that all
must have.

To add an operation, add its samples here: the reference in NumPy, and where its arguments may lie.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau._core.config import config
from flambeau._ops.registry import OPS
from flambeau.autograd import gradcheck, gradgradcheck

erf = np.vectorize(math.erf)
ANY, POSITIVE, UNIT, ABOVE_ONE, NOT_ZERO = (-2.5, 2.5), (0.2, 3.0), (-0.9, 0.9), (1.1, 3.0), (0.3, 2.5)

# name: (reference in NumPy, where each operand lies, further arguments)
SAMPLES = {
    "add": (lambda a, b: a + b, (ANY, ANY), {}),
    "sub": (lambda a, b: a - b, (ANY, ANY), {}),
    "rsub": (lambda a, b: b - a, (ANY, ANY), {}),
    "mul": (lambda a, b: a * b, (ANY, ANY), {}),
    "true_divide": (lambda a, b: a / b, (ANY, NOT_ZERO), {}),
    "floor_divide": (lambda a, b: np.floor(a / b), (ANY, NOT_ZERO), {}),
    "remainder": (np.mod, (ANY, NOT_ZERO), {}),
    "fmod": (np.fmod, (ANY, NOT_ZERO), {}),
    "pow": (np.power, (POSITIVE, ANY), {}),
    "neg": (np.negative, (ANY,), {}),
    "abs": (np.abs, (NOT_ZERO,), {}),
    "sign": (np.sign, (NOT_ZERO,), {}),
    "sgn": (np.sign, (NOT_ZERO,), {}),
    "addcmul": (lambda a, b, c: a + b * c, (ANY, ANY, ANY), {}),
    "addcdiv": (lambda a, b, c: a + b / c, (ANY, ANY, NOT_ZERO), {}),
    "lerp": (lambda a, b, w: a + w * (b - a), (ANY, ANY, UNIT), {}),
    "sqrt": (np.sqrt, (POSITIVE,), {}),
    "rsqrt": (lambda x: 1 / np.sqrt(x), (POSITIVE,), {}),
    "reciprocal": (lambda x: 1 / x, (NOT_ZERO,), {}),
    "exp": (np.exp, (ANY,), {}),
    "exp2": (np.exp2, (ANY,), {}),
    "expm1": (np.expm1, (ANY,), {}),
    "log": (np.log, (POSITIVE,), {}),
    "log2": (np.log2, (POSITIVE,), {}),
    "log10": (np.log10, (POSITIVE,), {}),
    "log1p": (np.log1p, (POSITIVE,), {}),
    "sin": (np.sin, (ANY,), {}),
    "cos": (np.cos, (ANY,), {}),
    "tan": (np.tan, (UNIT,), {}),
    "asin": (np.arcsin, (UNIT,), {}),
    "acos": (np.arccos, (UNIT,), {}),
    "atan": (np.arctan, (ANY,), {}),
    "sinh": (np.sinh, (ANY,), {}),
    "cosh": (np.cosh, (ANY,), {}),
    "tanh": (np.tanh, (ANY,), {}),
    "asinh": (np.arcsinh, (ANY,), {}),
    "acosh": (np.arccosh, (ABOVE_ONE,), {}),
    "atanh": (np.arctanh, (UNIT,), {}),
    "atan2": (np.arctan2, (ANY, NOT_ZERO), {}),
    "hypot": (np.hypot, (ANY, NOT_ZERO), {}),
    "logaddexp": (np.logaddexp, (ANY, ANY), {}),
    "logaddexp2": (np.logaddexp2, (ANY, ANY), {}),
    "xlogy": (lambda a, b: a * np.log(b), (ANY, POSITIVE), {}),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (ANY,), {}),
    "relu": (lambda x: np.maximum(x, 0), (NOT_ZERO,), {}),
    "erf": (erf, (ANY,), {}),
    "erfc": (np.vectorize(math.erfc), (ANY,), {}),
    "lgamma": (np.vectorize(math.lgamma), (POSITIVE,), {}),
    "floor": (np.floor, (ANY,), {}),
    "ceil": (np.ceil, (ANY,), {}),
    "trunc": (np.trunc, (ANY,), {}),
    "frac": (lambda x: x - np.trunc(x), (POSITIVE,), {}),
    "maximum": (np.maximum, (ANY, ANY), {}),
    "minimum": (np.minimum, (ANY, ANY), {}),
    "fmax": (np.fmax, (ANY, ANY), {}),
    "fmin": (np.fmin, (ANY, ANY), {}),
    "clamp": (lambda x, min, max: np.clip(x, min, max), (ANY,), {"min": -1.0, "max": 1.5}),
    "hardshrink": (lambda x: np.where(np.abs(x) <= 0.5, 0, x), (NOT_ZERO,), {}),
    "deg2rad": (np.deg2rad, (ANY,), {}),
    "rad2deg": (np.rad2deg, (ANY,), {}),
    "round": (np.round, (ANY,), {}),
    "copysign": (np.copysign, (NOT_ZERO, NOT_ZERO), {}),
}
FLAT = {
    "floor_divide",
    "sign",
    "floor",
    "ceil",
    "trunc",
    "round",
}  # constant nearly everywhere: central differences see steps


def function_of(name):
    return getattr(torch, name)


def arrays(ranges, seed=0, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, high, shape) for low, high in ranges]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    "dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5), ("float16", 4e-3), ("bfloat16", 4e-2)]
)
def test_values_like_numpy_in_float64(name, dtype, tolerance):
    reference, ranges, more = SAMPLES[name]
    tensors = [torch.tensor(a).to(getattr(torch, dtype)) for a in arrays(ranges)]
    exact = reference(*[t.to(torch.float64).numpy() for t in tensors], *more.values())
    result = function_of(name)(*tensors, **more)
    assert result.dtype is getattr(torch, dtype)
    np.testing.assert_allclose(result.to(torch.float64).numpy(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", [n for n in SAMPLES if n not in FLAT])
def test_first_and_second_derivatives(name):
    _, ranges, more = SAMPLES[name]
    tensors = tuple(torch.tensor(a, requires_grad=True) for a in arrays(ranges, seed=1, shape=(2, 2)))
    assert gradcheck(lambda *ts: function_of(name)(*ts, **more), tensors)
    assert gradgradcheck(lambda *ts: function_of(name)(*ts, **more), tensors)


@pytest.mark.parametrize("name", SAMPLES)
def test_layout_and_window_make_no_difference(name, monkeypatch):
    _, ranges, more = SAMPLES[name]
    originals = arrays(ranges)
    plain = function_of(name)(*[torch.tensor(a) for a in originals], **more)
    turned = [torch.tensor(np.ascontiguousarray(a.T)).t() for a in originals]
    assert not turned[0].is_contiguous()
    result = function_of(name)(*turned, **more)
    assert result.stride() == turned[0].stride()  # a dense order of dimensions is kept
    assert result.tolist() == plain.tolist()
    monkeypatch.setattr(config, "window_instructions", 1)
    assert function_of(name)(*turned, **more).tolist() == plain.tolist()
    for t, a in zip(turned, originals, strict=True):
        assert t.tolist() == a.tolist()  # inputs are left alone


@pytest.mark.parametrize("name", [n for n in SAMPLES if OPS[n].inplace])
def test_in_place_and_out_forms(name):
    _, ranges, more = SAMPLES[name]
    first, *others = [torch.tensor(a) for a in arrays(ranges)]
    expected = function_of(name)(first, *others, **more)
    out = torch.empty(0, dtype=expected.dtype)
    assert function_of(name)(first, *others, **more, out=out) is out and out.tolist() == expected.tolist()
    version = first._version
    assert getattr(first, name + "_")(*others, **more) is first
    assert first.tolist() == expected.tolist() and first._version > version


def test_every_differentiable_operation_has_samples():
    missing = {
        op.name
        for op in OPS.values()
        if op.family == "pointwise" and op.gradient and op.exported and not op.namespace and op.name not in SAMPLES
    }
    # these have tests of their own: complex numbers, special functions
    assert missing <= {
        "angle",
        "conj_physical",
        "digamma",
        "erfinv",
        "nan_to_num",
        "logit",
        "sinc",
        "igamma",
        "igammac",
        "polar",
    }, missing


# ---------------------------------------------------------------------------------------------- promotion and
# broadcasting

NUMBERS = {"bool": True, "int": 3, "float": 1.5, "complex": 1 + 2j}


@pytest.mark.parametrize(
    "operand, number, expected",  # recorded from PyTorch 2.13
    [
        ("uint8", "int", "uint8"),
        ("uint8", "float", "float32"),
        ("float16", "float", "float16"),
        ("bool", "int", "int64"),
        ("int32", "complex", "complex64"),
        ("float64", "complex", "complex128"),
        ("bfloat16", "int", "bfloat16"),
        ("bool", "bool", "bool"),
        ("complex64", "float", "complex64"),
    ],
)
def test_numbers_are_weak(operand, number, expected):
    t = torch.ones(2, dtype=getattr(torch, operand))
    assert (t * NUMBERS[number]).dtype is getattr(torch, expected)
    assert (NUMBERS[number] * t).dtype is getattr(torch, expected)


shapes = st.lists(st.sampled_from([1, 2, 3]), max_size=3).map(tuple)


@given(shapes, shapes)
def test_broadcasting_is_numpys(a, b):
    x, y = np.arange(math.prod(a), dtype=float).reshape(a), np.arange(math.prod(b), dtype=float).reshape(b)
    try:
        expected = x + y
    except ValueError:
        with pytest.raises(RuntimeError, match="must match the size"):
            torch.tensor(x) + torch.tensor(y)
        return
    assert (torch.tensor(x) + torch.tensor(y)).tolist() == expected.tolist()


@given(shapes, shapes)
def test_gradients_of_broadcast_operands_are_summed(a, b):
    try:
        shape = np.broadcast_shapes(a, b)
    except ValueError:
        return
    x = torch.ones(a, requires_grad=True)
    y = torch.ones(b, requires_grad=True)
    (x * y).sum().backward()
    total = math.prod(shape)
    assert x.grad.tolist() == np.full(a, total / max(math.prod(a), 1)).tolist()
    assert y.grad.tolist() == np.full(b, total / max(math.prod(b), 1)).tolist()


def test_integers_wrap_around_and_divide_truly():
    t = torch.tensor([250], dtype=torch.uint8)
    assert (t + 10).tolist() == [4] and (t + 10).dtype is torch.uint8
    assert (torch.tensor([7]) / 2).tolist() == [3.5]
    assert (torch.tensor([-7]) // 2).tolist() == [-4] and (torch.tensor([-7]) % 3).tolist() == [2]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        (torch.tensor([1]) // 0).tolist()


def test_what_has_no_meaning_is_refused():
    with pytest.raises(RuntimeError, match="bool"):
        torch.tensor([True]) - torch.tensor([False])
    with pytest.raises(NotImplementedError, match="not implemented for 'Float'"):
        torch.ones(1) & torch.ones(1)
    with pytest.raises(TypeError, match="must be Tensor"):
        torch.exp(1.0)
    with pytest.raises(TypeError, match="unsupported operand"):
        torch.ones(2) + [1, 2]
    with pytest.raises(RuntimeError, match="result type Float can't be cast"):
        torch.tensor([1]).add_(0.5)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.ones(1).add_(torch.ones(3))


def test_special_values():
    nan, inf = float("nan"), float("inf")
    x = torch.tensor([nan, inf, -inf, -0.0])
    assert torch.relu(x).tolist()[1:] == [inf, 0, 0] and math.isnan(torch.relu(x)[0].item())
    assert x.sigmoid().tolist()[1:] == [1, 0, 0.5]
    assert torch.maximum(x, torch.zeros(4)).isnan().tolist() == [True, False, False, False]
    assert torch.fmax(x, torch.zeros(4)).tolist() == [0, inf, 0, 0]
    assert torch.tensor([0.0]).pow(0).tolist() == [1]
    assert torch.tensor([5.5, 0.5, 1.5, -0.5]).round().tolist() == [6, 0, 2, -0.0]


@pytest.mark.parametrize(
    "legacy, today",
    [
        (lambda x, a, b: torch.add(x, 2.0, a), lambda x, a, b: x + 2 * a),
        (lambda x, a, b: x.clone().sub_(2.0, a), lambda x, a, b: x - 2 * a),
        (lambda x, a, b: x.addcmul(2.0, a, b), lambda x, a, b: x + 2 * a * b),
        (lambda x, a, b: x.clone().addcdiv_(-0.5, a, b), lambda x, a, b: x - 0.5 * a / b),
        (lambda x, a, b: torch.addmm(0.5, x, 2.0, a, b), lambda x, a, b: 0.5 * x + 2 * a @ b),
        (lambda x, a, b: torch.addmm(0.5, x, a, b), lambda x, a, b: 0.5 * x + a @ b),
        (lambda x, a, b: x.clone().addmm_(0.5, 2.0, a, b), lambda x, a, b: 0.5 * x + 2 * a @ b),
    ],
)
def test_numbers_before_the_tensors_they_weight(legacy, today):
    """The order of arguments of PyTorch 1.4, which old programs still use."""
    x, a, b = torch.randn(3, 3), torch.randn(3, 3), torch.rand(3, 3) + 1
    with pytest.warns(UserWarning, match="This overload of .* is deprecated: write"):
        found = legacy(x, a, b)
    torch.testing.assert_close(found, today(x, a, b))


def test_numbers_where_tensors_belong():
    with pytest.raises(TypeError, match="argument 'tensor1' .* must be Tensor, not float"):
        torch.addcdiv(torch.ones(2), 2.0, torch.ones(2))
    with pytest.raises(TypeError, match="'alpha' must be Number, not Tensor"):
        torch.add(torch.ones(2), torch.ones(2), alpha=torch.ones(2))


def test_the_dtype_of_what_integers_give_follows_the_default():
    x = torch.arange(3)
    formulas = [lambda: torch.exp(x), lambda: x / 2, lambda: x * 0.5, lambda: torch.where(x > 1, 0.5, 1.5)]
    for d in (torch.float32, torch.float64, torch.float32):
        torch.set_default_dtype(d)
        assert [f().dtype for f in formulas] == [d] * 4 and (x * 2j).dtype is d.to_complex()
