"""Fourier transforms: values against NumPy, gradients by finite differences, errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(4, 5))
COMPLEX = REAL + 1j * RNG.normal(size=(4, 5))


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 8])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(name: str, n: int | None, norm: str | None) -> None:
    x = REAL if name in ("rfft", "ihfft") else COMPLEX
    expected = getattr(np.fft, name)(x, n, 0, norm)
    np.testing.assert_allclose(getattr(torch.fft, name)(torch.from_numpy(x), n, 0, norm).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("s, dim", [(None, None), ((3, 6), (1, 0)), ((3,), (0,))])
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_several_dimensions(name: str, s: tuple | None, dim: tuple | None) -> None:
    x = REAL if name == "rfftn" else COMPLEX
    expected = getattr(np.fft, name)(x, s, dim)
    np.testing.assert_allclose(getattr(torch.fft, name)(torch.from_numpy(x), s, dim).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "irfft2", "hfft2", "ihfft2"])
def test_gradients(name: str) -> None:
    x = REAL if name in ("rfft", "ihfft", "ihfft2") else COMPLEX
    assert gradcheck(getattr(torch.fft, name), (torch.from_numpy(x[:2, :3].copy()).requires_grad_(),))


def test_single_precision_stays_single() -> None:
    assert torch.fft.fft(torch.ones(4)).dtype is torch.complex64
    assert torch.fft.irfft(torch.ones(4)).dtype is torch.float32
    assert torch.fft.rfft(torch.ones(4, dtype=torch.int64)).dtype is torch.complex64


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies_and_shifts(n: int) -> None:
    frequencies = torch.fft.fftfreq(n, 0.5, dtype=torch.float64)
    np.testing.assert_allclose(frequencies.numpy(), np.fft.fftfreq(n, 0.5))
    np.testing.assert_allclose(torch.fft.rfftfreq(n, 0.5, dtype=torch.float64).numpy(), np.fft.rfftfreq(n, 0.5))
    shifted = torch.fft.fftshift(frequencies)
    np.testing.assert_allclose(shifted.numpy(), np.fft.fftshift(np.fft.fftfreq(n, 0.5)))
    assert torch.fft.ifftshift(shifted).tolist() == frequencies.tolist()


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="Invalid number of data points"):
        torch.fft.fft(torch.ones(3), 0)
    with pytest.raises(RuntimeError, match="Invalid normalization mode"):
        torch.fft.fft(torch.ones(3), norm="x")
    with pytest.raises(RuntimeError, match="expects a real input"):
        torch.fft.rfft(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(RuntimeError, match="must be unique"):
        torch.fft.fftn(torch.ones(3, 3), dim=(0, 0))
    with pytest.raises(RuntimeError, match="Unsupported dtype"):
        torch.fft.fft(torch.ones(3, dtype=torch.bfloat16))
