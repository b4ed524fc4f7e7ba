"""Tensors of one's own kinds: measurements with units, weights of low rank, a diagonal matrix that is no tensor at all,
and a mode that counts what a model calls."""

from collections import Counter

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function, resolve_name

torch.manual_seed(0)


class Quantity(torch.Tensor):
    """Numbers with a unit, which must agree where they are added."""

    @staticmethod
    def __new__(cls, data, unit):
        made = torch.as_tensor(data).as_subclass(cls)
        made.unit = unit
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        units = [a.unit for a in args if isinstance(a, cls) and hasattr(a, "unit")]
        name = func.__name__
        if name in ("add", "sub") and len(set(units)) > 1:
            raise ValueError(f"cannot {name} {units[0]} and {units[1]}")
        result = super().__torch_function__(func, types, args, kwargs)
        if isinstance(result, cls):
            result.unit = {"mul": "*".join(units), "div": "/".join(units)}.get(name, units[0] if units else "1")
        return result


length = Quantity([3.0, 4.0], "m")
duration = Quantity([2.0, 8.0], "s")
speed = length / duration
print("speed", speed.tolist(), speed.unit, type(speed).__name__)
print("sum", (length + length).sum().item(), length.sum().unit, length[0].unit)
print("area", (length * length).unit, length.mean().unit, torch.sqrt(length).unit)
try:
    length + duration
except ValueError as error:
    print("refused:", error)


HANDLERS = {}


def implements(*functions):
    def register(handler):
        HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


class Diagonal:
    """A diagonal matrix which keeps its diagonal only."""

    def __init__(self, values):
        self.values = values

    def dense(self):
        return torch.diag(self.values)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in HANDLERS or not all(issubclass(t, (torch.Tensor, Diagonal)) for t in types):
            return NotImplemented
        return HANDLERS[func](*args, **(kwargs or {}))


@implements(torch.matmul, torch.Tensor.matmul)
def matmul(a, b):
    if isinstance(a, Diagonal) and isinstance(b, Diagonal):
        return Diagonal(a.values * b.values)
    return a.values[:, None] * b if isinstance(a, Diagonal) else a * b.values


@implements(torch.mean)
def mean(x, **kwargs):
    return x.values.sum() / x.values.numel() ** 2


@implements(torch.add, torch.Tensor.add)
def add(a, b, *, alpha=1):
    a, b = [x.dense() if isinstance(x, Diagonal) else x for x in (a, b)]
    return torch.add(a, b, alpha=alpha)


d = Diagonal(torch.tensor([1.0, 2.0, 3.0]))
m = torch.arange(9.0).reshape(3, 3)
print(torch.matmul(d, m))
print(m @ d)
print(torch.matmul(d, d).values, torch.mean(d))
print(torch.add(m, d, alpha=10))
print(m + d)
for wrong in (lambda: torch.exp(d), lambda: F.softmax(d, -1), lambda: torch.stack([d, d])):
    try:
        wrong()
    except TypeError as error:
        print("TypeError about a Diagonal:", "Diagonal" in str(error))


class LowRank(nn.Parameter):
    """A weight that takes part in `linear` as itself plus a product of two thin matrices."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.linear and isinstance(args[1], cls):
            x, weight, *bias = args
            with torch._C.DisableTorchFunctionSubclass():
                plain = F.linear(x, weight, *bias, **kwargs)
            return plain + x @ weight.a @ weight.b
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)


layer = nn.Linear(6, 4)
weight = LowRank(layer.weight.detach(), requires_grad=False)
weight.a, weight.b = nn.Parameter(torch.randn(6, 2) * 0.1), nn.Parameter(torch.zeros(2, 4))
layer.weight = weight
x, y = torch.randn(32, 6), torch.randn(32, 4)
optimizer = torch.optim.Adam([weight.a, weight.b], lr=0.05)
for step in range(30):
    optimizer.zero_grad()
    loss = F.mse_loss(layer(x), y)
    loss.backward()
    optimizer.step()
    if step % 10 == 0 or step == 29:
        print(f"step {step} loss {loss.item():.4f}")
print("weight unchanged:", weight.grad is None, type(layer.weight).__name__, isinstance(layer.weight, nn.Parameter))


class Count(TorchFunctionMode):
    def __init__(self):
        self.calls = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls[resolve_name(func) or func.__name__] += 1
        return func(*args, **(kwargs or {}))


class Noise(TorchFunctionMode):
    """Every `randn` is zero."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.randn:
            return torch.zeros(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
with Count() as count, Noise():
    out = model(torch.randn(2, 6))
    penalty = torch.stack([torch.linalg.norm(w) for w in (model[0].weight, model[2].weight)]).sum()
print("rows are equal:", torch.equal(out[0], out[1]))
for name in ("torch.nn.functional.linear", "torch.randn", "torch.zeros", "torch.stack", "torch.linalg.norm"):
    print(name, count.calls[name] or count.calls[name.replace("functional", "_C._nn")])


def scaled(x, factor):
    if has_torch_function((x,)):
        return handle_torch_function(scaled, (x,), x, factor)
    return x * factor


class Watched(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        print("  watched:", func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


print(type(scaled(torch.ones(2).as_subclass(Watched), 3)).__name__)
