"""PyTorch programs as they are: `import torch` answered by Flambeau, and `flambeau run`."""

from __future__ import annotations

from flambeau.running.standing_in import install_as_torch

__all__ = ["install_as_torch"]
