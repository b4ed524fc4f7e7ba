"""Checkpoints: `save` and `load` in PyTorch's format, without ever running code from a file."""

from __future__ import annotations

from flambeau.serialization.loading import load
from flambeau.serialization.names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from flambeau.serialization.npy import load_npy, load_npz, save_npy, save_npz
from flambeau.serialization.saving import save

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "load_npy",
    "load_npz",
    "safe_globals",
    "save",
    "save_npy",
    "save_npz",
]
