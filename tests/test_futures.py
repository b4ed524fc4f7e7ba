"""Results that come later."""

from __future__ import annotations

import threading

import pytest

import flambeau as torch
from flambeau import futures


def test_a_result_from_another_thread():
    later = torch.Future()
    seen = []
    later.add_done_callback(lambda done: seen.append(done.value()))
    threading.Timer(0.02, later.set_result, (3,)).start()
    assert later.wait() == 3 and later.done()
    later.add_done_callback(lambda done: seen.append(-done.value()))
    assert sorted(seen) == [-3, 3]
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        later.set_result(4)


def test_errors_arrive():
    later = torch.Future()
    after = later.then(lambda done: done.value() + 1)
    with pytest.raises(RuntimeError, match="not there yet"):
        later.value()
    later.set_exception(ValueError("no"))
    for future in (later, after, futures.collect_all([later]).wait()[0]):
        with pytest.raises(ValueError, match="no"):
            future.wait()
