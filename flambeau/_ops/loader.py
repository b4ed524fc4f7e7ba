"""Imports every module of operations, which fills the op table."""

from __future__ import annotations

import importlib
import pkgutil

import flambeau._ops as package


def load() -> None:
    """Fill the op table."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
