from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flambeau import _api as torch
from flambeau.apparel import ApparelError, Interrupted, train
from flambeau.apparel.checkpoint import load_checkpoint
from flambeau.apparel.interrupt import Interrupt
from flambeau.apparel.models import DEFAULTS, build
from flambeau.apparel.picture import text_art

RUN: dict[str, Any] = {"epochs": 3, "batch_size": 64, "limit": 200, "seed": 5, "quiet": True}
STEPS = 3  # an epoch: 180 pictures in batches of 64


def stop_at(epoch: int, step: int) -> Callable[[int, int], bool]:
    return lambda *now: now == (epoch, step)


def flat(state: Any) -> list[Any]:
    """All leaves of nested dictionaries and lists."""
    if isinstance(state, dict):
        return [leaf for key in state for leaf in (key, *flat(state[key]))]
    if isinstance(state, list | tuple):
        return [leaf for item in state for leaf in flat(item)]
    return [state.tolist() if isinstance(state, torch.Tensor) else state]


def numbers(out: Path) -> list[Any]:
    state = load_checkpoint(out)
    for entry in state["history"]:
        del entry["seconds"]
    return flat(state)


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train(prepared, out, model="cnn", **RUN)
    return out


@pytest.mark.parametrize("stops", [[(0, 0), (1, 1)], [(0, STEPS - 1), (2, 1)], [(0, STEPS - 1), (1, STEPS - 1)]])
def test_a_resumed_run_gives_the_same_bits(prepared: Path, tmp_path: Path, whole: Path, stops: list) -> None:
    for turn, stop in enumerate(stops):
        with pytest.raises(Interrupted, match="--resume"):
            train(prepared, tmp_path, model="cnn", **RUN, resume=turn > 0, on_step=stop_at(*stop))
        torch.rand(7)  # somebody else draws numbers in between
    train(prepared, tmp_path, resume=True, quiet=True)
    assert numbers(tmp_path) == numbers(whole)


def test_another_seed_gives_other_numbers(prepared: Path, tmp_path: Path, whole: Path) -> None:
    history = train(prepared, tmp_path, model="cnn", **{**RUN, "seed": 6})
    assert history[-1]["train_loss"] != load_checkpoint(whole)["history"][-1]["train_loss"]


def test_ctrl_c_saves(prepared: Path, tmp_path: Path, whole: Path) -> None:
    def press(epoch: int, step: int) -> bool:
        if (epoch, step) == (1, 0):
            signal.raise_signal(signal.SIGINT)
        return False

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="1 epochs and 1 steps"):
        train(prepared, tmp_path, model="cnn", **RUN, on_step=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(json.loads((tmp_path / "history.json").read_text())) == 1
    train(prepared, tmp_path, resume=True, quiet=True)
    assert numbers(tmp_path) == numbers(whole)


def test_a_second_ctrl_c_is_not_held_back() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        signal.raise_signal(signal.SIGINT)


def test_what_a_run_leaves_and_says(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = train(prepared, tmp_path, model="mlp", epochs=6, lr=1e-2)
    said = capsys.readouterr().out
    assert [line[:8] for line in said.split("\n") if line.startswith("Epoch")] == [f"Epoch  {i}" for i in (1, 3, 5, 6)]
    with Image.open(prepared / "train" / "1.png") as image:
        assert text_art(np.asarray(image)) in said
    assert "39,760 parameters; 324 pictures to learn from, 36 held out" in said
    assert history[-1]["train_loss"] < history[0]["train_loss"] and history[-1]["train_accuracy"] > 0.3
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.pt", "curves.png", "history.json", "sample.png"}
    assert json.loads((tmp_path / "history.json").read_text()) == history
    train(prepared, tmp_path, model="mlp", epochs=1)
    assert "--resume would have continued it" in capsys.readouterr().out


def test_a_finished_run_resumes_to_itself(prepared: Path, whole: Path) -> None:
    before = numbers(whole)
    assert len(train(prepared, whole, resume=True, quiet=True)) == RUN["epochs"]
    assert numbers(whole) == before


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model": "mlp"}, "started with model=cnn, not model=mlp"),
        ({"seed": 0, "lr": 1.0}, "lr=0.006, seed=5, not lr=1.0, seed=0"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(prepared: Path, whole: Path, options: dict, problem: str) -> None:
    with pytest.raises(ApparelError, match=problem):
        train(prepared, whole, resume=True, quiet=True, **options)


def test_a_run_is_not_resumed_on_other_pictures(data: Path, tmp_path: Path, whole: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    with pytest.raises(ApparelError, match="not the one the run"):
        train(data, out, resume=True, quiet=True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model": "transformer"}, "no model 'transformer'"),
        ({"epochs": 0}, "at least 1"),
        ({"lr": -1.0}, "lr above 0"),
        ({"limit": 3}, "at least 20"),
        ({"device": "toaster"}, "'toaster' cannot be used"),
        ({"resume": True}, "there is no .*checkpoint.pt"),
    ],
)
def test_options_that_cannot_be(prepared: Path, tmp_path: Path, options: dict, problem: str) -> None:
    with pytest.raises(ApparelError, match=problem) as caught:
        train(prepared, tmp_path / "out", quiet=True, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint_is_named(prepared: Path, tmp_path: Path, whole: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes()[:500])
    with pytest.raises(ApparelError, match="checkpoint.pt: is not a readable checkpoint"):
        train(prepared, tmp_path, resume=True, quiet=True)


@pytest.mark.parametrize("model", DEFAULTS)
def test_the_networks_take_bytes_and_give_scores(model: str) -> None:
    scores = build(model, 0.3, 0.3)(torch.zeros(4, 28, 28, dtype=torch.uint8))
    assert scores.shape == (4, 10) and scores.dtype == torch.float32
