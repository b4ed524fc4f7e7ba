"""`explain`: what the compiler made of a function, and how far each kernel is from what the machine can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau._engine import plans, window

ceilings = lazy_module("flambeau._engine.ceilings")
ROUNDS = 5


def explain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Run `function(*args, **kwargs)` a few times and describe the kernels of its last run: which operations were fused
    into each, the bytes it moves and the floating-point operations it does at the least, the time it took, and what
    share of the machine's measured bandwidth or arithmetic that is; and which operations were left to the reference,
    and the time NumPy took for them. Returns the description, to be printed.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(1000)
        >>> print(torch.explain(lambda: (x * 2 + 1).relu().sum()).splitlines()[0])
        1 plan, 1 kernel, 0 instructions left to the reference
    """
    rows: dict[tuple[int, int], list[Any]] = {}
    seen: list[Any] = []
    left: list[tuple[str, float]] = []  # what the last run left to the reference, with the seconds it took
    before = config.compile, window.watcher
    config.compile = "always"
    try:
        for _ in range(2):
            _run(function, args, kwargs)
        plans.profile = lambda plan, native, seconds: _collect(rows, seen, plan, native, seconds)
        window.watcher = lambda instruction, seconds: left.append((instruction.op.name, seconds))
        for _ in range(ROUNDS):
            left.clear()
            _run(function, args, kwargs)
    finally:
        plans.profile = None
        config.compile, window.watcher = before
    return _describe(rows, seen, left)


def _run(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> None:
    result = function(*args, **kwargs)  # alive until the window has run, so that it is computed
    window.flush()
    del result


def _collect(rows: dict, seen: list[Any], plan: Any, native: Any, seconds: list[float]) -> None:
    if plan not in seen:
        seen.append(plan)
    for i, (name, block, took) in enumerate(zip(plan.names_of(native), native.blocks, seconds, strict=True)):
        row = rows.setdefault((id(native), i), [name, block.bytes, block.flops, []])
        row[3].append(took)


def _describe(rows: dict, seen: list[Any], left: list[tuple[str, float]]) -> str:
    peak = ceilings.measured()
    lines = [
        f"{_count(len(seen), 'plan')}, {_count(len(rows), 'kernel')}, {len(left)} instructions left to the reference",
        f"measured ceilings: {peak.bandwidth / 1e9:.1f} GB/s copied, {peak.flops / 1e9:.1f} GFLOP/s",
        f"{'us':>9} {'KB':>9} {'MFLOP':>9} {'of peak':>8}  operations",
    ]
    total = 0.0
    for name, nbytes, flops, times in rows.values():
        took = sorted(times)[len(times) // 2]
        total += took
        share = max(nbytes / peak.bandwidth, flops / peak.flops) / took if took else 0.0
        lines.append(f"{took * 1e6:9.1f} {nbytes / 1e3:9.1f} {flops / 1e6:9.3f} {share:8.0%}  {_shortened(name)}")
    for name, took in left:
        lines.append(f"{took * 1e6:9.1f} {'':>9} {'':>9} {'NumPy':>8}  {name}")
    lines.append(f"{total * 1e6:9.1f} us in kernels")
    if left:
        lines.append(f"{sum([took for _, took in left]) * 1e6:9.1f} us in NumPy")
    return "\n".join(lines)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _shortened(names: str) -> str:
    """Long lists of operations with repetitions counted."""
    parts: list[tuple[str, int]] = []
    for name in names.split():
        if parts and parts[-1][0] == name:
            parts[-1] = (name, parts[-1][1] + 1)
        else:
            parts.append((name, 1))
    text = " ".join(name if n == 1 else f"{name}x{n}" for name, n in parts)
    return text if len(text) <= 100 else text[:97] + "..."
