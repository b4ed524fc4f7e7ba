"""What tests of compilations share."""

from __future__ import annotations

import pytest

from flambeau._compiler import outline
from flambeau._core.config import config


@pytest.fixture(autouse=True)
def lazy(monkeypatch):
    """What is compiled is a whole window, also where all others run without one."""
    monkeypatch.setattr(config, "window_instructions", 512)


@pytest.fixture(autouse=True)
def thorough(monkeypatch):
    """What holds between passes is checked."""
    monkeypatch.setattr(outline, "thorough", True)
