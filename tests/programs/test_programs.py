"""Whole programs, as people write them for PyTorch, run unchanged by `flambeau run` and print what PyTorch printed.

Beside each program stands what PyTorch 2.13 printed on the CPU, `name.txt`, and after it, for a program that fails, how
it ended. Text must be equal; numbers may differ by one in the last place printed and by 1e-4 of their size, or by
the band that the program states: `# band: 0.02, and why`. To add a program, write it and let PyTorch, in the
environment of `make oracle`, print its numbers: `python tests/programs/test_programs.py name`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted(path.stem for path in HERE.glob("*.txt"))
SLOW = {"torchvision_models_large"}
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)(?![\w])")
EQUAL = 1e-4  # how far numbers may be apart that differ by rounding alone, relative to their size


def source(name: str) -> str:
    return (HERE / f"{name}.py").read_text(encoding="utf-8")


def output(command: list[str], name: str, folder: Path) -> str:
    """What the program prints, and its exit code and the kind of error if it fails."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    command = [*command, str(HERE / f"{name}.py")]
    run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
    if run.returncode == 0:
        return run.stdout
    errors = re.findall(r"^[\w.]*?(\w+(?:Error|Exception|Iteration))\b", run.stderr, re.MULTILINE)
    assert "fails" in name and errors, run.stdout + run.stderr
    return f"{run.stdout}[exit code {run.returncode}, {errors[-1]}]\n"


def by_flambeau(name: str, folder: Path) -> str:
    return output([sys.executable, "-m", "flambeau", "run"], name, folder)


def band(name: str) -> float:
    stated = re.search(r"^# band: ([\d.e-]+)", source(name), re.MULTILINE)
    return float(stated[1]) if stated else EQUAL


def disagreements(found: str, expected: str, band: float) -> Iterator[str]:
    """The lines that differ in their text, or in a number by more than the band."""
    ours, theirs = found.splitlines(), expected.splitlines()
    if len(ours) != len(theirs):
        yield f"{len(ours)} lines printed, expected {len(theirs)}:\n{found}"
        return
    for line, wanted in zip(ours, theirs, strict=True):
        if NUMBER.sub("#", line).split() != NUMBER.sub("#", wanted).split() or not all(
            map(lambda a, b: close(a, b, band), NUMBER.findall(line), NUMBER.findall(wanted))
        ):
            yield f"printed:  {line}\nexpected: {wanted}"


def close(found: str, expected: str, band: float) -> bool:
    if found == expected:
        return True
    if "." not in expected:
        return False  # a count, a size, or not a number
    places = re.match(r"\d*", expected.partition(".")[2])
    place = 10.0 ** -len(places[0]) if places and "e" not in expected.lower() else 0.0
    return abs(float(found) - float(expected)) <= 1.001 * place + band * abs(float(expected))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs run, with the data sets that they expect."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("MNIST", "FashionMNIST"):
        synthetic.write_idx_files(folder / "data" / name / "raw")
    return folder


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in PROGRAMS])
def test_prints_what_pytorch_printed(name: str, folder: Path) -> None:
    wrong = list(disagreements(by_flambeau(name, folder), (HERE / f"{name}.txt").read_text(), band(name)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.oracle
@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_pytorch_prints(name: str, folder: Path) -> None:
    pytest.importorskip("torch")
    if "torchvision" in source(name) and importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not here")
    wrong = list(disagreements(by_flambeau(name, folder), output([sys.executable], name, folder), band(name)))
    assert not wrong, "\n".join(wrong)


def test_what_counts_as_equal() -> None:
    assert not list(disagreements("loss 0.1234 of 3\n", "loss  0.1235 of 3\n", EQUAL))
    assert list(disagreements("loss 0.1237\n", "loss 0.1235\n", EQUAL))
    assert not list(disagreements("loss 0.1237\n", "loss 0.1235\n", 0.01))
    assert list(disagreements("3 right\n", "4 right\n", 0.5)), "counts are equal or not"
    assert list(disagreements("good\n", "bad\n", 0.5)) and list(disagreements("a\n", "a\nb\n", 0.5))
    assert not list(disagreements("nan\n", "nan\n", 0.0)) and list(disagreements("nan 1.0\n", "1.0 1.0\n", 0.1))


def write_expected(names: list[str]) -> None:
    """Let PyTorch print what the programs print, into the files beside them."""
    for name in names:
        (HERE / f"{name}.txt").write_text(output([sys.executable], name, HERE))


if __name__ == "__main__":
    write_expected(sys.argv[1:])
