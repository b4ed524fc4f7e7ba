"""Pictures: data sets, transforms, models and grids with torchvision's names; `torchvision` under `flambeau run`.

Whoever only computes does not pay for it: `import flambeau` does not import this package.
"""

from __future__ import annotations

from flambeau import version
from flambeau.vision import datasets, models, ops, transforms, utils

__version__ = version.TorchVersion(f"0.28.0+flambeau.{version.__version__}")

__all__ = ["datasets", "models", "ops", "transforms", "utils"]
