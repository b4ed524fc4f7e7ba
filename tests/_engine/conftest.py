"""What tests of windows and plans share."""

from __future__ import annotations

import pytest

from flambeau._core.config import config


@pytest.fixture(autouse=True)
def lazy(monkeypatch):
    """These tests are about the window, also where all others run without one."""
    monkeypatch.setattr(config, "window_instructions", 512)
