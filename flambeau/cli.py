"""The command `flambeau`. What it does stands in `flambeau.apparel.commands`; this checks that it can run."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        commands = importlib.import_module("flambeau.apparel.commands")
    except ImportError as error:
        print(f"flambeau: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(commands.run())
