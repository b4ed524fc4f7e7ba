"""Losses that lost their graph: by no_grad, detach, item, integers, a comparison; the last one ends the program."""

import torch
from torch import nn

torch.manual_seed(2)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, target = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 1, 0])
criterion = nn.CrossEntropyLoss()


def step(name, compute):
    optimizer.zero_grad()
    try:
        compute().backward()
        optimizer.step()
        print(f"{name}: stepped, {sum(p.grad is not None for p in model.parameters())} gradients")
    except (RuntimeError, AttributeError, TypeError) as error:
        print(f"{name}: {type(error).__name__}", "does not require grad" in str(error))


def within_no_grad():
    with torch.no_grad():
        return criterion(model(x), target)


@torch.no_grad()
def decorated():
    return criterion(model(x), target)


def half():
    with torch.no_grad():
        hidden = model[0](x)
    return criterion(model[2](model[1](hidden)), target)


def frozen():
    for p in model.parameters():
        p.requires_grad_(False)
    try:
        return criterion(model(x), target)
    finally:
        for p in model.parameters():
            p.requires_grad_(True)


step("no_grad", within_no_grad)
step("decorator", decorated)
step("half", half)
step("frozen", frozen)
step("detach", lambda: criterion(model(x).detach(), target))
step("item", lambda: criterion(model(x), target).item())
step("numpy", lambda: torch.from_numpy(model(x).detach().numpy()).sum())
step("tensor(...)", lambda: torch.tensor(criterion(model(x), target).tolist()))
step("argmax", lambda: (model(x).argmax(1) == target).float().mean())
step("rounded", lambda: model(x).long().sum())
step("compared", lambda: (model(x) > 0).float().sum())
step("no reduction", lambda: nn.CrossEntropyLoss(reduction="none")(model(x), target))
step("whole", lambda: criterion(model(x), target))

with torch.inference_mode():
    features = torch.ones(2, 3)
    print("inference:", features.is_inference(), model(features).requires_grad)
try:
    features.requires_grad_()
except RuntimeError as error:
    print("requires_grad_:", "InferenceMode" in str(error))
try:
    torch.tensor([1, 2], requires_grad=True)
except RuntimeError as error:
    print("integers:", "floating point" in str(error))
try:
    torch.autograd.grad(criterion(model(x), target), torch.zeros(2, requires_grad=True))
except RuntimeError as error:
    print("unused:", "allow_unused" in str(error))
total = 0.0
for _ in range(3):
    total += criterion(model(x), target).item()
torch.tensor(total).backward()
