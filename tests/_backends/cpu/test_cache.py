"""The cache on disk: names, damage, bounds, and folders that are not to be had."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from flambeau._backends.cpu import cache
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._core.config import config

KEY = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(config, "cache_dir", str(tmp_path / "cache"))
    return tmp_path / "cache"


def first(target: Target) -> str:
    return ""


def second(target: Target) -> str:
    return ""


def test_whatever_makes_another_object_makes_another_key(monkeypatch):
    kernel = Kernel(first, (1, "float32"), ("run",))
    keys = [
        cache.key_of(kernel, x86_64("v3")),
        cache.key_of(kernel, x86_64("v4")),
        cache.key_of(kernel, aarch64()),
        cache.key_of(kernel._replace(params=(1.0, "float32")), x86_64("v3")),
        cache.key_of(kernel._replace(entries=("go",)), x86_64("v3")),
        cache.key_of(kernel._replace(generate=second), x86_64("v3")),
    ]
    assert keys[0] == cache.key_of(Kernel(first, (1, "float32"), ("run",)), x86_64("v3"))
    monkeypatch.setattr(cache, "sources", lambda: b"other sources")
    keys.append(cache.key_of(kernel, x86_64("v3")))
    assert len(set(keys)) == len(keys)
    assert all(cache.OURS.fullmatch(key) for key in keys)


def test_what_is_written_is_read(folder):
    assert cache.read(KEY) is None
    cache.write(KEY, b"object")
    assert cache.read(KEY) == b"object"
    assert [path.name for path in folder.iterdir()] == [KEY]
    cache.write(KEY, b"another")
    assert cache.read(KEY) == b"another"


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[:-1], lambda c: c[:20] + b"?" + c[21:], lambda c: c + b"?", lambda c: b"?" + c[1:]],
)
def test_damaged_files_are_not_read(folder, damage):
    cache.write(KEY, b"an object of some length")
    path = folder / KEY
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read(KEY) is None
    cache.write(KEY, b"again")
    assert cache.read(KEY) == b"again"


def test_what_was_not_used_for_longest_is_removed(folder):
    now = time.time()
    keys = [f"{i:032x}" for i in range(10)]
    for i, key in enumerate(keys):
        cache.write(key, bytes(1000 - cache.DIGEST))
        os.utime(folder / key, (now, now - 10**6 + i))
    (folder / "holiday.jpg").write_bytes(bytes(10**6))
    abandoned = folder / f"{KEY}.123.tmp"
    abandoned.write_bytes(bytes(500))
    os.utime(abandoned, (now, now - 10**7))
    assert cache.read(keys[0]) is not None  # which counts as a use
    cache.evict(folder, 10_500)
    assert len(list(folder.iterdir())) == 12
    cache.evict(folder, 8_000)
    assert {path.name for path in folder.iterdir()} == {"holiday.jpg", keys[0], *keys[5:]}


def test_writing_keeps_the_bound(folder, monkeypatch):
    monkeypatch.setattr(config, "cache_bytes", 10_000)
    for i in range(2 * cache.CHECKED_EVERY):
        cache.write(f"{i:032x}", bytes(100))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000 + cache.CHECKED_EVERY * 116


def test_off_means_no_cache(monkeypatch):
    monkeypatch.setattr(config, "cache_dir", "off")
    cache.write(KEY, b"object")
    assert cache.directory() is None
    assert cache.read(KEY) is None


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(config, "cache_dir", str(tmp_path / "file" / "cache"))
    cache.write(KEY, b"object")
    assert cache.read(KEY) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_written_is_read(folder):
    cache.write(KEY, b"object")
    folder.chmod(0o500)
    try:
        cache.write("f" * 32, b"another")
        assert cache.read(KEY) == b"object" and cache.read("f" * 32) is None
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("system", "cache_home", "expected"),
    [
        ("Linux", None, ".cache/flambeau"),
        ("Linux", "elsewhere", "elsewhere/flambeau"),
        ("Darwin", None, "Library/Caches/flambeau"),
        ("Windows", None, "AppData/Local/flambeau"),
    ],
)
def test_the_default_folder_is_where_the_system_keeps_caches(tmp_path, monkeypatch, system, cache_home, expected):
    monkeypatch.setattr(config, "cache_dir", None)
    monkeypatch.setattr(config, "cache_home", cache_home and str(tmp_path / cache_home))
    monkeypatch.setattr(cache.platform, "system", lambda: system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(cache, "_default_directory", cache._default_directory.__wrapped__)
    assert cache.directory() == tmp_path / expected


def test_no_home_means_no_cache(monkeypatch):
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(config, "cache_dir", None)
    monkeypatch.setattr(config, "cache_home", None)
    monkeypatch.setattr(Path, "home", none)
    monkeypatch.setattr(cache, "_default_directory", cache._default_directory.__wrapped__)
    assert cache.directory() is None
    monkeypatch.setattr(config, "cache_home", "/elsewhere")
    monkeypatch.setattr(cache.platform, "system", lambda: "Linux")
    assert cache.directory() == Path("/elsewhere/flambeau")


def _write_and_read(number: int) -> bool:
    """Write the same objects as other processes do, and see nothing but whole ones."""
    contents = [bytes([i]) * 50_000 for i in range(4)]
    for turn in range(100):
        i = (number + turn) % 4
        cache.write(f"{i:032x}", contents[i])
        if any(cache.read(f"{k:032x}") not in (None, contents[k]) for k in range(4)):
            return False
        if turn % 10 == 0:
            cache.evict(cache.directory(), 100_000)
    return True


def test_several_processes_share_a_cache(folder):
    with multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn").Pool(3) as processes:
        assert processes.map(_write_and_read, range(3)) == [True] * 3
    assert all(cache.OURS.fullmatch(path.name) for path in folder.iterdir())
    assert not list(folder.glob("*.tmp"))
