"""Third-party packages that only the case study needs, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, package: str) -> Any:
    """Import `module`; where it is absent, say which extra installs it.

    Args:
        module: dotted name to import, e.g. ``"PIL.Image"``.
        package: name of the package as pip knows it, e.g. ``"pillow"``.

    Raises:
        ImportError: if the package is not installed.

    Example::

        >>> require("json", "json").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there, something inside it is broken
        raise ImportError(
            f"the apparel case study needs {package}, which is not installed: pip install 'flambeau[apparel]'"
        ) from error
