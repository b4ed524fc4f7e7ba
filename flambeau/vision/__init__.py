"""Pictures: data sets, transforms, models and grids with torchvision's names; `torchvision` under `flambeau run`.

Whoever only computes does not pay for it: `import flambeau` does not import this package.
"""

from __future__ import annotations

from flambeau.vision import datasets, io, models, ops, transforms, utils, version
from flambeau.vision.version import __version__

__all__ = ["__version__", "datasets", "get_image_backend", "io", "models", "ops", "transforms", "utils", "version"]


def get_image_backend() -> str:
    """The package that reads pictures: "PIL", which is Pillow.

    Example::

        >>> get_image_backend()
        'PIL'
    """
    return "PIL"


def disable_beta_transforms_warning() -> None:
    """Nothing is to be done: `transforms.v2` warns no more, as in torchvision."""
