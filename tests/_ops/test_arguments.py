"""An argument that should have been a tensor is named, whichever family the operation belongs to."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

X, INDEX = torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.int64)

CALLS = [
    (lambda: torch.reshape([1.0], (1,)), r"reshape\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: torch.flatten(np.ones(2)), r"flatten\(\): argument 'input' \(position 1\) must be Tensor, not ndarray"),
    (lambda: torch.quantile(None, 0.5), r"quantile\(\): argument 'input' \(position 1\) must be Tensor, not NoneType"),
    (lambda: torch.addmm([1.0], X, X), r"addmm\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: torch.kron(X, "a"), r"kron\(\): argument 'other' \(position 2\) must be Tensor, not str"),
    (lambda: torch.kron(X, other=[1.0]), r"kron\(\): argument 'other' must be Tensor, not list"),
    (lambda: F.mse_loss([1.0], X), r"mse_loss\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: F.cross_entropy(X, [0, 1]), r"argument 'target' \(position 2\) must be Tensor, not list"),
    (lambda: F.linear(X, X, 3.0), r"linear\(\): argument 'bias' \(position 3\) must be Tensor, not float"),
    (lambda: torch.sum([1.0]), r"sum\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: torch.bincount([1]), r"bincount\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: torch.scatter_add(X, 0, INDEX, [1.0]), r"argument 'src' \(position 4\) must be Tensor, not list"),
    (lambda: torch.scatter_add(None, 0, INDEX, X), r"argument 'input' \(position 1\) must be Tensor, not NoneType"),
    (lambda: torch.add(X, None), r"add\(\): argument 'other' \(position 2\) must be Tensor, not NoneType"),
    (lambda: torch.zeros_like([1.0]), r"zeros_like\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda: torch.broadcast_tensors(X, 1), r"expected Tensor as element 1 in argument 'tensors', but got int"),
    (lambda: torch.block_diag(X, None), r"expected Tensor as element 1 in argument 'tensors', but got NoneType"),
    (lambda: F.adaptive_avg_pool2d(X[None], (2.5, 1)), r"'output_size' must be tuple of ints, not float"),
    (lambda: F.adaptive_max_pool1d(X, None), r"'output_size' must be tuple of ints, not NoneType"),
    (lambda: F.max_pool1d(X, "a"), r"'kernel_size' must be tuple of ints, not str"),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_it_is_named(number):
    function, message = CALLS[number]
    with pytest.raises(TypeError, match=message) as caught:
        function()
    assert caught.value.__cause__ is None and "test_arguments.py" in str(caught.value)


def test_other_errors_stay_as_they_are():
    class Broken:
        @property
        def dim(self):
            raise AttributeError("something else")

    with pytest.raises(AttributeError, match="something else"):
        torch.kron(X, Broken())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        torch.vmap(lambda x: x.nothing)(X)
