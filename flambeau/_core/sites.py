"""Source sites: the line of the user's program that an operation was called from.

Taking a site must cost next to nothing, so a site is a pair (code object, instruction offset); the line number is
worked out only when a message is written.
"""

from __future__ import annotations

import os
import warnings
from sys import _getframe
from types import CodeType, FrameType

Site = tuple[CodeType, int]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_internal: dict[str, bool] = {}  # file name of a code object -> does it belong to the package?


def is_internal(filename: str) -> bool:
    known = _internal.get(filename)
    if known is None:
        known = _internal[filename] = filename.startswith(_PACKAGE)
    return known


def user_site(depth: int = 1) -> Site | None:
    """The nearest caller outside the package, looking from `depth` frames up; None if there is none."""
    try:
        frame: FrameType | None = _getframe(depth)  # skip frames known to be internal
    except ValueError:  # called from a stack that shallow
        frame = _getframe(1)
    while frame is not None:
        code = frame.f_code
        known = _internal.get(code.co_filename)
        if known is None:
            known = is_internal(code.co_filename)
        if not known:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning at the line of the user's program, however many of the package's own lie between.

    Example::

        >>> with warnings.catch_warnings(action="ignore"):
        ...     warn("a dimension was guessed")
    """
    level, frame = 1, _getframe(0)
    while frame.f_back is not None and is_internal(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def line_of(site: Site) -> int:
    """The line number a site stands for."""
    code, offset = site
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def describe(site: Site | None) -> str:
    """`train.py:41`, or `an unknown line` where the site was not kept.

    Example::

        >>> describe(None)
        'an unknown line'
    """
    if site is None:
        return "an unknown line"
    return f"{os.path.basename(site[0].co_filename)}:{line_of(site)}"
