"""Flambeau: a deep-learning framework with PyTorch's API, written in Python all the way down.

`import flambeau as torch` and go on as you know it.
"""

from flambeau import _api
from flambeau._api import *  # noqa: F403

__version__ = "0.1.0"
