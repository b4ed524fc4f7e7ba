"""The mistakes of a first model: constructors, calls, shapes, dtypes; the input of another size ends the program."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(5)


class Net(nn.Module):
    def __init__(self, inputs=784):
        super().__init__()
        self.fc1 = nn.Linear(inputs, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class Early(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(2, 2)
        super().__init__()


class Never(nn.Module):
    def __init__(self):
        self.size = 2

    def forward(self, x):
        return x


class Unfinished(nn.Module):
    def forwad(self, x):
        return x


model = Net()
images, labels = torch.rand(4, 1, 28, 28), torch.tensor([0, 3, 9, 1])
logits = model(images.flatten(1))
MISTAKES = {
    "early": lambda: Early(),
    "never": lambda: Never()(torch.ones(2)),
    "unfinished": lambda: Unfinished()(torch.ones(2)),
    "attribute": lambda: model.fc3(logits),
    "plain tensor": lambda: setattr(model.fc1, "weight", torch.ones(2, 2)),
    "not flattened": lambda: model(images),
    "a list": lambda: model([[0.0] * 784]),
    "an array": lambda: model(images.flatten(1).numpy()),
    "double": lambda: model(images.flatten(1).double()),
    "half": lambda: model(images.flatten(1).half()),
    "bytes": lambda: model((images.flatten(1) * 255).byte()),
    "two inputs": lambda: model(images.flatten(1), labels),
    "no input": lambda: model(),
    "a keyword": lambda: nn.Linear(3, out=4),
    "half a layer": lambda: nn.Linear(3),
    "a float size": lambda: nn.Linear(784 / 2, 10),
    "a text size": lambda: nn.Conv2d("3", 8, 3),
    "loss of data": lambda: nn.CrossEntropyLoss(logits, labels),
    "swapped": lambda: F.cross_entropy(labels, logits),
    "float classes": lambda: F.cross_entropy(logits, labels.float()),
    "a column": lambda: F.cross_entropy(logits, labels[:, None]),
    "fewer labels": lambda: F.cross_entropy(logits, labels[:3]),
    "class 10": lambda: F.cross_entropy(logits, labels + 1).item(),
    "integer target": lambda: F.binary_cross_entropy_with_logits(logits[:, 0], labels),
    "no probability": lambda: F.binary_cross_entropy(logits[:, 0] * 100, torch.ones(4)).item(),
    "another size": lambda: F.binary_cross_entropy(torch.rand(4, 1), torch.ones(4)),
    "vector backward": lambda: logits.backward(),
    "numpy with grad": lambda: logits.numpy(),
    "item of many": lambda: logits.item(),
    "float of many": lambda: float(logits),
    "if of many": lambda: 1 if logits > 0 else 2,
    "channels": lambda: nn.Conv2d(3, 8, 3)(images),
    "kernel": lambda: nn.Conv2d(1, 8, 30)(images),
    "flat conv": lambda: nn.Conv2d(1, 8, 3)(images.flatten(1)),
    "norm 2d": lambda: nn.BatchNorm2d(8)(logits),
    "norm of one": lambda: nn.BatchNorm1d(10)(logits[:1]),
    "norm in double": lambda: nn.BatchNorm1d(10)(logits.double()),
    "words": lambda: nn.Embedding(5, 2)(torch.tensor([5])).sum().item(),
    "float words": lambda: nn.Embedding(5, 2)(torch.tensor([1.0])),
    "lstm": lambda: nn.LSTM(8, 4)(torch.ones(3, 2, 7)),
    "lstm in a row": lambda: nn.Sequential(nn.LSTM(10, 4), nn.Linear(4, 1))(logits[None]),
    "heads": lambda: nn.MultiheadAttention(10, 3),
    "device": lambda: model.to("gpu"),
    "dtype": lambda: model.to(torch.int64),
    "dtype as text": lambda: torch.zeros(2, dtype="float32"),
    "texts": lambda: torch.tensor(["cat", "dog"]),
    "none": lambda: torch.tensor([1.0, None]),
    "ragged": lambda: torch.tensor([[1, 2], [3]]),
    "cat": lambda: torch.cat(logits, logits),
    "stack": lambda: torch.stack([logits, logits[:2]]),
    "two unknowns": lambda: images.view(-1, -1),
    "not contiguous": lambda: images.transpose(2, 3).view(4, 784),
    "float index": lambda: images[torch.tensor([0.0])],
    "backwards": lambda: images[::-1],
}
for name, mistake in MISTAKES.items():
    try:
        mistake()
        print(f"{name}: nothing")
    except Exception as error:
        print(f"{name}: {type(error).__name__.lstrip('_')}")
print(f"{F.cross_entropy(logits, labels).item():.4f}")
Net(inputs=100)(images.flatten(1))
