"""Optimizers and schedulers given what they cannot use; a result of an operation, in the end."""

import warnings

import torch
from torch import nn, optim

torch.manual_seed(4)
w = torch.randn(3, requires_grad=True)
model = nn.Linear(3, 1)


def attempt(name, function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function()
            print(f"{name}: {type(result).__name__}", *{warning.category.__name__ for warning in caught})
        except Exception as error:
            print(f"{name}: {type(error).__name__}")


def late_parameters():
    optimizer = optim.SGD([w], lr=0.1)
    optimizer.add_param_group({"params": [w]})


def plateau():
    optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([w], lr=0.1)).step()


def beyond():
    optimizer = optim.SGD([w], lr=0.1)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=3)
    for _ in range(5):
        optimizer.step()
        scheduler.step()


def scheduler_first():
    optimizer = optim.SGD([w], lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    scheduler.step()
    optimizer.step()


def no_gradient():
    before = w.detach().clone()
    optim.Adam([w]).step()
    assert torch.equal(before, w)


def empty_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(3, 3)]

    return optim.SGD(Net().parameters(), lr=0.1)


def consumed():
    parameters = model.parameters()
    list(parameters)
    return optim.SGD(parameters, lr=0.1)


def graph_twice():
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    first, second = model(torch.ones(1, 3)).pow(2).sum(), nn.Sequential(model, nn.Linear(1, 1))(torch.ones(1, 3)).sum()
    first.backward()
    optimizer.step()
    second.backward()
    return optimizer


attempt("a tensor", lambda: optim.SGD(w, lr=0.1))
attempt("a module", lambda: optim.SGD(model, lr=0.1))
attempt("numbers", lambda: optim.SGD([1.0], lr=0.1))
attempt("nothing", lambda: optim.SGD([], lr=0.1))
attempt("none", lambda: optim.SGD(None, lr=0.1))
attempt("a set", lambda: optim.SGD({w}, lr=0.1))
attempt("a group without params", lambda: optim.SGD([{"weights": [w]}], lr=0.1))
attempt("twice", late_parameters)
attempt("a negative rate", lambda: optim.SGD([w], lr=-1.0))
attempt("a rate as text", lambda: optim.SGD([w], lr="0.1"))
attempt("a wrong keyword", lambda: optim.Adam([w], learning_rate=0.1))
attempt("betas", lambda: optim.Adam([w], betas=(0.9, 1.0)))
attempt("momentum", lambda: optim.SGD([w], lr=0.1, momentum=-0.5))
attempt("nesterov", lambda: optim.SGD([w], lr=0.1, nesterov=True))
attempt("no closure", lambda: optim.LBFGS([w]).step())
attempt("two groups", lambda: optim.LBFGS([{"params": [w]}, {"params": model.parameters()}]))
attempt("plateau", plateau)
attempt("beyond the end", beyond)
attempt("scheduler first", scheduler_first)
attempt("scheduler of a model", lambda: optim.lr_scheduler.StepLR(model, 1))
attempt("lambdas", lambda: optim.lr_scheduler.LambdaLR(optim.SGD([w], lr=0.1), [lambda e: 1.0, lambda e: 2.0]))
attempt("no gradient", no_gradient)
attempt("layers in a list", empty_list)
attempt("a used generator", consumed)
attempt("a step in between", graph_twice)
attempt("clipped module", lambda: nn.utils.clip_grad_norm_(model, 1.0))
attempt("a scaler without a scale", lambda: torch.amp.GradScaler("cpu").step(optim.SGD([w], lr=0.1)))
scaled = w * 2
optim.SGD([scaled], lr=0.1)
