"""Python's collector of reference cycles while much is made that stays: a pause, and a word that it has stayed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Inside, no cycles are looked for, unless somebody says so."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def grown_old() -> None:
    """Whatever there is from now on counts as old: it is not looked through until the collector next looks at
    everything. The first look after a pause would be at all that was made meanwhile."""
    if not gc.get_freeze_count():  # or what somebody has frozen would thaw
        gc.freeze()
        gc.unfreeze()
