"""Whole programs as people write them for PyTorch: with the same seed they print the same numbers.

The expected numbers were printed by PyTorch 2.13 on the CPU from the same programs.
"""

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn, optim
from flambeau.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(8 * 25, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return F.log_softmax(self.fc(self.dropout(x.view(x.size(0), -1))), dim=1)


def test_convolutional_classifier_with_loader_and_schedule():
    torch.manual_seed(0)
    pictures, labels = torch.randn(64, 1, 12, 12), torch.randint(0, 10, (64,))
    model = Net()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    totals = []
    for _ in range(4):
        total = 0.0
        for x, y in DataLoader(TensorDataset(pictures, labels), 16, shuffle=True):
            optimizer.zero_grad()
            loss = F.nll_loss(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        scheduler.step()
        totals.append(total)
    assert totals == pytest.approx([10.7590, 9.5992, 9.2082, 8.3368], abs=2e-3)
    model.eval()
    with torch.no_grad():
        assert (model(pictures).argmax(1) == labels).float().mean().item() == pytest.approx(0.5156, abs=0.02)


def test_bidirectional_lstm_tagger():
    torch.manual_seed(1)
    embed, rnn, head = nn.Embedding(20, 8), nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True), nn.Linear(32, 20)
    optimizer = optim.Adam([*embed.parameters(), *rnn.parameters(), *head.parameters()], 1e-2)
    x = torch.randint(0, 20, (4, 9))
    for _ in range(5):
        out, _ = rnn(embed(x))
        loss = F.cross_entropy(head(out).reshape(-1, 20), x.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(2.8211, abs=2e-4)


def test_transformer_encoder_with_dropout_and_causal_mask():
    torch.manual_seed(2)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
    optimizer = optim.AdamW(model.parameters(), 1e-3)
    x = torch.randn(2, 5, 16)
    for _ in range(3):
        out = model(x, mask=nn.Transformer.generate_square_subsequent_mask(5), is_causal=True)
        loss = ((out - x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(0.4620, abs=2e-4)


def test_gan_with_gradient_penalty():
    torch.manual_seed(3)
    generator = nn.Sequential(
        nn.ConvTranspose2d(8, 16, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh()
    )
    critic = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1))
    optimizer_g = optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999))
    optimizer_c = optim.Adam(critic.parameters(), 2e-4)
    criterion = nn.BCEWithLogitsLoss()
    real = torch.rand(4, 1, 8, 8)
    for _ in range(3):
        fake = generator(torch.randn(4, 8, 1, 1))
        loss_c = criterion(critic(real), torch.ones(4, 1)) + criterion(critic(fake.detach()), torch.zeros(4, 1))
        optimizer_c.zero_grad()
        loss_c.backward()
        optimizer_c.step()
        loss_g = criterion(critic(fake), torch.ones(4, 1))
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
    a = torch.rand(4, 1, 1, 1)
    between = (a * real + (1 - a) * fake.detach()).requires_grad_()
    (g,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((g.flatten(1).norm(2, 1) - 1) ** 2).mean()
    penalty.backward()  # a second derivative through the convolution
    assert [loss_c.item(), loss_g.item(), penalty.item()] == pytest.approx([1.3418, 0.7339, 0.6718], abs=3e-4)
