"""Contrastive learning without labels: two views of each sample, normalised projections, the NT-Xent loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
CENTRES = torch.randn(6, 20)


def views(n):
    label = torch.randint(0, 6, (n,))
    base = CENTRES[label] + 0.3 * torch.randn(n, 20)
    mask = lambda: (torch.rand(n, 20) > 0.2).float()
    return base * mask() + 0.1 * torch.randn(n, 20), base * mask() + 0.1 * torch.randn(n, 20), label


class SimCLR(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32))
        self.projector = nn.Sequential(nn.ReLU(), nn.Linear(32, 16))

    def forward(self, x):
        return F.normalize(self.projector(self.encoder(x)), dim=-1)


def nt_xent(z1, z2, temperature=0.5):
    n = z1.size(0)
    z = torch.cat([z1, z2])
    sim = z @ z.t() / temperature
    sim.fill_diagonal_(float("-inf"))
    targets = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(sim, targets)


model = SimCLR()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-6)
for step in range(30):
    a, b, _ = views(48)
    loss = nt_xent(model(a), model(b))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step}: {loss.item():.4f}")
model.eval()
with torch.no_grad():
    bank, _, bank_labels = views(200)
    query, _, labels = views(100)
    bank, query = F.normalize(model.encoder(bank), dim=1), F.normalize(model.encoder(query), dim=1)
    weights, places = (query @ bank.t()).topk(9, dim=1)
    votes = torch.zeros(100, 6).scatter_add_(1, bank_labels[places], weights.div(0.1).exp())
    print(f"nearest neighbours right: {(votes.argmax(1) == labels).float().mean().item():.2f}")
