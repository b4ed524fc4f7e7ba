"""A small transformer that reads sentences of different lengths without padding: jagged nested tensors all the way
through embedding, attention and feed-forward layers. It learns whether a sentence has more of the first half of the
alphabet or of the second."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nested import nested_tensor_from_jagged

torch.manual_seed(0)
WORDS, WIDTH, HEADS = 12, 16, 2


def batch(size, generator):
    lengths = torch.randint(3, 11, (size,), generator=generator)
    words = torch.randint(0, WORDS, (int(lengths.sum()),), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    sentences = nested_tensor_from_jagged(words, offsets, min_seqlen=3, max_seqlen=int(lengths.max()))
    labels = ((sentences < WORDS // 2).float().mean(1) > 0.5).float()
    return sentences, lengths, labels


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 32), nn.GELU(), nn.Linear(32, WIDTH))

    def attend(self, x):
        q, k, v = [f(x).unflatten(-1, [HEADS, -1]).transpose(1, 2) for f in (self.query, self.key, self.value)]
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.feed(self.norm2(x))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, sentences, lengths):
        x = self.embed(sentences)
        for block in self.blocks:
            x = block(x)
        pooled = x.to_padded_tensor(0.0).sum(1) / lengths.unsqueeze(1)
        return self.head(pooled).squeeze(1)


generator = torch.Generator().manual_seed(1)
model = Classifier()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
held_out = batch(64, torch.Generator().manual_seed(2))
print(held_out[0].shape[0], held_out[0].dim(), held_out[0].layout, held_out[0].is_nested)

for step in range(61):
    sentences, lengths, labels = batch(16, generator)
    loss = F.binary_cross_entropy_with_logits(model(sentences, lengths), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 15 == 0:
        with torch.no_grad():
            logits = model(*held_out[:2])
            accuracy = ((logits > 0) == (held_out[2] > 0)).float().mean()
            held = F.binary_cross_entropy_with_logits(logits, held_out[2])
        print(f"step {step}: loss {loss.item():.4f}, held out {held.item():.4f}, accuracy {accuracy.item():.3f}")

with torch.no_grad():
    states = model.blocks[0](model.embed(held_out[0]))
    scores = model.head(states).squeeze(-1).softmax(1)
print("rows", states.values().shape, "largest part", states.to_padded_tensor(0.0).shape[1])
print("weights add up to", scores.sum(1)[:3])
print("mean of parts", states.mean(1)[:2, :4])
print("largest", states.amax(1)[0, :4])
