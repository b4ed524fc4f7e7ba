"""A batch of another size and length in each step, as text comes; measured from a fresh process on."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from workloads import jax_parts
from workloads.workload import Step, Workload, initialised, integers, training

STEPS = 1000
LARGEST = 64
WORDS, WIDTH, KINDS = 1000, 64, 10


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Words, and the kind of each text."""
    words, kinds = integers(WORDS, LARGEST, LARGEST), integers(KINDS, LARGEST)
    return [(words[:batch, :length], kinds[:batch]) for batch, length in integers(LARGEST, STEPS, 2, seed=1) + 1]


def model_class(torch: Any) -> Any:
    nn = torch.nn

    class Texts(nn.Module):
        """The mean of the words' vectors, then a network of two layers."""

        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(WORDS, WIDTH)
            self.first = nn.Linear(WIDTH, 2 * WIDTH)
            self.last = nn.Linear(2 * WIDTH, KINDS)

        def forward(self, words: Any) -> Any:
            return self.last(torch.relu(self.first(self.words(words).mean(1))))

    return Texts


def texts(torch: Any, compiled: Any) -> Step:
    model = initialised(torch, model_class(torch)())
    data = cycle([(torch.tensor(words), torch.tensor(kinds)) for words, kinds in batches()])
    loss_of = lambda words, kinds: torch.nn.functional.cross_entropy(model(words), kinds)  # noqa: E731
    return training(compiled, torch.optim.SGD(model.parameters(), lr=0.1), loss_of, data)


def padded(words: np.ndarray, kinds: np.ndarray) -> tuple:
    """To 8, 16, 32 or 64, with the true sizes, as JAX compiles for each shape anew."""
    batch, length = words.shape
    rows, columns = (max(8, 1 << (n - 1).bit_length()) for n in words.shape)
    words = np.pad(words, ((0, rows - batch), (0, columns - length)))
    return words, np.pad(kinds, (0, rows - batch)), np.float32(batch), np.float32(length)


def texts_jax(jax: Any) -> Step:
    numpy = jax.numpy
    shapes = {"words.weight": (WORDS, WIDTH)} | jax_parts.linear_shapes("first", WIDTH, 2 * WIDTH)
    params = jax_parts.parameters(jax, shapes | jax_parts.linear_shapes("last", 2 * WIDTH, KINDS))

    def loss_of(params: dict, words: Any, kinds: Any, batch: Any, length: Any) -> Any:
        known = (numpy.arange(words.shape[1]) < length)[:, None]
        means = (params["words.weight"][words] * known).sum(1) / length
        hidden = jax.nn.relu(jax_parts.linear(params, "first", means))
        logs = jax.nn.log_softmax(jax_parts.linear(params, "last", hidden))
        chosen = numpy.take_along_axis(logs, kinds[:, None], 1)[:, 0]
        return -(chosen * (numpy.arange(len(kinds)) < batch)).sum() / batch

    data = cycle([padded(words, kinds) for words, kinds in batches()])
    return jax_parts.training(jax, jax_parts.sgd(jax, 0.1), params, loss_of, data)


TEXTS = Workload("texts of any length, a step", texts, texts_jax)
