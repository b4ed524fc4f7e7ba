"""Random programs: run fused and op by op, the results must agree.

A program is a list of steps over a growing list of tensors: arithmetic with broadcasting, reductions, views, writes
into views, look-ups, matrix products, branches on values, gradients. `python tests/_compiler/fuzz.py --programs 1000`
runs programs with the seeds 0 to 999 and reports those that disagree; `--torch` runs them in PyTorch, too.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SHAPES = ((), (3,), (1,), (4, 3), (4, 1), (2, 4, 3), (5, 7), (17,))
UNARY = ("neg", "abs", "tanh", "sigmoid", "relu", "exp_", "square", "sqrt_", "cast", "clone", "log_")
BINARY = ("add", "sub", "mul", "div_", "maximum", "minimum", "where", "lerp")
REDUCTIONS = ("sum", "mean", "amax", "amin", "argmax", "softmax", "log_softmax", "var", "cumsum", "any", "norm")
VIEWS = ("transpose", "flatten", "unsqueeze", "expand", "slice", "select", "squeeze", "reshape", "step")
WRITES = ("add_", "mul_", "copy_", "fill_", "slice_set", "select_add", "masked_fill_", "zero_")
PRODUCTS = ("matmul", "linear", "finished", "finished", "finished")
OTHERS = ("matmul", "cat", "stack", "index", "gather", "branch", "peek", "scalar", "linear", "layer_norm", "pad",
          "tril")  # fmt: skip


def generate(seed: int) -> list[tuple]:
    """The steps of a program: (kind, random numbers that choose operands and arguments)."""
    rng = random.Random(seed)
    kinds = [UNARY, BINARY, BINARY, REDUCTIONS, VIEWS, VIEWS, WRITES, OTHERS]
    if rng.random() < 0.3:
        kinds += 4 * [PRODUCTS]
    steps: list[tuple] = [("input", rng.choice(SHAPES), rng.randrange(1 << 30)) for _ in range(3)]
    for _ in range(rng.randrange(2, 14)):
        steps.append((rng.choice(rng.choice(kinds)), *[rng.randrange(1 << 30) for _ in range(4)]))
    if rng.random() < 0.3:
        steps.append(("backward", rng.randrange(1 << 30)))
    return steps


def run(torch: Any, steps: list[tuple]) -> list[np.ndarray]:
    """Run a program; all its tensors at the end."""
    tensors: list[Any] = []
    differentiated = steps[-1][0] == "backward"
    leaves = []
    for step in steps:
        if step[0] == "input":
            values = np.random.default_rng(step[2]).uniform(-2, 2, step[1]).astype(np.float32)
            leaf = torch.tensor(values)
            if differentiated:
                leaf.requires_grad_(True)
                leaves.append(leaf)
                leaf = leaf * 1
            tensors.append(leaf)
        elif step[0] == "backward":
            total = sum(t.float().tanh().sum() for t in tensors if t.requires_grad)
            if not isinstance(total, int):
                total.backward()
        else:
            result = apply(torch, step, tensors)
            if result is not None:
                tensors += result if isinstance(result, tuple) else (result,)
    found = [t.detach().numpy().copy() for t in tensors]
    return found + [leaf.grad.numpy().copy() for leaf in leaves if leaf.grad is not None]


def apply(torch: Any, step: tuple, tensors: list[Any]) -> Any:
    """One step: the new tensors, if there are any. Steps that make no sense for their operands do nothing."""
    kind, *numbers = step
    x, y = (tensors[n % len(tensors)] for n in numbers[:2])
    n = numbers[2]
    if kind in WRITES:
        return write(torch, kind, x, y, n)
    if kind in VIEWS:
        return view(kind, x, n)
    if not x.dtype.is_floating_point and kind not in ("cast", "clone", "branch", "peek", "cat", "index"):
        x = x.float()
    if kind in UNARY:
        return UNARY_FORMS.get(kind, lambda x: getattr(torch, kind)(x))(x)
    if kind in BINARY:
        return binary(torch, kind, x, y.float(), n)
    if kind in REDUCTIONS:
        return reduction(torch, kind, x, n)
    return other(torch, kind, x, y, n)


UNARY_FORMS: dict[str, Callable[[Any], Any]] = {
    "exp_": lambda x: (x.clamp(-3, 3)).exp(), "sqrt_": lambda x: x.abs().sqrt(), "clone": lambda x: x.clone(),
    "cast": lambda x: x.to(x.dtype) * 1 if x.dtype.is_floating_point else x.float(), "square": lambda x: x * x,
    "log_": lambda x: (x.abs() + 0.5).log(),
}  # fmt: skip


def finished(torch: Any, x: Any, y: Any, n: int) -> Any:
    """A product with maps after it: of it alone, with a bias, a residual, a mask; it may have other users, too."""
    rows = x.reshape(-1, x.shape[-1])
    other = y.reshape(y.shape[0], -1) if y.dim() else y.reshape(1, 1)
    k = rows.shape[-1]
    weight = torch.arange(float(k * other.shape[-1])).reshape(k, other.shape[-1]) * (0.3 / k)
    product = rows @ weight.sin()
    result = product * 0.5 if n & 1 else product.relu()
    if n & 2:
        result = result + weight.cos()[n % k]
    if n & 4 and other.shape == result.shape:
        result = result + other
    if n & 8:
        result = torch.where(product > 0, result, result * 0.1)
    if n & 16:
        result = result * product.tanh().sum() * 0.1 + product
    if n & 32:
        result = result.clamp(-9, 9) @ weight.sin().transpose(0, 1) * rows
    return (result, product) if n & 64 else (result,)


def broadcastable(a: Any, b: Any) -> bool:
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def binary(torch: Any, kind: str, x: Any, y: Any, n: int) -> Any:
    if not broadcastable(x, y):
        y = y.sum() * 0.1
    if kind == "div_":
        return x / (y.abs() + 0.5)
    if kind == "where":
        return torch.where(x > y, x, y * 0.5)
    if kind == "lerp":
        return torch.lerp(*torch.broadcast_tensors(x, y), (n % 10) / 10)
    return getattr(torch, kind)(x, y).clamp(-50, 50)


def reduction(torch: Any, kind: str, x: Any, n: int) -> Any:
    dim = n % x.dim() if x.dim() else 0
    keep = bool(n & 64)
    if x.dim() == 0:
        return x.sum()
    if kind in ("softmax", "log_softmax", "cumsum"):
        return getattr(torch, kind)(x, dim)
    if kind == "argmax":
        return x.detach().argmax(dim, keepdim=keep)
    if kind == "any":
        return (x.detach() > 1).any(dim, keepdim=keep)
    if kind == "var":
        return x.var(dim, correction=0, keepdim=keep)
    if kind == "norm":
        return ((x * x).sum(dim, keepdim=keep) + 0.1).sqrt()
    if kind in ("sum", "mean") and n & 128:
        return getattr(x, kind)()
    return getattr(x, kind)(dim, keepdim=keep)


def view(kind: str, x: Any, n: int) -> Any:
    if kind == "flatten":
        return x.reshape(-1)
    if kind == "unsqueeze":
        return x.unsqueeze(n % (x.dim() + 1)) if x.dim() < 4 else None
    if x.dim() == 0:
        return None
    dim = n % x.dim()
    size = x.shape[dim]
    if kind == "transpose":
        return x.transpose(dim, (n >> 8) % x.dim())
    if kind == "expand":
        return x.expand([3 if m == 1 else m for m in x.shape])
    if kind == "slice":
        return x.narrow(dim, n % max(1, size // 2 + 1), size - size // 2) if size else None
    if kind == "step":
        return x[::2]
    if kind == "select":
        return x.select(dim, n % size) if size else None
    if kind == "squeeze":
        return x.squeeze(dim)
    return x.reshape(tuple(reversed(x.shape)))


def writable(x: Any) -> bool:
    return x.dtype.is_floating_point and all(s != 0 or m <= 1 for m, s in zip(x.shape, x.stride(), strict=True))


def write(torch: Any, kind: str, x: Any, y: Any, n: int) -> Any:
    if not writable(x) or (x.requires_grad and x.is_leaf):
        return None
    y = y.float()
    grows = any(m < k for m, k in zip(x.shape[::-1], y.shape[::-1], strict=False))
    if not broadcastable(x, y) or y.dim() > x.dim() or grows:
        y = y.sum() * 0.01
    y = y.clamp(-5, 5).detach() if n & 4 else y.clamp(-5, 5)
    if kind in ("add_", "copy_"):
        getattr(x, kind)(y)
    elif kind == "mul_":
        x.mul_(0.75)
    elif kind == "fill_":
        x.fill_((n % 7) / 4)
    elif kind == "zero_":
        x.zero_()
    elif kind == "masked_fill_":
        x.masked_fill_(x.detach() > 0.5, -0.25)
    elif x.dim() and x.shape[0]:
        part = x[: x.shape[0] // 2 + 1] if kind == "slice_set" else x[n % x.shape[0]]
        part.mul_(0.5).add_(y.detach().sum() * 0.1 if kind == "select_add" else 0.125)
    return None


def other(torch: Any, kind: str, x: Any, y: Any, n: int) -> Any:
    F = torch.nn.functional
    if kind == "branch":
        return x * 2 if float(x.detach().float().sum()) > 0 else x.float() - 1
    if kind == "peek":
        x.detach().float().sum().item()
        return None
    if kind == "scalar":
        return x * ((n % 1000) / 333) + (n % 5)
    if kind == "pad":
        return F.pad(x, (1, 2)) if x.dim() else None
    if x.dim() == 0:
        return None
    if kind == "cat":
        return torch.cat([x, x], n % x.dim())
    if kind == "stack":
        return torch.stack([x, x * 2], n % (x.dim() + 1)) if x.dim() < 4 else None
    if kind == "index":
        return x[torch.tensor([0, x.shape[0] - 1, 0])] if x.shape[0] else None
    if kind == "gather":
        return x.gather(0, (x.detach() > 0).long() * (x.shape[0] - 1)) if x.shape[0] else None
    if kind == "tril":
        return x.tril() if x.dim() > 1 else None
    if kind == "layer_norm":
        return F.layer_norm(x, x.shape[-1:]) if x.shape[-1] > 1 else None
    if kind == "linear":
        weight = torch.arange(2.0 * x.shape[-1]).reshape(2, x.shape[-1]) / (2.0 * x.shape[-1])
        return F.linear(x, weight, torch.ones(2))
    if kind == "finished":
        return finished(torch, x, y.float(), n) if 0 not in (*x.shape, *y.shape) else None
    y = x.transpose(-1, -2) if x.dim() > 1 else x
    return (x @ y).tanh()


def agree(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Are the results the same up to rounding?"""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape or x.dtype != y.dtype:
            return False
        if x.dtype.kind == "f" and not np.allclose(x, y, 2e-3, 2e-3, equal_nan=True):
            return False
        if x.dtype.kind != "f" and not (x == y).all():
            return False
    return True


def modes() -> dict[str, Callable[[list[tuple]], list[np.ndarray]]]:
    """Flambeau in two ways: every window compiled at once; every operation run by itself on the reference."""
    import flambeau
    from flambeau._compiler import epilogues
    from flambeau._core.config import config

    epilogues.LARGE = 0  # so that small products are finished, too

    def fused(steps: list[tuple]) -> list[np.ndarray]:
        config.compile, config.window_instructions = "always", 512
        return run(flambeau, steps)

    def single(steps: list[tuple]) -> list[np.ndarray]:
        config.compile, config.window_instructions = "never", 1
        try:
            return run(flambeau, steps)
        finally:
            config.compile, config.window_instructions = "auto", 512

    return {"fused": fused, "op by op": single}


def has_ties(results: list[np.ndarray]) -> bool:
    """Integers in the results come from comparisons, which rounding can tip."""
    return any(r.dtype.kind in "ib" for r in results)


def check(seed: int, ways: dict[str, Callable]) -> str:
    """What is wrong with the program of a seed; "" if nothing."""
    steps = generate(seed)
    results: dict[str, Any] = {}
    for name, way in ways.items():
        try:
            results[name] = way(steps)
        except Exception as error:
            results[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    first, *rest = results.values()
    for other_result in rest:
        both = isinstance(first, str), isinstance(other_result, str)
        if both == (True, True):
            if first.split(":")[0] != other_result.split(":")[0]:
                return f"{results}"
        elif True in both:
            return str({k: v if isinstance(v, str) else "ran" for k, v in results.items()})
        elif not agree(first, other_result):
            return "results differ"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--torch", action="store_true", help="run the programs in PyTorch, too")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    ways = modes()
    if options.torch:
        import torch

        ways["PyTorch"] = lambda steps: run(torch, steps)
    wrong, count, start = 0, 0, time.monotonic()
    for seed in range(options.first, options.first + options.programs):
        if time.monotonic() - start > options.seconds:
            break
        count += 1
        message = check(seed, ways)
        if message:
            wrong += 1
            print(f"seed {seed}: {message}", flush=True)
    print(f"{count} programs from seed {options.first}: {count - wrong} agree, {wrong} do not")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
