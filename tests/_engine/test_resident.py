"""What a long run keeps: a steady loop nothing; with ever new shapes memory stops growing."""

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

STEADY = """
import gc, os, sys
import flambeau as torch
from flambeau import nn
F = nn.functional

mlp = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
pixels = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
cnn = nn.Sequential(pixels, nn.Flatten(), nn.Linear(8 * 13 * 13, 10))
trained = [(mlp, torch.optim.Adam(mlp.parameters()), (64,)),
           (cnn, torch.optim.SGD(cnn.parameters(), lr=0.01, momentum=0.9), (1, 28, 28))]

def steps(count):
    for _ in range(count):
        for net, optimizer, shape in trained:
            x, y = torch.randn(32, *shape), torch.randint(0, 10, (32,))
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()

def state():
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10
    return gc.collect(), sys.getallocatedblocks(), resident

steps(300)  # until step counts are no small integers any more, which Python keeps
state()
steps(1)
_, *before = state()
steps(500)
garbage, *after = state()
print(garbage, *[a - b for a, b in zip(after, before)])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_steady_loop_allocates_nothing():
    result = subprocess.run([sys.executable, "-c", STEADY], capture_output=True, text=True, check=True)
    garbage, blocks, kilobytes = map(int, result.stdout.split())
    assert garbage == 0
    assert abs(blocks) < 100  # of Python's: less than one in five steps
    assert kilobytes < 512


@pytest.mark.slow
@pytest.mark.parametrize("body", ["convolution", "step"])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_shapes_take_little_memory(body):
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE.replace("BODY", body)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) <= BOUND
