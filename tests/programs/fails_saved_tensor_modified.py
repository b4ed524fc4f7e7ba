"""An activation changed in place after it was saved for the backward pass."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)
weight = torch.randn(4, 4, requires_grad=True)
hidden = torch.sigmoid(torch.randn(2, 4) @ weight)
print(f"before {hidden.sum().item():.4f}, version {hidden._version}")
hidden += 1
print("version", hidden._version)
loss = F.mse_loss(hidden, torch.zeros(2, 4))
loss.backward()
print("never printed")
