"""A store that one process keeps and others reach by TCP, through the connections of Python's `multiprocessing`.

Only bytes and JSON travel, nothing is unpickled: a message is a header in JSON, in which `{"bytes": n}` stands for the
next n bytes behind it. As in PyTorch there is no check of who connects: use it in a network that you trust.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from datetime import timedelta
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from flambeau.distributed.errors import DistNetworkError
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
    """Answers what the processes ask, each in a thread."""

    def __init__(self, host: str, port: int) -> None:
        self.store = HashStore()
        try:
            self._listener = Listener((host, port), backlog=128)
        except OSError as error:
            raise DistNetworkError(f"The server socket has failed to listen on {host}:{port}: {error}") from error
        self.host, self.port = host, int(self._listener.address[1])
        self._closed = threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            connection = self._listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        self._listener.close()

    def _answer(self, connection: Connection) -> None:
        try:
            while True:
                method, *arguments = _receive(connection)
                _send(connection, ANSWERS[method](self.store, *arguments))
        except (EOFError, OSError):
            connection.close()

    def close(self) -> None:
        """Stop listening: the thread that accepts is woken by a last caller."""
        self._closed.set()
        Client((self.host, self.port)).close()
        self._accepting.join()


class TCPStore(Store):
    """A store that the process with `is_master=True` keeps, and all reach by TCP.

    Port 0 is any free one; `port` tells which. With `wait_for_workers` the constructor returns when `world_size`
    processes have come. DistNetworkError if the master cannot be reached in time or the port is taken.

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
        if world_size is not None and world_size > 0 and wait_for_workers:
            self.barrier("workers", world_size, timeout)

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

    def _ask(self, method: str, *arguments: Any) -> Any:
        connection = self._connection()
        try:
            _send(connection, [method, *arguments])
            return _receive(connection)
        except (EOFError, OSError) as error:
            raise DistNetworkError(f"the store at {self.host}:{self.port} has gone: {error!r}") from error

    def _do(self, operation: str, keys: list[str], *more: Any) -> Any:
        return self._ask("_do", operation, keys, *more)

    def _await(self, keys: list[str], seconds: float) -> bool:
        return self._ask("_await", keys, seconds)

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        return self._ask("list_keys")

    @property
    def keeps(self) -> bool:
        """Does this process keep the store?"""
        return self._server is not None

    def farewell(self, own: Store, size: int) -> None:
        """Wait until all of `size` processes have said in `own` that they are gone, then stop listening."""
        end = time.monotonic() + self._timeout.total_seconds()
        while own.add("gone", 0) < size and time.monotonic() < end:
            time.sleep(PAUSE)
        self.close()

    def close(self) -> None:
        """Stop listening, if this process does."""
        if self._server is not None:
            self._server.close()
            self._server = None
