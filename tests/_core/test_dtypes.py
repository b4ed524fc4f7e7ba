"""Promotion: spot checks of PyTorch's table, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau._core import dtypes as D

plain = [d for d in D.ALL if d not in D.STORED and d.name not in ("uint16", "uint32", "uint64")]
some = st.sampled_from(plain)


@pytest.mark.parametrize(
    "a, b, expected",  # recorded from torch.promote_types
    [
        ("uint8", "int8", "int16"),
        ("uint8", "int64", "int64"),
        ("int64", "float16", "float16"),
        ("float16", "bfloat16", "float32"),
        ("float64", "complex64", "complex128"),
        ("float16", "complex64", "complex64"),
        ("bool", "uint8", "uint8"),
        ("int32", "int16", "int32"),
        ("bfloat16", "float64", "float64"),
        ("bool", "bool", "bool"),
    ],
)
def test_promote_types(a, b, expected):
    assert D.promote_types(D.BY_NAME[a], D.BY_NAME[b]).name == expected


@given(some, some)
def test_promotion_commutes_and_never_lowers_the_category(a, b):
    assert D.promote_types(a, b) is D.promote_types(b, a)
    assert D.promote_types(a, b).category == max(a.category, b.category)


@given(some, some, some)
def test_promotion_is_idempotent(a, b, c):
    ab = D.promote_types(a, b)
    assert D.promote_types(ab, a) is ab and D.promote_types(ab, b) is ab


@pytest.mark.parametrize(
    "operands, expected",  # recorded from torch.result_type
    [
        ([(D.int64, 1), float], "float32"),
        ([(D.float16, 1), (D.float64, 0)], "float16"),
        ([(D.int32, 1), (D.int64, 0)], "int32"),
        ([(D.int32, 0), (D.int64, 0)], "int64"),
        ([(D.float64, 1), complex], "complex128"),
        ([(D.bool_, 1), int], "int64"),
        ([(D.int8, 1), (D.float64, 0)], "float64"),
        ([(D.float32, 1), (D.complex128, 0)], "complex64"),
        ([(D.bfloat16, 1), float], "bfloat16"),
    ],
)
def test_result_type(operands, expected):
    assert D.result_type_of(operands).name == expected


def test_unsigned_wide_integers_do_not_promote():
    with pytest.raises(RuntimeError, match="not supported"):
        D.promote_types(D.uint32, D.int32)


def test_default_dtype_decides_what_floats_become():
    try:
        D.set_default_dtype(D.float64)
        assert D.result_type_of([(D.int64, 1), float]) is D.float64
        assert D.of_scalar(1j) is D.complex128
    finally:
        D.set_default_dtype(D.float32)
    with pytest.raises(TypeError, match="floating-point"):
        D.set_default_dtype(D.int64)


def test_numpys_dtypes_and_their_byte_orders():
    for name in ("float32", "int64", "bool", "complex64", "uint16", "float16"):
        d = np.dtype(name)
        assert D.from_numpy(d) is D.from_numpy(d.newbyteorder()) is {d.name: d for d in D.ALL}[name]
    assert D.from_numpy(np.float64) is D.float64
    assert D.from_numpy(D.bfloat16.numpy) is D.bfloat16
    for d in (np.longdouble, "U3", "O", "M8[ns]", "f4,i4"):
        with pytest.raises(TypeError, match="can't convert np.ndarray"):
            D.from_numpy(np.dtype(d))
