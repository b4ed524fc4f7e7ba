"""A normalizing flow: affine couplings with alternating masks, the log-determinant, samples drawn backwards."""

import math

import torch
from torch import nn, optim

torch.manual_seed(0)


def two_moons(n):
    t = math.pi * torch.rand(n)
    which = torch.randint(0, 2, (n,)).float()
    x = torch.cos(t) * (1 - 2 * which) + which
    y = torch.sin(t) * (1 - 2 * which) + which * 0.5
    return torch.stack([x, y], 1) + 0.05 * torch.randn(n, 2)


class RealNVP(nn.Module):
    def __init__(self, nets, nett, masks):
        super(RealNVP, self).__init__()
        self.register_buffer("mask", masks)
        self.t = torch.nn.ModuleList([nett() for _ in range(len(masks))])
        self.s = torch.nn.ModuleList([nets() for _ in range(len(masks))])

    def g(self, z):
        x = z
        for i in range(len(self.t)):
            x_ = x * self.mask[i]
            s = self.s[i](x_) * (1 - self.mask[i])
            t = self.t[i](x_) * (1 - self.mask[i])
            x = x_ + (1 - self.mask[i]) * (x * torch.exp(s) + t)
        return x

    def f(self, x):
        log_det_J, z = x.new_zeros(x.shape[0]), x
        for i in reversed(range(len(self.t))):
            z_ = self.mask[i] * z
            s = self.s[i](z_) * (1 - self.mask[i])
            t = self.t[i](z_) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + z_
            log_det_J -= s.sum(dim=1)
        return z, log_det_J

    def log_prob(self, x):
        z, logp = self.f(x)
        return -0.5 * (z**2).sum(1) - math.log(2 * math.pi) + logp


nets = lambda: nn.Sequential(
    nn.Linear(2, 24), nn.LeakyReLU(), nn.Linear(24, 24), nn.LeakyReLU(), nn.Linear(24, 2), nn.Tanh()
)
nett = lambda: nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(), nn.Linear(24, 24), nn.LeakyReLU(), nn.Linear(24, 2))
masks = torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 2)
flow = RealNVP(nets, nett, masks)
optimizer = optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=5e-3)
for t in range(40):
    loss = -flow.log_prob(two_moons(128)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if t % 10 == 9:
        print("iter %d: loss = %.4f" % (t, loss.item()))
with torch.no_grad():
    x = two_moons(64)
    z, _ = flow.f(x)
    print("inverse exact:", torch.allclose(flow.g(z), x, atol=1e-4))
    samples = flow.g(torch.randn(200, 2))
    print("sample mean [%.3f, %.3f] std [%.3f, %.3f]" % (*samples.mean(0).tolist(), *samples.std(0).tolist()))
