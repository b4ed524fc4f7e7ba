"""What Python's collector of cycles looks through, and when."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from flambeau._core.collecting import grown_old, paused


@pytest.fixture(autouse=True)
def collecting():
    yield
    gc.unfreeze()
    gc.enable()


def test_a_pause_ends_as_it_began():
    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        with pytest.raises(KeyError), paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == wanted


def test_what_has_grown_old_is_not_looked_through_but_still_collected():
    class Item:
        pass

    gc.collect()
    with paused():
        cycle = Item()
        cycle.itself = cycle
        number = id(cycle)
        grown_old()
        assert not any(id(o) == number for o in gc.get_objects(generation=0))
        assert any(id(o) == number for o in gc.get_objects(generation=2))
    del cycle
    assert gc.collect() > 0


def test_what_somebody_has_frozen_stays_frozen():
    gc.freeze()
    frozen = gc.get_freeze_count()
    grown_old()
    assert gc.get_freeze_count() == frozen


IMPORTING = """
import gc
seen = [0]
def note(phase, info):
    if phase == "start":
        seen.append(sum(len(gc.get_objects(generation=g)) for g in range(info["generation"] + 1)))
gc.callbacks.append(note)
import flambeau
kept = [[] for _ in range(5000)]
print(max(seen), gc.get_freeze_count(), gc.isenabled())
"""


def test_what_the_import_makes_is_not_looked_through():
    printed = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=True).stdout
    most, frozen, collecting = printed.split()
    assert int(most) < 20_000 and frozen == "0" and collecting == "True"
