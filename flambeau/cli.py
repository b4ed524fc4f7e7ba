"""The command `flambeau`: `run` starts a program; the rest stands in `flambeau.apparel.commands`, if that can run."""

from __future__ import annotations

import importlib
import sys

from flambeau.running import program


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:2] == ["run"]:
        program.main(sys.argv[2:])
        return
    try:
        commands = importlib.import_module("flambeau.apparel.commands")
    except ImportError as error:
        print(f"flambeau: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(commands.run())
