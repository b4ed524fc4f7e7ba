"""A bidirectional LSTM tagger on sentences of different lengths: padding, packing, masked loss."""

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(3)
PAD = 0
sentences = [
    ("the old man fills the lamp", "D A N V D N"),
    ("a cat sleeps", "D N V"),
    ("the wind is strong", "D N V A"),
    ("boats come home", "N V N"),
    ("the long nights are black", "D A N V A"),
    ("he trims the wick", "P V D N"),
    ("she knows the short story", "P V D A N"),
    ("nobody sleeps", "P V"),
]
words = {word: i + 1 for i, word in enumerate(sorted({w for s, _ in sentences for w in s.split()}))}
tags = {tag: i + 1 for i, tag in enumerate("ADNPV")}


class Sentences(Dataset):
    def __len__(self):
        return len(sentences)

    def __getitem__(self, item):
        sentence, labels = sentences[item]
        return torch.tensor([words[w] for w in sentence.split()]), torch.tensor([tags[t] for t in labels.split()])


def collate(batch):
    batch.sort(key=lambda pair: len(pair[0]), reverse=True)
    lengths = torch.tensor([len(x) for x, _ in batch])
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), pad_sequence(ys, batch_first=True, padding_value=PAD), lengths


class BiLSTMTagger(nn.Module):
    def __init__(self, vocab, tagset, dim=16, hidden=24):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
        self.out = nn.Linear(2 * hidden, tagset)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embed(x), lengths, batch_first=True)
        states, (h, c) = self.lstm(packed)
        states, _ = pad_packed_sequence(states, batch_first=True)
        return self.out(states)


model = BiLSTMTagger(len(words) + 1, len(tags) + 1)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
loader = DataLoader(Sentences(), batch_size=4, shuffle=True, collate_fn=collate)
for epoch in range(8):
    running, correct, count = 0.0, 0, 0
    for x, y, lengths in loader:
        optimizer.zero_grad()
        scores = model(x, lengths)
        loss = criterion(scores.transpose(1, 2), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
        mask = y != PAD
        correct += (scores.argmax(-1)[mask] == y[mask]).sum().item()
        count += mask.sum().item()
    if epoch % 2 == 1:
        print(f"epoch {epoch}: loss {running / len(loader):.4f}, tags right {correct}/{count}")
print("padding stays zero:", model.embed.weight[PAD].abs().sum().item())
