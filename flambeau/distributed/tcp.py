"""A store that one process keeps and others reach by TCP, through the connections of Python's `multiprocessing`.

Only bytes and JSON travel, nothing is unpickled: a message is a header in JSON, in which `{"bytes": n}` stands for the
next n bytes behind it. As in PyTorch there is no check of who connects: use it in a network that you trust.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import weakref
from datetime import timedelta
from multiprocessing import util
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from flambeau.distributed.errors import DistNetworkError, DistStoreError
from flambeau.distributed.stores import PATIENCE, PAUSE, HashStore, Store

ANSWERS: dict[str, Any] = {"_do": HashStore._do, "_await": HashStore._await, "list_keys": HashStore.list_keys}


def _send(connection: Connection, message: Any) -> None:
    blobs: list[bytes] = []

    def outline(blob: bytes) -> dict[str, int]:
        blobs.append(blob)
        return {"bytes": len(blob)}

    header = json.dumps(message, default=outline).encode()
    connection.send_bytes(b"".join([len(header).to_bytes(8, "little"), header, *blobs]))


def _receive(connection: Connection) -> Any:
    message = connection.recv_bytes()
    end = 8 + int.from_bytes(message[:8], "little")
    place = end

    def blob(outlined: dict[str, int]) -> bytes:
        nonlocal place
        place += outlined["bytes"]
        return message[place - outlined["bytes"] : place]

    return json.loads(message[8:end], object_hook=blob)


class _Server:
    """Answers what the processes ask, each of their threads in a thread.

    Every process has one connection more, its lifeline, which breaks when it ends: then the keys are set that it asked
    for by `attend`, and it is not waited for any more.
    """

    def __init__(self, host: str, port: int) -> None:
        self.store = HashStore()
        try:
            self._listener = Listener((host, port), backlog=128)
        except OSError as error:
            raise DistNetworkError(f"The server socket has failed to listen on {host}:{port}: {error}") from error
        self.host, self.port = host, int(self._listener.address[1])
        self._closed = False
        self._guests = 0
        self._left = threading.Condition()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while not self._closed:
            connection = self._listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        self._listener.close()

    def _answer(self, connection: Connection) -> None:
        try:
            while True:
                method, *arguments = _receive(connection)
                if method == "lifeline":
                    _send(connection, None)
                    self._hold(connection, *arguments)
                else:
                    _send(connection, ANSWERS[method](self.store, *arguments))
        except (EOFError, OSError):
            connection.close()

    def _hold(self, connection: Connection, process: str) -> None:
        """Listen to a lifeline until it breaks."""
        guest = process != _this_process()
        keys: list[str] = []
        self._count(guest)
        try:
            while True:
                keys.append(_receive(connection))
                _send(connection, None)
        finally:
            self.tell(keys)
            self._count(-guest)

    def tell(self, keys: list[str]) -> None:
        """Set what waiting processes want to know, unless the one that ended has said why itself."""
        for key in keys:
            self.store.compare_set(key, "", ENDED)

    def _count(self, more: int) -> None:
        with self._left:
            self._guests += more
            self._left.notify_all()

    def close(self) -> None:
        """Stop listening: the thread that accepts is woken by a last caller. Who is connected is answered further."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(ConnectionError):  # the thread may have seen by itself that it is to end
                Client((self.host, self.port)).close()
            self._accepting.join()

    def wait_for_guests(self, seconds: float) -> None:
        """Come back when the other processes have ended or closed their stores, or when the time is over."""
        with self._left:
            self._left.wait_for(lambda: self._guests == 0, seconds)


ENDED = "its process has ended"


def _this_process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


def _see_out(reference: weakref.ref[TCPStore]) -> None:
    """At the end of the process that keeps a store: the others may still need it."""
    store = reference()
    if store is not None:
        store.farewell()


class TCPStore(Store):
    """A store that the process with `is_master=True` keeps, and all reach by TCP.

    Port 0 is any free one; `port` tells which. With `wait_for_workers` the constructor returns when `world_size`
    processes have come. The master's process waits at its end, no longer than `timeout`, until the others have ended
    or closed their stores. DistNetworkError if the master cannot be reached in time or the port is taken;
    DistStoreError if others do not come in time.

    Example::

        >>> master = TCPStore("localhost", 0, is_master=True)
        >>> other = TCPStore("localhost", master.port)
        >>> other.set("key", "value")
        >>> master.get("key")
        b'value'
    """

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: timedelta = PATIENCE,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        super().__init__()
        self._timeout = timeout
        self.host = host_name
        self._server = _Server(host_name, port) if is_master else None
        self.port = port if self._server is None else self._server.port
        self._mine = threading.local()  # a thread that waits must not hold up the others
        self._gone = ""  # or why nobody answers any more
        self._attending: list[str] = []
        self._lifeline = self._connect()
        self._lifeline_lock = threading.Lock()
        self._talk(self._lifeline, ["lifeline", _this_process()])
        if is_master:
            self._at_exit = util.Finalize(None, _see_out, (weakref.ref(self),), exitpriority=10)
        if world_size is not None and world_size > 0 and wait_for_workers:
            self._wait_for_workers(world_size)

    def _wait_for_workers(self, world_size: int) -> None:
        try:
            self.barrier("workers", world_size, self._timeout)
        except DistStoreError as error:
            seconds, came = self._timeout.total_seconds(), self.add("workers/arrived", 0)
            self.close()
            raise DistStoreError(
                f"Timed out after {seconds:g} seconds waiting for clients at {self.host}:{self.port}. "
                f"{came}/{world_size} clients joined."
            ) from error

    def _connection(self) -> Connection:
        """This thread's connection; of a forked process a new one."""
        if getattr(self._mine, "process", None) != os.getpid():
            self._mine.connection, self._mine.process = self._connect(), os.getpid()
        return self._mine.connection

    def _connect(self) -> Connection:
        end = time.monotonic() + self._timeout.total_seconds()
        while True:
            try:
                return Client((self.host, self.port))
            except (ConnectionError, socket.gaierror, TimeoutError) as error:
                if time.monotonic() >= end:
                    seconds = self._timeout.total_seconds()
                    fact = f"The client socket has timed out after {seconds:g} s trying to connect to"
                    raise DistNetworkError(f"{fact} ({self.host}, {self.port}): {error}") from error
            time.sleep(20 * PAUSE)

    def _talk(self, connection: Connection, message: Any) -> Any:
        try:
            _send(connection, message)
            return _receive(connection)
        except (EOFError, OSError) as error:
            self._gone = f"the store at {self.host}:{self.port} has gone: its process has ended ({error!r})"
            raise DistNetworkError(self._gone) from error

    def _ask(self, method: str, *arguments: Any) -> Any:
        if self._gone:
            raise DistNetworkError(self._gone)
        connection = self._connection()
        try:
            return self._talk(connection, [method, *arguments])
        except BaseException:  # Ctrl-C, too: the answer may still come, and must not be taken for the next one
            self._mine.process = None
            connection.close()
            raise

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        return self._ask("_do", operation, keys, *more)

    def _await(self, alternatives: list[list[str]], seconds: float) -> int | None:
        return self._ask("_await", alternatives, seconds)

    def _attend(self, key: str) -> None:
        self._attending.append(key)
        with self._lifeline_lock:
            self._talk(self._lifeline, key)

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        return self._ask("list_keys")

    def farewell(self, seconds: float | None = None) -> None:
        """What `close` does; the process that keeps the store waits first until the others have closed theirs, the
        timeout unless a number of seconds is given."""
        server = self._server
        if server is not None:
            server.close()
            server.tell(self._attending)  # nobody is to wait for this one
            server.wait_for_guests(self._timeout.total_seconds() if seconds is None else seconds)
        self.close()

    def close(self) -> None:
        """Part with the store; the process that keeps it stops listening."""
        self._lifeline.close()
        if self._server is not None:
            self._at_exit.cancel()
            self._server.close()
            self._server = None
