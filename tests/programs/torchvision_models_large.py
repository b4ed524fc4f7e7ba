"""The large models of torchvision's, by the names of their parameters and what they make of a picture."""

import hashlib

import torch
from torchvision import models

for name in ["alexnet", "resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "resnet101", "vgg11", "vgg16_bn",
             "mobilenet_v3_large", "densenet161", "vit_b_16", "vit_b_32", "squeezenet1_0"]:  # fmt: skip
    torch.manual_seed(0)
    model = models.get_model(name).eval()
    names = "\n".join(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    checksum = hashlib.sha256(names.encode()).hexdigest()[:12]
    print(name, sum(p.numel() for p in model.parameters()), checksum)
    picture = torch.randn(1, 3, 224, 224)
    if name.startswith("vit"):
        torch.nn.init.normal_(model.heads.head.weight)
    with torch.no_grad():
        scores = model(picture)
    print(f"  scores {scores.std().item():.4f} {scores[0, 0].item():.4f}")
