"""Published weights: their names, the files they are in, and how a model is given them.

Nothing is downloaded. A file that is on the disk, where PyTorch's hub keeps it, is loaded; else the error says which
file to get and where to put it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from flambeau import _api as torch
from flambeau import hub, nn
from flambeau._core.errors import explain
from flambeau.serialization import load
from flambeau.vision.transforms import presets

ADDRESS = "https://download.pytorch.org/models/"


class WeightsEnum(Enum):
    """The published weights of one model. The value is the name of a file, and the size of pictures it was trained on
    and is given: `ResNet18_Weights.IMAGENET1K_V1.url`, `.transforms()`."""

    @property
    def url(self) -> str:
        """Where the file is published."""
        return ADDRESS + self.value[0]

    def transforms(self) -> Any:
        """What a picture goes through before it is shown to the model: resize, crop the middle, normalise."""
        _, crop, resize = self.value
        return presets.ImageClassification(crop_size=crop, resize_size=resize)

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights from the file on the disk; FileNotFoundError, naming address and place, if it is not there."""
        path = checkpoints() / self.value[0]
        if not path.is_file():
            fact = f"{self} is not on this computer: no file {path}, and models are not downloaded"
            hint = f"put {self.url} there, or give weights= the path of the file"
            raise FileNotFoundError(explain(fact, hint=hint))
        return load(path)


def checkpoints() -> Path:
    """Where `torch.hub` keeps published files: below TORCH_HOME, or the user's folder for caches."""
    return Path(hub.get_dir()) / "checkpoints"


def published(name: str, *files: str, latest: str = "IMAGENET1K_V1", recipe: tuple[int, int] = (224, 256)) -> Any:
    """The enumeration `name` of weights; the second file, if there is one, is IMAGENET1K_V2, trained for pictures
    resized to 232."""
    members = [("IMAGENET1K_V1", (files[0], *recipe))]
    if len(files) > 1:
        members, latest = [*members, ("IMAGENET1K_V2", (files[1], 224, 232))], "IMAGENET1K_V2"
    make: Any = WeightsEnum
    kind = make(name, members, module=__name__)
    kind.DEFAULT = kind[latest]
    return kind


def built(model: nn.Module, weights: Any, kind: Any) -> Any:
    """`model` with `weights`: None, a member of `kind` or its name, or the path of a file with a state_dict.

    Raises:
        FileNotFoundError: if the file is not there; says where to get it.
        TypeError: for anything else.
    """
    if weights is not None:
        model.load_state_dict(_state(weights, kind))
    return model


def classes_for(weights: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model with published weights, which know 1,000 classes; ValueError if others are wanted."""
    if isinstance(weights, WeightsEnum) and kwargs.get("num_classes", 1000) != 1000:
        fact = f"The parameter 'num_classes' expected value 1000 but got {kwargs['num_classes']} instead."
        raise ValueError(explain(fact, hint="build the model with 1000 classes and replace its last layer"))
    return kwargs


def _state(weights: Any, kind: Any) -> dict[str, Any]:
    if isinstance(weights, str) and weights in {"DEFAULT", *kind.__members__}:
        weights = getattr(kind, weights)
    if isinstance(weights, kind):
        return weights.get_state_dict()
    if isinstance(weights, str | os.PathLike) and os.path.isfile(weights):
        return load(weights)
    names = ", ".join(kind.__members__)
    fact = f"weights={weights!r}: expected None, a member of {kind.__name__} ({names}), or the path of a file"
    raise TypeError(explain(fact, hint=f"the file is published at {kind.DEFAULT.url}"))


_builders: dict[str, Callable[..., nn.Module]] = {}


def register(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Let `get_model` find a builder by its name."""
    _builders[builder.__name__] = builder
    return builder


def list_models() -> list[str]:
    """The names of all models.

    Example::

        >>> "resnet18" in list_models()
        True
    """
    return sorted(_builders)


def get_model(name: str, **config: Any) -> nn.Module:
    """A model by its name; `config` goes to its builder. ValueError if there is none of that name.

    Example::

        >>> sum(p.numel() for p in get_model("squeezenet1_1").parameters())
        1235496
    """
    if name.lower() not in _builders:
        raise ValueError(f"Unknown model {name}; there are {', '.join(list_models())}")
    return _builders[name.lower()](**config)


def initialize_convolutions(model: nn.Module, mode: str = "fan_out") -> None:
    """The usual initialization of convolutional networks (He et al. 2015), in the order of the modules."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def initialize_linear(model: nn.Module, std: float = 0.01) -> None:
    """Linear layers from a normal distribution, with zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, std)
            nn.init.zeros_(module.bias)


Tensor = torch.Tensor
