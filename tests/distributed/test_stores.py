"""Stores of all kinds keep the same promises."""

from __future__ import annotations

import sys
import threading
from datetime import timedelta

import pytest

from flambeau import distributed as dist


@pytest.fixture(params=["hash", "file", "tcp", "prefix"])
def store(request, tmp_path):
    if request.param == "tcp":
        master = dist.TCPStore("localhost", 0, is_master=True)
        yield dist.TCPStore("localhost", master.port)
        master.close()
    else:
        yield {
            "hash": dist.HashStore,
            "file": lambda: dist.FileStore(str(tmp_path / "store")),
            "prefix": lambda: dist.PrefixStore("part", dist.HashStore()),
        }[request.param]()


def test_entries(store):
    store.set("a", "1")
    store.multi_set(["b", "c"], [b"\x00\xff", ""])
    assert store.multi_get(["a", "b", "c"]) == [b"1", b"\x00\xff", b""]
    assert store.add("a", 4) == 5 and store.get("a") == b"5"
    store.append("d", "x")
    store.append("d", "y")
    assert store.get("d") == b"xy"
    assert sorted(store.list_keys()) == ["a", "b", "c", "d"] and store.num_keys() == 4
    assert store.delete_key("a") and not store.delete_key("a") and not store.check(["a", "b"])
    assert store.compare_set("new", "", "1") == b"1" and store.compare_set("new", "0", "2") == b"1"
    assert store.compare_set("new", "1", "2") == b"2" and store.compare_set("no", "3", "4") == b"3"
    assert not store.check(["no"])


def test_queues(store):
    with pytest.raises(dist.QueueEmptyError):
        store.queue_pop("q", block=False)
    for word in ("a", "b"):
        store.queue_push("q", word)
    assert store.queue_len("q") == 2 and [store.queue_pop("q"), store.queue_pop("q")] == [b"a", b"b"]
    assert store.queue_len("q") == 0


def test_waiting(store):
    with pytest.raises(dist.DistStoreError, match="keys: later"):
        store.wait(["later"], timedelta(milliseconds=20))
    threading.Timer(0.05, store.set, ("later", "there")).start()
    assert store.get("later") == b"there"
    store.set_timeout(timedelta(milliseconds=20))
    with pytest.raises(dist.DistStoreError):
        store.get("never")


def test_counting_from_several_threads(store):
    threads = [threading.Thread(target=lambda: [store.add("n", 1) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.add("n", 0) == 80


def test_nobody_is_there():
    with pytest.raises(dist.DistNetworkError, match="timed out"):
        dist.TCPStore("localhost", 1, timeout=timedelta(milliseconds=50)).get("x")


def test_closing_at_once():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the thread that accepts may not have begun, or may end by itself
    try:
        for _ in range(200):
            dist.TCPStore("localhost", 0, is_master=True).close()
    finally:
        sys.setswitchinterval(interval)
