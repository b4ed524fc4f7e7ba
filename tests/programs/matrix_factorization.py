"""Matrix factorisation with sparse embedding gradients, biases, SparseAdam, and ranking by top-k."""

import torch
import torch.nn as nn

torch.manual_seed(1)
n_users, n_items, k = 30, 40, 4
true = torch.randn(n_users, k) @ torch.randn(k, n_items) / 2
known = torch.rand(n_users, n_items) < 0.5
users, items = known.nonzero(as_tuple=True)
ratings = true[users, items] + 0.1 * torch.randn(len(users))


class MatrixFactorization(nn.Module):
    def __init__(self, n_factors):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, n_factors, sparse=True)
        self.item_factors = nn.Embedding(n_items, n_factors, sparse=True)
        self.user_biases = nn.Embedding(n_users, 1, sparse=True)
        self.item_biases = nn.Embedding(n_items, 1, sparse=True)
        for table in (self.user_factors, self.item_factors):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.user_biases, self.item_biases):
            nn.init.zeros_(table.weight)

    def forward(self, user, item):
        pred = self.user_biases(user) + self.item_biases(item)
        pred += (self.user_factors(user) * self.item_factors(item)).sum(dim=1, keepdim=True)
        return pred.squeeze(1)


model = MatrixFactorization(k)
optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.02)
print(f"{len(users)} ratings")
for epoch in range(8):
    order = torch.randperm(len(users))
    total = 0.0
    for batch in order.split(128):
        loss = nn.functional.mse_loss(model(users[batch], items[batch]), ratings[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    if epoch % 2 == 1:
        print(f"epoch {epoch}: rmse {(total / len(users)) ** 0.5:.4f}")
print("sparse gradients:", model.user_factors.weight.grad.is_sparse)
with torch.no_grad():
    everything = model.user_factors.weight @ model.item_factors.weight.t()
    scores = everything.masked_fill(known, float("-inf"))
    best = scores.topk(3, dim=1).values
    print(f"best unseen: {best.mean().item():.4f}, correlation "
          f"{torch.corrcoef(torch.stack([everything[~known], true[~known]]))[0, 1].item():.4f}")  # fmt: skip
