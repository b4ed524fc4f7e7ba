"""MAML on sine waves with functional weights: the outer gradient goes through the inner steps."""

import math

import torch
import torch.nn.functional as F

torch.manual_seed(0)


def net(x, params):
    x = F.linear(x, params[0], params[1])
    x = F.relu(x)
    x = F.linear(x, params[2], params[3])
    x = F.relu(x)
    return F.linear(x, params[4], params[5])


params = [
    torch.Tensor(32, 1).uniform_(-1.0, 1.0).requires_grad_(),
    torch.Tensor(32).zero_().requires_grad_(),
    torch.Tensor(32, 32).uniform_(-1.0 / math.sqrt(32), 1.0 / math.sqrt(32)).requires_grad_(),
    torch.Tensor(32).zero_().requires_grad_(),
    torch.Tensor(1, 32).uniform_(-1.0 / math.sqrt(32), 1.0 / math.sqrt(32)).requires_grad_(),
    torch.Tensor(1).zero_().requires_grad_(),
]
opt = torch.optim.Adam(params, lr=1e-3)
n_inner_loop, alpha = 2, 0.03


def sample_task():
    amplitude, phase = 0.1 + 4.9 * torch.rand(1).item(), math.pi * torch.rand(1).item()

    def draw(k):
        x = torch.rand(k, 1) * 4 * math.pi - 2 * math.pi
        return x, amplitude * torch.sin(x + phase)

    return draw


def adapt(weights, x, y, create_graph):
    for _ in range(n_inner_loop):
        loss = F.mse_loss(net(x, weights), y)
        grad = torch.autograd.grad(loss, weights, create_graph=create_graph)
        weights = [w - alpha * g for w, g in zip(weights, grad)]
    return weights


for it in range(20):
    opt.zero_grad()
    total = 0.0
    for _ in range(4):
        task = sample_task()
        new_params = adapt(params, *task(10), create_graph=True)
        x, y = task(10)
        loss = F.mse_loss(net(x, new_params), y)
        loss.backward()
        total += loss.item()
    for p in params:
        p.grad.data.div_(4).clamp_(-10, 10)
    opt.step()
    if it % 5 == 4:
        print(f"iteration {it}: meta loss {total / 4:.4f}")

task = sample_task()
x, y = task(10)
adapted = adapt([p.detach().requires_grad_() for p in params], x, y, create_graph=False)
xt, yt = task(100)
print(f"before {F.mse_loss(net(xt, params), yt).item():.4f} after {F.mse_loss(net(xt, adapted), yt).item():.4f}")
