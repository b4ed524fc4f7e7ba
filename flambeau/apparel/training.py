"""`train`: from the files of the data set to a checkpoint and its curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flambeau import _api as torch
from flambeau.apparel.charts import draw_curves
from flambeau.apparel.checkpoint import NAME, check_same, load_checkpoint, recipe_of, save_checkpoint
from flambeau.apparel.classes import CLASSES
from flambeau.apparel.console import Console
from flambeau.apparel.dataset import Labelled, read_train
from flambeau.apparel.errors import ApparelError
from flambeau.apparel.files import make_folder, whole_file, write_text
from flambeau.apparel.interrupt import Interrupt
from flambeau.apparel.layout import describe
from flambeau.apparel.models import DEFAULTS
from flambeau.apparel.picture import save_picture, text_art
from flambeau.apparel.trainer import Recipe, StepHook, Trainer


class Interrupted(ApparelError):
    """Training was stopped by Ctrl-C and saved."""


def train(
    data: str | Path = "data/apparel",
    out: str | Path = "runs/apparel",
    *,
    model: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    limit: int | None = None,
    device: str = "cpu",
    resume: bool = False,
    quiet: bool = False,
    on_step: StepHook | None = None,
) -> list[dict[str, float]]:
    """Train a network on the data set in `data`, 90 % for learning and 10 % for validation.

    Writes into `out`: ``checkpoint.pt`` (after every epoch), ``curves.png``, ``history.json`` and ``sample.png``.
    Seeds Flambeau's global generator with `seed`.

    Args:
        data: folder that `prepare` wrote.
        out: folder for the results.
        model: ``"cnn"`` (default) or ``"mlp"``, the guide's network and recipe.
        epochs: how often every picture is shown; cnn 8, mlp 25.
        batch_size: pictures a step, 0 for all at once; cnn 128, mlp 0.
        lr: learning rate of Adam, for the cnn the highest of its cycle; cnn 6e-3, mlp 5e-4.
        seed: of the split, the first weights, the shuffling, the dropout (default 0).
        limit: use only the first so many rows of ``train.csv``.
        device: where to compute.
        resume: continue the run in `out`; options not given are taken from it.
        quiet: print nothing.
        on_step: called after every step with the epoch and the step, both from 0; stops the run if it answers true.

    Returns:
        A dictionary of losses and accuracies for each epoch.

    Raises:
        Interrupted: after Ctrl-C, or a stop by `on_step`; everything is saved for `resume`.
        ApparelError: if the data, the options or the checkpoint do not fit.
    """
    folder, results, console = Path(data), Path(out), Console(quiet)
    asked = {"model": model, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "limit": limit}
    place = find_device(device)
    state = load_checkpoint(results) if resume else None
    recipe = _recipe(asked, state)
    pictures = read_train(folder, console, recipe.limit)
    make_folder(results)
    trainer = Trainer(recipe, pictures, place)
    if state is not None:
        _restore(trainer, state, folder)
    elif (results / NAME).exists():
        console.say(f"(replacing the earlier run in {results}; --resume would have continued it)")
    _introduce(trainer, pictures, folder, results, console)
    _run(trainer, results, console, on_step)
    console.say(f"Wrote {results / NAME} and {results / 'curves.png'}")
    return trainer.history


def _recipe(asked: dict[str, Any], state: dict[str, Any] | None) -> Recipe:
    if state is not None:
        check_same(recipe_of(state), asked)
        return recipe_of(state)
    model = asked["model"] or "cnn"
    if model not in DEFAULTS:
        raise ApparelError(f"there is no model {model!r}: choose one of {', '.join(DEFAULTS)}")
    usual = DEFAULTS[model]
    recipe = Recipe(
        model=model,
        epochs=usual.epochs if asked["epochs"] is None else asked["epochs"],
        batch_size=usual.batch_size if asked["batch_size"] is None else asked["batch_size"],
        lr=usual.lr if asked["lr"] is None else asked["lr"],
        seed=asked["seed"] or 0,
        limit=asked["limit"],
    )
    if recipe.epochs < 1 or recipe.batch_size < 0 or recipe.lr <= 0 or not 0 <= recipe.seed < 2**32:
        raise ApparelError("epochs must be at least 1, the batch size 0 or more, lr above 0, the seed 0..2**32-1")
    if recipe.limit is not None and recipe.limit < 20:
        raise ApparelError(f"limit={recipe.limit}: at least 20 pictures are needed to learn and to validate")
    return recipe


def find_device(name: str) -> torch.device:
    """The device of that name, after a try whether it works."""
    try:
        place = torch.device(name)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ApparelError(f"the device {name!r} cannot be used ({reason}); --device cpu always works") from error
    return place


def _restore(trainer: Trainer, state: dict[str, Any], folder: Path) -> None:
    if state["mark"] != trainer.mark:
        raise ApparelError(f"the data set in {folder} is not the one the run to resume was started with")
    trainer.load_state_dict(state)


def _introduce(trainer: Trainer, pictures: Labelled, folder: Path, out: Path, console: Console) -> None:
    """Say what will be done and show one picture, as the guide does."""
    if describe(folder).get("synthetic"):
        console.say("NOTE: these are the program's own drawings, not Fashion-MNIST.")
    chosen = trainer.recipe.seed % len(pictures)
    save_picture(out / "sample.png", pictures.images[chosen])
    name = CLASSES[int(pictures.labels[chosen])]
    console.say(f"Picture {pictures.ids[chosen]}.png, label {int(pictures.labels[chosen])}: {name}")
    console.say(text_art(pictures.images[chosen]))
    recipe, count = trainer.recipe, len(trainer.learn[1])
    size = sum(parameter.numel() for parameter in trainer.network.parameters())
    console.say(f"{trainer.network}")
    console.say(
        f"{size:,} parameters; {count:,} pictures to learn from, {len(trainer.held_out[1]):,} held out; "
        f"{recipe.epochs} epochs of {trainer.steps_per_epoch} steps, seed {recipe.seed}"
    )
    if trainer.epoch or trainer.step:
        console.say(f"resuming after {trainer.epoch} epochs and {trainer.step} steps")


def _run(trainer: Trainer, out: Path, console: Console, on_step: StepHook | None) -> None:
    """Run to the end, or save and raise Interrupted."""

    def after_epoch() -> None:
        save_checkpoint(out, trainer.state_dict())
        if trainer.epoch % 2 == 1 or trainer.finished:
            console.say(_line(trainer))

    with Interrupt() as interrupt:

        def stop(epoch: int, step: int) -> bool:
            if on_step is not None and on_step(epoch, step):
                interrupt.asked = True
            return interrupt.asked

        done = trainer.run(console, stop, after_epoch)
    if not done:
        save_checkpoint(out, trainer.state_dict())
    _write_history(trainer, out)
    if not done:
        raise Interrupted(
            f"stopped after {trainer.epoch} epochs and {trainer.step} steps; saved to {out / NAME}: "
            "continue with --resume"
        )


def _line(trainer: Trainer) -> str:
    last = trainer.history[-1]
    return (
        f"Epoch {trainer.epoch:>2}  loss {last['train_loss']:.4f}  validation loss {last['validation_loss']:.4f}  "
        f"validation accuracy {last['validation_accuracy']:.2%}  ({last['seconds']:.1f} s)"
    )


def _write_history(trainer: Trainer, out: Path) -> None:
    write_text(out / "history.json", json.dumps(trainer.history, indent=2) + "\n")
    if trainer.history:
        with whole_file(out / "curves.png") as file:
            file.write(draw_curves(trainer.history))
