"""Short-time Fourier transforms against NumPy's transforms of each frame, and back again."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

SIGNAL = np.random.RandomState(0).randn(2, 40)
WINDOW = np.hanning(9)[:8]


def frames(x, size, hop, window, center):
    if center:
        x = np.pad(x, ((0, 0), (size // 2, size // 2)), mode="reflect")
    starts = range(0, x.shape[1] - size + 1, hop)
    return np.stack([x[:, s : s + size] * window for s in starts], 1)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("hop", [2, 4, 7])
def test_every_frame(center, onesided, hop):
    found = torch.stft(
        torch.tensor(SIGNAL), 8, hop, window=torch.tensor(WINDOW), center=center, onesided=onesided, return_complex=True
    )
    pieces = frames(SIGNAL, 8, hop, WINDOW, center)
    expected = np.fft.rfft(pieces) if onesided else np.fft.fft(pieces)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 2, 1), atol=1e-12)


def test_a_short_window_lies_in_the_middle():
    found = torch.stft(torch.tensor(SIGNAL[0]), 8, 4, 4, torch.ones(4, dtype=torch.float64), return_complex=True)
    window = np.array([0, 0, 1, 1, 1, 1, 0, 0.0])
    expected = np.fft.rfft(frames(SIGNAL[:1], 8, 4, window, True))[0].T
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"normalized": True}, {"onesided": False}, {"length": 40}, {"length": 45}])
def test_there_and_back(options):
    window = torch.tensor(WINDOW)
    there = {k: v for k, v in options.items() if k != "length"}
    spectra = torch.stft(torch.tensor(SIGNAL), 8, 2, window=window, return_complex=True, **there)
    back = torch.istft(spectra, 8, 2, window=window, **options).numpy()
    np.testing.assert_allclose(back[:, :40], SIGNAL[:, : back.shape[1]], atol=1e-10)
    assert back.shape[1] == options.get("length", 40) and not back[:, 44:].any()


def test_gradients():
    x = torch.tensor(SIGNAL[:, :16]).requires_grad_()
    window = torch.tensor(WINDOW).requires_grad_()

    def power(x, window):
        return torch.stft(x, 8, 4, window=window, return_complex=True).abs().square()

    assert gradcheck(power, (x, window))
    spectra = torch.stft(x.detach(), 8, 2, return_complex=True)
    assert gradcheck(lambda s: torch.istft(s, 8, 2), (spectra.requires_grad_(),))


def test_refusals():
    x = torch.tensor(SIGNAL)
    with pytest.raises(RuntimeError, match="requires the return_complex parameter"):
        torch.stft(x, 8)
    with pytest.raises(RuntimeError, match="window tensor of size equal to win_length=8"):
        torch.stft(x, 8, window=torch.ones(5), return_complex=True)
    with pytest.raises(RuntimeError, match="not covered by any window"):
        torch.istft(torch.stft(x, 8, 8, window=torch.zeros(8).double(), return_complex=True), 8, 8,
                    window=torch.zeros(8).double())  # fmt: skip
