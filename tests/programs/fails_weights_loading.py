"""A checkpoint for another model: what strict loading refuses, and what `strict=False` reports."""

import io

import torch
from torch import nn

torch.manual_seed(3)


class Net(nn.Module):
    def __init__(self, hidden=4, head="head"):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(3, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        setattr(self, head, nn.Linear(hidden, 2))


def attempt(name, state, **options):
    model = Net()
    try:
        report = model.load_state_dict(state, **options)
        print(f"{name}: missing {sorted(report.missing_keys)}, unexpected {sorted(report.unexpected_keys)}")
    except (RuntimeError, TypeError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        print(f"{name}: {type(error).__name__}")
        print(*[line for line in lines if line.startswith(("Missing", "Unexpected", "size mismatch"))], sep="\n")


buffer = io.BytesIO()
torch.save(Net().state_dict(), buffer)
buffer.seek(0)
state = torch.load(buffer)
print(list(state))
attempt("same", state)
attempt("wrapped", {f"module.{key}": value for key, value in state.items()})
attempt("wrapped, not strict", {f"module.{key}": value for key, value in state.items()}, strict=False)
attempt("another head", Net(head="classifier").state_dict())
attempt("wider", Net(hidden=5).state_dict())
attempt("wider, not strict", Net(hidden=5).state_dict(), strict=False)
attempt("a checkpoint", {"epoch": 3, "model": state})
attempt("no running statistics", {key: value for key, value in state.items() if "running" not in key})
attempt("empty", {})
attempt("a list", list(state.values()))

optimizer = torch.optim.Adam(Net().parameters(), lr=0.01)
for name, saved in (
    ("of fewer parameters", torch.optim.Adam(nn.Linear(3, 2).parameters()).state_dict()),
    ("of two groups", torch.optim.Adam([{"params": p} for p in nn.Linear(3, 2).parameters()]).state_dict()),
    ("of nothing", {}),
):
    try:
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError) as error:
        print("optimizer", name, type(error).__name__)

Net().load_state_dict({key.replace("head", "fc"): value for key, value in state.items()})
