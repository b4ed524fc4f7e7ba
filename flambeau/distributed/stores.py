"""Stores: small dictionaries that several processes, or threads, share. What groups send goes through one of them.

All operations on entries stand in one table, `OPERATIONS`. A kind of store says how one is run while nobody else
changes anything (`_do`), and how one waits for keys (`_await`). What is waited for is a list of alternatives, each a
list of keys: "what all have given, or else the news that somebody will not".
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from flambeau.distributed.errors import DistStoreError, QueueEmptyError

PATIENCE = timedelta(seconds=300)
PAUSE = 0.001  # seconds between two looks, where a change cannot be waited for

Entries = dict[str, bytes]


def _add(entries: Entries, keys: list[str], amount: int) -> int:
    total = int(entries.get(keys[0], b"0")) + amount
    entries[keys[0]] = str(total).encode()
    return total


def _append(entries: Entries, keys: list[str], value: bytes) -> None:
    entries[keys[0]] = entries.get(keys[0], b"") + value


def _compare_set(entries: Entries, keys: list[str], expected: bytes, desired: bytes) -> bytes:
    if keys[0] not in entries and expected:
        return expected
    if entries.get(keys[0], b"") == expected:
        entries[keys[0]] = desired
    return entries[keys[0]]


def _get(entries: Entries, keys: list[str]) -> list[bytes] | None:
    return [entries[key] for key in keys] if _check(entries, keys) else None


def _check(entries: Entries, keys: list[str]) -> bool:
    return all(key in entries for key in keys)


def _first(entries: Entries, keys: list[str], lengths: list[int]) -> int | None:
    """Which alternative is the first that is there? The keys of all stand one behind the other."""
    place = 0
    for which, length in enumerate(lengths):
        if _check(entries, keys[place : place + length]):
            return which
        place += length
    return None


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "append": _append,
    "compare_set": _compare_set,
    "delete": lambda entries, keys: sum(entries.pop(key, None) is not None for key in keys),
    "get": _get,
    "check": _check,
    "first": _first,
    "set": lambda entries, keys, values: entries.update(zip(keys, values, strict=True)),
}


class Store:
    """A dictionary from str to bytes that processes share. Values given as str are encoded.

    Reading a key waits until somebody has set it; DistStoreError when that takes longer than the timeout, 300 seconds
    unless `set_timeout` changes it.
    """

    def __init__(self) -> None:
        self._timeout = PATIENCE
        self._groups: Counter[str] = Counter()  # how many groups its processes have made here, by their members

    @property
    def timeout(self) -> timedelta:
        """How long a key is waited for."""
        return self._timeout

    def set_timeout(self, timeout: timedelta) -> None:
        """Say how long a key is waited for."""
        self._timeout = timeout

    # ------------------------------------------------------------------------------------ what a kind of store does

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say how entries are changed")

    def _await(self, alternatives: list[list[str]], seconds: float) -> int | None:
        """Wait until all keys of an alternative are set, but no longer than that. The first one's number, or None."""
        keys, lengths = [key for keys in alternatives for key in keys], [len(keys) for keys in alternatives]
        end = time.monotonic() + seconds
        while (found := self._do("first", keys, lengths)) is None and time.monotonic() < end:
            time.sleep(PAUSE)
        return found

    def _attend(self, key: str) -> None:
        """Have a key set when this process has ended, if the store can tell; of those here, one by TCP can."""

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        raise NotImplementedError(f"{type(self).__name__} does not list its keys")

    def close(self) -> None:
        """Let go of what the store holds open."""

    # ------------------------------------------------------------------------------------ entries

    def set(self, key: str, value: str | bytes) -> None:
        """Set an entry, whether or not there is one."""
        self.multi_set([key], [value])

    def get(self, key: str) -> bytes:
        """The value of a key, as soon as it is set."""
        return self.multi_get([key])[0]

    def add(self, key: str, amount: int) -> int:
        """Add to a counter, which begins at 0, and give the sum.

        Example::

            >>> store = HashStore()
            >>> store.add("steps", 2), store.add("steps", 3), store.get("steps")
            (2, 5, b'5')
        """
        return self._do("add", [key], amount)

    def append(self, key: str, value: str | bytes) -> None:
        """Put something behind the value of a key."""
        self._do("append", [key], as_bytes(value))

    def compare_set(self, key: str, expected_value: str | bytes, desired_value: str | bytes) -> bytes:
        """Set an entry if it has the expected value, or if there is none and nothing (`""`) is expected; gives the
        value that the key has then.

        Example::

            >>> store = HashStore()
            >>> store.compare_set("leader", "", "a"), store.compare_set("leader", "", "b")
            (b'a', b'a')
        """
        return self._do("compare_set", [key], as_bytes(expected_value), as_bytes(desired_value))

    def delete_key(self, key: str) -> bool:
        """Delete an entry; was there one?"""
        return self._do("delete", [key]) == 1

    def check(self, keys: Sequence[str]) -> bool:
        """Are all of the keys set?"""
        return self._do("check", list(keys))

    def multi_set(self, keys: Sequence[str], values: Sequence[str | bytes]) -> None:
        """Set several entries."""
        self._do("set", list(keys), [as_bytes(value) for value in values])

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """The values of several keys, as soon as all are set."""
        found = None
        while found is None:  # somebody may delete a key between the two
            self.wait(keys)
            found = self._do("get", list(keys))
        return found

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Come back when all of the keys are set."""
        seconds = (self.timeout if timeout is None else timeout).total_seconds()
        if self._await([list(keys)], seconds) is None:
            raise DistStoreError(f"wait timeout after {seconds:g} s, keys: {', '.join(keys)}")

    def num_keys(self) -> int:
        """The number of entries."""
        return len(self.list_keys())

    def barrier(self, key: str, world_size: int, timeout: timedelta | None = None) -> None:
        """Come back when `world_size` callers have come to this barrier, named by its key."""
        if self.add(f"{key}/arrived", 1) == world_size:
            self.set(f"{key}/open", b"")
        self.wait([f"{key}/open"], timeout)

    # ------------------------------------------------------------------------------------ queues

    def queue_push(self, key: str, value: str | bytes) -> None:
        """Put a value at the end of a queue.

        Example::

            >>> store = HashStore()
            >>> store.queue_push("jobs", "first"), store.queue_push("jobs", "second"), store.queue_pop("jobs")
            (None, None, b'first')
        """
        self.set(f"{key}/{self.add(f'{key}/pushed', 1)}", value)

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the value at the front of a queue, as soon as there is one; with `block=False` QueueEmptyError if there
        is none."""
        if not block and self.queue_len(key) == 0:
            raise QueueEmptyError(f"queue {key} is empty")
        place = f"{key}/{self.add(f'{key}/popped', 1)}"
        value = self.get(place)
        self.delete_key(place)
        return value

    def queue_len(self, key: str) -> int:
        """The number of values in a queue."""
        return max(0, self.add(f"{key}/pushed", 0) - self.add(f"{key}/popped", 0))

    def has_extended_api(self) -> bool:
        """Are there `append`, `multi_get` and `multi_set`? Yes."""
        return True

    def clone(self) -> Store:
        """A store with the same entries; changes go to both."""
        return self


def as_bytes(value: str | bytes) -> bytes:
    """A value as it is kept."""
    return value.encode() if isinstance(value, str) else bytes(value)


class HashStore(Store):
    """A store of this process, for its threads.

    Example::

        >>> store = HashStore()
        >>> store.set("key", "value")
        >>> store.get("key"), store.num_keys(), store.check(["other"])
        (b'value', 1, False)
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: Entries = {}
        self._changed = threading.Condition()

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        with self._changed:
            result = OPERATIONS[operation](self._entries, keys, *more)
            self._changed.notify_all()
            return result

    def _await(self, alternatives: list[list[str]], seconds: float) -> int | None:
        keys, lengths = [key for keys in alternatives for key in keys], [len(keys) for keys in alternatives]
        with self._changed:
            self._changed.wait_for(lambda: _first(self._entries, keys, lengths) is not None, seconds)
            return _first(self._entries, keys, lengths)

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        with self._changed:
            return list(self._entries)


class FileStore(Store):
    """A store in a file, which SQLite keeps, for the processes that can open it. The file must not be left over from
    another run.

    Example::

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = FileStore(folder + "/store")
        ...     store.set("key", "value")
        ...     FileStore(folder + "/store").get("key")
        b'value'
    """

    def __init__(self, file_name: str, world_size: int = -1) -> None:
        super().__init__()
        self.path = str(Path(file_name).absolute())
        with self._transaction() as database:
            database.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, for SQLite's belong to one thread and must not survive a fork."""
        database = sqlite3.connect(self.path, timeout=self._timeout.total_seconds(), isolation_level=None)
        try:
            database.execute("PRAGMA synchronous=OFF")  # what is shared need not survive a loss of power
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        with self._transaction() as database:
            marks = ",".join("?" * len(keys))
            before = dict(database.execute(f"SELECT key, value FROM entries WHERE key IN ({marks})", keys))
            after = dict(before)
            result = OPERATIONS[operation](after, keys, *more)
            database.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in before.keys() - after.keys()])
            fresh = [(key, value) for key, value in after.items() if before.get(key) != value]
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", fresh)
            return result

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        with self._transaction() as database:
            return [key for (key,) in database.execute("SELECT key FROM entries")]


class PrefixStore(Store):
    """A part of another store: all keys get a prefix.

    Example::

        >>> whole = HashStore()
        >>> PrefixStore("part", whole).set("key", "value")
        >>> whole.list_keys()
        ['part/key']
    """

    def __init__(self, prefix: str, store: Store) -> None:
        super().__init__()
        self.prefix = prefix
        self.underlying_store = store
        self._timeout = store.timeout

    def _whole(self, keys: list[str]) -> list[str]:
        return [f"{self.prefix}/{key}" for key in keys]

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        return self.underlying_store._do(operation, self._whole(keys), *more)

    def _await(self, alternatives: list[list[str]], seconds: float) -> int | None:
        return self.underlying_store._await([self._whole(keys) for keys in alternatives], seconds)

    def _attend(self, key: str) -> None:
        self.underlying_store._attend(*self._whole([key]))

    def list_keys(self) -> list[str]:
        """The keys that are set, without the prefix."""
        start = f"{self.prefix}/"
        return [key.removeprefix(start) for key in self.underlying_store.list_keys() if key.startswith(start)]
