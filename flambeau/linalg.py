"""Linear algebra (`torch.linalg`): every operation of the namespace in the op table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._api import operations
from flambeau._ops.linalg import LinAlgError as LinAlgError

globals().update(operations("linalg"))

__all__ = [
    name for name in globals() if name[0] != "_" and name not in ("annotations", "TYPE_CHECKING", "Any", "operations")
]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
