"""Quantisation by hand: straight-through rounding in training, int8 weights and integer products afterwards."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, qmin, qmax):
        q = torch.round(x / scale)
        ctx.save_for_backward((q >= qmin) & (q <= qmax))
        return q.clamp(qmin, qmax) * scale

    @staticmethod
    def backward(ctx, grad_output):
        (inside,) = ctx.saved_tensors
        return grad_output * inside, None, None, None


class QLinear(nn.Linear):
    def forward(self, x):
        w_scale = self.weight.detach().abs().amax(dim=1, keepdim=True) / 127
        x_scale = x.detach().abs().max() / 127
        w = FakeQuantize.apply(self.weight, w_scale, -127, 127)
        return F.linear(FakeQuantize.apply(x, x_scale, -127, 127), w, self.bias)

    @torch.no_grad()
    def integers(self, x):
        w_scale = self.weight.abs().amax(dim=1) / 127
        x_scale = x.abs().max() / 127
        w = torch.round(self.weight / w_scale[:, None]).clamp(-127, 127).to(torch.int8)
        q = torch.round(x / x_scale).clamp(-127, 127).to(torch.int8)
        accumulated = q.to(torch.int32) @ w.t().to(torch.int32)
        return accumulated.to(torch.float32) * x_scale * w_scale + self.bias, w


model = nn.Sequential(QLinear(4, 32), nn.ReLU(), QLinear(32, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x = torch.randn(256, 4)
y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()
for step in range(40):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step}: loss {loss.item():.3f}")
with torch.no_grad():
    hidden, w0 = model[0].integers(x)
    scores, w1 = model[2].integers(hidden.relu())
    print("integers agree:", torch.allclose(scores, model(x), atol=1e-4), w0.dtype, w1.element_size())
    levels = torch.unique(w0).numel()
    print("more than 50 levels:", levels > 50, "bytes", w0.nelement() * w0.element_size() + w1.nelement())
    bits = (w1[0].to(torch.int16) & 0xFF).to(torch.uint8)
    print("back from bits:", torch.equal(bits.view(torch.int8), w1[0]))
