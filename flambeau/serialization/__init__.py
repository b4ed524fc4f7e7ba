"""Checkpoints: `save` and `load` in PyTorch's format, without ever running code from a file; NumPy's files."""

from __future__ import annotations

from flambeau._core.homes import absent
from flambeau.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from flambeau.serialization.loading import MapLocation as MAP_LOCATION  # noqa: N812 (PyTorch's name)
from flambeau.serialization.loading import load
from flambeau.serialization.names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from flambeau.serialization.npy import load_npy, load_npz, save_npy, save_npz
from flambeau.serialization.options import LoadEndianness, get_default_load_endianness, set_default_load_endianness
from flambeau.serialization.saving import DEFAULT_PROTOCOL, save
from flambeau.serialization.scanning import get_unsafe_globals_in_checkpoint

__all__ = [
    "DEFAULT_PROTOCOL",
    "MAGIC_NUMBER",
    "PROTOCOL_VERSION",
    "LoadEndianness",
    "MAP_LOCATION",
    "add_safe_globals",
    "clear_safe_globals",
    "get_default_load_endianness",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "load_npy",
    "load_npz",
    "safe_globals",
    "save",
    "save_npy",
    "save_npz",
    "set_default_load_endianness",
]

__getattr__ = absent("torch.serialization")
