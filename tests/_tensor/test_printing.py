"""Printing: what PyTorch 2.13 prints, character for character. The expected texts were taken from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from flambeau._tensor import printing
from flambeau._tensor.printing import format_sparse_tensor, format_tensor

nan, inf = math.nan, math.inf
TABLE = [[10 * i + j for j in range(10)] for i in range(10)]


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    with printing.printoptions(profile="default"):
        yield


def array(values: Any, dtype_name: str) -> np.ndarray:
    return np.array(values, dtype=ml_dtypes.bfloat16 if dtype_name == "bfloat16" else dtype_name)


def show(values: Any, dtype_name: str, **others: Any) -> str:
    return format_tensor(array(values, dtype_name), dtype_name=dtype_name, **others)


NOTATION = [
    # Whole numbers keep a point; otherwise all elements get the same number of decimals.
    ([1.0, 2.0, -3.0], "float32", "tensor([ 1.,  2., -3.])"),
    ([0.3366904, 0.1288094, 0.2344], "float32", "tensor([0.3367, 0.1288, 0.2344])"),
    ([1000.0, 1.5], "float32", "tensor([1000.0000,    1.5000])"),
    # Scientific: a ratio above 1000, something above 1e8, something below 1e-4.
    ([1001.0, 1.0], "float32", "tensor([1.0010e+03, 1.0000e+00])"),
    ([1e-5, 1.0], "float32", "tensor([1.0000e-05, 1.0000e+00])"),
    ([1e8], "float64", "tensor([100000000.], dtype=torch.float64)"),
    ([1.5e8], "float64", "tensor([1.5000e+08], dtype=torch.float64)"),
    ([0.00009], "float32", "tensor([9.0000e-05])"),
    ([nan, inf, -inf, 0.0, -0.0], "float32", "tensor([nan, inf, -inf, 0., -0.])"),
    ([nan, 1.5, -inf], "float32", "tensor([   nan, 1.5000,   -inf])"),
    ([nan, 2.0], "float16", "tensor([nan, 2.], dtype=torch.float16)"),
    ([0.1, 0.2], "bfloat16", "tensor([0.1001, 0.2002], dtype=torch.bfloat16)"),
    ([1, 10, -100], "int64", "tensor([   1,   10, -100])"),
    ([1, 10], "int32", "tensor([ 1, 10], dtype=torch.int32)"),
    ([1, 255], "uint8", "tensor([  1, 255], dtype=torch.uint8)"),
    ([True, False], "bool", "tensor([ True, False])"),
    ([1 + 2j, -0.5 - 1j], "complex64", "tensor([ 1.0000+2.j, -0.5000-1.j])"),
    ([1 + 2j, 30 - 1j], "complex128", "tensor([ 1.+2.j, 30.-1.j], dtype=torch.complex128)"),
    (3.14159, "float32", "tensor(3.1416)"),
    (1e-9, "float32", "tensor(1.0000e-09)"),
    (7, "int64", "tensor(7)"),
    (True, "bool", "tensor(True)"),
    (1.5 - 2j, "complex64", "tensor(1.5000-2.j)"),
]

LAYOUT = [
    ([[1.0, 2.0], [3.0, 4.0]], "float32", "tensor([[1., 2.],\n        [3., 4.]])"),
    (
        [[[1, 2], [3, 4]], [[5, 6], [7, 8]]],
        "int64",
        "tensor([[[1, 2],\n         [3, 4]],\n\n        [[5, 6],\n         [7, 8]]])",
    ),
    (
        list(range(30)),
        "int64",
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
    ),
    (list(range(1001)), "int64", "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    ([], "float32", "tensor([])"),
    ([], "int64", "tensor([], dtype=torch.int64)"),
    ([[]], "float32", "tensor([], size=(1, 0))"),
    ([[], []], "bool", "tensor([], size=(2, 0), dtype=torch.bool)"),
]


@pytest.mark.parametrize(("values", "dtype_name", "text"), NOTATION + LAYOUT)
def test_elements_and_brackets(values: Any, dtype_name: str, text: str) -> None:
    assert show(values, dtype_name) == text


@pytest.mark.parametrize(
    ("options", "values", "text"),
    [
        ({"precision": 2}, [1.23456, 100.0], "tensor([  1.23, 100.00])"),
        ({"profile": "short", "sci_mode": True}, [1.23456, 100.0], "tensor([1.23e+00, 1.00e+02])"),
        ({"sci_mode": False}, [1e-6, 100.0], "tensor([  0.0000, 100.0000])"),
        ({"linewidth": 32}, [0.5] * 4, "tensor([0.5000, 0.5000, 0.5000,\n        0.5000])"),
        ({"threshold": 2, "edgeitems": 0}, [1, 2, 3], "tensor([...], size=(3,))"),
        ({"threshold": 50, "edgeitems": 1}, TABLE, "tensor([[ 0,  ...,  9],\n        ...,\n        [90,  ..., 99]])"),
    ],
)
def test_options(options: dict[str, Any], values: Any, text: str) -> None:
    printing.set_printoptions(**options)
    assert show(values, "float32" if isinstance(values[0], float) else "int64") == text


def test_full_profile_shows_everything() -> None:
    printing.set_printoptions(profile="full")
    assert show(range(1001), "int64").count("\n") == 83  # 12 elements a line


def test_options_are_kept_restored_and_checked() -> None:
    before = printing.get_printoptions()
    with printing.printoptions(precision=7, sci_mode=True):
        assert printing.get_printoptions() == before | {"precision": 7, "sci_mode": True}
        printing.set_printoptions(linewidth=50)
        assert printing.get_printoptions()["precision"] == 7
        assert printing.get_printoptions()["sci_mode"] is None
    assert printing.get_printoptions() == before
    with pytest.raises(ValueError, match="no profile 'long'"):
        printing.set_printoptions(profile="long")


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ({"requires_grad": True}, "tensor([1., 2.], requires_grad=True)"),
        ({"requires_grad": True, "grad_fn": "AddBackward0"}, "tensor([1., 2.], grad_fn=<AddBackward0>)"),
        ({"default_dtype": "float64"}, "tensor([1., 2.], dtype=torch.float32)"),
        ({"device": "cuda:0"}, "tensor([1., 2.], device='cuda:0')"),
        ({"class_name": "Celsius"}, "Celsius([1., 2.])"),
    ],
)
def test_suffixes(others: dict[str, Any], text: str) -> None:
    assert show([1.0, 2.0], "float32", **others) == text


def test_a_suffix_that_does_not_fit_starts_a_line() -> None:
    assert show([i / 7 for i in range(9)], "float32", grad_fn="AddBackward0") == (
        "tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000, 1.1429],\n"
        "       grad_fn=<AddBackward0>)"
    )


def test_without_elements() -> None:
    text = format_tensor(None, dtype_name="float32", size=(2, 3), device="meta")
    assert text == "tensor(..., device='meta', size=(2, 3))"


def test_sparse() -> None:
    text = format_sparse_tensor(
        {"indices": np.zeros((1, 0), np.int64)}, np.zeros((0, 2)), dtype_name="float64", size=(4, 2)
    )
    assert text == (
        "tensor(indices=tensor([], size=(1, 0)),\n"
        "       values=tensor([], size=(0, 2)),\n"
        "       size=(4, 2), nnz=0, dtype=torch.float64, layout=torch.sparse_coo)"
    )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(300))
def test_same_as_pytorch(seed: int) -> None:
    """Random shapes, magnitudes, dtypes and options; the sample differs from seed to seed."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    options = {
        "precision": int(rng.integers(0, 8)),
        "threshold": int(rng.choice([0, 10, 100, 1000])),
        "edgeitems": int(rng.integers(0, 5)),
        "linewidth": int(rng.integers(1, 120)),
        "sci_mode": [None, None, True, False][rng.integers(4)],
    }
    shape = tuple(rng.integers(0, 9, rng.integers(0, 5)))
    values = rng.standard_normal(shape) * np.exp(rng.uniform(0, 5) * rng.standard_normal(shape))
    values = np.where(rng.random(shape) < 0.1, rng.choice([nan, inf, -inf, 0.0, -0.0], shape), values)
    base = torch.tensor(np.round(values, int(rng.integers(0, 9))))
    printing.set_printoptions(**options)
    before = torch._tensor_str.get_printoptions()
    torch.set_printoptions(**options)
    try:
        for name in ("float32", "float64", "float16", "bfloat16", "complex64", "int32", "int64", "uint8", "bool"):
            dtype = getattr(torch, name)
            if dtype.is_complex:
                tensor = torch.complex(base, base.flip(0) if base.dim() else -base).to(dtype)
            else:
                tensor = (base if dtype.is_floating_point else base.nan_to_num(0, 9, 0).clamp(0, 255)).to(dtype)
            data = tensor.double().numpy() if name == "bfloat16" else tensor.numpy()
            assert format_tensor(data, dtype_name=name) == repr(tensor)
    finally:
        torch.set_printoptions(**before)
