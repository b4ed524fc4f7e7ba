"""The draws that are tested, each as Flambeau makes it and as a line of PyTorch that makes the same.

`ours(g)` returns a flat array; `theirs` is evaluated with `torch` and leaves its generator behind. `ulps` is the distance
allowed, in units of the last place: 0 means the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flambeau._core import dtypes
from flambeau._ops import draws, draws_normal, draws_rejection
from flambeau._ops.mersenne import MersenneTwister

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
LARGE = 40_000  # more than one block of every draw


class Case(NamedTuple):
    ours: Callable[[MersenneTwister], np.ndarray]
    theirs: str
    ulps: int = 0


def ramp(n: int, low: float, high: float, dtype: str = "float32") -> np.ndarray:
    """n parameters from low to high."""
    return np.linspace(low, high, n).astype(np.float32).astype(dtypes.BY_NAME[dtype].numpy)


def torch_ramp(n: int, low: float, high: float, dtype: str = "float32") -> str:
    return f"torch.from_numpy(ramp({n}, {low}, {high})).to(torch.{dtype})"


def _empty(n: int, dtype: str) -> str:
    return f"torch.empty({n}, dtype=torch.{dtype})"


def _even(cases: dict[str, Case]) -> None:
    for d in FLOATS:
        for n in (0, 1, 15, 16, 33, LARGE):
            cases[f"rand-{d}-{n}"] = Case(lambda g, n=n, d=d: draws.uniform(g, n, dtype=d), f"torch.rand({n}, dtype=torch.{d})")
        for low, high in ((-0.3, 0.77), (1.1, 7.3), (0.0, 0.3), (-2.0, 2.0), (3.0, 3.0), (-1e-3, 1e3)):
            cases[f"uniform-{d}-{low}-{high}"] = Case(
                lambda g, low=low, high=high, d=d: draws.uniform(g, LARGE, low, high, d),
                f"{_empty(LARGE, d)}.uniform_({low}, {high})",
            )
    for d in ("complex64", "complex128"):
        cases[f"rand-{d}"] = Case(lambda g, d=d: draws.uniform(g, 21, dtype=d), f"torch.rand(21, dtype=torch.{d})")


def _inverted(cases: dict[str, Case]) -> None:
    for d in FLOATS:
        for n in (7, LARGE):
            cases[f"exponential-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws.exponential(g, n, 1.7, d), f"{_empty(n, d)}.exponential_(1.7)"
            )
            cases[f"cauchy-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws.cauchy(g, n, 0.3, 1.7, d), f"{_empty(n, d)}.cauchy_(0.3, 1.7)"
            )
            cases[f"log_normal-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws_normal.log_normal(g, n, 0.3, 0.7, d), f"{_empty(n, d)}.log_normal_(0.3, 0.7)"
            )
    for d in (*FLOATS, *INTEGERS):
        cases[f"geometric-{d}"] = Case(lambda g, d=d: draws.geometric(g, 999, 0.02, d), f"{_empty(999, d)}.geometric_(0.02)")


def _integers(cases: dict[str, Case]) -> None:
    for d in ("bool", *INTEGERS, *FLOATS):
        cases[f"random_-{d}"] = Case(lambda g, d=d: draws.random_(g, 999, d), f"{_empty(999, d)}.random_()")
        cases[f"randint-{d}"] = Case(lambda g, d=d: draws.randint(g, 99, 0, 2, d), f"torch.randint(0, 2, (99,), dtype=torch.{d})")
    for d, low, high in (
        ("int64", 0, 10), ("int64", -7, 2**28 - 8), ("int64", -7, 2**28 - 7), ("int64", 0, 2**32 + 3), ("int64", -(2**63), 5),
        ("int64", -(2**62), 2**62 + 9), ("int64", 0, 2**63 - 1), ("int32", -(2**31), 2**31 - 1), ("int8", -128, 127),
        ("uint8", 3, 200), ("float32", -5, 2**24), ("float64", 0, 2**40), ("bfloat16", 1, 256), ("float16", -9, 2000),
        ("uint16", 0, 60000), ("uint32", 7, 2**32 - 1), ("uint64", 7, 2**62),
    ):  # fmt: skip
        cases[f"randint-{d}-{low}-{high}"] = Case(
            lambda g, low=low, high=high, d=d: draws.randint(g, LARGE, low, high, d),
            f"torch.randint({low}, {high}, ({LARGE},), dtype=torch.{d})",
        )
    for d, low in (("int64", -3), ("int8", 100), ("float32", 2**20), ("int64", -(2**63)), ("float64", -(2**63)), ("bool", 1)):
        cases[f"random_-{d}-{low}"] = Case(
            lambda g, low=low, d=d: draws.random_(g, 99, d, low), f"{_empty(99, d)}.random_({low}, None)"
        )
    for n, d in ((0, "int64"), (1, "int64"), (2, "int64"), (10, "int64"), (LARGE, "int64"), (600, "int32"), (1000, "float32"),
                 (100, "float16"), (100, "bfloat16"), (100, "uint8"), (100, "float64")):  # fmt: skip
        cases[f"randperm-{d}-{n}"] = Case(lambda g, n=n, d=d: draws.randperm(g, n, d), f"torch.randperm({n}, dtype=torch.{d})")


def _choices(cases: dict[str, Case]) -> None:
    for d in FLOATS:
        cases[f"bernoulli-{d}"] = Case(
            lambda g, d=d: draws.bernoulli(g, ramp(LARGE, 0, 1, d)), f"torch.bernoulli({torch_ramp(LARGE, 0, 1, d)})"
        )
    cases["bernoulli_-int64"] = Case(
        lambda g: draws.bernoulli(g, ramp(99, 0, 1), "int64"), f"{_empty(99, 'int64')}.bernoulli_({torch_ramp(99, 0, 1)})"
    )
    for d in (*FLOATS, "bool", "int64", "uint8"):
        for n in (5, LARGE):
            cases[f"bernoulli_scalar-{d}-{n}"] = Case(
                lambda g, d=d, n=n: draws.bernoulli_scalar(g, n, 0.3, d), f"{_empty(n, d)}.bernoulli_(0.3)"
            )
    cases["dropout"] = Case(
        lambda g: draws.bernoulli_scalar(g, LARGE, 1 - 0.3), f"(torch.nn.functional.dropout(torch.ones({LARGE}), 0.3) > 0).float()"
    )
    for d in ("float32", "float64", "bfloat16"):
        for replacement in (False, True):
            for samples in (1, 20):
                w = f"{torch_ramp(60, 0, 5, d)}.reshape(3, 20)"
                if d == "bfloat16" and not replacement and samples > 1:
                    continue  # equal quotients are common there, and PyTorch leaves their order to its sorting
                cases[f"multinomial-{d}-{replacement}-{samples}"] = Case(
                    lambda g, d=d, r=replacement, s=samples: draws.multinomial(g, ramp(60, 0, 5, d).reshape(3, 20), s, r),
                    f"torch.multinomial({w}, {samples}, {replacement})",
                )
    cases["multinomial-vector"] = Case(
        lambda g: draws.multinomial(g, ramp(500, 0, 1), 400, True), f"torch.multinomial({torch_ramp(500, 0, 1)}, 400, True)"
    )


def _normal(cases: dict[str, Case]) -> None:
    normal = draws_normal.normal
    for d in FLOATS:
        for n in (0, 1, 2, 15, 16, 17, 31, 32, 100, LARGE, LARGE + 1):
            cases[f"randn-{d}-{n}"] = Case(lambda g, n=n, d=d: normal(g, n, dtype=d), f"torch.randn({n}, dtype=torch.{d})")
        for n in (9, 999):
            cases[f"normal_-{d}-{n}"] = Case(
                lambda g, n=n, d=d: normal(g, n, 0.3, 1.7, d), f"{_empty(n, d)}.normal_(0.3, 1.7)"
            )
        cases[f"normal_-{d}-strided"] = Case(
            lambda g, d=d: normal(g, 399, 0.3, 1.7, d, contiguous=False), f"{_empty(798, d)}[::2].normal_(0.3, 1.7)"
        )
    for d in ("complex64", "complex128"):
        for n in (3, 8, 21):
            cases[f"randn-{d}-{n}"] = Case(lambda g, n=n, d=d: normal(g, n, dtype=d), f"torch.randn({n}, dtype=torch.{d})")
    like = draws_normal.normal_like
    mean, std = "torch.from_numpy(ramp(40, -1, 1))", "torch.from_numpy(ramp(40, 0, 3))"
    cases["normal-tensor-mean"] = Case(lambda g: like(g, ramp(40, -1, 1), 0.7), f"torch.normal({mean}, 0.7)")
    cases["normal-tensor-std"] = Case(lambda g: like(g, 0.7, ramp(40, 0, 3)), f"torch.normal(0.7, {std})")
    cases["normal-tensors"] = Case(lambda g: like(g, ramp(40, -1, 1), ramp(40, 0, 3)), f"torch.normal({mean}, {std})")
    cases["normal-broadcast"] = Case(
        lambda g: like(g, ramp(4, -1, 1).reshape(4, 1), ramp(40, 0, 3)), f"torch.normal({torch_ramp(4, -1, 1)}.reshape(4, 1), {std})"
    )


def _rejection(cases: dict[str, Case]) -> None:
    r = draws_rejection
    for d in ("float32", "float64"):
        for low, high in ((0, 9), (10, 400)):
            cases[f"poisson-{d}-{low}"] = Case(
                lambda g, low=low, high=high, d=d: r.poisson(g, ramp(500, low, high, d)),
                f"torch.poisson({torch_ramp(500, low, high, d)})",
            )
        for n in (8, 300):
            cases[f"binomial-{d}-{n}"] = Case(
                lambda g, n=n, d=d: r.binomial(g, np.full(500, n, d), ramp(500, 0, 1, d)),
                f"torch.binomial(torch.full((500,), {n}, dtype=torch.{d}), {torch_ramp(500, 0, 1, d)})",
            )
        cases[f"gamma-{d}"] = Case(
            lambda g, d=d: r.standard_gamma(g, ramp(500, 0, 4, d)), f"torch._standard_gamma({torch_ramp(500, 0, 4, d)})"
        )
        cases[f"dirichlet-{d}"] = Case(
            lambda g, d=d: r.dirichlet(g, ramp(500, 0, 4, d).reshape(-1, 5)),
            f"torch._sample_dirichlet({torch_ramp(500, 0, 4, d)}.reshape(-1, 5))",
            4 if d == "float64" else 0,
        )


def all_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for family in (_even, _inverted, _integers, _choices, _normal, _rejection):
        family(cases)
    return cases


def evaluate(case: Case, torch: Any) -> Any:
    """PyTorch's values of a case."""
    return eval(case.theirs, {"torch": torch, "ramp": ramp})
