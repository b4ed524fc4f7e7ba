"""Numbers of channels, and outputs of the layers inside a model."""

from __future__ import annotations

from collections import OrderedDict

from flambeau import _api as torch
from flambeau import nn
from flambeau._core.errors import explain

Tensor = torch.Tensor


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `v`, at least `min_value`, or `divisor`, and not below nine tenths of `v`.

    Example::

        >>> _make_divisible(18, 8), _make_divisible(19, 8)
        (24, 24)
    """
    rounded = max(min_value or divisor, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


class IntermediateLayerGetter(nn.ModuleDict):
    """The outputs of some children of `model`, by the names that `return_layers` gives them, in an OrderedDict.

    The children are called one after the other, as they stand in the model, up to the last that is wanted; what the
    model's own `forward` does between them is left out.

    Raises:
        ValueError: for a name that is no child's.

    Example::

        >>> model = nn.Sequential(OrderedDict(first=nn.Linear(4, 3), second=nn.ReLU(), third=nn.Linear(3, 2)))
        >>> found = IntermediateLayerGetter(model, {"first": "a", "second": "b"})(torch.ones(5, 4))
        >>> {name: tuple(value.shape) for name, value in found.items()}
        {'a': (5, 3), 'b': (5, 3)}
    """

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        children = OrderedDict(model.named_children())
        if unknown := set(return_layers) - set(children):
            fact = f"return_layers are not present in model: {', '.join(sorted(unknown))}"
            raise ValueError(explain(fact, hint=f"its children are {', '.join(children)}"))
        names = list(children)
        last = max((names.index(name) for name in return_layers), default=len(names) - 1)
        super().__init__(OrderedDict((name, children[name]) for name in names[: last + 1]))
        self.return_layers = return_layers

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found
