"""Vision transformers: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau._core.errors import explain
from flambeau.vision.models._weights import Tensor, built, classes_for, published, register

ViT_B_16_Weights = published("ViT_B_16_Weights", "vit_b_16-c867db91.pth")
ViT_B_32_Weights = published("ViT_B_32_Weights", "vit_b_32-d86f8d99.pth")
ViT_L_16_Weights = published("ViT_L_16_Weights", "vit_l_16-852ce7e3.pth", recipe=(224, 242))
ViT_L_32_Weights = published("ViT_L_32_Weights", "vit_l_32-c7638314.pth")

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(nn.Sequential):
    """Two linear layers with GELU and dropout."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        layers = (nn.Linear(in_dim, mlp_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_dim, in_dim))
        super().__init__(*layers, nn.Dropout(dropout))
        for layer in (layers[0], layers[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)


class EncoderBlock(nn.Module):
    """Self-attention and an MLP, each behind a norm and beside a shortcut."""

    def __init__(
        self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = LayerNorm(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = LayerNorm(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions, then blocks, then a norm; (N, seq_length, hidden_dim) to the same shape."""

    def __init__(
        self, seq_length: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float,
        attention_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        sizes = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*sizes)) for i in range(num_layers))
        )
        self.ln = LayerNorm(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Pictures (N, 3, image_size, image_size) to scores (N, num_classes)."""

    def __init__(
        self, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int,
        dropout: float = 0.0, attention_dropout: float = 0.0, num_classes: int = 1000,
        representation_size: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"Input shape indivisible by patch size: {image_size} by {patch_size}")
        self.image_size, self.patch_size, self.hidden_dim = image_size, patch_size, hidden_dim
        self.conv_proj = nn.Conv2d(3, hidden_dim, patch_size, patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialize()

    def _initialize(self) -> None:
        fan_in = self.conv_proj.in_channels * self.patch_size**2
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / fan_in))
        nn.init.zeros_(self.conv_proj.bias)
        if hasattr(self.heads, "pre_logits"):
            pre_logits: Any = self.heads.pre_logits
            nn.init.trunc_normal_(pre_logits.weight, std=math.sqrt(1 / pre_logits.in_features))
            nn.init.zeros_(pre_logits.bias)
        head: Any = self.heads.head
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != (self.image_size, self.image_size):
            fact = f"Wrong image height! Expected {self.image_size} x {self.image_size} but got {tuple(x.shape[-2:])}!"
            raise AssertionError(explain(fact, hint="resize the picture, or build the model with image_size=..."))
        patches = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1)
        return self.heads(self.encoder(tokens)[:, 0])


def _vit(
    patch: int, layers: int, heads: int, hidden: int, mlp: int, weights: Any, kind: Any, kwargs: dict[str, Any]
) -> VisionTransformer:
    image_size = kwargs.pop("image_size", 224)
    model = VisionTransformer(image_size, patch, layers, heads, hidden, mlp, **classes_for(weights, kwargs))
    return built(model, weights, kind)


@register
def vit_b_16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """The base transformer on patches of 16 x 16, 86,567,656 parameters."""
    return _vit(16, 12, 12, 768, 3072, weights, ViT_B_16_Weights, kwargs)


@register
def vit_b_32(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """The base transformer on patches of 32 x 32, 88,224,232 parameters."""
    return _vit(32, 12, 12, 768, 3072, weights, ViT_B_32_Weights, kwargs)


@register
def vit_l_16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """The large transformer on patches of 16 x 16, 304,326,632 parameters."""
    return _vit(16, 24, 16, 1024, 4096, weights, ViT_L_16_Weights, kwargs)


@register
def vit_l_32(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """The large transformer on patches of 32 x 32, 306,535,400 parameters."""
    return _vit(32, 24, 16, 1024, 4096, weights, ViT_L_32_Weights, kwargs)
