"""Models of torchvision's, by the names of their parameters, their initial weights and what they make of a picture."""

import hashlib

import torch
from torchvision import models
from torchvision.models import ResNet18_Weights, resnet18

for name in ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "densenet121"]:
    torch.manual_seed(0)
    model = models.get_model(name)
    names = "\n".join(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    checksum = hashlib.sha256(names.encode()).hexdigest()[:12]
    print(name, sum(p.numel() for p in model.parameters()), checksum)
    first = next(model.parameters())
    print(f"  first weights {first.abs().mean().item():.6f}, random next {torch.rand(1).item():.4f}")
    model.train()
    picture = torch.randn(2, 3, 64, 64)
    scores = model(picture)
    print(f"  scores {scores.std().item():.4f} {scores[0, 0].item():.4f}")

model = resnet18(num_classes=4, norm_layer=lambda channels: torch.nn.GroupNorm(8, channels))
model.fc = torch.nn.Linear(model.fc.in_features, 2)
backbone = torch.nn.Sequential(*list(model.children())[:-2])
print(tuple(backbone(torch.randn(1, 3, 64, 64)).shape), tuple(model.layer4[1].conv2.weight.shape))
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc.requires_grad_(True)
loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 0, 1]))
loss.backward()
print("trainable", sum(p.numel() for p in model.parameters() if p.requires_grad), model.conv1.weight.grad is None)
print(ResNet18_Weights.DEFAULT.name, ResNet18_Weights.IMAGENET1K_V1.url)
preprocess = ResNet18_Weights.DEFAULT.transforms()
print(tuple(preprocess(torch.zeros(3, 300, 400, dtype=torch.uint8)).shape))
