"""Ensembles by vmap, per-sample gradients, and a Hessian, with torch.func."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, hessian, jacrev, stack_module_state, vmap

torch.manual_seed(0)


class SimpleMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


data, targets = torch.randn(20, 8), torch.randint(3, (20,))
models = [SimpleMLP() for _ in range(4)]
params, buffers = stack_module_state(models)
base_model = copy.deepcopy(models[0])


def fmodel(params, buffers, x):
    return functional_call(base_model, (params, buffers), (x,))


predictions = vmap(fmodel, in_dims=(0, 0, None))(params, buffers, data)
wanted = torch.stack([model(data) for model in models])
print(tuple(predictions.shape), torch.allclose(predictions, wanted, atol=1e-5))
minibatches = data.reshape(4, 5, 8)
print(f"{vmap(fmodel)(params, buffers, minibatches).sum().item():.4f}")


def compute_loss(params, sample, target):
    prediction = functional_call(base_model, params, (sample.unsqueeze(0),))
    return F.cross_entropy(prediction, target.unsqueeze(0))


detached = {name: p.detach() for name, p in base_model.named_parameters()}
sample_grads = vmap(grad(compute_loss), in_dims=(None, 0, 0))(detached, data, targets)
norms = torch.stack([g.flatten(1).norm(dim=1) for g in sample_grads.values()]).norm(dim=0)
print({name: tuple(g.shape) for name, g in sample_grads.items()}, f"{norms.mean().item():.4f}")
x = torch.randn(4)
print(torch.allclose(hessian(lambda v: (v**3).sum())(x), torch.diag(6 * x), atol=1e-5))
print(torch.allclose(jacrev(torch.sin)(x), torch.diag(x.cos()), atol=1e-6))
print(f"{grad(lambda v: v.sin().prod())(x).norm().item():.4f}")
