"""Gradient accumulation equals one large batch; clipping by norm and by value; EMA of weights; frozen layers."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(0)


def build():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))


x, y = torch.randn(64, 10), torch.randint(0, 2, (64,))
large, small = build(), build()
nn.functional.cross_entropy(large(x), y).backward()
accumulation_steps = 4
for xb, yb in zip(x.chunk(accumulation_steps), y.chunk(accumulation_steps)):
    (nn.functional.cross_entropy(small(xb), yb) / accumulation_steps).backward()
pairs = zip(large.parameters(), small.parameters())
print("accumulated:", all(torch.allclose(p.grad, q.grad, atol=1e-6) for p, q in pairs))

before = nn.utils.clip_grad_norm_(large.parameters(), max_norm=0.1)
after = torch.norm(torch.stack([p.grad.norm() for p in large.parameters()]))
print(f"norm {before.item():.4f} clipped to {after.item():.4f}")
nn.utils.clip_grad_value_(small.parameters(), 0.01)
print(f"largest {max(p.grad.abs().max().item() for p in small.parameters()):.4f}")

model = build()
model[0].requires_grad_(False)
ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
optimizer = torch.optim.SGD(
    [{"params": model[2].parameters(), "lr": 0.05}, {"params": model[4].parameters()}], lr=0.2, momentum=0.9
)
frozen = model[0].weight.clone()
for step in range(24):
    i = (step * 16) % 64
    loss = nn.functional.cross_entropy(model(x[i : i + 16]), y[i : i + 16])
    (loss / 2).backward()
    if (step + 1) % 2 == 0:
        optimizer.step()
        optimizer.zero_grad()
        ema.update_parameters(model)
    if step % 8 == 7:
        print(f"step {step}: {loss.item():.4f}")
print("frozen:", torch.equal(frozen, model[0].weight), model[0].weight.grad)
with torch.no_grad():
    print(f"ema loss {nn.functional.cross_entropy(ema(x), y).item():.4f} after {int(ema.n_averaged)} averages")
vector = nn.utils.parameters_to_vector(model.parameters())
print(tuple(vector.shape), f"{vector.norm().item():.4f}")
