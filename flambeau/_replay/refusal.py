"""Why a function cannot be replayed."""

from __future__ import annotations

import os
from types import CodeType


class Refusal(Exception):
    """`reason`, and the line of the user's program it is about, if it is about one."""

    def __init__(self, reason: str, code: CodeType | None = None, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.line = line

    def describe(self) -> str:
        """`model.py:12: random.random() is called`."""
        if self.code is None:
            return self.reason
        line = self.code.co_firstlineno if self.line is None else self.line
        return f"{os.path.basename(self.code.co_filename)}:{line}: {self.reason}"


class Foreign(Refusal):
    """The function calls what has to run at every call, and is there for that: a custom operator. So it is in PyTorch's
    graphs, and `fullgraph` does not mind."""


class Unsettled(Refusal):
    """The function changed Python's state this time, as a first call may; the next one may not."""
