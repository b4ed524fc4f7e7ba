"""What surrounds training: data loading."""

from __future__ import annotations

from flambeau.utils import data

__all__ = ["data"]
