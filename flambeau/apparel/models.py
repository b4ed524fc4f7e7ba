"""The two networks: the guide's, and the convolutional one that is the default."""

from __future__ import annotations

from dataclasses import dataclass

from flambeau import _api as torch
from flambeau import nn
from flambeau.apparel.classes import CLASSES, SIDE
from flambeau.apparel.errors import ApparelError


@dataclass(frozen=True)
class Defaults:
    """How a network is trained unless the user says otherwise; a `batch_size` of 0 takes all pictures at once."""

    epochs: int
    batch_size: int
    lr: float
    one_cycle: bool  # the learning rate rises and falls over the whole run instead of staying
    flip: bool  # half of the pictures are mirrored at random, each time they are shown


DEFAULTS = {
    "mlp": Defaults(epochs=25, batch_size=0, lr=5e-4, one_cycle=False, flip=False),
    "cnn": Defaults(epochs=8, batch_size=128, lr=6e-3, one_cycle=True, flip=True),
}


class Pixels(nn.Module):
    """Bytes to floats: ``(x / 255 - mean) / std``.

    Mean and deviation are buffers, so that a checkpoint carries them to the predictions.

    Shape: (N, 28, 28) of uint8 to (N, 1, 28, 28) of float32.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return ((pictures.float() / 255 - self.mean) / self.std).unsqueeze(1)


def build(model: str, mean: float = 0.0, std: float = 1.0) -> nn.Sequential:
    """Build a network that takes bytes (N, 28, 28) and gives scores (N, 10).

    Args:
        model: ``"mlp"`` or ``"cnn"``.
        mean: mean brightness of the training pictures, 0..1; the mlp leaves brightness as it is, like the guide.
        std: its standard deviation.

    Raises:
        ApparelError: for another name.
    """
    if model == "mlp":
        return mlp()
    if model == "cnn":
        return cnn(mean, std)
    raise ApparelError(f"there is no model {model!r}: choose one of {', '.join(DEFAULTS)}")


def mlp() -> nn.Sequential:
    """The guide's network: 784 pixels, 50 hidden units, 10 scores."""
    return nn.Sequential(
        Pixels(),
        nn.Flatten(),
        nn.Linear(SIDE * SIDE, 50),
        nn.ReLU(),
        nn.Linear(50, len(CLASSES)),
    )


def cnn(mean: float, std: float) -> nn.Sequential:
    """Two convolutions and two layers on top, with batch normalisation (Ioffe & Szegedy 2015) and dropout.

    Pooling stands before normalisation and activation, which leaves these a quarter of the work.
    """
    return nn.Sequential(
        Pixels(mean, std),
        *_block(1, 16),
        *_block(16, 32),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * (SIDE // 4) ** 2, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(256, len(CLASSES)),
    )


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution that keeps the size, without bias since the normalisation has one, and a halving."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
