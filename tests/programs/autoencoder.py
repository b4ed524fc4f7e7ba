"""A convolutional denoising autoencoder with tied upsampling, early stopping, and ReduceLROnPlateau."""

import copy

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)


def blobs(n, side=16):
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    c = torch.rand(n, 2, 1, 1) * 1.2 - 0.6
    w = 0.15 + 0.2 * torch.rand(n, 1, 1)
    return torch.exp(-((x - c[:, 0]) ** 2 + (y - c[:, 1]) ** 2) / w**2).unsqueeze(1)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.GELU(), nn.GroupNorm(2, 8),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(8 * 16, 6),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(6, 8 * 16), nn.GELU(), nn.Unflatten(1, (8, 4, 4)),
            nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1), nn.GELU(),
            nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        return self.decoder(self.encoder(x))


class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.counter, self.best, self.weights = patience, 0, float("inf"), None

    def __call__(self, loss, model):
        if loss < self.best:
            self.best, self.counter, self.weights = loss, 0, copy.deepcopy(model.state_dict())
        else:
            self.counter += 1
        return self.counter >= self.patience


train_set, val_set = random_split(TensorDataset(blobs(320)), [256, 64])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=64)
model = Autoencoder()
optimizer = torch.optim.NAdam(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.2)
stopping = EarlyStopping(patience=2)
for epoch in range(6):
    model.train()
    for (x,) in train_loader:
        noisy = (x + 0.1 * torch.randn_like(x)).clamp(0, 1)
        loss = nn.functional.binary_cross_entropy(model(noisy), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val = sum(nn.functional.mse_loss(model(x), x).item() for (x,) in val_loader) / len(val_loader)
    scheduler.step(val)
    print(f"epoch {epoch}: val {val:.5f} lr {optimizer.param_groups[0]['lr']:.6f}")
    if stopping(val, model):
        break
model.load_state_dict(stopping.weights)
with torch.no_grad():
    codes = model.encoder(val_set[:][0])
print(tuple(codes.shape), f"best {stopping.best:.5f}")
