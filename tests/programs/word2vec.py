"""Skip-gram with negative sampling: subsampled pairs, a noise distribution, the nearest words."""

# band: 0.005, large steps

from collections import Counter

import torch
import torch.nn as nn
import torch.nn.functional as F
from text import PROSE

torch.manual_seed(0)
tokens = [word for word in PROSE.split() if word.isalpha()]
counts = Counter(tokens)
vocab = sorted(counts)
index = {word: i for i, word in enumerate(vocab)}
ids = torch.tensor([index[word] for word in tokens])
frequency = torch.tensor([counts[word] for word in vocab], dtype=torch.float)
noise = frequency.pow(0.75) / frequency.pow(0.75).sum()
keep = (1e-2 / (frequency / frequency.sum())).sqrt().clamp(max=1.0)


class SkipGram(nn.Module):
    def __init__(self, size, dim):
        super().__init__()
        self.center, self.context = nn.Embedding(size, dim), nn.Embedding(size, dim)
        nn.init.uniform_(self.center.weight, -0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.context.weight)

    def forward(self, center, context, negatives):
        v = self.center(center)
        positive = (v * self.context(context)).sum(1)
        negative = torch.bmm(self.context(negatives), v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)).mean()


def pairs(window=2):
    kept = ids[torch.rand(len(ids)) < keep[ids]]
    centers, contexts = [], []
    for shift in range(1, window + 1):
        centers += [kept[shift:], kept[:-shift]]
        contexts += [kept[:-shift], kept[shift:]]
    return torch.cat(centers), torch.cat(contexts)


model = SkipGram(len(vocab), 16)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.3)
print(len(vocab), "words,", len(tokens), "tokens")
for epoch in range(6):
    centers, contexts = pairs()
    order = torch.randperm(len(centers))
    total, n = 0.0, 0
    for batch in order.split(128):
        negatives = torch.multinomial(noise, len(batch) * 5, replacement=True).view(-1, 5)
        loss = model(centers[batch], contexts[batch], negatives)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, n = total + loss.item(), n + 1
    print(f"epoch {epoch}: {total / n:.3f} over {len(centers)} pairs")
with torch.no_grad():
    table = F.normalize(model.center.weight)
    similar = table @ table[index["lamp"]]
    similar[index["lamp"]] = -1
    print("similarity in range:", bool((similar.abs() <= 1.0 + 1e-5).all()))
