"""Modules that are imported at the first use of one of their attributes.

`import flambeau` must cost little more than starting Python. NumPy alone takes 0.1 s, so the package never imports it
(nor slow modules of the standard library) until something is computed.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from flambeau._core import locks


class LazyModule(ModuleType):
    """Stands for a module; the first attribute looked up imports it, and what was looked up is kept here."""

    def __getattr__(self, name: str) -> Any:
        with locks.imports:
            value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


def lazy_module(name: str, doc: str | None = None) -> Any:
    """The module `name`, imported at its first use; until then `doc` says what it is.

    Example::

        >>> np = lazy_module("numpy")
        >>> np.arange(3).tolist()
        [0, 1, 2]
    """
    return LazyModule(name, doc)
