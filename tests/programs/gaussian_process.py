"""Gaussian process regression by hand: Cholesky, triangular solves, the marginal likelihood, posterior samples."""

import math

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
train_x = torch.linspace(0, 1, 20)
train_y = torch.sin(train_x * (2 * math.pi)) + torch.randn(train_x.size()) * 0.2
test_x = torch.linspace(-0.2, 1.2, 15)

raw = {name: torch.zeros((), requires_grad=True) for name in ("lengthscale", "outputscale", "noise")}


def softplus(name):
    return torch.nn.functional.softplus(raw[name])


def kernel(a, b):
    d = torch.cdist(a[:, None], b[:, None])
    return softplus("outputscale") * torch.exp(-0.5 * (d / softplus("lengthscale")) ** 2)


def negative_mll():
    K = kernel(train_x, train_x) + (softplus("noise") + 1e-6) * torch.eye(20)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(train_y[:, None], L)
    fit = 0.5 * (train_y @ alpha).squeeze()
    return (fit + L.diagonal().log().sum() + 10 * math.log(2 * math.pi)) / 20


optimizer = torch.optim.Adam(raw.values(), lr=0.1)
for i in range(40):
    optimizer.zero_grad()
    loss = negative_mll()
    loss.backward()
    optimizer.step()
    if i % 10 == 9:
        found = tuple(softplus(name).item() for name in ("lengthscale", "outputscale", "noise"))
        text = "Iter %d Loss: %.4f lengthscale: %.4f outputscale: %.4f noise: %.4f"
        print(text % (i + 1, loss.item(), *found))
with torch.no_grad():
    K = kernel(train_x, train_x) + softplus("noise") * torch.eye(20)
    L = torch.linalg.cholesky(K)
    cross = kernel(train_x, test_x)
    mean = cross.T @ torch.cholesky_solve(train_y[:, None], L)
    v = torch.linalg.solve_triangular(L, cross, upper=False)
    cov = kernel(test_x, test_x) - v.T @ v
    print("mean at the ends %.4f %.4f, deviation in the middle %.4f" % (
        mean[0].item(), mean[-1].item(), cov.diagonal()[7].clamp_min(0).sqrt().item()))  # fmt: skip
    w, V = torch.linalg.eigh(cov)
    samples = mean.squeeze() + torch.randn(2000, 15) @ (V * w.clamp_min(0).sqrt()).T
    print("samples near the mean:", bool((samples.mean(0) - mean.squeeze()).abs().max() < 0.1))
    print("logdet %.4f %.4f" % (torch.logdet(K).item(), torch.linalg.slogdet(K).logabsdet.item()))
    print("inverse %.6f" % (torch.linalg.inv(K) @ K - torch.eye(20)).abs().max().item())
