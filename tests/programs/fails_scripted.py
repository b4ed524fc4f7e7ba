"""Scripted and traced programs keep to their shapes; the scripted model gets an input of another size in the end."""

import torch
from torch import nn


@torch.jit.script
def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    if x.sum() > 0:
        return x * factor
    return -x * factor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


torch.manual_seed(7)
print(scaled(torch.ones(2), 2.0).tolist(), scaled(-torch.ones(2), 2.0).tolist())
for name, wrong in (
    ("scaled", lambda: scaled(torch.ones(2), torch.ones(3))),
    ("traced", lambda: torch.jit.trace(Net(), torch.ones(2, 5))),
    ("traced, then called", lambda: torch.jit.trace(Net(), torch.ones(2, 3))(torch.ones(2, 5))),
    ("no function", lambda: torch.jit.script(3)),
):
    try:
        wrong()
        print(f"{name}: nothing")
    except Exception as error:
        print(f"{name}: {type(error).__name__}")
model = torch.jit.script(Net())
print(f"{model(torch.ones(2, 3)).sum().item():.4f}")
model(torch.ones(2, 5))
