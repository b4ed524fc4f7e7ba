"""Optimizers of one's own: Lion, a subclass of Optimizer with groups, closure and state; and SGD with lookahead."""

import torch
from torch import nn
from torch.optim.optimizer import Optimizer

torch.manual_seed(0)


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        if not 0.0 <= lr:
            raise ValueError("Invalid learning rate: {}".format(lr))
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                grad, state = p.grad, self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                exp_avg = state["exp_avg"]
                beta1, beta2 = group["betas"]
                update = exp_avg * beta1 + grad * (1 - beta1)
                p.add_(update.sign_(), alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)
        return loss


class Lookahead:
    def __init__(self, optimizer, k=5, alpha=0.5):
        self.optimizer, self.k, self.alpha, self.count = optimizer, k, alpha, 0
        self.slow = [[p.clone().detach() for p in g["params"]] for g in optimizer.param_groups]

    def step(self):
        self.optimizer.step()
        self.count += 1
        if self.count % self.k == 0:
            for group, slow in zip(self.optimizer.param_groups, self.slow):
                for p, q in zip(group["params"], slow):
                    q.data.add_(p.data - q.data, alpha=self.alpha)
                    p.data.copy_(q)


x = torch.linspace(-1, 1, 64).unsqueeze(1)
y = x.pow(3) - 0.5 * x + 0.05 * torch.randn(64, 1)
for name in ("lion", "lookahead"):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    if name == "lion":
        decay = [p for n, p in model.named_parameters() if n.endswith("weight")]
        rest = [p for n, p in model.named_parameters() if not n.endswith("weight")]
        optimizer = inner = Lion([{"params": decay, "weight_decay": 0.01}, {"params": rest}], lr=3e-3)
        print(len(inner.param_groups), sorted(inner.param_groups[1]))
    else:
        inner = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        optimizer = Lookahead(inner)
    for step in range(40):
        loss = nn.functional.mse_loss(model(x), y)
        inner.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            print(f"{name} {step}: {loss.item():.5f}")
    if name == "lion":
        state = inner.state_dict()
        other = Lion([{"params": decay}, {"params": rest}])
        other.load_state_dict(state)
        print(sorted(state), len(state["state"]), other.param_groups[0]["lr"], other.param_groups[0]["weight_decay"])
