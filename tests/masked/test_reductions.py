"""Masked reductions against NumPy's masked arrays, and windows against formulas."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau import masked
from flambeau.autograd import gradcheck
from flambeau.signal import windows

X = np.random.RandomState(0).randn(4, 5)
MASK = np.random.RandomState(1).rand(4, 5) > 0.4
MASK[:, 0] = True
ARRAY = np.ma.array(X, mask=~MASK)


@pytest.mark.parametrize("dim", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("name, theirs", [("sum", "sum"), ("prod", "prod"), ("mean", "mean"), ("amax", "max"),
                                          ("amin", "min"), ("var", "var"), ("std", "std")])  # fmt: skip
def test_reductions(name, theirs, dim):
    options = {"correction": 0} if name in ("var", "std") else {}
    keep = (MASK.sum(0) > 0).all()
    assert keep
    found = getattr(masked, name)(torch.tensor(X), dim, mask=torch.tensor(MASK), **options)
    np.testing.assert_allclose(found.numpy(), np.asarray(getattr(ARRAY, theirs)(dim)), rtol=1e-10)


def test_along_a_dimension():
    x, mask = torch.tensor(X), torch.tensor(MASK)
    np.testing.assert_allclose(masked.cumsum(x, 1, mask=mask).numpy(), np.where(MASK, X, 0).cumsum(1))
    np.testing.assert_allclose(masked.cumprod(x, 1, mask=mask).numpy(), np.where(MASK, X, 1).cumprod(1))
    weights = np.where(MASK, np.exp(X), 0)
    expected = weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(masked.softmax(x, 1, mask=mask).numpy(), expected)
    np.testing.assert_allclose(masked.logsumexp(x, 1, mask=mask).numpy(), np.log(weights.sum(1)))
    assert masked.argmax(x, 1, mask=mask).tolist() == ARRAY.argmax(1).tolist()
    for i in range(4):
        kept = np.sort(X[i][MASK[i]])
        assert masked.median(x, 1, mask=mask)[i].item() == kept[(len(kept) - 1) // 2]
    norms = np.sqrt(np.where(MASK, X**2, 0).sum(1, keepdims=True))
    np.testing.assert_allclose(masked.normalize(x, 2.0, 1, mask=mask).numpy(), np.where(MASK, X, 0) / norms)


def test_identities_gradients_refusals():
    none = torch.zeros(2, dtype=torch.bool)
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert masked.sum(x, mask=none).item() == 0 and masked.prod(x, mask=none).item() == 1
    assert masked.amax(x, mask=none).item() == -np.inf and np.isnan(masked.mean(x, mask=none).item())
    wanted = torch.tensor(X).requires_grad_()
    assert gradcheck(lambda t: masked.softmax(t, 1, mask=torch.tensor(MASK)) + masked.sum(t), (wanted,))
    with pytest.raises(ValueError, match="Could not infer output dtype"):
        masked.mean(torch.tensor([1]))
    with pytest.raises(ValueError, match="broadcastable mask"):
        masked.sum(x, mask=torch.ones(1, 1, 2))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_windows(size):
    symmetric = {"bartlett": np.bartlett, "blackman": np.blackman, "hamming": np.hamming, "hann": np.hanning}
    for name, formula in symmetric.items():
        found = getattr(windows, name)(size, dtype=torch.float64).numpy()
        np.testing.assert_allclose(found, formula(size), atol=1e-15)
        periodic = getattr(windows, name)(size, sym=False, dtype=torch.float64).numpy()
        np.testing.assert_allclose(periodic, formula(size + 1)[:size] if size > 1 else [1.0], atol=1e-15)
    np.testing.assert_allclose(windows.kaiser(size, beta=5.0, dtype=torch.float64).numpy(), np.kaiser(size, 5.0))
    k = np.arange(size) - (size - 1) / 2
    np.testing.assert_allclose(
        windows.gaussian(size, std=1.5, dtype=torch.float64).numpy(), np.exp(-0.5 * (k / 1.5) ** 2)
    )
    np.testing.assert_allclose(windows.exponential(size, tau=2.0, dtype=torch.float64).numpy(), np.exp(-abs(k) / 2))
    np.testing.assert_allclose(
        windows.cosine(size, dtype=torch.float64).numpy(), np.sin(np.pi * (np.arange(size) + 0.5) / size)
    )


def test_windows_refuse():
    with pytest.raises(ValueError, match="float32 or float64 dtypes"):
        windows.hann(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="M=-1"):
        windows.hann(-1)
    with pytest.raises(ValueError, match="Center must be None"):
        windows.exponential(4, center=1.0)
    assert windows.nuttall(0).shape == (0,)
