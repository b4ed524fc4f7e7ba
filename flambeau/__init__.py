"""Flambeau: a deep-learning framework with PyTorch's API, written in Python all the way down.

`import flambeau as torch` and go on as you know it.
"""

from flambeau import (
    _api,
    amp,
    autograd,
    cuda,
    fft,
    func,
    linalg,
    masked,
    nn,
    optim,
    random,
    serialization,
    signal,
    sparse,
    special,
    utils,
)
from flambeau._api import *  # noqa: F403
from flambeau.amp import GradScaler, autocast
from flambeau.autograd import is_anomaly_check_nan_enabled, is_anomaly_enabled
from flambeau.compiling import compile
from flambeau.func import vmap
from flambeau.serialization import load, save

__version__ = "0.2.0"

__all__ = [
    *_api.__all__,
    "GradScaler",
    "amp",
    "autocast",
    "autograd",
    "compile",
    "cuda",
    "fft",
    "func",
    "linalg",
    "is_anomaly_enabled",
    "load",
    "masked",
    "nn",
    "optim",
    "random",
    "save",
    "serialization",
    "signal",
    "sparse",
    "special",
    "is_anomaly_check_nan_enabled",
    "utils",
    "vmap",
]
