"""What a long run keeps: the memory of a process that sees ever new shapes stops growing."""

from __future__ import annotations

import subprocess
import sys

import pytest

BOUND = 32  # megabytes
PRELUDE = """
import os, random
import flambeau as torch
from flambeau import nn
F = nn.functional
r = random.Random(0)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

def convolution():
    n, channels, filters = r.randrange(1, 5), r.randrange(1, 9), r.randrange(1, 9)
    kernel = r.choice((1, 2, 3))
    x = torch.randn(n, channels, r.randrange(3, 20), r.randrange(3, 20))
    weight = torch.randn(filters, channels, kernel, kernel)
    F.conv2d(x, weight, padding=r.randrange(2), stride=r.choice((1, 2))).sum().item()

net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

def step():
    n = r.randrange(1, 3000)
    x, y = torch.randn(n, 20), torch.randint(0, 5, (n,))
    optimizer.zero_grad()
    F.cross_entropy(net(x), y).backward()
    optimizer.step()

for i in range(10_000):
    if i == 200:
        before = resident()
    BODY()
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("body", ["convolution", "step"])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_shapes_take_little_memory(body):
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE.replace("BODY", body)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) <= BOUND
