"""Knowledge distillation: a student learns from labels and from the softened scores of a teacher."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(42)


def spirals(n):
    label = torch.randint(0, 3, (n,))
    t = torch.rand(n) * 2
    angle = t * 2.5 + label * 2.0944
    return torch.stack([t * angle.cos(), t * angle.sin()], 1) + 0.05 * torch.randn(n, 2), label


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.classifier = nn.Sequential(nn.Dropout(0.05), nn.Linear(width, 3))

    def forward(self, x):
        hidden = self.features(x)
        return self.classifier(hidden), hidden


train_loader = DataLoader(TensorDataset(*spirals(512)), batch_size=64, shuffle=True, drop_last=True)
test_x, test_y = spirals(300)


def accuracy(model):
    model.eval()
    with torch.no_grad():
        return (model(test_x)[0].argmax(1) == test_y).float().mean().item()


def train(model, epochs, teacher=None, T=2.0, soft_weight=0.25):
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    ce, kl = nn.CrossEntropyLoss(), nn.KLDivLoss(reduction="batchmean")
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for x, y in train_loader:
            logits, _ = model(x)
            loss = ce(logits, y)
            if teacher is not None:
                with torch.no_grad():
                    teacher_logits, _ = teacher(x)
                soft = kl(F.log_softmax(logits / T, dim=-1), F.softmax(teacher_logits / T, dim=-1)) * T**2
                loss = soft_weight * soft + (1 - soft_weight) * loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % 2 == 1:
            print(f"  epoch {epoch}: {total / len(train_loader):.3f}")


# band: 0.01, fifty steps of Adam
teacher, student = Net(64), Net(12)
print("teacher")
train(teacher, 6)
teacher.eval()
print("student", sum(p.numel() for p in student.parameters()))
train(student, 6, teacher)
print(f"teacher above 0.6: {accuracy(teacher) > 0.6}, student above 0.5: {accuracy(student) > 0.5}")
