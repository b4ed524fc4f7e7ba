"""default_collate and default_convert."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.data import default_collate, default_convert
from flambeau.utils.data.collate import collate, default_collate_fn_map

Point = namedtuple("Point", ["x", "y"])


def plain(value: Any) -> Any:
    """Tensors as (dtype, list), containers kept."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return type(value)((key, plain(item)) for key, item in value.items())
    if isinstance(value, Point):
        return Point(*map(plain, value))
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value


F32, F64, I64 = "torch.float32", "torch.float64", "torch.int64"


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([torch.zeros(1), torch.ones(1)], (F32, [[0.0], [1.0]])),
        ([np.float32([1, 2])] * 2, (F32, [[1.0, 2.0], [1.0, 2.0]])),
        ([np.int32(1), np.int32(2)], ("torch.int32", [1, 2])),
        ([np.float64(1), np.float64(2)], (F64, [1.0, 2.0])),
        ([1, 2], (I64, [1, 2])),
        ([1.5, 2], (F64, [1.5, 2.0])),
        ([True, False], ("torch.bool", [True, False])),
        (["a", "b"], ["a", "b"]),
        ([(1, "a"), (2, "b")], [(I64, [1, 2]), ("a", "b")]),
        ([[1, 2], [3, 4]], [(I64, [1, 3]), (I64, [2, 4])]),
        ([OrderedDict(a=1)] * 2, OrderedDict(a=(I64, [1, 1]))),
        ([Point(0, {"k": 1.0})], Point((I64, [0]), {"k": (F64, [1.0])})),
        ([range(2), range(2)], [(I64, [0, 0]), (I64, [1, 1])]),
    ],
)
def test_collate(batch: list[Any], expected: Any) -> None:
    assert plain(default_collate(batch)) == expected


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([torch.zeros(1), torch.zeros(2)], RuntimeError, r"equal size.*\(1,\), \(2,\)"),
        ([np.zeros(1), np.zeros(2)], RuntimeError, "equal size"),
        ([[1], [1, 2]], RuntimeError, "equal size"),
        ([object()], TypeError, "found <class 'object'>"),
        ([np.array(["a"])], TypeError, "found <U1"),
    ],
)
def test_refused(batch: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(batch)


def test_extending_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(default_collate_fn_map, complex, lambda batch, *, collate_fn_map: sum(batch))
    assert default_collate([(1j, 1), (2j, 2)])[0] == 3j
    with pytest.raises(TypeError):
        collate([1j], collate_fn_map={})


def test_convert() -> None:
    text = np.array(["s"])
    sample = {"a": np.float32([1]), "b": (np.int64(2), "text"), "c": [text, None], "d": Point(np.array(1.0), 2)}
    assert plain(default_convert(sample)) == {
        "a": (F32, [1.0]), "b": [(I64, 2), "text"], "c": [text, None], "d": Point((F64, 1.0), 2),
    }  # fmt: skip
