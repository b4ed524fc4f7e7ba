"""Denoising diffusion on points: a noise schedule in buffers, sinusoidal time embedding, ancestral sampling."""

import math

import torch
import torch.nn as nn

torch.manual_seed(0)


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        half_dim = self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Diffusion(nn.Module):
    def __init__(self, T=20):
        super().__init__()
        self.T = T
        betas = torch.linspace(1e-3, 0.3, T)
        alphas_bar = torch.cumprod(1 - betas, dim=0)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_bar", alphas_bar)
        self.register_buffer("previous", torch.cat([torch.ones(1), alphas_bar[:-1]]))
        self.time = nn.Sequential(SinusoidalPositionEmbeddings(16), nn.Linear(16, 32), nn.SiLU())
        self.inp = nn.Linear(2, 32)
        self.mid = nn.Sequential(nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, x, t):
        return self.mid(self.inp(x) + self.time(t))

    def loss(self, x0):
        t = torch.randint(0, self.T, (len(x0),))
        noise = torch.randn_like(x0)
        a = self.alphas_bar[t].unsqueeze(1)
        return nn.functional.mse_loss(self(a.sqrt() * x0 + (1 - a).sqrt() * noise, t), noise)

    @torch.no_grad()
    def sample(self, n):
        x = torch.randn(n, 2)
        for t in reversed(range(self.T)):
            beta, a_bar, before = self.betas[t], self.alphas_bar[t], self.previous[t]
            eps = self(x, torch.full((n,), t))
            x = (x - beta / (1 - a_bar).sqrt() * eps) / (1 - beta).sqrt()
            if t > 0:
                x = x + (beta * (1 - before) / (1 - a_bar)).sqrt() * torch.randn_like(x)
        return x


def ring(n):
    angle = 2 * math.pi * torch.rand(n)
    return torch.stack([angle.cos(), angle.sin()], 1) * 2 + 0.1 * torch.randn(n, 2)


model = Diffusion()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(60):
    loss = model.loss(ring(128))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 19:
        print(f"step {step}: {loss.item():.4f}")
samples = model.sample(200)
print(f"radius {samples.norm(dim=1).mean().item():.3f} +- {samples.norm(dim=1).std().item():.3f}")
print(list(model.state_dict())[:4])
