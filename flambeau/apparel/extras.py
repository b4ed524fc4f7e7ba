"""Third-party packages that only the case study needs, imported when they are first used."""

from __future__ import annotations

from typing import Any

from flambeau._core import extras


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
    return extras.require(module, package, "the apparel case study", "apparel")
