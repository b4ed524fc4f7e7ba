"""What order means beside PyTorch: ties, NaN, signed zeros and infinities, and which index is chosen among equals."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import attempt, here, numbers, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

nan, inf = float("nan"), float("inf")
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
SPECIAL = [
    [0.0, -0.0, 0.0, -0.0],
    [-0.0, 0.0, -0.0, 0.0],
    [1.0, nan, 2.0, nan, -inf, inf],
    [nan, nan, nan],
    [nan],
    [-nan, 1.0, nan],
    [inf, inf, -inf, -inf, inf],
    [3.0, 1.0, 3.0, 2.0, 1.0, 3.0],
    [2.0],
    [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0],
    [0.0] * 20,
    [float(i % 3) for i in range(40)],
    [float(i % 7) if i % 5 else nan for i in range(70)],
]
WHOLE = [[3, 1, 3, 2, 1, 3], [0], [1, 1, 1, 1], [i * 7 % 5 for i in range(40)], [0, 1, 0, 1, 1]]


def inputs() -> list:
    """Vectors and matrices of special values, and a permuted tensor."""
    made = [torch.tensor(v, dtype=d) for d in FLOATS for v in SPECIAL]
    made += [torch.tensor(v).to(d) for d in INTEGERS for v in WHOLE]
    for d in (torch.float32, torch.int64):
        made.append(torch.tensor([[1, 2, 2], [2, 1, 2], [2, 2, 1], [1, 1, 1]], dtype=d))
        made.append(torch.tensor([[1, 2, 2], [2, 1, 2], [2, 2, 1], [1, 1, 1]], dtype=d).t())
    made.append(torch.tensor([[nan, 1.0, nan], [0.0, -0.0, nan]]))
    made.append(torch.arange(24.0).reshape(2, 3, 4).remainder(5).permute(2, 0, 1))
    return made


def with_dim(name: str, **kwargs):
    return lambda t: getattr(t, name)(-1, **kwargs)


OPERATIONS = {
    **{n: with_dim(n) for n in "argmax argmin max min amax amin median nanmedian cummax cummin".split()},
    **{f"{n} of all": lambda t, n=n: getattr(t, n)() for n in "argmax argmin max min amax amin median aminmax".split()},
    **{f"{n} along 0": lambda t, n=n: getattr(t, n)(0) for n in "argmax argmin max min amax cummax median".split()},
    "nanmedian of all": lambda t: t.nanmedian(),
    "aminmax": lambda t: t.aminmax(dim=-1),
    "mode": lambda t: t.mode(-1).values,  # which of the equal elements is pointed at, PyTorch's sort decides
    "sort": lambda t: t.sort(dim=-1, stable=True),
    "sort downwards": lambda t: t.sort(dim=-1, descending=True, stable=True),
    "sort along 0": lambda t: t.sort(dim=0, stable=True),
    "argsort": lambda t: t.argsort(dim=-1, stable=True),
    "msort": lambda t: t.sort(0).values,
    "topk": lambda t: t.topk(min(2, t.shape[-1])).values,
    "topk smallest": lambda t: t.topk(min(2, t.shape[-1]), largest=False).values,
    "kthvalue": lambda t: t.kthvalue(1 + t.shape[-1] // 2, -1).values,
    "unique": lambda t: t.unique(return_inverse=True, return_counts=True),
    "unique_consecutive": lambda t: t.unique_consecutive(return_inverse=True, return_counts=True),
    "unique rows": lambda t: t.unique(dim=0, return_inverse=True, return_counts=True),
    "clamp": lambda t: t.clamp(-1, 2),
    "sign": lambda t: t.sign(),
    "relu": lambda t: t.relu(),
    "abs": lambda t: t.abs(),
    "neg": lambda t: t if t.dtype in (torch.bool, flambeau.bool) else -t,
    "nan_to_num": lambda t: t.nan_to_num(),
    "isclose": lambda t: t.isclose(t.flip(-1), equal_nan=True),
    "round": lambda t: t.round(),
    "floor and ceil": lambda t: (t.floor(), t.ceil(), t.trunc()),
    "logsumexp": lambda t: t.logsumexp(-1),
    "softmax": lambda t: t.softmax(-1),
    "cumsum": lambda t: t.cumsum(-1),
    "prod": lambda t: t.prod(-1),
    "nansum": lambda t: t.nansum(-1),
    "histc": lambda t: t.clamp(-3, 3).nan_to_num().histc(4, -3, 3),
    "count_nonzero": lambda t: t.count_nonzero(-1),
    "nonzero": lambda t: t.nonzero(),
    "all and any": lambda t: (t.all(-1), t.any(-1)),
}


ROUNDED = {"logsumexp", "softmax", "cumsum", "prod"}  # sums, whose roundings differ
# Which of two zeros is larger, the processor's instructions say, or a selection that is not stable.
EITHER_ZERO = ("amax", "amin", "aminmax", "fmax", "fmin", "relu", "clamp", "nanmedian", "kthvalue")
WITHOUT_NAN = ("mode", "unique rows")  # PyTorch sorts by <, in which NaN has no place


def assert_same(ours, theirs, name: str, message: str) -> None:
    found, wanted = tensors_of(ours), tensors_of(theirs)
    assert len(found) == len(wanted), message
    for o, t in zip(found, wanted, strict=True):
        assert here(t.dtype) is o.dtype, f"{message}\n{o.dtype} instead of {t.dtype}"
        a, b = numbers(o), numbers(t)
        assert a.shape == b.shape, message
        if name not in ROUNDED:
            np.testing.assert_array_equal(a, b, err_msg=message)
            if a.dtype.kind == "f" and not name.startswith(EITHER_ZERO):
                assert (np.signbit(a) == np.signbit(b))[~np.isnan(a)].all(), message
        else:
            np.testing.assert_allclose(a, b, rtol=1e-2 if t.dtype in FLOATS[2:] else 1e-5, err_msg=message)


@pytest.mark.parametrize("name", OPERATIONS)
def test_of_one_tensor(name):
    for t in inputs():
        if name in WITHOUT_NAN and t.isnan().any():
            continue
        theirs = attempt(OPERATIONS[name], t)
        if not isinstance(theirs, Exception):
            assert_same(OPERATIONS[name](here(t)), theirs, name, f"{name} of {t}")


PAIRS = """maximum minimum fmax fmin eq ne lt le gt ge atan2 copysign nextafter hypot fmod remainder logaddexp
logaddexp2 floor_divide true_divide mul add sub pow heaviside logical_and logical_or logical_xor isclose
xlogy""".split()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", FLOATS[:2], ids=str)
def test_of_two_tensors(name, dtype):
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, inf, -inf, nan, 1e30, 1e-3]
    a, b = (torch.tensor(x, dtype=dtype) for x in zip(*itertools.product(values, values), strict=True))
    theirs, ours = getattr(torch, name)(a, b), getattr(flambeau, name)(here(a), here(b))
    assert ours.dtype is here(theirs.dtype)
    found, wanted = numbers(ours), numbers(theirs)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-8 if name.startswith("logadd") else 0)
    if found.dtype.kind == "f" and not name.startswith((*EITHER_ZERO, "logadd")):
        differing = (np.signbit(found) != np.signbit(wanted)) & ~np.isnan(wanted)
        assert not differing.any(), [(a[i].item(), b[i].item(), wanted[i]) for i in np.flatnonzero(differing)]
