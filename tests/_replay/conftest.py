"""What the tests of replays share."""

from __future__ import annotations

import pytest

from flambeau._core.config import config


@pytest.fixture(autouse=True)
def compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay is compiled, also where nothing else is."""
    if config.compile == "never":
        monkeypatch.setattr(config, "compile", "auto")
