"""Objects that a function may use without being looked into: operators, whose Python runs at every call."""

from __future__ import annotations


class Opaque:
    """What can be called and found, but holds nothing that a replay could depend on: an operator with Python of its own
    tells the window when it is called (`Window.unseen`), and there is no replay."""
