"""Draws reproduce PyTorch's: each case is a draw as Flambeau makes it beside the line of PyTorch that makes the same.

`golden_draws.json` holds what PyTorch 2.13 gave on a CPU with AVX-512 (recorded by `python -m tests._ops.test_draws`
from the root of the repository); the tests marked `oracle` compare with an installed PyTorch, at more seeds.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from flambeau._core import dtypes
from flambeau._ops import draws, draws_normal, draws_rejection
from flambeau._ops.mersenne import MersenneTwister

GOLDEN = Path(__file__).with_name("golden_draws.json")
SEED = 12345

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
LARGE = 40_000  # more than one block of every draw


class Case(NamedTuple):
    ours: Callable[[MersenneTwister], np.ndarray]
    theirs: str
    ulps: int = 0  # allowed beside PyTorch on the same machine
    libm: bool = False  # the last bits depend on the platform's logarithm or sine


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
            cases[f"rand-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws.uniform(g, n, dtype=d), f"torch.rand({n}, dtype=torch.{d})"
            )
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
                lambda g, n=n, d=d: draws.exponential(g, n, 1.7, d), f"{_empty(n, d)}.exponential_(1.7)", libm=True
            )
            cases[f"cauchy-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws.cauchy(g, n, 0.3, 1.7, d), f"{_empty(n, d)}.cauchy_(0.3, 1.7)", libm=True
            )
            cases[f"log_normal-{d}-{n}"] = Case(
                lambda g, n=n, d=d: draws_normal.log_normal(g, n, 0.3, 0.7, d),
                f"{_empty(n, d)}.log_normal_(0.3, 0.7)",
                libm=True,
            )
    for d in (*FLOATS, *INTEGERS):
        cases[f"geometric-{d}"] = Case(
            lambda g, d=d: draws.geometric(g, 999, 0.02, d), f"{_empty(999, d)}.geometric_(0.02)"
        )


def _integers(cases: dict[str, Case]) -> None:
    for d in ("bool", *INTEGERS, *FLOATS):
        cases[f"random_-{d}"] = Case(lambda g, d=d: draws.random_(g, 999, d), f"{_empty(999, d)}.random_()")
        cases[f"randint-{d}"] = Case(
            lambda g, d=d: draws.randint(g, 99, 0, 2, d), f"torch.randint(0, 2, (99,), dtype=torch.{d})"
        )
    for d, low, high in (
        ("int64", 0, 10), ("int64", -7, 2**28 - 8), ("int64", -7, 2**28 - 7), ("int64", 0, 2**32 + 3),
        ("int64", -(2**63), 5), ("int64", -(2**62), 2**62 + 9), ("int64", 0, 2**63 - 1), ("int32", -(2**31), 2**31 - 1),
        ("int8", -128, 127), ("uint8", 3, 200), ("float32", -5, 2**24), ("float64", 0, 2**40), ("bfloat16", 1, 256),
        ("float16", -9, 2000), ("uint16", 0, 60000), ("uint32", 7, 2**32 - 1), ("uint64", 7, 2**62),
    ):  # fmt: skip
        cases[f"randint-{d}-{low}-{high}"] = Case(
            lambda g, low=low, high=high, d=d: draws.randint(g, LARGE, low, high, d),
            f"torch.randint({low}, {high}, ({LARGE},), dtype=torch.{d})",
        )
    for d, low in (
        ("int64", -3),
        ("int8", 100),
        ("float32", 2**20),
        ("int64", -(2**63)),
        ("float64", -(2**63)),
        ("bool", 1),
    ):
        cases[f"random_-{d}-{low}"] = Case(
            lambda g, low=low, d=d: draws.random_(g, 99, d, low), f"{_empty(99, d)}.random_({low}, None)"
        )
    sizes = [(n, "int64") for n in (0, 1, 2, 10, LARGE)] + [(100, d) for d in (*FLOATS, *INTEGERS)]
    for n, d in sizes:
        cases[f"randperm-{d}-{n}"] = Case(
            lambda g, n=n, d=d: draws.randperm(g, n, d), f"torch.randperm({n}, dtype=torch.{d})"
        )


def _choices(cases: dict[str, Case]) -> None:
    for d in FLOATS:
        cases[f"bernoulli-{d}"] = Case(
            lambda g, d=d: draws.bernoulli(g, ramp(LARGE, 0, 1, d)), f"torch.bernoulli({torch_ramp(LARGE, 0, 1, d)})"
        )
    cases["bernoulli_-int64"] = Case(
        lambda g: draws.bernoulli(g, ramp(99, 0, 1), "int64"),
        f"{_empty(99, 'int64')}.bernoulli_({torch_ramp(99, 0, 1)})",
    )
    for d in (*FLOATS, "bool", "int64", "uint8"):
        for n in (5, LARGE):
            cases[f"bernoulli_scalar-{d}-{n}"] = Case(
                lambda g, d=d, n=n: draws.bernoulli_scalar(g, n, 0.3, d), f"{_empty(n, d)}.bernoulli_(0.3)"
            )
    cases["dropout"] = Case(
        lambda g: draws.bernoulli_scalar(g, LARGE, 1 - 0.3),
        f"(torch.nn.functional.dropout(torch.ones({LARGE}), 0.3) > 0).float()",
    )
    for d in ("float32", "float64", "bfloat16"):
        for replacement in (False, True):
            for samples in (1, 20):
                w = f"{torch_ramp(60, 0, 5, d)}.reshape(3, 20)"
                if d == "bfloat16" and not replacement and samples > 1:
                    continue  # equal quotients are common there, and PyTorch leaves their order to its sorting
                cases[f"multinomial-{d}-{replacement}-{samples}"] = Case(
                    lambda g, d=d, r=replacement, s=samples: draws.multinomial(
                        g, ramp(60, 0, 5, d).reshape(3, 20), s, r
                    ),
                    f"torch.multinomial({w}, {samples}, {replacement})",
                )
    cases["multinomial-vector"] = Case(
        lambda g: draws.multinomial(g, ramp(500, 0, 1), 400, True),
        f"torch.multinomial({torch_ramp(500, 0, 1)}, 400, True)",
    )


def _normal(cases: dict[str, Case]) -> None:
    normal = draws_normal.normal
    for d in FLOATS:
        for n in (0, 1, 2, 15, 16, 17, 31, 32, 100, LARGE, LARGE + 1):
            cases[f"randn-{d}-{n}"] = Case(
                lambda g, n=n, d=d: normal(g, n, dtype=d),
                f"torch.randn({n}, dtype=torch.{d})",
                libm=n < 16 or d == "float64",
            )
        for n in (9, 999):
            cases[f"normal_-{d}-{n}"] = Case(
                lambda g, n=n, d=d: normal(g, n, 0.3, 1.7, d),
                f"{_empty(n, d)}.normal_(0.3, 1.7)",
                libm=n < 16 or d == "float64",
            )
        cases[f"normal_-{d}-strided"] = Case(
            lambda g, d=d: normal(g, 399, 0.3, 1.7, d, contiguous=False),
            f"{_empty(798, d)}[::2].normal_(0.3, 1.7)",
            libm=True,
        )
    for d in ("complex64", "complex128"):
        for n in (3, 8, 21):
            cases[f"randn-{d}-{n}"] = Case(
                lambda g, n=n, d=d: normal(g, n, dtype=d),
                f"torch.randn({n}, dtype=torch.{d})",
                libm=n < 8 or d == "complex128",
            )
    like = draws_normal.normal_like
    mean, std = "torch.from_numpy(ramp(40, -1, 1))", "torch.from_numpy(ramp(40, 0, 3))"
    cases["normal-tensor-mean"] = Case(lambda g: like(g, ramp(40, -1, 1), 0.7), f"torch.normal({mean}, 0.7)")
    cases["normal-tensor-std"] = Case(lambda g: like(g, 0.7, ramp(40, 0, 3)), f"torch.normal(0.7, {std})")
    cases["normal-tensors"] = Case(lambda g: like(g, ramp(40, -1, 1), ramp(40, 0, 3)), f"torch.normal({mean}, {std})")
    cases["normal-broadcast"] = Case(
        lambda g: like(g, ramp(4, -1, 1).reshape(4, 1), ramp(40, 0, 3)),
        f"torch.normal({torch_ramp(4, -1, 1)}.reshape(4, 1), {std})",
    )


def _rejection(cases: dict[str, Case]) -> None:
    r = draws_rejection
    cases["poisson-float16"] = Case(
        lambda g: r.poisson(g, ramp(99, 0, 40, "float16")), f"torch.poisson({torch_ramp(99, 0, 40, 'float16')})"
    )
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
            lambda g, d=d: r.standard_gamma(g, ramp(500, 0, 4, d)),
            f"torch._standard_gamma({torch_ramp(500, 0, 4, d)})",
            libm=True,
        )
        cases[f"dirichlet-{d}"] = Case(
            lambda g, d=d: r.dirichlet(g, ramp(500, 0, 4, d).reshape(-1, 5)),
            f"torch._sample_dirichlet({torch_ramp(500, 0, 4, d)}.reshape(-1, 5))",
            4 if d == "float64" else 0,
            True,
        )


def _sequence(cases: dict[str, Case]) -> None:
    """Draws after draws: the value kept by an odd normal draw goes to the next one, whatever comes in between."""

    def ours(g: MersenneTwister) -> np.ndarray:
        parts = [
            draws_normal.normal(g, 3), draws.uniform(g, 5), draws_normal.normal(g, 20),
            draws_normal.normal(g, 4, dtype="float64"), draws.randperm(g, 9),
            draws_rejection.standard_gamma(g, ramp(3, 1, 2)), draws_normal.log_normal(g, 2, 0.0, 1.0),
            draws.randint(g, 3, 0, 2**40), draws.bernoulli_scalar(g, 7, 0.4),
            draws_normal.normal(g, 1, dtype="bfloat16"),
        ]  # fmt: skip
        return np.concatenate([part.astype(np.float64) for part in parts])

    theirs = (
        "torch.randn(3)", "torch.rand(5)", "torch.randn(20)", "torch.randn(4, dtype=torch.float64)",
        "torch.randperm(9)", f"torch._standard_gamma({torch_ramp(3, 1, 2)})", "torch.empty(2).log_normal_(0, 1)",
        "torch.randint(0, 2**40, (3,))", "torch.empty(7).bernoulli_(0.4)", "torch.randn(1, dtype=torch.bfloat16)",
    )  # fmt: skip
    cases["sequence"] = Case(ours, f"torch.cat([x.double() for x in ({', '.join(theirs)})])", libm=True)


def all_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for family in (_even, _inverted, _integers, _choices, _normal, _rejection, _sequence):
        family(cases)
    return cases


CASES = all_cases()


def as_real(x: np.ndarray) -> np.ndarray:
    """Flat, complex numbers as pairs."""
    x = np.ascontiguousarray(x).reshape(-1)
    return x.view(x.real.dtype) if np.iscomplexobj(x) else x


def from_torch(t: Any, torch: Any) -> np.ndarray:
    if t.dtype == torch.bfloat16:
        return as_real(t.view(torch.int16).numpy().view(dtypes.bfloat16.numpy))
    return as_real(t.numpy())


def ulps_apart(a: np.ndarray, b: np.ndarray) -> int:
    bits = f"i{a.dtype.itemsize}"
    return max((abs(i - j) for i, j in zip(a.view(bits).tolist(), b.view(bits).tolist(), strict=True)), default=0)


# ---------------------------------------------------------------------------------------------- golden numbers


def summary(case: Case, values: np.ndarray, state: bytes) -> dict[str, Any]:
    """A hash of the generator's words, and a hash of the values or, where the last bits may vary, some of them."""
    words = hashlib.sha256(state[: 24 + 624 * 8]).hexdigest()[:16]
    if not case.libm:
        return {"state": words, "sha256": hashlib.sha256(values.tobytes()).hexdigest()[:16]}
    return {"state": words, "some": values[:: max(len(values) // 5, 1)].astype(np.float64).tolist()}


@pytest.mark.parametrize("name", CASES)
def test_draws_equal_the_numbers_recorded_from_pytorch(name: str) -> None:
    case, gen = CASES[name], MersenneTwister(SEED)
    values = as_real(case.ours(gen))
    got, golden = summary(case, values, gen.get_state()), GOLDEN_NUMBERS[name]
    if case.libm:
        eps = 2.0 ** (1 - draws.PRECISION[dtypes.from_numpy(values.dtype).name])
        np.testing.assert_allclose(got.pop("some"), golden["some"], rtol=8 * eps, atol=0)
    assert got == {key: golden[key] for key in got}


GOLDEN_NUMBERS = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def record() -> None:
    """Write the golden numbers with the PyTorch that is installed."""
    import torch

    golden = {}
    for name, case in CASES.items():
        torch.manual_seed(SEED)
        values = from_torch(eval(case.theirs), torch)
        golden[name] = summary(case, values, torch.get_rng_state().numpy().tobytes())
    GOLDEN.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


def test_first_numbers_of_seed_42() -> None:
    """What everybody knows of torch.manual_seed(42)."""
    gen = MersenneTwister(42)
    assert [round(x, 4) for x in draws_normal.normal(gen, 9).tolist()] == [
        0.3367, 0.1288, 0.2345, 0.2303, -1.1229, -0.1863, 2.2082, -0.6380, 0.4617,
    ]  # fmt: skip
    assert [round(x, 4) for x in draws.uniform(MersenneTwister(42), 4).tolist()] == [0.8823, 0.9150, 0.3829, 0.9593]


def test_a_radius_of_zero_gives_positive_zeros() -> None:
    gen = MersenneTwister(3)
    gen.skip(1532311)  # the next even draw is 0, of which the radius -0.0 is made
    pair = draws_normal.normal(gen, 16)[[0, 8]]
    assert pair.tolist() == [0.0, 0.0]
    assert not np.signbit(pair).any()


# ---------------------------------------------------------------------------------------------- PyTorch itself


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, -7, "with a normal value kept"])
def test_draws_equal_pytorch(name: str, seed: int | str) -> None:
    torch = pytest.importorskip("torch")
    case, gen = CASES[name], MersenneTwister(0)
    torch.manual_seed(seed if isinstance(seed, int) else 3)
    if not isinstance(seed, int):
        torch.randn(3)
    gen.set_state(torch.get_rng_state().numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = from_torch(eval(case.theirs, {"torch": torch, "ramp": ramp}), torch)
        ours = as_real(case.ours(gen))
    assert ours.dtype == theirs.dtype
    assert ulps_apart(ours, theirs) <= case.ulps
    assert gen.get_state() == torch.get_rng_state().numpy().tobytes()


# ---------------------------------------------------------------------------------------------- on their own


def test_a_long_permutation_is_shuffled_as_by_single_swaps() -> None:
    n = 200_000
    targets = MersenneTwister(1).random32(n - 1) % np.arange(n, 1, -1, dtype=np.uint32)
    expected = list(range(n))
    for i, z in enumerate(targets.tolist()):
        expected[i], expected[i + z] = expected[i + z], expected[i]
    assert draws.randperm(MersenneTwister(1), n).tolist() == expected


def test_huge_permutations_use_64_bit_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "FEW", 10)
    gen, words = MersenneTwister(1), MersenneTwister(1).random64(50).tolist()
    expected: list[int] = []
    for i, word in enumerate(words):
        z = word % (i + 1)
        expected.append(i)
        expected[i], expected[z] = expected[z], i
    assert draws.randperm(gen, 50).tolist() == expected
    assert sorted(expected) == list(range(50))


def test_distributions_have_their_moments() -> None:
    gen, n = MersenneTwister(5), 100_000
    for values, mean, variance in (
        (draws.uniform(gen, n, -1.0, 3.0), 1.0, 16 / 12),
        (draws.exponential(gen, n, 2.0), 0.5, 0.25),
        (draws.geometric(gen, n, 0.25), 4.0, 12.0),
        (draws.bernoulli_scalar(gen, n, 0.2), 0.2, 0.16),
        (draws_normal.normal(gen, n, 1.0, 2.0), 1.0, 4.0),
        (draws_normal.log_normal(gen, n, 0.0, 0.5), np.exp(0.125), (np.exp(0.25) - 1) * np.exp(0.25)),
        (draws_rejection.poisson(gen, np.full(20_000, 30.0)), 30.0, 30.0),
        (draws_rejection.binomial(gen, np.full(20_000, 100.0), np.full(20_000, 0.7)), 70.0, 21.0),
        (draws_rejection.standard_gamma(gen, np.full(20_000, 0.6)), 0.6, 0.6),
    ):
        assert abs(values.mean(dtype=np.float64) - mean) < 5 * np.sqrt(variance / len(values))
        assert abs(values.var(dtype=np.float64) / variance - 1) < 0.1


ERRORS = [
    (
        lambda g: draws.uniform(g, 2, 3.0, 2.0),
        RuntimeError,
        r"expects to return a \[from, to\) range, but found from=3.0 > to=2.0",
    ),
    (lambda g: draws.uniform(g, 2, 0.0, 1e39), RuntimeError, "to is out of bounds for float32"),
    (lambda g: draws.uniform(g, 2, -3e38, 3e38), RuntimeError, "uniform_ expects to - from <= 3.4"),
    (
        lambda g: draws.uniform(g, 2, dtype="int64"),
        NotImplementedError,
        "\"check_uniform_bounds\" not implemented for 'Long'",
    ),
    (lambda g: draws.exponential(g, 2, 0.0), RuntimeError, "exponential_ expects lambda > 0.0, but found lambda=0.0"),
    (lambda g: draws.exponential(g, 2, dtype="int32"), RuntimeError, "Exponential distribution is a continuous"),
    (lambda g: draws.cauchy(g, 2, 0.0, 0.0), RuntimeError, "cauchy_ expects sigma > 0.0"),
    (lambda g: draws.geometric(g, 2, 1.0), RuntimeError, r"geometric_ expects p to be in \(0, 1\), but got p=1.0"),
    (lambda g: draws.geometric(g, 2, 0.5, "bool"), NotImplementedError, "geometric_cpu"),
    (
        lambda g: draws.randint(g, 2, 5, 3),
        RuntimeError,
        "random_ expects 'from' to be less than 'to', but got from=5 >= to=3",
    ),
    (lambda g: draws.randint(g, 2, 0, 300, "uint8"), RuntimeError, "to - 1 is out of bounds for uint8"),
    (lambda g: draws.randint(g, 2, 0, 70000, "float16"), RuntimeError, "to - 1 is out of bounds for float16"),
    (lambda g: draws.randint(g, 2, 0, 2, "complex64"), RuntimeError, "only integral, floating-point and boolean"),
    (lambda g: draws.random_(g, 2, "uint16"), NotImplementedError, "random_kernel_cpu"),
    (lambda g: draws.random_(g, 2, "int8", -(2**63)), RuntimeError, "all 64 bits"),
    (lambda g: draws.randperm(g, -1), RuntimeError, "negative dimension -1"),
    (lambda g: draws.randperm(g, 300, "uint8"), RuntimeError, "n cannot be greater than 255 for Byte"),
    (lambda g: draws.bernoulli(g, np.array([1.5])), RuntimeError, "Expected p_in >= 0 && p_in <= 1"),
    (lambda g: draws.bernoulli(g, np.array([1])), NotImplementedError, "bernoulli_tensor_cpu_p_"),
    (
        lambda g: draws.bernoulli_scalar(g, 2, 1.5),
        RuntimeError,
        r"bernoulli_ expects p to be in \[0, 1\], but got p=1.5",
    ),
    (lambda g: draws.multinomial(g, np.ones(3), 4), RuntimeError, "without replacement: 4 > 3"),
    (lambda g: draws.multinomial(g, np.ones(3), 0), RuntimeError, "cannot sample n_sample <= 0"),
    (lambda g: draws.multinomial(g, np.array([-1.0, 2]), 1), RuntimeError, "inf.*nan.*element < 0"),
    (lambda g: draws.multinomial(g, np.zeros(2), 1), RuntimeError, "sum of probabilities <= 0"),
    (lambda g: draws.multinomial(g, np.ones((2, 2, 2)), 1), RuntimeError, "1 or 2 dim"),
    (lambda g: draws_normal.normal(g, 2, 0.0, -1.0), RuntimeError, "normal expects std >= 0.0, but found std -1"),
    (
        lambda g: draws_normal.normal_like(g, 0.0, np.array([-1.0])),
        RuntimeError,
        "normal expects all elements of std >= 0.0",
    ),
    (lambda g: draws_normal.log_normal(g, 2, 0.0, 0.0), RuntimeError, "log_normal_ expects std > 0.0"),
    (lambda g: draws_rejection.poisson(g, np.array([-1.0])), RuntimeError, "invalid Poisson rate"),
    (lambda g: draws_rejection.standard_gamma(g, np.ones(2, np.float16)), NotImplementedError, "gamma_cpu"),
]


@pytest.mark.parametrize(("draw", "kind", "text"), ERRORS)
def test_wrong_arguments_are_named_and_consume_nothing(draw: Callable, kind: type[Exception], text: str) -> None:
    gen = MersenneTwister(0)
    before = gen.get_state()
    with pytest.raises(kind, match=text):
        draw(gen)
    assert gen.get_state() == before


def test_a_range_that_a_float_cannot_hold_warns() -> None:
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\), 2\^24\]"):
        draws.randint(MersenneTwister(0), 2, 0, 2**25, "float32")


if __name__ == "__main__":
    record()
