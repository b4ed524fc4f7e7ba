"""Parameters updated by hand, the ways that are refused and those that work; forgetting `no_grad` ends the program."""

import torch

torch.manual_seed(1)
inputs = torch.randn(20, 2)
truth = inputs @ torch.tensor([[2.0], [-1.0]]) + 0.5
weight = torch.zeros(2, 1, requires_grad=True)
bias = torch.zeros(1, requires_grad=True)


def refused(name, function):
    try:
        function()
        print(f"{name}: done")
    except RuntimeError as error:
        print(f"{name}: refused,", "leaf" in str(error))


def subtract():
    global weight
    weight -= 1.0


def part():
    weight[0] = 1.0


def through_view():
    weight.view(-1).add_(1.0)


def through_column():
    weight[:, 0].mul_(2.0)


def through_transposed():
    weight.t().zero_()


def with_random_numbers():
    weight.normal_()


def clamp():
    weight.clamp_(-1, 1)


def copy():
    weight.copy_(torch.ones(2, 1))


for name, function in [
    ("-=", subtract), ("weight[0] =", part), ("view", through_view), ("column", through_column),
    ("transposed", through_transposed), ("normal_", with_random_numbers), ("clamp_", clamp), ("copy_", copy),
]:  # fmt: skip
    refused(name, function)

for epoch in range(5):
    loss = ((inputs @ weight + bias - truth) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        weight -= 0.3 * weight.grad
        bias.sub_(0.3 * bias.grad)
        weight.grad.zero_()
        bias.grad = None
    print(f"epoch {epoch} loss {loss.item():.4f} version {weight._version}")

weight.data.add_(0.0)
print("by .data:", weight.is_leaf, weight.requires_grad)
wide = torch.zeros(1, 3).expand(4, 3)
try:
    wide.add_(1.0)
except RuntimeError as error:
    print("expanded:", "single memory location" in str(error))
try:
    wide[0] = 1.0
    print("a row of it:", wide[3].tolist())
except RuntimeError as error:
    print("a row of it:", "single memory location" in str(error))
try:
    torch.ones(2, requires_grad=True).unsqueeze(0).add_(1)
except RuntimeError as error:
    print("a view of a leaf:", "leaf Variable" in str(error))

loss = ((inputs @ weight + bias - truth) ** 2).mean()
loss.backward()
weight -= 0.1 * weight.grad
