"""Random programs, the same text for Flambeau and PyTorch: what they do, and what comes out.

A *structure* is a list of steps, each with a number that seeds its choices; inputs have symbolic sizes. A *program* is
a structure with sizes and values: kernels do not depend on sizes, so a second program of a structure costs little.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
EPSILON = {"float64": 2e-16, "float32": 1.2e-7, "float16": 1e-3, "bfloat16": 8e-3}
SIZES = (2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100)
MOST = 40_000  # elements of a tensor
BINARY_OPS = ("add", "sub", "mul", "maximum", "minimum", "atan2", "fmod", "remainder", "copysign", "hypot")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor")

Op = Callable[[Any, Any, Any, random.Random], Any]  # (torch, x, y, choices) -> a tensor, or None


class Step(NamedTuple):
    kind: str
    seed: int
    shape: tuple[str, ...] = ()  # of an input: names of sizes
    dtype: str = ""


def structure(seed: int) -> list[Step]:
    """The steps of a structure."""
    r = random.Random(seed)
    main = r.choices(FLOATS, (6, 2, 1, 1))[0]
    dtypes = [main if r.random() < 0.75 else r.choice((*FLOATS, *INTEGERS, "bool")) for _ in range(3)]
    shapes = r.choice(((), ("a",), ("a", "b"), ("a", "b"), ("b", "a", "c"), ("a", "c", "b", "b")))
    steps = [Step("input", r.randrange(1 << 30), shapes, main)]
    for d in dtypes:
        shape = tuple("1" if r.random() < 0.2 else name for name in shapes[r.randrange(len(shapes) + 1) :])
        steps.append(Step("input", r.randrange(1 << 30), shape, d))
    for _ in range(r.randrange(2, 14)):
        family = r.choices(FAMILIES, WEIGHTS)[0]
        steps.append(Step(r.choice(family), r.randrange(1 << 30)))
    if r.random() < 0.35:
        steps.append(Step("backward", r.randrange(1 << 30)))
    return steps


def sizes(seed: int, variant: int) -> dict[str, int]:
    """The sizes of a structure's program of that number."""
    r = random.Random(f"{seed}:{variant}")
    found = {name: r.choice(SIZES) for name in "abc"}
    odd = r.random()
    if odd < 0.25:
        found[r.choice("abc")] = r.choices((0, 1), (1, 3))[0]
    elif odd < 0.35:
        found = {"a": r.choice((257, 1000, 4099)), "b": r.choice((1, 2, 5)), "c": r.choice((1, 3))}
    return found | {"1": 1}


def values(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """An input: numbers between -2 and 2, or small integers; now and then extreme ones."""
    rng = np.random.default_rng(seed)
    extreme = rng.random() < 0.06
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if extreme else (0 if dtype == "uint8" else -5, 6)
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)
    found = np.asarray(rng.uniform(-2, 2, shape))
    if extreme:
        special = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], shape)
        found = np.where(rng.random(shape) < 0.1, special, found)
    return found.astype("float32" if dtype == "bfloat16" else dtype)


class Result(NamedTuple):
    step: int  # that made it
    what: str
    dtype: str
    array: np.ndarray


class Run:
    """One run of a program. With `jitter`, results are changed by a rounding error each, to see which of them hang by a
    thread: a comparison of two numbers that are nearly equal, say."""

    def __init__(self, torch: Any, steps: list[Step], sizes: dict[str, int], variant: int = 0, jitter: int = 0):
        self.torch = torch
        self.steps = steps
        self.sizes = sizes
        self.variant = variant
        self.jitter = np.random.default_rng(jitter) if jitter else None
        self.tensors: list[Any] = []  # the result of each step, None if it has none
        self.leaves: list[Any] = []
        self.results: list[Result] = []
        self.differentiated = steps[-1].kind == "backward"
        self.log: Callable[[str], None] | None = None

    def finish(self) -> list[Result]:
        """All that the program lets see: what it looked at, its errors, and its tensors at the end."""
        for number, step in enumerate(self.steps):
            try:
                result = self._input(step) if step.kind == "input" else self._apply(step)
            except Exception as error:
                self._note(number, f"{step.kind}: {type(error).__name__}")
                result = None
                if self.log is not None:
                    self.log(f"{number} {step.kind}: {error!r}")
            if result is not None and result.numel() > MOST:
                result = None
            if result is not None and self.log is not None:
                self.log(f"{number} {step.kind} {result.dtype} {tuple(result.shape)} {result.stride()}")
            self.tensors.append(result)
        for number, tensor in enumerate(self.tensors):
            if tensor is not None:
                self._see(number, self.steps[number].kind, tensor)
        for number, leaf in enumerate(self.leaves):
            if leaf.grad is not None:
                self._see(number, "gradient", leaf.grad)
        return self.results

    def _note(self, number: int, what: str) -> None:
        self.results.append(Result(number, what, "", np.empty(0)))

    def _see(self, number: int, what: str, tensor: Any) -> None:
        tensor = tensor.detach()
        dtype = str(tensor.dtype).split(".")[-1]
        array = (tensor.float() if dtype == "bfloat16" else tensor).numpy().copy()
        self.results.append(Result(number, what, dtype, array))

    def _input(self, step: Step) -> Any:
        shape = tuple(self.sizes[name] for name in step.shape)
        if np.prod(shape) > MOST // 2:
            shape = tuple(min(n, 12) for n in shape)
        leaf = self.torch.tensor(values(step.dtype, shape, step.seed + self.variant))
        leaf = self._shaken(leaf.bfloat16() if step.dtype == "bfloat16" else leaf)
        if not self.differentiated or not leaf.dtype.is_floating_point:
            return leaf
        self.leaves.append(leaf.detach().requires_grad_(True))
        return self.leaves[-1] * 1

    def _shaken(self, x: Any) -> Any:
        if self.jitter is None or not x.dtype.is_floating_point:
            return x
        epsilon = EPSILON[str(x.dtype).split(".")[-1]]
        factors = 1 + epsilon * self.jitter.choice([-1.0, 1.0], tuple(x.shape))
        return x * self.torch.tensor(factors).to(x.dtype)

    def _pick(self, r: random.Random) -> Any:
        """A tensor of an earlier step. The choice of a step does not depend on whether others have one."""
        i = r.randrange(len(self.tensors))
        while self.tensors[i] is None:
            i -= 1
        return self.tensors[i]

    def _apply(self, step: Step) -> Any:
        r = random.Random(step.seed)
        x, y = self._pick(r), self._pick(r)
        kind = step.kind
        if kind == "nothing":
            return None
        if kind == "backward":
            self._backward()
        elif kind == "delete":
            self.tensors[1 + r.randrange(len(self.tensors) - 1)] = None
        elif kind == "peek":
            self._see(len(self.tensors), kind, x.detach() if r.random() < 0.5 else x.detach().double().sum())
        elif kind == "no_grad":
            with self.torch.no_grad():
                return ALL[r.choice(BINARY)](self.torch, x, y, r)
        elif kind in WRITES:
            target = x
            for _ in range(r.choice((0, 0, 1, 1, 2, 3))):
                view = ALL[r.choice(VIEWS)](self.torch, target, y, r)
                target = target if view is None else view
            if self.log is not None:
                self.log(
                    f"{len(self.tensors)} {kind} to {tuple(target.shape)} {target.stride()} {target.storage_offset()}"
                )
            if not overlapping(target):
                WRITE_FORMS[kind](self.torch, target, y, r)
        elif kind in VIEWS:
            return ALL[kind](self.torch, x, y, r)
        else:
            result = ALL[kind](self.torch, x, y, r)
            return None if result is None else self._shaken(result)
        return None

    def _backward(self) -> None:
        live = [t for t in self.tensors if t is not None and t.requires_grad]
        if live:
            sum(t.double().clamp(-20, 20).tanh().sum() for t in live).backward()


# ---------------------------------------------------------------------------------------------- choices


def real(x: Any) -> Any:
    return x if x.dtype.is_floating_point else x.float()


def bounded(x: Any) -> Any:
    """Keeps numbers from growing from step to step."""
    return x.clamp(-50, 50) if x.dtype.is_floating_point else x


def overlapping(x: Any) -> bool:
    """May elements share memory, in a way that is no plain broadcasting, which is an error?"""
    reach = 0
    for stride, size in sorted((s, n) for s, n in zip(x.stride(), x.shape, strict=True) if n > 1 and s):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def matched(x: Any, y: Any) -> Any:
    """`y`, or a number made of it, so that both can be broadcast."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return y if all(m == n or 1 in (m, n) for m, n in pairs) else y.sum()


def fitted(x: Any, y: Any) -> Any:
    """`y`, or a number made of it, so that it can be broadcast to `x`."""
    y = matched(x, y)
    grows = y.dim() > x.dim() or any(m < k for m, k in zip(x.shape[::-1], y.shape[::-1], strict=False))
    return y.sum() if grows else y


def dims(x: Any, r: random.Random) -> Any:
    """One dimension or several, now and then counted from the end."""
    if x.dim() == 0:
        return 0
    some = r.sample(range(x.dim()), r.randrange(1, x.dim() + 1))
    return some[0] - x.dim() * (r.random() < 0.3) if r.random() < 0.5 else some


def dim_of(x: Any, r: random.Random) -> int:
    return r.randrange(x.dim()) if x.dim() else 0


def indices(torch: Any, x: Any, dim: int, r: random.Random, count: int | None = None) -> Any:
    """Numbers of entries along a dimension of `x`, which is not empty."""
    size = x.shape[dim]
    n = r.randrange(1, 6) if count is None else count
    return torch.tensor([r.randrange(-size if r.random() < 0.2 else 0, size) for _ in range(n)])


def index_like(x: Any, dim: int, r: random.Random) -> Any:
    """Indices along a dimension, computed from values, in the shape of `x`."""
    return (real(x).detach().nan_to_num().abs() * r.randrange(1, 9)).long().clamp(0, x.shape[dim] - 1)


def spread_of(x: Any, dim: int) -> Any:
    """A permutation of a dimension's indices along all others: a scatter with it has no collisions."""
    return real(x).detach().nan_to_num().sort(dim=dim, stable=True)[1]


# ---------------------------------------------------------------------------------------------- operations


def binary(name: str) -> Op:
    def form(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
        return bounded(getattr(torch, name)(x, matched(x, y)))

    return form


def real_binary(name: str) -> Op:
    def form(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
        x, y = real(x), real(matched(x, y))
        if name in ("copysign", "atan2"):
            # Nothing says which sign inf - inf has, or the larger of 0 and -0: zeros and NaN count as positive.
            x, y = (torch.where(t.abs() > 0, t, torch.ones_like(t)) for t in (x, y))
        return bounded(getattr(torch, name)(x, y.abs() + 0.5 if name in ("fmod", "remainder") else y))

    return form


def reduced(name: str) -> Op:
    def form(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
        x = real(x) if name in ("mean", "var", "std", "logsumexp") else x
        x = x / max(1, x.numel()) ** 0.5 if name == "sum" and x.dtype.is_floating_point else x
        extra = {"correction": 0} if name in ("var", "std") else {}
        if r.random() < 0.2 and name in ("sum", "mean", "amax", "amin", "any", "all"):
            return getattr(x, name)()
        several = name not in ("argmax", "argmin", "prod")
        dim = dims(x, r) if several else dim_of(x, r)
        x = x.clamp(-1.1, 1.1) if name == "prod" and x.dtype.is_floating_point else x
        x = x + 0.001 * (x.abs() + 1) if name == "std" else x
        return getattr(x, name)(dim, keepdim=r.random() < 0.5, **extra)

    return form


def normalised(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    F, x = torch.nn.functional, real(x)
    kind = r.choice(("layer", "batch", "group", "rms"))
    if kind == "layer":
        scale = x.select(0, 0) if x.dim() == 2 and x.shape[0] else None
        return F.layer_norm(x, x.shape[-1:], scale, scale, eps=0.1) if x.dim() else None
    if kind == "rms":
        return F.rms_norm(x, x.shape[-1:], eps=0.1) if x.dim() else None
    if x.dim() < 2:
        return None
    return F.batch_norm(x, None, None, training=True, eps=0.1) if kind == "batch" else F.group_norm(x, 1, eps=0.1)


def product(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Products of matrices in all transpositions, of vectors, of batches."""
    x, y = real(x), real(y).to(real(x).dtype)
    if x.dim() == 0 or y.dim() == 0:
        return None
    if x.dim() > 1 and r.random() < 0.5:
        x = x.transpose(-1, -2)
    inner = x.shape[-1]
    options = [t for t in (y, y.mT if y.dim() > 1 else y) if t.shape[-2 if t.dim() > 1 else -1] == inner]
    options = [t for t in options if matched(x[..., :1, :1] if x.dim() > 2 else x.sum(), t[..., :1, :1]) is not None]
    if options and x.dim() <= 2:
        return bounded(torch.matmul(x, options[0]) / max(1, inner) ** 0.5)
    other = x.transpose(-1, -2) if x.dim() > 1 else x
    other = other * 0.5 if r.random() < 0.5 else other.contiguous()
    return bounded(torch.matmul(x, other) / max(1, inner) ** 0.5)


def linear(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    x = real(x)
    if x.dim() == 0 or x.shape[-1] == 0:
        return None
    n, k = r.choice((1, 2, 5, 16, 33)), x.shape[-1]
    weight = (torch.arange(n * k) % 7 - 3).reshape(n, k).to(x.dtype) / k
    bias = torch.linspace(-1, 1, n).to(x.dtype) if r.random() < 0.6 else None
    found = torch.nn.functional.linear(x, weight, bias)
    return r.choice((torch.relu, torch.tanh, torch.sigmoid, lambda t: t))(found)


def finished(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """A product with maps after it: of it alone, with a bias, a residual, a mask; it may have other users, too."""
    x = real(x)
    if x.dim() == 0 or x.numel() == 0:
        return None
    rows = x.reshape(-1, x.shape[-1])
    n, k = r.choice((1, 2, 5, 16, 33)), x.shape[-1]
    weight = ((torch.arange(k * n) % 7 - 3).reshape(k, n) / k).to(x.dtype)
    product = rows @ weight
    result = product * 0.5 if r.random() < 0.5 else product.relu()
    if r.random() < 0.5:
        result = result + weight[k // 2]
    if r.random() < 0.3:
        result = torch.where(product > 0, result, result * 0.1)
    if r.random() < 0.3:
        result = result + product.tanh()
    if r.random() < 0.3:
        result = bounded(result) @ weight.transpose(0, 1) * rows
    return bounded(result)


def convolved(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    F, x = torch.nn.functional, real(x)
    if x.dim() not in (3, 4) or 0 in x.shape:
        return None
    space = x.dim() - 2
    kernel, groups = r.choice((1, 2, 3)), r.choice((1, 1, x.shape[1]))
    if any(n < kernel for n in x.shape[2:]):
        return None
    out = groups * r.choice((1, 2, 4)) if groups < 9 else groups
    transposed = r.random() < 0.25
    shape = (x.shape[1], out // groups) if transposed else (out, x.shape[1] // groups)
    count = int(np.prod(shape)) * kernel**space
    weight = ((torch.arange(count) * 7 % 11 - 5).to(x.dtype) / (5 * shape[1] * kernel)).reshape(
        *shape, *[kernel] * space
    )
    padding, stride = r.randrange(0, kernel), r.choice((1, 1, 2))
    if transposed:
        function = F.conv_transpose1d if space == 1 else F.conv_transpose2d
        return function(x, weight, None, stride, padding, 0, groups)
    function = F.conv1d if space == 1 else F.conv2d
    bias = torch.linspace(-1, 1, out).to(x.dtype) if r.random() < 0.5 else None
    found = function(x, weight, bias, stride, padding, 1, groups)
    return torch.relu(found) if r.random() < 0.4 else found


def pooled(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    F, x = torch.nn.functional, real(x)
    if x.dim() not in (3, 4) or any(n < 2 for n in x.shape):
        return None
    space = x.dim() - 2
    kind = r.choice(("max", "avg", "adaptive"))
    if kind == "adaptive":
        return getattr(F, f"adaptive_avg_pool{space}d")(x, r.choice((1, 2)))
    size, stride = r.choice(((2, 2), (2, 1), (3, 2)))
    padding = r.randrange(0, 2)
    return getattr(F, f"{kind}_pool{space}d")(x, size, stride, padding)


def attended(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    x = bounded(real(x)).nan_to_num()  # what is masked may be looked at or not
    if x.dim() < 3 or 0 in x.shape:
        return None
    attention = torch.nn.functional.scaled_dot_product_attention
    return attention(x, x * 0.5, x.tanh(), is_causal=r.random() < 0.5)


def losses(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    F, x = torch.nn.functional, real(x)
    kind = r.choice(("cross_entropy", "mse", "smooth", "bce"))
    if kind == "cross_entropy":
        if x.dim() != 2 or 0 in x.shape:
            return None
        target = torch.arange(x.shape[0]) % x.shape[1]
        return F.cross_entropy(
            x, target, label_smoothing=r.choice((0.0, 0.1)), reduction=r.choice(("mean", "sum", "none"))
        )
    target = x.detach().tanh()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(bounded(x), target.abs())
    return F.mse_loss(x, target) if kind == "mse" else F.smooth_l1_loss(x, target)


def dropped(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    torch.manual_seed(r.randrange(1 << 20))
    kind = r.choice(("dropout", "rand", "randn", "randperm", "bernoulli", "randint"))
    if kind == "dropout":
        return torch.nn.functional.dropout(real(x), r.choice((0.1, 0.5)))
    if kind == "randperm":
        return torch.randperm(r.choice((3, 17, 100)))
    if kind == "bernoulli":
        return torch.bernoulli(torch.full_like(real(x), 0.3, requires_grad=False))
    if kind == "randint":
        return torch.randint(-5, 9, tuple(x.shape))
    return getattr(torch, kind)(tuple(x.shape))


def picked(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Look-ups of all kinds."""
    if x.dim() == 0 or 0 in x.shape:
        return None
    dim = r.randrange(x.dim())
    kind = r.choice(("gather", "gather", "index_select", "index", "index2", "mask", "take", "embedding", "nonzero"))
    if kind == "gather":
        return x.gather(dim, index_like(x, dim, r))
    if kind == "take":
        return torch.take_along_dim(x, index_like(x, dim, r), dim)
    if kind == "index_select":
        return x.index_select(dim, indices(torch, x, dim, r).abs().clamp(0, x.shape[dim] - 1))
    if kind == "mask":
        return x[real(x).detach() > 0.25]
    if kind == "nonzero":
        return (real(x).detach() > 0.25).nonzero()
    if kind == "embedding":
        return (
            torch.nn.functional.embedding(indices(torch, x, 0, r).abs().clamp(0, x.shape[0] - 1), x)
            if x.dim() == 2
            else None
        )
    if kind == "index2" and x.dim() > 1:
        return x[indices(torch, x, 0, r, 4), indices(torch, x, 1, r, 4)]
    return x[(slice(None),) * dim + (indices(torch, x, dim, r),)]


def placed(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Scatters that leave their operand alone."""
    if x.dim() == 0 or 0 in x.shape:
        return None
    dim = r.randrange(x.dim())
    kind = r.choice(("scatter_add", "scatter", "index_add", "index_copy", "index_put"))
    if kind == "scatter_add":
        return bounded(x.scatter_add(dim, index_like(x, dim, r), x))
    if kind == "scatter":
        return x.scatter(dim, spread_of(x, dim), x)
    index = torch.arange(x.shape[dim]).flip(0)[: r.randrange(1, 4)]
    source = x.index_select(dim, index)
    if kind == "index_put":
        return x.index_put((indices(torch, x, 0, r),), x[0], accumulate=True)
    return getattr(x, kind)(dim, index, source)


def ordered(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    if x.dim() == 0 or x.dtype == torch.bool:
        return None
    dim, descending = r.randrange(x.dim()), r.random() < 0.5
    kind = r.choice(("sort", "argsort", "topk", "max", "min", "unique", "cummax", "searchsorted"))
    if kind == "topk":
        return x.topk(min(3, x.shape[dim]), dim, largest=descending)[0]
    if kind in ("max", "min"):
        return getattr(x, kind)(dim)[r.randrange(2)]
    if kind == "cummax":
        return x.cummax(dim)[0]
    if kind == "unique":
        return x.detach().unique()
    if kind == "searchsorted":
        return torch.searchsorted(torch.linspace(-2, 2, 9), real(x).detach().float().contiguous())
    return x.sort(dim=dim, descending=descending, stable=True)[kind == "argsort"]


def decided(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Control flow on values."""
    x = real(x)
    kind = r.choice(("branch", "bool", "loop", "item", "number", "index"))
    looked = x.detach().nan_to_num().clamp(-50, 50)
    if kind == "branch":
        return x * 2 if float(looked.sum()) > 0.3 else x - 1
    if kind == "bool":
        return x + 1 if (looked > 1.5).any() else x * 0.5
    if kind == "loop":
        rounds = 0
        while rounds < 5 and float(looked.abs().sum()) > 7.77:
            x, looked, rounds = x * 0.5, looked * 0.5, rounds + 1
        return x
    if kind == "index":
        return x[int(looked.argmax()) % x.shape[0]] if x.dim() and x.numel() else None
    number = looked.double().mean().item() if x.numel() else 0.25
    return x * number if kind == "item" else x + int(number * 3)


def joined(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    dim = dim_of(x, r)
    kind = r.choice(("cat", "cat2", "stack", "pad", "flip", "roll", "tile", "interleave", "tri", "constant_pad"))
    if kind == "stack":
        return torch.stack([x, x.flip(0) if x.dim() else x], dim)
    if x.dim() == 0:
        return None
    if kind == "cat":
        return torch.cat([x, x * 2, x], dim)
    if kind == "cat2":
        return torch.cat([x, y.expand_as(x)], dim) if fitted(x, y) is y else torch.cat([x, x[:1]], 0)
    if kind == "flip":
        return x.flip(dims(x, r))
    if kind == "roll":
        return x.roll(r.randrange(-3, 4), dim)
    if kind == "tile":
        return x.repeat(*[r.choice((1, 2)) for _ in range(x.dim())])
    if kind == "interleave":
        return x.repeat_interleave(2, dim)
    if kind == "tri":
        return (x.tril if r.random() < 0.5 else x.triu)(r.randrange(-1, 2)) if x.dim() > 1 else None
    F = torch.nn.functional
    if kind == "pad" and x.dim() > 2 and x.shape[-1] > 1:
        return F.pad(x, (1, 1), mode=r.choice(("reflect", "replicate", "circular"))) if x.dim() == 3 else None
    return F.pad(x, (r.randrange(-1, 3), r.randrange(0, 3)), value=r.choice((0, 1)))


def integral(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Arithmetic of integers and bools."""

    def whole(t: Any) -> Any:
        return (
            t
            if not t.dtype.is_floating_point
            else t.nan_to_num().clamp(-100, 100).to(r.choice((torch.int32, torch.int64, torch.int8)))
        )

    x, y = whole(x), whole(matched(x, y))
    kind = r.choice(("and", "or", "xor", "not", "shift", "floor_divide", "remainder", "mul", "count", "to_bool"))
    if kind == "not":
        return ~x
    if kind == "to_bool":
        return x.bool()
    if kind == "count":
        return x.count_nonzero()
    if kind in ("and", "or", "xor"):
        return getattr(torch, f"bitwise_{kind}")(x, y)
    if kind == "mul":
        return x * y + r.randrange(-3, 4)
    if x.dtype == torch.bool or y.dtype == torch.bool:
        return None
    if kind == "shift":
        return r.choice((torch.bitwise_left_shift, torch.bitwise_right_shift))(x, r.randrange(0, 7))
    return getattr(torch, kind)(x, torch.where(y == 0, torch.ones_like(y), y))


ALL: dict[str, Op] = {name: binary(name) for name in ("add", "mul", "maximum", "minimum")}
ALL |= {name: real_binary(name) for name in ("sub", "atan2", "fmod", "remainder", "copysign", "hypot")}
ALL |= {
    "div": lambda torch, x, y, r: x / (real(matched(x, y)).abs() + 0.5),
    "where": lambda torch, x, y, r: torch.where(x > matched(x, y), x, matched(x, y)),
    "where_number": lambda torch, x, y, r: torch.where(x > 0, x, r.choice((0, 1))),
    "lerp": lambda torch, x, y, r: torch.lerp(
        *torch.broadcast_tensors(real(x), matched(x, y).to(real(x).dtype)), r.choice((0.25, 0.7))
    ),
    "compare": lambda torch, x, y, r: getattr(torch, r.choice(COMPARISONS))(x, matched(x, y)),
    "addcmul": lambda torch, x, y, r: bounded(
        torch.addcmul(real(x), real(x), matched(x, y).to(real(x).dtype), value=0.5)
    ),
    "scalar": lambda torch, x, y, r: bounded(x * r.choice((2, 0.5, -3, 1.7)) + r.choice((0, 1, -0.3))),
    "reversed": lambda torch, x, y, r: r.choice((1, 2.5)) - x if x.dtype != torch.bool else 1 / (real(x) + 0.5),
    "power": lambda torch, x, y, r: (
        real(x).clamp(-3, 3) ** r.choice((2, 3, 1))
        if r.random() < 0.6
        else (real(x).abs() + 0.1).clamp(0, 9) ** r.choice((0.5, -1, 1.7))
    ),
    "square": lambda torch, x, y, r: bounded(x * x),
}
BINARY = tuple(ALL)
ALL |= {
    name: lambda torch, x, y, r, name=name: getattr(torch, name)(real(x))
    for name in (
        "abs",
        "neg",
        "tanh",
        "sigmoid",
        "relu",
        "sin",
        "cos",
        "erf",
        "atan",
        "floor",
        "round",
        "trunc",
        "sign",
        "isnan",
        "nan_to_num",
        "square",
    )
}
ALL |= {
    name: lambda torch, x, y, r, name=name: getattr(torch.nn.functional, name)(real(x).clamp(-30, 30))
    for name in ("gelu", "silu", "elu", "softplus", "leaky_relu", "hardtanh", "mish", "logsigmoid", "softsign")
}
ALL |= {
    "exp": lambda torch, x, y, r: r.choice((torch.exp, torch.expm1, torch.exp2))(real(x).clamp(-3, 3)),
    "sqrt": lambda torch, x, y, r: r.choice((torch.sqrt, torch.rsqrt, torch.reciprocal))(real(x).abs() + 0.2),
    "log": lambda torch, x, y, r: r.choice((torch.log, torch.log1p, torch.log2, torch.log10))(real(x).abs() + 0.5),
    "clone": lambda torch, x, y, r: x.clone(),
    "detach": lambda torch, x, y, r: x.detach() * 1,
    "contiguous": lambda torch, x, y, r: x.contiguous() * 1,
    "cast": lambda torch, x, y, r: (
        x.nan_to_num().clamp(0, 100).to(getattr(torch, r.choice((*FLOATS, *INTEGERS, "bool"))))
        if x.dtype.is_floating_point and r.random() < 0.3
        else x.to(getattr(torch, r.choice(FLOATS)))
    ),
    "logical_not": lambda torch, x, y, r: torch.logical_not(x),
    "clamp": lambda torch, x, y, r: x.clamp(*r.choice(((-1, 1), (0, None), (None, 1)))),
}
UNARY = tuple(name for name in ALL if name not in BINARY)
REDUCTIONS = ("sum", "mean", "amax", "amin", "argmax", "argmin", "any", "all", "var", "std", "logsumexp", "prod")
ALL |= {name: reduced(name) for name in REDUCTIONS}
ALL |= {
    "softmax": lambda torch, x, y, r: torch.softmax(real(x), dim_of(x, r)),
    "log_softmax": lambda torch, x, y, r: torch.log_softmax(real(x), dim_of(x, r)),
    "cumsum": lambda torch, x, y, r: torch.cumsum(bounded(x), dim_of(x, r)) * r.choice((1, 0.125)),
    "cumprod": lambda torch, x, y, r: torch.cumprod(x.clamp(-1, 1), dim_of(x, r)) if x.dtype != torch.bool else None,
    "norm": lambda torch, x, y, r: ((real(x) * real(x)).sum(dims(x, r), keepdim=r.random() < 0.5) + 0.1).sqrt(),
    "centred": lambda torch, x, y, r: real(x) - real(x).mean(dims(x, r), keepdim=True),
    "normalised": normalised,
}
REDUCTIONS += ("softmax", "log_softmax", "cumsum", "cumprod", "norm", "centred", "normalised")


def strided(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Another shape over the same memory, by strides."""
    if not x.is_contiguous() or x.numel() < 4:
        return None
    n = x.numel()
    rows = r.randrange(1, min(5, n // 2 + 1))
    kind = r.choice(("overlap", "columns", "offset"))
    if kind == "overlap":
        return x.as_strided((rows, n - rows), (1, 1), x.storage_offset())
    if kind == "columns":
        return x.as_strided((2, n // 2), (1, 2), x.storage_offset())
    return x.as_strided((n - 2,), (1,), x.storage_offset() + 2)


def narrowed(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    if x.dim() == 0:
        return None
    dim = r.randrange(x.dim())
    size = x.shape[dim]
    first = r.randrange(0, size // 2 + 1)
    return x.narrow(dim, first, r.randrange(0 if r.random() < 0.1 else min(1, size - first), size - first + 1))


def stepped(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    if x.dim() == 0:
        return None
    keys = [
        r.choice((slice(None), slice(None, None, 2), slice(1, None, 3), slice(-2, None), slice(1, -1))) for _ in x.shape
    ]
    return x[tuple(keys)] if r.random() < 0.6 else x[..., None, keys[0]]


ALL |= {
    "transpose": lambda torch, x, y, r: x.transpose(dim_of(x, r), dim_of(x, r)),
    "permute": lambda torch, x, y, r: x.permute(r.sample(range(x.dim()), x.dim())),
    "flatten": lambda torch, x, y, r: x.reshape(-1),
    "unsqueeze": lambda torch, x, y, r: x.unsqueeze(r.randrange(x.dim() + 1)) if x.dim() < 5 else None,
    "expand": lambda torch, x, y, r: x.expand([r.choice((1, 3)) if m == 1 else -1 for m in x.shape]),
    "expand_front": lambda torch, x, y, r: x.expand(2, *x.shape) if x.dim() < 4 else None,
    "narrow": narrowed,
    "step": stepped,
    "select": lambda torch, x, y, r: (
        x.select(d := r.randrange(x.dim()), r.randrange(x.shape[d])) if x.dim() and 0 not in x.shape else None
    ),
    "squeeze": lambda torch, x, y, r: x.squeeze(),
    "reshape": lambda torch, x, y, r: x.reshape(tuple(reversed(x.shape))),
    "split": lambda torch, x, y, r: (
        x.split(r.choice((1, 2, 5)), d)[-1] if x.dim() and x.shape[d := r.randrange(x.dim())] else None
    ),
    "chunk": lambda torch, x, y, r: x.chunk(3, dim_of(x, r))[0] if x.dim() else None,
    "diagonal": lambda torch, x, y, r: x.diagonal(r.randrange(-1, 2)) if x.dim() > 1 else None,
    "unfold": lambda torch, x, y, r: x.unfold(0, 2, r.choice((1, 2))) if x.dim() and x.shape[0] > 1 else None,
    "unflatten": lambda torch, x, y, r: (
        x.unflatten(-1, (x.shape[-1] // 2, 2)) if x.dim() and x.shape[-1] % 2 == 0 and x.shape[-1] else None
    ),
    "strided": strided,
}
VIEWS = ("transpose", "permute", "flatten", "unsqueeze", "expand", "expand_front", "narrow", "step", "select",
         "squeeze", "reshape", "split", "chunk", "diagonal", "unfold", "unflatten", "strided")  # fmt: skip


def masked_write(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    x.masked_fill_(x.detach() > r.choice((0, 1)), r.choice((0, 1)))


def indexed_write(torch: Any, x: Any, y: Any, r: random.Random) -> Any:
    """Writes to entries that indices name."""
    if x.dim() == 0 or 0 in x.shape:
        return
    dim = r.randrange(x.dim())
    kind = r.choice(
        ("setitem", "index_add_", "index_put_", "scatter_", "scatter_add_", "index_copy_", "index_fill_", "mask")
    )
    source = x.detach() * 1
    if kind == "mask":
        x[source > 0.5] = 1
    elif kind == "scatter_":
        x.scatter_(dim, spread_of(x, dim), source)
    elif kind == "scatter_add_":
        x.scatter_add_(dim, index_like(x, dim, r), source)
    elif kind == "setitem":
        x[torch.tensor([0, x.shape[0] - 1])[: x.shape[0]]] = source[0]
    elif kind == "index_put_":
        x.index_put_((indices(torch, x, 0, r),), source[0], accumulate=True)
    else:
        index = torch.arange(x.shape[dim]).flip(0)[:3]
        rest = (1,) if kind == "index_fill_" else (source.index_select(dim, index),)
        getattr(x, kind)(dim, index, *rest)


def of_kind(x: Any, y: Any) -> Any:
    """`y` in the dtype of `x`, and not larger."""
    y = fitted(x, y)
    if y.dtype.is_floating_point:
        y = y.nan_to_num().clamp(-5, 5) if x.dtype.is_floating_point else y.detach().nan_to_num().clamp(0, 5)
    return y.to(x.dtype)


WRITE_FORMS: dict[str, Op] = {
    "add_": lambda torch, x, y, r: x.add_(of_kind(x, y)),
    "mul_": lambda torch, x, y, r: x.mul_(r.choice((0.75, -1, 2)) if x.dtype.is_floating_point else 3),
    "copy_": lambda torch, x, y, r: x.copy_(
        of_kind(x, y) if r.random() < 0.7 else fitted(x, y).nan_to_num().clamp(0, 5)
    ),
    "fill_": lambda torch, x, y, r: x.fill_(r.choice((0, 1))),
    "zero_": lambda torch, x, y, r: x.zero_(),
    "clamp_": lambda torch, x, y, r: x.clamp_(0, 1),
    "sub_detached": lambda torch, x, y, r: x.sub_(of_kind(x, y.detach())) if x.dtype != torch.bool else None,
    "iadd": lambda torch, x, y, r: x.__iadd__(1),
    "self_copy": lambda torch, x, y, r: (
        x[1:].copy_(x[:-1]) if x.dim() and x.shape[0] > 1 and r.random() < 0.2 else x.copy_(x * 1)
    ),
    "no_grad_write": lambda torch, x, y, r: x.detach().mul_(1).add_(of_kind(x, y.detach())),
    "tanh_": lambda torch, x, y, r: x.tanh_() if x.dtype.is_floating_point else None,
    "relu_": lambda torch, x, y, r: x.relu_() if x.dtype != torch.bool else None,
    "masked_fill_": masked_write,
    "indexed_write": indexed_write,
}
WRITES = tuple(WRITE_FORMS)
ALL |= {
    "product": product,
    "linear": linear,
    "finished": finished,
    "convolved": convolved,
    "pooled": pooled,
    "attended": attended,
    "losses": losses,
    "dropped": dropped,
    "picked": picked,
    "placed": placed,
    "ordered": ordered,
    "decided": decided,
    "joined": joined,
    "integral": integral,
}
OTHERS = ("product", "product", "linear", "finished", "convolved", "convolved", "pooled", "attended", "losses",
          "dropped", "picked", "picked", "placed", "ordered", "decided", "decided", "joined", "joined",
          "integral")  # fmt: skip
AMBIENT = ("delete", "peek", "no_grad")
FAMILIES = (UNARY, BINARY, REDUCTIONS, VIEWS, WRITES, OTHERS, AMBIENT)
WEIGHTS = (3, 5, 4, 6, 5, 6, 2)
