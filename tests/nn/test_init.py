"""nn.init beside PyTorch 2.13; run this file with PyTorch to take the golden numbers again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden_init.json")

SPECS = """
uniform_(e(3, 2), -2.0, 5.0)
normal_(e(5, 4), 1.0, 2.0)
trunc_normal_(e(6, 5))
trunc_normal_(e(6, 5), a=1.5, b=3.0)
trunc_normal_(e(4, 5), std=0.02, a=-0.04, b=0.04)
constant_(e(2, 2), 0.3)
ones_(e(2))
zeros_(e(2))
eye_(e(2, 3))
dirac_(e(4, 2, 3))
dirac_(e(4, 2, 2, 3), groups=2)
dirac_(e(2, 2, 1, 2, 1))
xavier_uniform_(e(3, 4, 2), gain=2.0)
xavier_normal_(e(4, 4))
kaiming_uniform_(e(3, 4), a=0.5)
kaiming_uniform_(e(3, 4), mode="fan_out", nonlinearity="relu")
kaiming_normal_(e(4, 5), nonlinearity="selu")
orthogonal_(e(3, 5), gain=2.0)
orthogonal_(e(4, 2, 2))
sparse_(e(6, 3), 0.4)
"""


def observe(torch, spec: str) -> list:
    torch.manual_seed(11)
    tensor = eval(f"init.{spec}", {"init": torch.nn.init, "e": torch.empty})
    # What the generator gives next tells whether it was consumed alike.
    return [float(f"{value:.7g}") for value in [*tensor.reshape(-1).tolist(), torch.rand(1).item()]]


LINES = SPECS.strip().split("\n")


@pytest.mark.parametrize("spec", LINES)
def test_like_pytorch(spec):
    import flambeau

    assert observe(flambeau, spec) == pytest.approx(json.loads(GOLDEN.read_text())[spec], rel=1e-5, abs=1e-6)


def test_generator_and_autograd():
    import flambeau as torch

    weight = torch.nn.Parameter(torch.empty(4))
    drawn = [torch.nn.init.uniform_(weight, generator=torch.Generator().manual_seed(3)).tolist() for _ in range(2)]
    assert drawn[0] == drawn[1] and weight.grad_fn is None and weight.requires_grad


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", 1, 1),
        ("selu", None, 0.75),
    ],
)
def test_calculate_gain(name, param, gain):
    import flambeau as torch

    assert torch.nn.init.calculate_gain(name, param) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("calculate_gain('step')", "Unsupported nonlinearity step"),
        ("calculate_gain('leaky_relu', True)", "not a valid number"),
        ("eye_(e(2))", "Only tensors with 2 dimensions"),
        ("dirac_(e(2))", "Only tensors with 3, 4, or 5 dimensions"),
        ("dirac_(e(3, 1, 1), groups=2)", "dim 0 must be divisible by groups"),
        ("xavier_uniform_(e(2))", "fewer than 2 dimensions"),
        ("kaiming_normal_(e(2, 2), mode='fan')", "Mode fan not supported"),
        ("orthogonal_(e(2))", "2 or more dimensions"),
        ("sparse_(e(2), 0.1)", "Only tensors with 2 dimensions"),
    ],
)
def test_errors(call, message):
    import flambeau as torch

    with pytest.raises(ValueError, match=message):
        eval(f"init.{call}", {"init": torch.nn.init, "e": torch.empty})


def test_warnings():
    import flambeau as torch

    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        torch.nn.init.kaiming_uniform_(torch.empty(0, 2))
    with pytest.warns(UserWarning, match="more than 2 std"):
        torch.nn.init.trunc_normal_(torch.empty(2), mean=5.0, a=0.0, b=2.0)
    with pytest.warns(FutureWarning, match="in favor of `nn.init.uniform_`"):
        torch.nn.init.uniform(torch.empty(2))


if __name__ == "__main__":
    import torch

    GOLDEN.write_text(json.dumps({line: observe(torch, line) for line in LINES}, separators=(",", ":")) + "\n")
