"""What `import flambeau` costs a fresh process, beside `import torch` and `import numpy` where they are installed.

    python benchmarks/import_time.py

Each is imported in 9 new processes, taking turns; the quickest counts, since everything slower was disturbed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import NamedTuple

ROUNDS = 9
NAMES = ("flambeau", "numpy", "torch")

# Runs in the new process. The peak of memory is asked of Linux itself: getrusage would count the parent's, too.
CHILD = """
import sys, time
before = len(sys.modules)
start = time.perf_counter()
import {name}
seconds = time.perf_counter() - start
count = len(sys.modules) - before
try:
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(seconds, count, peak)
"""


class Cost(NamedTuple):
    """Of one import: seconds, modules loaded, and the process's peak memory in MiB."""

    seconds: float
    modules: int
    memory: float


def one_import(name: str) -> Cost:
    # Byte code is kept, as it is for every package that pip installed: the first round writes it.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD.format(name=name)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, modules, peak = run.stdout.split()
    return Cost(float(seconds), int(modules), int(peak) / 1024)


def measure(rounds: int = ROUNDS) -> dict[str, Cost]:
    """The cheapest of `rounds` imports for each package that is installed."""
    names = [name for name in NAMES if importlib.util.find_spec(name)]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            costs[name].append(one_import(name))
    return {name: min(found) for name, found in costs.items()}


def table(costs: dict[str, Cost]) -> str:
    lines = ["| import | seconds | modules | peak memory |", "|---|---|---|---|"]
    lines += [f"| {name} | {c.seconds:.3f} | {c.modules} | {c.memory:.0f} MiB |" for name, c in costs.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
