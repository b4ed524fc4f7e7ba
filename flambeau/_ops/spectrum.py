"""Short-time Fourier transforms (`torch.stft`, `torch.istft`): transforms of overlapping frames of a signal."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes
from flambeau._ops import fft
from flambeau._ops.pad import pad
from flambeau._ops.registry import composite
from flambeau._ops.reinterpret import view_as_real
from flambeau._ops.strided import owner


def _window(name: str, window: Any, like: Any, win_length: int, n_fft: int) -> Any:
    """The window, ones by default, with zeros on both sides up to `n_fft`."""
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length}")
    if window is None:
        window = like.detach().new_ones((win_length,))
    if tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    return pad(window, (left, n_fft - win_length - left)) if win_length < n_fft else window


def _hop(name: str, hop_length: int | None, n_fft: int) -> int:
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    return hop


@composite()
def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The spectra of frames of `n_fft` samples, `hop_length` (n_fft // 4) apart: [(batch,) frequencies, frames].

    Each frame is weighted with `window` (ones, `win_length` long and centred in the frame). With `center`, frame t is
    centred on sample t * hop_length and the signal is padded by `pad_mode`. `onesided` (default for real signals) keeps
    n_fft // 2 + 1 frequencies; `normalized` divides by sqrt(n_fft). RuntimeError for a real signal without
    `return_complex` and for sizes that do not fit.

    Example::

        >>> import flambeau as torch
        >>> torch.stft(torch.ones(8), 4, return_complex=True).shape
        torch.Size([3, 9])
    """
    real = not (input.dtype.is_complex or (window is not None and window.dtype.is_complex))
    if return_complex is None:
        if real:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if input.dim() not in (1, 2) or not input.dtype.differentiable:
        raise RuntimeError(f"stft: expected a tensor of floating point or complex values of 1 or 2 dimensions, got "
                           f"{input.dtype} {list(input.shape)}")  # fmt: skip
    hop = _hop("stft", hop_length, n_fft)
    plain = window is None and win_length in (None, n_fft)
    window = _window("stft", window, input, n_fft if win_length is None else win_length, n_fft)
    signal = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft: align_to_window should only be set when center = false")
        signal = pad(signal.unsqueeze(1), (n_fft // 2, n_fft // 2), pad_mode).squeeze(1)
    if not 0 < n_fft <= signal.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {signal.shape[1]}, but got n_fft={n_fft}")
    frames = signal.unfold(1, n_fft, hop)
    frames = frames if plain else frames * window
    one = real if onesided is None else onesided
    transform = fft.rfft if one else fft.fft
    spectra = transform(frames, n_fft, 2, "ortho" if normalized else None).transpose(1, 2)
    spectra = spectra if input.dim() == 2 else spectra.squeeze(0)
    return owner(spectra if return_complex else view_as_real(spectra))


@composite()
def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The signal with these spectra [(batch,) frequencies, frames], by least squares (Griffin & Lim 1984): the frames'
    inverse transforms, windowed and added up, over the sum of the squared windows.

    Arguments as of `stft`; `length` cuts the signal, or fills it up with zeros. RuntimeError where the windows add up
    to nothing.

    Example::

        >>> import flambeau as torch
        >>> spectra = torch.stft(torch.arange(8.), 4, window=torch.hann_window(4), return_complex=True)
        >>> torch.istft(spectra, 4, window=torch.hann_window(4)).round()
        tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    if not input.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with "
                           "return_complex=True.")  # fmt: skip
    if input.dim() not in (2, 3) or not input.numel():
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions that is not empty, got {input.shape}")
    hop = _hop("istft", hop_length, n_fft)
    spectra = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    frequencies = spectra.shape[2]
    one = frequencies != n_fft if onesided is None else onesided
    if frequencies != (n_fft // 2 + 1 if one else n_fft):
        raise RuntimeError(f"istft: {frequencies} frequencies do not fit n_fft={n_fft} and onesided={one}")
    width = n_fft if win_length is None else win_length
    window = _window("istft", window, spectra.real if not return_complex else spectra, width, n_fft)
    norm = "ortho" if normalized else None
    if return_complex:
        frames = fft.ifft(spectra, n_fft, 2, norm)
    else:
        frames = fft.irfft(spectra if one else spectra[..., : n_fft // 2 + 1], n_fft, 2, norm)
    count = frames.shape[1]
    signal = _overlapped(frames * window, hop)
    envelope = _overlapped((window * window).expand(1, count, n_fft), hop)
    start = n_fft // 2 if center else 0
    total = signal.shape[1]
    end = total - (n_fft // 2 if center else 0) if length is None else min(start + length, total)
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    if envelope.numel() and float(envelope.detach().abs().min()) < 1e-11:
        raise RuntimeError("istft: window overlap add min is too small: some samples are not covered by any window")
    signal = signal / envelope
    if length is not None and signal.shape[1] < length:
        signal = pad(signal, (0, length - signal.shape[1]))
    return signal if input.dim() == 3 else signal.squeeze(0)


def _overlapped(frames: Any, hop: int) -> Any:
    """Frames [batch, count, size] laid `hop` apart and added up."""
    batch, count, size = frames.shape
    steps = frames.detach().new_ones((count, size), dtype=dtypes.int64).cumsum(0) * hop - hop
    places = steps + (steps.new_ones((size,)).cumsum(0) - 1)
    return frames.new_zeros((batch, size + hop * (count - 1))).index_add(
        1, places.reshape(-1), frames.reshape(batch, count * size)
    )
