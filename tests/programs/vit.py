"""A vision transformer from its parts, with einsum attention and cosine annealing, on striped pictures."""

import torch
import torch.nn.functional as F
from torch import einsum, nn

torch.manual_seed(0)


def stripes(n):
    """16 x 16 pictures of stripes in one of four directions."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    directions = torch.stack((x, y, (x + y) / 2, (x - y) / 2))
    labels = torch.randint(0, 4, (n,))
    phase = 6.28 * torch.rand(n, 1, 1)
    return (torch.sin(directions[labels] + phase) + 0.3 * torch.randn(n, 16, 16)).unsqueeze(1), labels


def pair(t):
    return t if isinstance(t, tuple) else (t, t)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim),
            nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, dim, heads=4, dim_head=8, dropout=0.0):
        super().__init__()
        inner_dim = dim_head * heads
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.attend = nn.Softmax(dim=-1)
        self.to_qkv = nn.Linear(dim, inner_dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout))

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = map(lambda t: t.reshape(b, n, self.heads, -1).permute(0, 2, 1, 3), qkv)
        dots = einsum("b h i d, b h j d -> b h i j", q, k) * self.scale
        out = einsum("b h i j, b h j d -> b h i d", self.attend(dots), v)
        return self.to_out(out.permute(0, 2, 1, 3).reshape(b, n, -1))


class ViT(nn.Module):
    def __init__(self, image_size, patch_size, num_classes, dim, depth, heads, mlp_dim, dropout=0.1):
        super().__init__()
        (h, w), (ph, pw) = pair(image_size), pair(patch_size)
        num_patches = (h // ph) * (w // pw)
        self.to_patch_embedding = nn.Unfold(kernel_size=(ph, pw), stride=(ph, pw))
        self.proj = nn.Linear(ph * pw, dim)
        self.pos_embedding = nn.Parameter(torch.randn(1, num_patches + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            [
                nn.ModuleList([Attention(dim, heads, 8, dropout), FeedForward(dim, mlp_dim, dropout)])
                for _ in range(depth)
            ]
        )
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_classes))

    def forward(self, img):
        x = self.proj(self.to_patch_embedding(img).transpose(1, 2))
        b, n, _ = x.shape
        x = torch.cat((self.cls_token.repeat(b, 1, 1), x), dim=1)
        x = self.dropout(x + self.pos_embedding[:, : (n + 1)])
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        return self.mlp_head(x[:, 0])


v = ViT(image_size=16, patch_size=4, num_classes=4, dim=32, depth=2, heads=4, mlp_dim=64)
optimizer = torch.optim.AdamW(v.parameters(), lr=3e-3, weight_decay=0.05)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=24)
train_x, train_y = stripes(256)
for step in range(24):
    idx = torch.randperm(256)[:32]
    loss = F.cross_entropy(v(train_x[idx]), train_y[idx], label_smoothing=0.1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 6 == 5:
        print(f"step {step} loss {loss.item():.4f} lr {scheduler.get_last_lr()[0]:.6f}")
v.eval()
test_x, test_y = stripes(128)
with torch.no_grad():
    print(f"accuracy {(v(test_x).argmax(1) == test_y).float().mean().item():.2f}")
