"""Values that backward needs, changed in place: several operations, each refused; the last one ends the program."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.randn(4, 3, requires_grad=True)
target = torch.tensor([0, 2, 1, 0])


def attempt(name, function):
    """Does this program's mistake come out in backward?"""
    x.grad = None
    try:
        function().sum().backward()
        print(f"{name:12} gradient {x.grad.abs().sum().item():.4f}")
    except RuntimeError as error:
        print(f"{name:12} refused:", "modified by an inplace operation" in str(error))


def exponential():
    y = x.exp()
    y.mul_(2)
    return y


def tangent():
    y = torch.tanh(x)
    y[0] = 0.0
    return y


def product():
    scale = torch.ones(4, 3)
    y = x * scale
    scale.add_(1)
    return y


def root():
    y = (x * x + 1).sqrt()
    y -= 1
    return y


def softmax():
    y = F.softmax(x, dim=1)
    y.clamp_(min=0.1)
    return y


def quotient():
    below = torch.full((4, 3), 2.0)
    y = x / below
    below.zero_()
    return y


def maximum():
    y = x.max(dim=1)
    y.indices.zero_()
    return y.values


def matrices():
    weight = torch.ones(3, 2)
    y = x @ weight
    weight.copy_(torch.zeros(3, 2))
    return y


def norm():
    y = x.norm(dim=1, keepdim=True)
    z = x / y
    y.fill_(1.0)
    return z


def through_view():
    y = x.sigmoid()
    y.view(-1)[:3].zero_()
    return y


def through_detach():
    y = x.sigmoid()
    y.detach().zero_()
    return y


def power():
    y = (x * 1) ** 2
    z = y * 3
    y.add_(1)
    return z


def addition():
    y = x + 1
    y += 1
    return y


def rectified():
    y = F.relu(x * 2)
    y.add_(1)
    return y


def dropout():
    y = F.dropout(x.exp(), 0.5, training=False)
    y.mul_(0)
    return y


def loss():
    scores = F.log_softmax(x, dim=1)
    value = F.nll_loss(scores, target)
    scores.zero_()
    return value


for name, function in list(globals().items()):
    if callable(function) and name not in ("attempt",) and getattr(function, "__module__", "") == __name__:
        attempt(name, function)

hidden = torch.sigmoid(x)
hidden.add_(1)
hidden.sum().backward()
