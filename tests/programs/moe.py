"""A mixture of experts with noisy top-k gating, dispatch by index_add, and the load-balancing loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class SparseMoE(nn.Module):
    def __init__(self, dim, n_experts=4, top_k=2):
        super().__init__()
        self.n_experts, self.top_k = n_experts, top_k
        self.gate = nn.Linear(dim, n_experts, bias=False)
        self.noise = nn.Linear(dim, n_experts, bias=False)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim)) for _ in range(n_experts)]
        )
        self.load = None

    def forward(self, x):
        logits = self.gate(x)
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(x))
        weights, selected = torch.topk(logits, self.top_k)
        weights = F.softmax(weights, dim=1, dtype=torch.float)
        results = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            batch_idx, nth_expert = torch.where(selected == i)
            if batch_idx.numel() == 0:
                continue
            out = weights[batch_idx, nth_expert, None] * expert(x[batch_idx])
            results.index_add_(0, batch_idx, out)
        probs = F.softmax(logits, dim=-1)
        share = F.one_hot(selected, self.n_experts).float().sum(1).mean(0)
        self.aux_loss = self.n_experts * (share * probs.mean(0)).sum()
        self.load = torch.bincount(selected.flatten(), minlength=self.n_experts)
        return results


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(2, 16)
        self.moe = SparseMoE(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        h = F.relu(self.embed(x))
        return self.head(h + self.moe(h))


def quadrants(n):
    x = torch.randn(n, 2)
    return x, (x[:, 0] > 0).long() * 2 + (x[:, 1] > 0).long()


model = Classifier()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(40):
    x, y = quadrants(64)
    loss = F.cross_entropy(model(x), y) + 0.01 * model.moe.aux_loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step}: loss {loss.item():.4f} aux {model.moe.aux_loss.item():.4f} load {model.moe.load.tolist()}")
model.eval()
x, y = quadrants(200)
with torch.no_grad():
    print("accuracy %.3f" % (model(x).argmax(1) == y).float().mean())
