"""The command line: `flambeau apparel prepare|train|predict|report`, a thin shell around the functions of that name."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from flambeau.apparel.errors import ApparelError
from flambeau.apparel.layout import prepare
from flambeau.apparel.models import DEFAULTS
from flambeau.apparel.predicting import predict
from flambeau.apparel.reporting import report
from flambeau.apparel.training import Interrupted, train

try:
    import typer
except ImportError as error:
    raise ImportError(
        "the command line needs typer, which is not installed: pip install 'flambeau[apparel]'"
    ) from error

STOPPED = 130  # what a shell reports for a program ended by Ctrl-C

HELP = """Flambeau, a deep-learning framework with PyTorch's API.

To run a PyTorch program unchanged: flambeau run program.py
"""
APPAREL_HELP = """Teach a neural network to tell trousers from sandals.

Four steps, to be run in this order:

\b
  flambeau apparel prepare   put the pictures on the disk
  flambeau apparel train     let a network learn from them
  flambeau apparel predict   let it name the garments on the test pictures
  flambeau apparel report    see how well it did: a page for your browser

Without options the pictures go to data/apparel and the results to runs/apparel.
To try things out quickly, prepare a small set:

\b
  flambeau apparel prepare --data data/small --limit 3000
  flambeau apparel train   --data data/small --out runs/small
"""

app = typer.Typer(
    help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
apparel = typer.Typer(help=APPAREL_HELP, short_help="The case study: classify garments.", no_args_is_help=True)
app.add_typer(apparel, name="apparel", rich_help_panel=None)


class Model(StrEnum):
    """The networks to choose from."""

    cnn = "cnn"
    mlp = "mlp"


DataOption = Annotated[Path, typer.Option(help="Folder of the prepared pictures.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the results.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

DATA, OUT = Path("data/apparel"), Path("runs/apparel")


def _usual(field: str) -> str:
    """The default of an option that depends on the model, for the help text."""
    return ", ".join(f"{name} {getattr(defaults, field):g}" for name, defaults in DEFAULTS.items())


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"flambeau {version('flambeau')}")
        except PackageNotFoundError:
            typer.echo("flambeau (run from its sources, not installed)")
        raise typer.Exit()


@app.callback()
def flambeau(
    show: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@apparel.command("prepare", short_help="Step 1: write the pictures and their tables.")
def prepare_command(
    data: DataOption = DATA,
    source: Annotated[
        Path | None, typer.Option(help="Folder with the four IDX files of Fashion-MNIST, gzipped or not.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only so many training pictures, and a sixth as many test pictures.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawings, if drawings are needed.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace pictures prepared with other options.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Step 1: write the pictures and their tables.

    Takes the pictures from --source; or from the folder that the environment variable FLAMBEAU_DATA names; or from
    Debian's package dataset-fashion-mnist; or from the internet; or, if there is none, draws its own.
    """
    prepare(data, source=source, limit=limit, seed=seed, force=force, quiet=quiet)


@apparel.command("train", short_help="Step 2: let a network learn.")
def train_command(
    data: DataOption = DATA,
    out: OutOption = OUT,
    model: Annotated[
        Model | None, typer.Option(help="cnn learns best; mlp is the beginner's guide's network.", show_default="cnn")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How often to show every picture.", show_default=_usual("epochs"))
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=0, help="Pictures a step; 0 for all at once.", show_default=_usual("batch_size")),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate, how far a step goes.", show_default=_usual("lr"))
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same numbers.", show_default="0")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many pictures.")] = None,
    device: DeviceOption = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run left off.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Step 2: learn. Ctrl-C stops and saves; --resume goes on with the same numbers."""
    name = None if model is None else model.value
    train(
        data,
        out,
        model=name,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        limit=limit,
        device=device,
        resume=resume,
        quiet=quiet,
    )


@apparel.command("predict", short_help="Step 3: name the garments on the test pictures.")
def predict_command(
    data: DataOption = DATA, out: OutOption = OUT, device: DeviceOption = "cpu", quiet: QuietOption = False
) -> None:
    """Step 3: name the garments on the test pictures, in submission.csv."""
    predict(data, out, device=device, quiet=quiet)


@apparel.command("report", short_help="Step 4: accuracies, charts and a page.")
def report_command(data: DataOption = DATA, out: OutOption = OUT, quiet: QuietOption = False) -> None:
    """Step 4: accuracies, charts and the page report.html."""
    report(data, out, quiet=quiet)


def run() -> int:
    """Run the command line; an error the user can cure is one line on standard error. Returns the exit code."""
    try:
        code = app(prog_name="flambeau", standalone_mode=True)
    except SystemExit as leave:
        code = leave.code
    except Interrupted as stop:
        print(f"flambeau: {stop}", file=sys.stderr)
        return STOPPED
    except (ApparelError, ImportError, OSError) as error:
        print(f"flambeau: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("flambeau: stopped", file=sys.stderr)
        return STOPPED
    return code if isinstance(code, int) else 0
