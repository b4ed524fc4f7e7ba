"""A small U-Net on channels_last tensors: skip connections, bilinear upsampling, dice loss."""

# band: 0.02, RMSprop magnifies rounding: an activation of the first step is 1e-7 from 0

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY, diffX = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, width=8):
        super().__init__()
        self.inc = DoubleConv(n_channels, width)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width, 2 * width))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * width, 2 * width))
        self.up1 = Up(4 * width, width)
        self.up2 = Up(2 * width, width)
        self.outc = nn.Conv2d(width, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x = self.up1(x3, x2)
        return self.outc(self.up2(x, x1))


def dice_loss(logits, target, eps=1e-6):
    probs = torch.sigmoid(logits)
    inter = 2 * (probs * target).sum(dim=(-1, -2, -3))
    return 1 - ((inter + eps) / (probs.sum(dim=(-1, -2, -3)) + target.sum(dim=(-1, -2, -3)) + eps)).mean()


def discs(n, side=22):
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    centre, radius = 6 + 10 * torch.rand(n, 2, 1, 1), 2 + 4 * torch.rand(n, 1, 1)
    mask = ((x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2 < radius**2).float().unsqueeze(1)
    return mask + 0.5 * torch.randn(n, 1, side, side), mask


model = UNet(1, 1).to(memory_format=torch.channels_last)
optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3, weight_decay=1e-8, momentum=0.9)
criterion = nn.BCEWithLogitsLoss()
for step in range(8):
    images, masks = discs(8)
    images = images.to(memory_format=torch.channels_last)
    pred = model(images)
    loss = criterion(pred, masks) + dice_loss(pred, masks)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 2 == 1:
        print(f"step {step}: loss {loss.item():.4f} {tuple(pred.shape)}")
print(model.inc.double_conv[3].weight.is_contiguous(memory_format=torch.channels_last))
model.eval()
with torch.no_grad():
    images, masks = discs(16)
    print(f"dice {1 - dice_loss(model(images), masks).item():.3f}")
