"""What programs say about replays beside `torch.compile` itself: the stance, and functions that are not looked into."""

from __future__ import annotations

import threading
import weakref
from typing import Any

STANCES = (
    "default", "force_eager", "eager_on_recompile", "fail_on_recompile", "eager_then_compile",
    "aot_eager_then_compile",
)  # fmt: skip


class Steering:
    """`stance`, one of STANCES, says what calls of compiled functions do, in all threads."""

    stance = "default"


class Inside(threading.local):
    """Is a compiled function running in this thread?"""

    compiled = False


steering = Steering()
inside = Inside()
# Functions by their ids that are what their makers say: nobody looks into them.
trusted: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
substitutes: dict[int, tuple[Any, Any]] = {}  # by its id, a function, and the one that is looked into in its place
