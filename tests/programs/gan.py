"""A plain GAN that learns a ring of points."""

import math

import torch
import torch.nn as nn

torch.manual_seed(111)

n_points = 512
angles = 2 * math.pi * torch.rand(n_points)
train_data = torch.stack((torch.cos(angles), torch.sin(angles)), dim=1) + 0.05 * torch.randn(n_points, 2)
train_set = [(train_data[i], 0) for i in range(n_points)]
train_loader = torch.utils.data.DataLoader(train_set, batch_size=64, shuffle=True)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(32, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        return self.model(x)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.model(x)


discriminator, generator = Discriminator(), Generator()
loss_function = nn.BCELoss()
optimizer_discriminator = torch.optim.Adam(discriminator.parameters(), lr=0.001)
optimizer_generator = torch.optim.Adam(generator.parameters(), lr=0.001)

for epoch in range(6):
    for n, (real_samples, _) in enumerate(train_loader):
        batch_size = real_samples.size(0)
        real_labels = torch.ones((batch_size, 1))
        generated_samples = generator(torch.randn((batch_size, 2)))
        all_samples = torch.cat((real_samples, generated_samples))
        all_labels = torch.cat((real_labels, torch.zeros((batch_size, 1))))

        discriminator.zero_grad()
        loss_discriminator = loss_function(discriminator(all_samples), all_labels)
        loss_discriminator.backward()
        optimizer_discriminator.step()

        generator.zero_grad()
        output = discriminator(generator(torch.randn((batch_size, 2))))
        loss_generator = loss_function(output, real_labels)
        loss_generator.backward()
        optimizer_generator.step()
    print(f"Epoch: {epoch} Loss D.: {loss_discriminator:.4f} Loss G.: {loss_generator:.4f}")

generated_samples = generator(torch.randn(100, 2)).detach()
print("mean radius", round(generated_samples.norm(dim=1).mean().item(), 3))
