"""Tensors and NumPy's arrays over the same memory."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch


def test_arrays_of_tensors_that_require_grad() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy.. on Tensor that requires grad"):
        x.numpy()
    assert x.numpy(force=True).tolist() == x.detach().numpy().tolist() == [1.0, 1.0]
    with torch.no_grad():
        assert x.numpy().tolist() == np.asarray(x).tolist() == [1.0, 1.0]
