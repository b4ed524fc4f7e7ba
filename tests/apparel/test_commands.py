from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer")

from flambeau import _api as torch  # noqa: E402
from flambeau.apparel import commands  # noqa: E402
from flambeau.apparel.trainer import Trainer  # noqa: E402


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `flambeau ...` in this process; gives the exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["flambeau", *map(str, arguments)])
        code = commands.run()
        return code, *capsys.readouterr()

    return run


def test_the_four_steps(command, idx_folder: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    assert command("apparel", "prepare", "--source", idx_folder, "--data", data)[0] == 0
    options = ["--model", "mlp", "--epochs", 2, "--batch-size", 50, "--lr", 0.01, "--seed", 3, "--device", "cpu"]
    code, said, _ = command("apparel", "train", "--data", data, "--out", out, *options)
    assert code == 0 and "2 epochs of 7 steps, seed 3" in said
    assert command("apparel", "train", "--data", data, "--out", out, "--resume", "-q") == (0, "", "")
    assert command("apparel", "predict", "--data", data, "--out", out)[0] == 0
    code, said, _ = command("apparel", "report", "--data", data, "--out", out)
    assert code == 0 and "of the test pictures right" in said
    for name in ("submission.csv", "curves.png", "confusion.png", "report.html", "report.json"):
        assert (out / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["apparel", "train", "--data", "nowhere"], 1, "nowhere/train.csv is missing"),
        (["apparel", "predict", "--out", "nowhere"], 1, "flambeau apparel train"),
        (["apparel", "report", "--out", "nowhere"], 1, "flambeau apparel train"),
        (["apparel", "prepare", "--source", "nowhere"], 1, "no such folder"),
        (["apparel", "train", "--device", "toaster"], 1, "toaster"),
        (["apparel", "train", "--epochs", "0"], 2, "--epochs"),
        (["apparel", "train", "--model", "transformer"], 2, "--model"),
        (["apparel", "train", "--lr", "fast"], 2, "--lr"),
        (["apparel", "wash"], 2, "wash"),
        (["--frobnicate"], 2, "--frobnicate"),
    ],
)
def test_a_mistake_is_answered_without_a_traceback(
    command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], code: int, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, said, complaint = command(*arguments)
    assert (found, said) == (code, "") and problem in complaint and "Traceback" not in complaint
    assert code == 2 or complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_with_the_code_of_an_interrupt(
    command, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Trainer._learn

    def interrupted(self: Trainer, chosen: torch.Tensor) -> float:
        signal.raise_signal(signal.SIGINT)
        return learn(self, chosen)

    monkeypatch.setattr(Trainer, "_learn", interrupted)
    options = ["--model", "mlp", "--batch-size", 50, "--data", prepared, "--out", tmp_path]
    code, _, complaint = command("apparel", "train", *options)
    assert code == 130 and "stopped after 0 epochs and 1 steps" in complaint and complaint.count("\n") == 1
    assert (tmp_path / "checkpoint.pt").exists()


def test_help_is_for_newcomers(command) -> None:
    code, said, _ = command("apparel", "--help")
    assert code == 0
    for step in ("prepare", "train", "predict", "report"):
        assert f"  flambeau apparel {step}" in said
        assert command("apparel", step, "--help")[0] == 0


def test_without_typer_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; sys.argv[0] = 'flambeau'; from flambeau.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "flambeau[apparel]" in done.stderr
