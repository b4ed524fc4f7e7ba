"""A character GPT, written as nanoGPT is: a training step, and making text one character at a time."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from workloads import gpt_jax
from workloads.gpt_jax import BATCH, CONTEXT, HEADS, LAYERS, VOCABULARY, WIDTH
from workloads.workload import Step, Workload, initialised, integers, training


def attention_class(torch: Any) -> Any:
    nn, functional = torch.nn, torch.nn.functional

    class Attention(nn.Module):
        """Each position looks at those before it."""

        def __init__(self) -> None:
            super().__init__()
            self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
            self.c_proj = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.size()
            heads = [t.view(batch, length, HEADS, width // HEADS).transpose(1, 2)
                     for t in self.c_attn(x).split(width, dim=2)]  # fmt: skip
            y = functional.scaled_dot_product_attention(*heads, is_causal=True)
            return self.c_proj(y.transpose(1, 2).contiguous().view(batch, length, width))

    return Attention


def block_class(torch: Any) -> Any:
    nn, attention = torch.nn, attention_class(torch)

    class Block(nn.Module):
        """Attention, then a small network for each position."""

        def __init__(self) -> None:
            super().__init__()
            self.ln_1 = nn.LayerNorm(WIDTH)
            self.attn = attention()
            self.ln_2 = nn.LayerNorm(WIDTH)
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))

    return Block


def gpt_class(torch: Any) -> Any:
    nn, functional, block = torch.nn, torch.nn.functional, block_class(torch)

    class GPT(nn.Module):
        """Scores for the next character; with targets, the loss of all positions."""

        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.h = nn.ModuleList([block() for _ in range(LAYERS)])
            self.ln_f = nn.LayerNorm(WIDTH)
            self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
            self.wte.weight = self.lm_head.weight  # weight tying

        def forward(self, idx: Any, targets: Any = None) -> Any:
            x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
            for part in self.h:
                x = part(x)
            x = self.ln_f(x)
            if targets is None:
                return self.lm_head(x[:, [-1], :])
            scores = self.lm_head(x)
            return functional.cross_entropy(scores.view(-1, VOCABULARY), targets.view(-1))

    return GPT


def train(torch: Any, compiled: Any) -> Step:
    model = initialised(torch, gpt_class(torch)())
    text = torch.tensor(integers(VOCABULARY, BATCH, CONTEXT + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    return training(compiled, optimizer, model, cycle([(text[:, :-1].contiguous(), text[:, 1:].contiguous())]))


def generate(torch: Any, compiled: Any) -> Step:
    """The likeliest character each time, until the context is full."""
    model = initialised(torch, gpt_class(torch)()).eval()
    scores, start = compiled(model), torch.tensor([[1]])

    @torch.no_grad()
    def step() -> Any:
        idx = start
        for _ in range(CONTEXT - 1):
            likeliest = scores(idx)[:, -1, :].argmax(dim=-1, keepdim=True)
            idx = torch.cat((idx, likeliest), dim=1)
        return idx

    return step


WORKLOADS = [
    Workload("GPT, a step", train, gpt_jax.train, quick=True),
    Workload("GPT, a character made", generate, gpt_jax.generate, calls=CONTEXT - 1),
]
