"""A summary of a model by forward hooks, gradients looked at by backward hooks, activations taken and changed."""

from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(0)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 8, 3, padding=1), bn1=nn.BatchNorm2d(8), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(8, 16, 3, stride=2, bias=False), relu2=nn.ReLU(),
            )
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


def summary(model, input_size, batch_size=2):
    rows, hooks = OrderedDict(), []

    def register(module):
        def hook(module, input, output):
            name = f"{module.__class__.__name__}-{len(rows) + 1}"
            params = sum(p.numel() for p in module.parameters(recurse=False))
            trainable = any(p.requires_grad for p in module.parameters(recurse=False))
            rows[name] = (list(output.shape), params, trainable)

        if not isinstance(module, nn.Sequential) and module is not model:
            hooks.append(module.register_forward_hook(hook))

    model.apply(register)
    model(torch.rand(batch_size, *input_size))
    for h in hooks:
        h.remove()
    for name, (shape, params, trainable) in rows.items():
        print("{:>22} {:>20} {:>8,} {}".format(name, str(shape), params, trainable))
    total = sum(params for _, params, _ in rows.values())
    print(f"Total params: {total:,}; {total * 4 / 1024:.2f} KiB")


model = Small()
print(model)
summary(model, (3, 16, 16))

activations, gradients = {}, {}
handles = []
for name, layer in model.named_modules():
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        handles.append(layer.register_forward_hook(lambda m, i, o, name=name: activations.update({name: o.detach()})))
        look = lambda m, gi, go, name=name: gradients.update({name: go[0].norm().item()})
        handles.append(layer.register_full_backward_hook(look))
x = torch.rand(4, 3, 16, 16, requires_grad=True)
loss = model(x).pow(2).mean()
loss.backward()
for name in activations:
    print(f"{name}: activation {activations[name].mean().item():.4f}, gradient {gradients[name]:.5f}")

handle = model.features.relu1.register_forward_pre_hook(lambda m, args: (args[0] * 0.5,))
print(f"halved before relu1: {model(x).sum().item():.4f}")
handle.remove()
with torch.no_grad():
    handle = model.features.relu2.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
    print("ablated:", torch.allclose(model(x), model.fc.bias.expand(4, -1)))
    handle.remove()
x.grad = None
tensor_handle = x.register_hook(lambda g: g * 10)
model(x).pow(2).mean().backward()
print(f"input gradient times ten: {x.grad.abs().sum().item():.4f}")
for h in handles:
    h.remove()
print(len(model.features.conv1._forward_hooks), [n for n, _ in model.named_children()])
