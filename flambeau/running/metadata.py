"""What `importlib.metadata` says of `torch` while Flambeau stands for it: libraries ask for its version there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from flambeau import version

DISTRIBUTIONS = {"torch": version.AS_TORCH, "torchvision": version.AS_TORCHVISION}


class StandInDistribution(metadata.Distribution):
    """A distribution without files, of which only name and version are known."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {DISTRIBUTIONS[self._name]}\n"

    def locate_file(self, path: Any) -> Path:
        return Path(__file__).parents[2] / path


def distributions(wanted: str | None) -> Iterator[StandInDistribution]:
    """Those that Flambeau stands for: the one with this name, or all."""
    for name in DISTRIBUTIONS:
        if wanted is None or wanted.lower() == name:
            yield StandInDistribution(name)
