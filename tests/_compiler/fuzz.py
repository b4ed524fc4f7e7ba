"""Random programs, run compiled and in other ways: the results must agree.

`python tests/_compiler/fuzz.py` runs programs (see `programs`) until it is stopped, in a child process that is replaced
when it dies, and prints failures and counts. A program is named by the seed of its structure and a number,
`--only 17:3`; `--shrink 17:3` finds the steps that matter. `--torch` runs the programs in PyTorch, too.

The ways are: compiled as a whole, and operation by operation by the reference, whose results must be equal up to
rounding; and one of `others`, in turn.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from programs import Result, Run, Step, sizes, structure  # noqa: E402

Way = Callable[[Run], list[Result]]
TOLERANCE = {"float64": 1e-9, "float32": 5e-4, "float16": 3e-2, "bfloat16": 2e-1}
PATIENCE = 300  # seconds for a structure
LIVES = 400  # structures that a child runs


@contextmanager
def settings(**chosen: Any) -> Iterator[None]:
    """Flambeau's configuration for a while."""
    import flambeau
    from flambeau._compiler import outline
    from flambeau._core.config import config

    outline.thorough = True

    flambeau.synchronize()
    before = {name: getattr(config, name) for name in chosen}
    change(config, chosen)
    try:
        yield
        flambeau.synchronize()
    finally:
        change(config, before)


def change(thing: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(thing, name, value)


def compiled(run: Run) -> list[Result]:
    with settings(compile="always", window_instructions=512):
        return run.finish()


def single(run: Run) -> list[Result]:
    with settings(compile="never", window_instructions=1):
        return run.finish()


def interpreted(run: Run) -> list[Result]:
    with settings(compile="never", window_instructions=512):
        return run.finish()


def compiled_singly(run: Run) -> list[Result]:
    with settings(compile="always", window_instructions=1):
        return run.finish()


def cut(run: Run) -> list[Result]:
    with settings(compile="always", window_instructions=2 + run.steps[0].seed % 7):
        return run.finish()


def seen_again(run: Run) -> list[Result]:
    """The third run of a program with the default settings, whose windows are compiled at the second."""
    with settings(compile="auto", window_instructions=512):
        for _ in range(2):
            Run(run.torch, run.steps, run.sizes, run.variant).finish()
        return run.finish()


def one_thread(run: Run) -> list[Result]:
    threads = run.torch.get_num_threads()
    run.torch.set_num_threads(1)
    try:
        return compiled(run)
    finally:
        run.torch.set_num_threads(threads)


# Each with the way that it must agree with to the bit; "" for up to rounding with the first.
OTHERS: tuple[tuple[str, Way, str], ...] = (
    ("one thread", one_thread, "compiled"),
    ("interpreted", interpreted, "single"),
    ("cut", cut, ""),
    ("one thread", one_thread, "compiled"),
    ("compiled singly", compiled_singly, ""),
    ("seen again", seen_again, ""),
)


class Checker:
    """Runs programs in several ways and compares."""

    def __init__(self, with_torch: bool = False, ways: dict[str, Way] | None = None) -> None:
        import flambeau

        self.flambeau = flambeau
        self.ways = {"compiled": compiled, "single": single} if ways is None else ways
        self.torch: Any = None
        if with_torch:
            import torch

            self.torch = torch
        self.undecided = 0  # programs whose results depend on rounding errors
        self.refused = 0  # programs that PyTorch takes offence at, and nobody else

    def check(self, seed: int, variant: int, steps: list[Step] | None = None) -> str:
        """What is wrong with a program; "" if nothing."""
        steps = structure(seed) if steps is None else steps
        found_sizes = sizes(seed, variant)

        def run(way: Way, torch: Any = self.flambeau, jitter: int = 0) -> list[Result]:
            try:
                return way(Run(torch, steps, found_sizes, variant, jitter))
            except Exception as error:
                return [Result(0, f"failed: {error!r}", "", np.empty(0))]

        results = {name: run(way) for name, way in self.ways.items()}
        name, way, exact = OTHERS[(seed + variant) % len(OTHERS)]
        results[name] = run(way)
        if self.torch is not None:
            results["PyTorch"] = run(Run.finish, self.torch)
        if exact in results and (message := difference(results[name], results[exact], {})):
            return f"{name} and {exact} have other bits: {message}"
        tolerance = max((TOLERANCE.get(r.dtype, 0) for r in results["single"]), default=0)
        tolerance = max([tolerance, *(TOLERANCE.get(s.dtype, 0) for s in steps)])
        if "PyTorch" in results and errors_of(results["PyTorch"]) - errors_of(results["single"]):
            self.refused += 1
            del results["PyTorch"]
        for other in results:
            if message := difference(results[other], results["single"], dict.fromkeys(TOLERANCE, tolerance)):
                if self._hangs_by_a_thread(
                    results["single"], lambda i: run(single, jitter=i), results[other], tolerance
                ):
                    self.undecided += 1
                    return ""
                return f"{other} and single differ: {message}"
        return ""

    def _hangs_by_a_thread(self, want: list[Result], shaken: Callable, got: list[Result], tolerance: float) -> bool:
        """Do rounding errors alone make a difference as large as the one that was found?"""
        wild = [shaken(i) for i in range(1, 7)]
        found = distances(got, want)
        usual = [distances(w, want) for w in wild]
        return all(
            d <= max(tolerance, 4 * max(u.get(key, np.inf) for u in usual)) for key, d in found.items()
        )  # fmt: skip


def errors_of(results: list[Result]) -> Counter[tuple]:
    return Counter(r[:2] for r in results if ": " in r.what)


def difference(got: list[Result], want: list[Result], tolerances: dict[str, float]) -> str:
    """The first difference; bits are compared where there is no tolerance."""
    for a, b in zip(got, want, strict=False):
        if (a.step, a.what, a.dtype, a.array.shape) != (b.step, b.what, b.dtype, b.array.shape):
            return f"{a[:3]} {a.array.shape}, {b[:3]} {b.array.shape}"
        if (distance := apart(a.array, b.array)) > tolerances.get(a.dtype, 0):
            return f"step {a.step} {a.what} {a.dtype} {a.array.shape} by {distance:.3g}"
    return "" if len(got) == len(want) else f"{len(got)} results, {len(want)}"


def distances(got: list[Result], want: list[Result]) -> dict[tuple, float]:
    """How far apart results are, by where they come from; infinitely where only one of the two has them."""
    a, b = ({(r.step, r.what, r.dtype, r.array.shape): r.array for r in results} for results in (got, want))
    return {key: apart(a[key], b[key]) if key in a and key in b else np.inf for key in a | b}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, beside the largest number if that is above 1."""
    if a.size == 0 or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return 0.0
    with np.errstate(all="ignore"):
        a, b = a.astype(np.float64), b.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        finite = np.abs(b[np.isfinite(b)])
        error = np.where(same, 0, np.abs(a - b)) / max(1.0, finite.max() if finite.size else 1.0)
    return float(np.where(np.isnan(error), np.inf, error).max())


# ---------------------------------------------------------------------------------------------- finding out


def shrunk(checker: Checker, seed: int, variant: int) -> list[Step]:
    """The steps of a failing program without those that do not matter."""
    steps = structure(seed)
    kind = checker.check(seed, variant, steps)[:12]
    for _ in range(2):
        for i in range(len(steps) - 1, 0, -1):
            shorter = [*steps[:i], Step("nothing", 0), *steps[i + 1 :]]
            if kind and checker.check(seed, variant, shorter)[:12] == kind:
                steps = shorter
    return steps


def show(checker: Checker, seed: int, variant: int, steps: list[Step]) -> None:
    """Print what a program does, and what is wrong with it."""
    for torch in filter(None, (checker.flambeau, checker.torch)):
        run = Run(torch, steps, sizes(seed, variant), variant)
        run.log = lambda line, name=torch.__name__: print(name, line)
        single(run)
    print(sizes(seed, variant), [s.kind for s in steps])
    print(checker.check(seed, variant, steps) or "agrees", "(undecided)" * checker.undecided)


# ---------------------------------------------------------------------------------------------- long runs


def work(first: int, count: int, variants: int, with_torch: bool) -> None:
    """Check structures; one line on standard output before and after each program."""
    faulthandler.enable()
    checker = Checker(with_torch)
    for seed in range(first, first + count):
        signal.alarm(PATIENCE)
        for variant in range(variants):
            print(f"try {seed}:{variant}", flush=True)
            undecided, refused = checker.undecided, checker.refused
            message = checker.check(seed, variant).replace("\n", " ")
            verdict = "refused" if checker.refused > refused else "fine"
            print("undecided" if checker.undecided > undecided else f"fail {message[:400]}" if message else verdict)
    from flambeau._backends.cpu.driver import driver
    from flambeau._engine.plans import statistics

    made = driver().statistics
    print(f"compiled {statistics().plans} {made.compiled + made.loaded}", flush=True)


class Campaign:
    """A long run: children, one after the other, and what they report."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seed = self.first = options.first
        self.counts: Counter[str] = Counter()
        self.start = time.monotonic()
        self.printed = 0.0

    def over(self) -> bool:
        late = time.monotonic() - self.start > self.options.seconds
        return late or self.seed >= self.first + self.options.structures

    def run(self) -> bool:
        """Did all programs agree?"""
        while not self.over():
            self._child()
        self._report()
        return not self.counts["fail"] and not self.counts["died"]

    def _child(self) -> None:
        options = self.options
        count = min(LIVES, self.first + options.structures - self.seed)
        arguments = ["--work", f"{self.seed}:{count}", "--sizes", str(options.sizes), *["--torch"] * options.torch]
        child = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
        name = ""
        assert child.stdout is not None
        for line in child.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "try":
                name = rest
                if int(rest.split(":")[0]) > self.seed:
                    self.seed += 1
                    if self.over():
                        child.kill()
                        break
            elif word == "compiled":
                plans, kernels = map(int, rest.split())
                self.counts.update(plans=plans, kernels=kernels)
            else:
                self._count(word, name, rest)
        if child.wait() and not self.over():
            self._count("died", name, f"status {child.returncode}")
        self.seed += 1

    def _count(self, word: str, name: str, message: str) -> None:
        self.counts.update(**{word: 1, "programs": 1})
        if word in ("fail", "died"):
            print(f"{name} {word}: {message}", flush=True)
        if time.monotonic() - self.printed > 30:
            self._report()

    def _report(self) -> None:
        self.printed = time.monotonic()
        c, seconds = self.counts, self.printed - self.start
        print(f"{self.seed - self.first} structures from seed {self.first}, {c['programs']} programs: "
              f"{c['fine'] + c['refused']} agree ({c['refused']} of them refused by PyTorch), {c['undecided']} hang on "
              f"rounding, {c['fail']} do not agree, {c['died']} died; {c['plans']} plans and {c['kernels']} kernels "
              f"made by children that ended; {c['programs'] / seconds:.1f} programs a second", flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--structures", type=int, default=1000)
    parser.add_argument("--sizes", type=int, default=8, help="programs a structure")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--torch", action="store_true", help="run the programs in PyTorch, too")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", help="a program, SEED:NUMBER, to be shown")
    parser.add_argument("--shrink", help="a failing program, to be made shorter and shown")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.work:
        work(*map(int, options.work.split(":")), options.sizes, options.torch)
        return 0
    if named := options.only or options.shrink:
        seed, variant = map(int, named.split(":"))
        checker = Checker(options.torch)
        show(checker, seed, variant, shrunk(checker, seed, variant) if options.shrink else structure(seed))
        return 0
    return not Campaign(options).run()


if __name__ == "__main__":
    sys.exit(main())
