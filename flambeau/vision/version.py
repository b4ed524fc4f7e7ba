"""The version: torchvision's whose behaviour is followed, and Flambeau's."""

from __future__ import annotations

from flambeau import version

__version__ = version.TorchVersion(f"0.28.0+flambeau.{version.__version__}")
cuda: str | None = None
git_version = version.git_version
