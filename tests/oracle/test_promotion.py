"""The dtype of results beside PyTorch: every binary operation over pairs of dtypes, of tensors, 0-dim tensors and
Python numbers, and what becomes of integers at the edges of division, remainder and shifts."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import attempt, here, numbers, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128,
]  # fmt: skip
NUMBERS = [True, 2, 2.5, 2 + 1j]
BINARY = """add sub mul true_divide floor_divide remainder fmod pow atan2 hypot copysign maximum minimum fmax fmin gcd
lcm eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift
bitwise_right_shift heaviside xlogy float_power ldexp rsub isclose nextafter logaddexp dot matmul outer kron cross
where_of cat_of result_type""".split()


def function(ns, name: str):
    composed = {
        "where_of": lambda a, b: ns.where(ns.tensor([True, False, True]), a, b),
        "cat_of": lambda a, b: ns.cat([a, b]),
    }
    return composed.get(name) or getattr(ns, name)


def operands() -> list:
    """Vectors, 0-dim tensors and numbers of all kinds."""
    return [torch.ones(3).to(d) for d in DTYPES] + [torch.ones(()).to(d) for d in DTYPES] + NUMBERS


@pytest.mark.parametrize("name", BINARY)
def test_pairs(name):
    theirs, ours = function(torch, name), function(flambeau, name)
    values = operands()
    mine = [here(v) for v in values]
    wrong = []
    for (a, x), (b, y) in itertools.product(zip(values, mine, strict=True), repeat=2):
        if not (isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor)):
            continue
        wanted = attempt(theirs, a, b)
        if isinstance(wanted, Exception) or "complex32" in str(getattr(wanted, "dtype", wanted)):
            continue
        found = attempt(ours, x, y)
        if isinstance(wanted, torch.Tensor) and isinstance(found, flambeau.Tensor):
            good = found.dtype is here(wanted.dtype) and tuple(found.shape) == tuple(wanted.shape)
            good = good and np.allclose(numbers(found), numbers(wanted), rtol=1e-2)
        else:
            good = not isinstance(found, Exception) and here(wanted) == found
        if not good and not shortcut(name, a, b):
            wrong.append((described(a), described(b), described(wanted), described(found)))
    assert not wrong, f"{len(wrong)} pairs, such as " + "; ".join(map(str, wrong[:4]))


def shortcut(name: str, own, exponent) -> bool:
    """Powers of booleans, which PyTorch has for the number 1 alone, as it returns the tensor."""
    return name in ("pow", "pow_") and own.dtype is torch.bool and exponent is True


def described(value) -> str:
    if isinstance(value, (torch.Tensor, flambeau.Tensor)):
        return f"{value.dtype}{list(value.shape)} {value.tolist()}"
    return repr(value)


INPLACE = "add_ sub_ mul_ div_ floor_divide_ remainder_ pow_ bitwise_and_ eq_ atan2_ copysign_".split()


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(name):
    """The tensor keeps its dtype, or the operation is refused with the same exception."""
    wrong = []
    for d, other in itertools.product(DTYPES, operands()):
        own = torch.ones(3).to(d)
        found = attempt(getattr(here(own), name), here(other))
        wanted = attempt(getattr(own, name), other)
        if isinstance(wanted, Exception):
            good = isinstance(found, type(wanted))
        elif isinstance(found, Exception):
            good = False
        else:
            good = np.allclose(numbers(found), numbers(wanted), rtol=1e-2) and found.dtype is here(wanted.dtype)
        if not good and not shortcut(name, own, other):
            wrong.append((str(d), described(other), described(wanted), described(found)))
    assert not wrong, f"{len(wrong)} pairs, such as " + "; ".join(map(str, wrong[:4]))


REDUCTIONS = "sum prod mean cumsum cumprod var std norm logsumexp amax argmax count_nonzero any all nansum".split()
UNARY = """abs neg sqrt exp floor round sign sigmoid reciprocal square isnan logical_not bitwise_not positive
angle""".split()


@pytest.mark.parametrize("name", [*REDUCTIONS, *UNARY])
def test_of_one_tensor(name):
    along = (0,) if name in ("cumsum", "cumprod", "logsumexp") else ()
    for d in DTYPES:
        wanted = attempt(getattr(torch.ones(3).to(d), name), *along)
        if not isinstance(wanted, Exception):
            found = getattr(here(torch.ones(3).to(d)), name)(*along)
            assert found.dtype is here(wanted.dtype), f"{d}: {found.dtype} instead of {wanted.dtype}"
            np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=1e-2)


# ------------------------------------------------------------------------------------------------ whole numbers

WHOLE = "floor_divide true_divide remainder fmod div_trunc div_floor mul add sub gcd lcm pow".split()
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


def whole(ns, name: str):
    modes = {"div_trunc": "trunc", "div_floor": "floor"}
    if name in modes:
        return lambda a, b: ns.div(a, b, rounding_mode=modes[name])
    return getattr(ns, name)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_integers_at_the_edges(name, dtype):
    limits = torch.iinfo(dtype)
    values = sorted({limits.min, limits.min + 1, max(-7, limits.min), max(-2, limits.min), 0, 1, 2, 3, 7, limits.max})
    others = [v for v in values if v or name in ("mul", "add", "sub", "gcd")]  # division by zero is asked below
    if name == "pow":
        others = [0, 1, 2, 3, 7]
    if name not in ("mul", "add", "sub", "true_divide", "pow") and limits.min:  # the lowest has no positive counterpart
        values, others = ([v for v in some if v != limits.min] for some in (values, others))
    if name == "lcm":  # nor have multiples beyond the limits a sign
        values, others = ([v for v in some if abs(v) <= 7] for some in (values, others))
    a, b = (torch.tensor(x, dtype=dtype) for x in zip(*itertools.product(values, others), strict=True))
    wanted, found = whole(torch, name)(a, b), whole(flambeau, name)(here(a), here(b))
    assert found.dtype is here(wanted.dtype)
    np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=1e-6 if name == "true_divide" else 0)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", ["bitwise_left_shift", "bitwise_right_shift"])
def test_shifts(name, dtype):
    limits = torch.iinfo(dtype)
    values = [limits.min, max(-5, limits.min), 0, 1, 3, limits.max]
    counts = [0, 1, limits.bits - 1, limits.bits, limits.bits + 3] + ([-1] if limits.min else [])
    a, b = (torch.tensor(x, dtype=dtype) for x in zip(*itertools.product(values, counts), strict=True))
    np.testing.assert_array_equal(
        numbers(getattr(flambeau, name)(here(a), here(b))), numbers(getattr(torch, name)(a, b)), f"{a}\n{b}"
    )


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "div_trunc", "div_floor"])
def test_division_by_zero(name):
    for zero in (torch.tensor([0]), torch.tensor(0), 0):
        wanted = attempt(whole(torch, name), torch.tensor([1, -1]), zero)
        found = attempt(lambda z: whole(flambeau, name)(flambeau.tensor([1, -1]), here(z)).tolist(), zero)  # noqa: B023
        assert isinstance(wanted, RuntimeError) and type(found) is RuntimeError and "ZeroDivisionError" in str(found)


@pytest.mark.parametrize("into", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool], ids=str)
def test_casts(into):
    values = torch.tensor([0.0, -0.0, 0.9, -0.9, 1.5, -1.5, 100.7, -100.2, 127.0])
    if into is torch.uint8:
        values = values.abs()  # a negative number as an unsigned one is undefined
    for t in (values, values.double(), values.half(), values.bfloat16(), torch.tensor([0, 1, 2, 255, 256, 300, 65537])):
        np.testing.assert_array_equal(numbers(here(t).to(here(into))), numbers(t.to(into)))
