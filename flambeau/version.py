"""Versions (`torch.version`) of what the package is built on: of GPU libraries none."""

__version__ = "0.2.0"
cuda = hip = xpu = None
debug = False
git_version = "unknown"
