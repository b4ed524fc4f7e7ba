"""`predict`: fill in the submission form with a trained network."""

from __future__ import annotations

from pathlib import Path

from flambeau import _api as torch
from flambeau.apparel.checkpoint import load_checkpoint, recipe_of
from flambeau.apparel.console import Console
from flambeau.apparel.layout import write_table
from flambeau.apparel.models import DEFAULTS, build
from flambeau.apparel.reading import read_pictures
from flambeau.apparel.tables import read_table
from flambeau.apparel.trainer import predict_scores
from flambeau.apparel.training import find_device

SUBMISSION = "submission.csv"


def predict(
    data: str | Path = "data/apparel", out: str | Path = "runs/apparel", *, device: str = "cpu", quiet: bool = False
) -> Path:
    """Name the garment on every test picture and write ``submission.csv``.

    The rows are those of the data set's ``sample_submission.csv``, in its order. A network that was trained with
    mirrored pictures sees each picture both ways round and the two opinions are averaged.

    Args:
        data: folder that `prepare` wrote.
        out: folder with the checkpoint that `train` wrote; the submission goes there too.
        device: where to compute.
        quiet: print nothing.

    Returns:
        The path of the submission.

    Raises:
        ApparelError: if there is no checkpoint, or the data set is damaged.
    """
    folder, results, console = Path(data), Path(out), Console(quiet)
    place = find_device(device)
    state = load_checkpoint(results)
    recipe = recipe_of(state)
    form = read_table(folder / "sample_submission.csv", labelled=True)
    pictures = torch.from_numpy(read_pictures(form, folder / "test", console)).to(place)
    network = build(recipe.model).to(place)
    network.load_state_dict(state["network"])
    labels = predict_scores(network, pictures, both_ways=DEFAULTS[recipe.model].flip).argmax(1)
    path = results / SUBMISSION
    write_table(path, ("id", "label"), zip(form.ids, labels.tolist(), strict=True))
    console.say(f"Wrote {len(form.ids)} predictions of the {recipe.model} to {path}")
    return path
