"""Train, stop in the middle, resume from a checkpoint with optimizer, scheduler and random states: the same numbers."""

import os
import random
import tempfile

import numpy as np
import torch
import torch.nn as nn

torch.use_deterministic_algorithms(True)
folder = tempfile.mkdtemp()
PATH = os.path.join(folder, "checkpoint.tar")


def build():
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=20)
    return model, optimizer, scheduler


def save(epoch, model, optimizer, scheduler, best):
    torch.save(
        {
            "epoch": epoch,
            "model_state_dict": model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "best": best,
            "args": {"name": "run", "layers": [8, 32, 1], "flags": (True, None, 1.5)},
        },
        PATH,
    )


def train(model, optimizer, scheduler, start, stop, checkpoint_at=None):
    losses = []
    for epoch in range(start, stop):
        x = torch.randn(32, 8)
        y = x[:, :1] * x[:, 1:2] + 0.1 * torch.randn(32, 1)
        loss = nn.functional.smooth_l1_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if epoch == checkpoint_at:
            save(epoch, model, optimizer, scheduler, min(losses))
    return losses


whole = train(*build(), 0, 16, checkpoint_at=7)
print("uninterrupted:", " ".join(f"{loss:.4f}" for loss in whole[8:]))

model, optimizer, scheduler = build()
checkpoint = torch.load(PATH, weights_only=True)
model.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
scheduler.load_state_dict(checkpoint["scheduler"])
torch.set_rng_state(checkpoint["rng"])
resumed = train(model, optimizer, scheduler, checkpoint["epoch"] + 1, 16)
print("resumed:      ", " ".join(f"{loss:.4f}" for loss in resumed))
print("the same:", resumed == whole[8:], "best so far %.4f" % checkpoint["best"])
print(checkpoint["args"], checkpoint["rng"].dtype, sorted(checkpoint["optimizer_state_dict"]["state"][0]))

wrong = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(32))
try:
    wrong.load_state_dict(checkpoint["model_state_dict"])
except RuntimeError as error:
    text = str(error)
    print("size mismatch" in text, "Unexpected key(s)" in text)
missing, unexpected = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32)).load_state_dict(
    checkpoint["model_state_dict"], strict=False
)
print(missing, unexpected)
