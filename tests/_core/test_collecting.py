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


def test_importing_the_package_leaves_nothing_young():
    code = "import gc, flambeau; print(len(gc.get_objects(generation=1)), gc.get_freeze_count(), gc.isenabled())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    young, frozen, collecting = printed.split()
    assert int(young) < 5000 and frozen == "0" and collecting == "True"
