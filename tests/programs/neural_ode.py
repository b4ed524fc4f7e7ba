"""A neural ODE: Runge-Kutta inside a custom autograd.Function whose backward solves the adjoint equation."""

import torch
import torch.nn as nn

torch.manual_seed(0)


def rk4(f, y, t0, t1, steps):
    h = (t1 - t0) / steps
    for k in range(steps):
        t = t0 + k * h
        k1 = f(t, y)
        k2 = f(t + h / 2, tuple(a + h / 2 * b for a, b in zip(y, k1)))
        k3 = f(t + h / 2, tuple(a + h / 2 * b for a, b in zip(y, k2)))
        k4 = f(t + h, tuple(a + h * b for a, b in zip(y, k3)))
        y = tuple(a + h / 6 * (b + 2 * c + 2 * d + e) for a, b, c, d, e in zip(y, k1, k2, k3, k4))
    return y


class ODEAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, func, steps, y0, *params):
        with torch.no_grad():
            (y1,) = rk4(lambda t, y: (func(y[0]),), (y0,), 0.0, 1.0, steps)
        ctx.func, ctx.steps = func, steps
        ctx.save_for_backward(y1, *params)
        return y1

    @staticmethod
    def backward(ctx, grad):
        y1, *params = ctx.saved_tensors
        func = ctx.func

        def augmented(t, state):
            y, a, *_ = state
            with torch.enable_grad():
                y = y.detach().requires_grad_(True)
                f = func(y)
                vjp = torch.autograd.grad(f, (y, *params), a, allow_unused=True)
            return (f.detach(), -vjp[0], *(-g for g in vjp[1:]))

        start = (y1, grad, *(torch.zeros_like(p) for p in params))
        with torch.no_grad():
            _, a, *grads = rk4(augmented, start, 1.0, 0.0, ctx.steps)
        return (None, None, a, *grads)


class Dynamics(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, y):
        return self.net(y)


func = Dynamics()
true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
start = torch.randn(64, 2)
target = start @ torch.linalg.matrix_exp(true_A)
params = tuple(func.parameters())

direct, = rk4(lambda t, y: (func(y[0]),), (start,), 0.0, 1.0, 8)  # fmt: skip
wanted = torch.autograd.grad(((direct - target) ** 2).mean(), params)
adjoint = ODEAdjoint.apply(func, 8, start, *params)
found = torch.autograd.grad(((adjoint - target) ** 2).mean(), params)
print("adjoint gradients agree:", all(torch.allclose(a, b, atol=1e-3) for a, b in zip(wanted, found)))

optimizer = torch.optim.Adam(func.parameters(), lr=0.02)
for it in range(16):
    optimizer.zero_grad()
    loss = ((ODEAdjoint.apply(func, 4, start, *params) - target) ** 2).mean()
    loss.backward()
    optimizer.step()
    if it % 4 == 3:
        print(f"iter {it}: loss {loss.item():.4f}")
