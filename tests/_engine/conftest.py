"""What tests of windows and plans share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def lazy(usual_window):
    """These tests are about the window."""
