"""What the case study says while it works: lines and progress bars, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from flambeau.apparel.extras import require

T = TypeVar("T")


class Console:
    """Prints lines to standard output and bars to standard error; a quiet one prints nothing.

    Bars are drawn only where somebody watches: not into files and pipes.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        if not self.quiet:
            print(text, flush=True)

    def bar(self, total: int, label: str, unit: str = "picture") -> Any:
        """A tqdm bar to be moved on by hand with `.update(n)` and used as a context manager."""
        hidden = self.quiet or not sys.stderr.isatty()
        return require("tqdm", "tqdm").tqdm(total=total, desc=label, unit=unit, leave=False, disable=hidden)

    def track(self, items: Iterable[T], total: int, label: str, unit: str = "picture") -> Iterator[T]:
        """Pass `items` through while a bar counts them."""
        with self.bar(total, label, unit) as bar:
            for item in items:
                yield item
                bar.update(1)
