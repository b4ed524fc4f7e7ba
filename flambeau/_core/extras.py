"""Optional third-party packages, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, package: str, user: str, extra: str) -> Any:
    """Import `module`; where it is absent, say who needs which package and which extra of Flambeau brings it.

    Raises:
        ImportError: if the package is not installed.

    Example::

        >>> require("json", "json", "this example", "examples").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there, something inside it is broken
        fact = f"{user} needs {package}, which is not installed: pip install 'flambeau[{extra}]'"
        raise ImportError(fact) from error
