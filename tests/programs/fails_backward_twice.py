"""Backward through a graph that the first backward has freed."""

import torch

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = (x.exp() * x).sum()
y.backward(retain_graph=True)
first = x.grad.clone()
y.backward()
print("accumulated:", torch.allclose(x.grad, 2 * first))
try:
    (x * 2).backward()
except RuntimeError as error:
    print("scalar" in str(error))
try:
    torch.zeros(3).sum().backward()
except RuntimeError as error:
    print("does not require grad" in str(error))
try:
    x += 1
except RuntimeError as error:
    print("leaf Variable" in str(error))
with torch.no_grad():
    z = x * 2
print(z.requires_grad, z.grad_fn)
y.backward()
