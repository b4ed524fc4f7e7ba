"""A recurrent network from raw tensors and matrix products, gates of a GRU by hand, checked against nn.GRU."""

import math

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
T = 200
time = torch.arange(1, T + 1, dtype=torch.float32)
series = torch.sin(0.05 * time) + torch.normal(0, 0.1, (T,))
tau, hidden = 6, 16


def normal(*shape):
    return torch.randn(size=shape) * 0.1


W_xh, W_hh, b_h = normal(1, hidden), normal(hidden, hidden), torch.zeros(hidden)
W_hq, b_q = normal(hidden, 1), torch.zeros(1)
params = [W_xh, W_hh, b_h, W_hq, b_q]
for param in params:
    param.requires_grad_(True)


def rnn(inputs, state):
    outputs = []
    for X in inputs:
        state = torch.tanh(torch.mm(X, W_xh) + torch.mm(state, W_hh) + b_h)
        outputs.append(torch.mm(state, W_hq) + b_q)
    return torch.stack(outputs), state


def grad_clipping(theta):
    norm = torch.sqrt(sum(torch.sum((p.grad**2)) for p in params))
    if norm > theta:
        for param in params:
            param.grad[:] *= theta / norm
    return norm


windows = series.unfold(0, tau + 1, 1)
for epoch in range(10):
    total = 0.0
    for batch in windows.split(32):
        inputs = batch[:, :tau].t().unsqueeze(-1)
        predictions, _ = rnn(inputs, torch.zeros(len(batch), hidden))
        loss = ((predictions.squeeze(-1) - batch[:, 1:].t()) ** 2).mean()
        for param in params:
            param.grad = None
        loss.backward()
        grad_clipping(1.0)
        with torch.no_grad():
            for param in params:
                param -= 0.2 * param.grad
        total += loss.item() * len(batch)
    if epoch % 3 == 0:
        print(f"epoch {epoch}: mse {total / len(windows):.4f}")

with torch.no_grad():
    state, x, ahead = torch.zeros(1, hidden), series[:1].view(1, 1), []
    for t in range(40):
        output, state = rnn([x], state)
        x = series[t + 1].view(1, 1) if t < 30 else output[0]
        ahead.append(output.item())
    print("ten steps ahead:", " ".join(f"{v:.3f}" for v in ahead[-3:]))

gru = nn.GRU(3, 5)
sequence, h = torch.randn(7, 2, 3), torch.zeros(2, 5)
expected, _ = gru(sequence)
for t in range(7):
    gi = F.linear(sequence[t], gru.weight_ih_l0, gru.bias_ih_l0)
    gh = F.linear(h, gru.weight_hh_l0, gru.bias_hh_l0)
    (i_r, i_z, i_n), (h_r, h_z, h_n) = gi.chunk(3, 1), gh.chunk(3, 1)
    r, z = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z)
    n = torch.tanh(i_n + r * h_n)
    h = (1 - z) * n + z * h
print("gates by hand:", torch.allclose(h, expected[-1], atol=1e-6))
print(f"entropy of uniform {math.log(5):.4f} {F.cross_entropy(torch.zeros(3, 5), torch.tensor([0, 1, 2])).item():.4f}")
