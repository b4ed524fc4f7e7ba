"""A siamese network with shared weights and the contrastive loss; pairs are made by the data set."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(10)
PROTOTYPES = torch.randn(5, 1, 8, 8)


class PairDataset(Dataset):
    def __init__(self, n):
        self.labels = torch.randint(0, 5, (n,))
        self.pictures = PROTOTYPES[self.labels] + 0.7 * torch.randn(n, 1, 8, 8)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        same = index % 2 == 0
        candidates = torch.nonzero((self.labels == self.labels[index]) == same).flatten()
        other = candidates[torch.randint(len(candidates), (1,)).item()]
        return self.pictures[index], self.pictures[other], torch.tensor(float(not same))


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.fc = nn.Sequential(nn.Linear(8 * 16, 32), nn.PReLU(), nn.Linear(32, 4))

    def forward_once(self, x):
        x = self.cnn(x)
        return self.fc(x.view(x.size()[0], -1))

    def forward(self, input1, input2):
        return self.forward_once(input1), self.forward_once(input2)


class ContrastiveLoss(torch.nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2, keepdim=True)
        label = label[:, None]
        return torch.mean((1 - label) * distance.pow(2) + label * torch.clamp(self.margin - distance, min=0.0).pow(2))


net, criterion = SiameseNetwork(), ContrastiveLoss()
optimizer = torch.optim.RMSprop(net.parameters(), lr=0.001)
loader = DataLoader(PairDataset(120), shuffle=True, batch_size=24)
for epoch in range(4):
    losses = []
    for img0, img1, label in loader:
        optimizer.zero_grad()
        loss = criterion(*net(img0, img1), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print("epoch %d: %.4f" % (epoch, sum(losses) / len(losses)))
net.eval()
with torch.no_grad():
    a, b, label = next(iter(DataLoader(PairDataset(60), batch_size=60)))
    distance = F.pairwise_distance(*net(a, b))
print("same %.3f, different %.3f" % (distance[label == 0].mean(), distance[label == 1].mean()))
