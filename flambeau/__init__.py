"""Flambeau: a deep-learning framework with PyTorch's API, written in Python all the way down.

`import flambeau as torch` and go on as you know it.
"""

from flambeau import _api, autograd, cuda, fft, linalg, nn, optim, random, serialization, special, utils, version
from flambeau._api import *  # noqa: F403
from flambeau.autograd import is_anomaly_check_nan_enabled, is_anomaly_enabled
from flambeau.compiling import compile
from flambeau.running import install_as_torch
from flambeau.serialization import load, save
from flambeau.version import __version__

__all__ = [
    *_api.__all__,
    "autograd",
    "compile",
    "cuda",
    "fft",
    "install_as_torch",
    "linalg",
    "is_anomaly_enabled",
    "load",
    "nn",
    "optim",
    "random",
    "save",
    "serialization",
    "special",
    "is_anomaly_check_nan_enabled",
    "utils",
    "version",
]
