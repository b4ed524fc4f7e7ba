"""Settings that all tests share."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable, Collection
from typing import Any

# One thread, so that several test runs can share a machine; set before NumPy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from flambeau._core.config import config  # noqa: E402

# Timing varies on shared machines, and a quick run must give the same verdict twice.
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def usual_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is as long as it is by default, also where all other tests run without one."""
    monkeypatch.setattr(config, "window_instructions", 512)


class Interrupt:
    """Ctrl-C at a line of one's choice: raises KeyboardInterrupt before a line of these files, the one of the given
    number among those that run. Not where a `with` block or its lock ends: CPython looks for signals after calls, not
    there."""

    def __init__(self, number: int, files: Collection[str]) -> None:
        self.left = number
        self.files = files

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        file = os.path.basename(frame.f_code.co_filename)
        if file not in self.files or frame.f_code.co_name == "resize":
            return None
        if event == "line" and not linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith(
            ("with ", "if held", "pool.lock.release")
        ):
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    def during(self, function: Callable[[], Any]) -> bool:
        """Was the function interrupted?"""
        tracer = sys.gettrace()
        try:
            sys.settrace(self)
            function()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(tracer)
        return False


@pytest.fixture
def interrupt() -> type[Interrupt]:
    """What raises KeyboardInterrupt at a line."""
    return Interrupt
