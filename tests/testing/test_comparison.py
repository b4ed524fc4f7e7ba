"""`torch.testing`, and the modules that answer for backends which are not there."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.testing import assert_close, make_tensor


def test_what_is_close():
    x = torch.tensor([1.0, 2.0])
    assert_close(x, x * (1 + 1e-6))
    assert_close({"a": [x, 3]}, {"a": [x.clone(), 3]})
    assert_close(x, x.double(), check_dtype=False)
    assert_close(torch.tensor(float("nan")), torch.tensor(float("nan")), equal_nan=True)


@pytest.mark.parametrize(
    "actual, expected, message",
    [
        (torch.ones(2), torch.tensor([1.0, 1.1]), r"Mismatched elements: 1 / 2 \(50.0%\)"),
        (torch.ones(2), torch.ones(3), "'shape' do not match"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "'dtype' do not match"),
        ([torch.ones(1), torch.zeros(1)], [torch.ones(1), torch.ones(1)], r"occurred for item \[1\]"),
        ({"a": 1}, {"b": 1}, "keys of the mappings"),
        ([1], [1, 2], "length of the sequences"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "not equal"),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), "Scalars are not close"),
    ],
)
def test_what_is_not(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)


def test_made_tensors_lie_in_their_range():
    for dtype in (torch.float32, torch.int64, torch.uint8, torch.bfloat16):
        x = make_tensor((50,), dtype=dtype, low=2, high=5)
        assert x.dtype is dtype and bool((x >= 2).all()) and bool((x <= 5).all())
    assert not make_tensor(4, 5, dtype=torch.float32, noncontiguous=True).is_contiguous()
    assert bool((make_tensor(100, dtype=torch.int64, low=0, high=2, exclude_zero=True) != 0).all())


def test_queries_about_what_is_not_there():
    assert not torch.cuda.is_available() and torch.cuda.memory_allocated() == 0
    assert not torch.backends.mps.is_available() and not torch.backends.cudnn.is_available()
    torch.backends.cudnn.benchmark = True
    with torch.backends.cudnn.flags(benchmark=False):
        assert torch.backends.cudnn.benchmark is False
    assert torch.backends.cudnn.benchmark is True
    assert torch.accelerator.current_accelerator() is None
    assert torch.version.cuda is None and torch.version.__version__ == torch.__version__
    with pytest.raises(RuntimeError, match="no CUDA backend"):
        torch.cuda.get_device_name(0)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.cuda.amp.GradScaler().is_enabled()
