"""WGAN-GP: gradient penalty by a second derivative, five critic steps a generator step."""

import numpy as np
import torch
import torch.autograd as autograd
import torch.nn as nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
np.random.seed(0)

LAMBDA, CRITIC_ITERS, BATCH = 0.1, 5, 64


class Generator(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(2, dim), nn.ReLU(True), nn.Linear(dim, dim), nn.ReLU(True), nn.Linear(dim, 2)
        )

    def forward(self, noise):
        return self.main(noise)


class Critic(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(2, dim), nn.ReLU(True), nn.Linear(dim, dim), nn.ReLU(True), nn.Linear(dim, 1)
        )

    def forward(self, inputs):
        return self.main(inputs).view(-1)


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        m.weight.data.normal_(0.0, 0.1)
        m.bias.data.fill_(0)


def eight_gaussians():
    centers = [(np.cos(k * np.pi / 4), np.sin(k * np.pi / 4)) for k in range(8)]
    while True:
        points = np.random.randn(BATCH, 2) * 0.02 + np.array(centers)[np.random.randint(8, size=BATCH)]
        yield points


def calc_gradient_penalty(critic, real_data, fake_data):
    alpha = torch.rand(BATCH, 1).expand(real_data.size())
    interpolates = (alpha * real_data + (1 - alpha) * fake_data).requires_grad_(True)
    disc_interpolates = critic(interpolates)
    gradients = autograd.grad(
        outputs=disc_interpolates, inputs=interpolates, grad_outputs=torch.ones(disc_interpolates.size()),
        create_graph=True, retain_graph=True, only_inputs=True,
    )[0]  # fmt: skip
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA


netG, netD = Generator(), Critic()
netG.apply(weights_init)
netD.apply(weights_init)
optimizerD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.9))
optimizerG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.9))
one, mone = torch.tensor(1.0), torch.tensor(-1.0)
data = eight_gaussians()

for iteration in range(20):
    for p in netD.parameters():
        p.requires_grad = True
    for _ in range(CRITIC_ITERS):
        real_data = torch.tensor(next(data))
        netD.zero_grad()
        D_real = netD(real_data).mean()
        D_real.backward(mone)
        noise = torch.randn(BATCH, 2)
        with torch.no_grad():
            fake = netG(noise)
        D_fake = netD(fake).mean()
        D_fake.backward(one)
        gradient_penalty = calc_gradient_penalty(netD, real_data.data, fake.data)
        gradient_penalty.backward()
        Wasserstein_D = D_real - D_fake
        optimizerD.step()
    for p in netD.parameters():
        p.requires_grad = False
    netG.zero_grad()
    G = netD(netG(torch.randn(BATCH, 2))).mean()
    G.backward(mone)
    optimizerG.step()
    if iteration % 5 == 4:
        print(f"{iteration}: W {Wasserstein_D.item():.4f} GP {gradient_penalty.item():.4f} G {G.item():.4f}")
