"""Graphs used again: a hidden state carried over batches, losses that share a part, second derivatives."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(6)
rnn, head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)
optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)
batches = [(torch.randn(2, 5, 3), torch.randn(2, 5, 1)) for _ in range(3)]


def train(between):
    hidden = None
    for i, (x, y) in enumerate(batches):
        optimizer.zero_grad()
        outputs, hidden = rnn(x, hidden)
        loss = F.mse_loss(head(outputs), y)
        loss.backward()
        optimizer.step()
        print(f"batch {i} loss {loss.item():.4f}")
        hidden = between(hidden)


train(lambda hidden: hidden.detach())
x = torch.randn(3, requires_grad=True)
shared = x.exp()
first, second = (shared * 2).sum(), (shared * 3).sum()
first.backward()
try:
    second.backward()
except RuntimeError as error:
    print("shared:", "second time" in str(error))
shared = x * 1 + 2
(shared + 1).sum().backward()
(shared + 2).sum().backward()
print("sums save nothing:", round(x.grad.sum().item() - first.item(), 4))

y = (x**3).sum()
(slope,) = torch.autograd.grad(y, x)
try:
    torch.autograd.grad(slope.sum(), x)
except RuntimeError as error:
    print("no second derivative:", "does not require grad" in str(error))
y = (x**3).sum()
(slope,) = torch.autograd.grad(y, x, create_graph=True)
(curvature,) = torch.autograd.grad(slope.sum(), x)
print("second derivative:", torch.allclose(curvature, 6 * x))
try:
    torch.autograd.grad(slope.sum(), x)
except RuntimeError as error:
    print("freed:", "second time" in str(error))


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


z = Square.apply(x).sum()
node = z.grad_fn.next_functions[0][0]
z.backward()
try:
    print(node.saved_tensors)
except RuntimeError as error:
    print("saved tensors:", "freed" in str(error))
try:
    z.backward()
except RuntimeError as error:
    print("own function:", "second time" in str(error))
train(lambda hidden: hidden)
