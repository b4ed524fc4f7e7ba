"""What tests of compilations share."""

from __future__ import annotations

import pytest

from flambeau._compiler import outline


@pytest.fixture(autouse=True)
def lazy(usual_window):
    """What is compiled is a whole window."""


@pytest.fixture(autouse=True)
def thorough(monkeypatch):
    """What holds between passes is checked."""
    monkeypatch.setattr(outline, "thorough", True)
