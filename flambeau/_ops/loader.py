"""Imports every module of operations, which fills the op table."""

from __future__ import annotations

import importlib
import os

import flambeau._ops as package


def load() -> None:
    """Fill the op table."""
    for file in sorted(os.listdir(os.path.dirname(__file__))):
        name, extension = os.path.splitext(file)
        if extension == ".py" and name not in ("__init__", "loader"):
            importlib.import_module(f"{package.__name__}.{name}")
