"""Python's collector of reference cycles while much is made that stays: a pause, and a word that it has stayed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

FROZEN_BY_PYTHON = 1000  # at most: 3.12 freezes some 400 objects that never die, again at every full collection


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
    if gc.get_freeze_count() <= FROZEN_BY_PYTHON:  # or what somebody has frozen, thousands of objects, would thaw
        gc.freeze()
        gc.unfreeze()
