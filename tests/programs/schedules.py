"""Label smoothing, class weights, warm-up followed by cosine, and the learning rates of all the usual schedulers."""

import torch
from torch import nn, optim
from torch.optim import lr_scheduler as S

torch.manual_seed(0)
x = torch.randn(120, 6)
y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1).long()
weights = 1.0 / torch.bincount(y).float()
model = nn.Sequential(nn.Linear(6, 24), nn.SiLU(), nn.Linear(24, 3))
criterion = nn.CrossEntropyLoss(weight=weights / weights.sum(), label_smoothing=0.1)
optimizer = optim.AdamW(model.parameters(), lr=2e-2)
warmup, cosine = S.LinearLR(optimizer, start_factor=0.1, total_iters=5), S.CosineAnnealingLR(optimizer, T_max=25)
scheduler = S.SequentialLR(optimizer, [warmup, cosine], milestones=[5])
for step in range(30):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 6 == 5:
        print(f"step {step}: loss {loss.item():.4f} lr {scheduler.get_last_lr()[0]:.6f}")
print(f"accuracy {(model(x).argmax(1) == y).float().mean().item():.3f}")

kinds = {
    "step": lambda o: S.StepLR(o, 3, 0.5),
    "multistep": lambda o: S.MultiStepLR(o, [2, 5], 0.1),
    "exponential": lambda o: S.ExponentialLR(o, 0.9),
    "lambda": lambda o: S.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "multiplicative": lambda o: S.MultiplicativeLR(o, lambda epoch: 0.95),
    "polynomial": lambda o: S.PolynomialLR(o, total_iters=6, power=2.0),
    "constant": lambda o: S.ConstantLR(o, factor=0.25, total_iters=4),
    "cosine restarts": lambda o: S.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "cyclic": lambda o: S.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="triangular2", cycle_momentum=False),
    "one cycle": lambda o: S.OneCycleLR(o, max_lr=0.1, total_steps=9),
    "chained": lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 3), S.ExponentialLR(o, 0.8)]),
}
for name, make in kinds.items():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9)
    scheduler, rates = make(optimizer), []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    print(f"{name}: " + " ".join(f"{rate:.5f}" for rate in rates))
