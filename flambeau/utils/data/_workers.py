"""The worker processes of a loader, seen from the loader's process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau._core.lazy import lazy_module
from flambeau.utils.data import _transport, _worker

if TYPE_CHECKING:
    import socket
    from multiprocessing import connection as connections
    from multiprocessing.context import BaseContext
else:
    connections = lazy_module("multiprocessing.connection")
    socket = lazy_module("socket")

SECONDS_TO_END = 5.0  # what a worker that is still busy gets before it is killed


class Worker(NamedTuple):
    process: Any
    connection: Any


class WorkerPool:
    """Starts the workers, hands out tasks, and receives answers.

    Each worker has a connection of its own and answers its tasks in order, so that nothing but the tasks' order
    decides about the order of batches. The processes end when the pool is closed or collected, or when the
    interpreter exits.
    """

    def __init__(self, context: BaseContext, setup: _worker.Setup) -> None:
        self.workers: list[Worker] = []
        self._close = weakref.finalize(self, _end, self.workers, os.getpid())
        try:
            for worker_id in range(setup.num_workers):
                self._start(context, setup, worker_id)
        except BaseException:
            self.close()
            raise

    def _start(self, context: BaseContext, setup: _worker.Setup, worker_id: int) -> None:
        ours, theirs = context.Pipe(duplex=True)
        forked = context.get_start_method() == "fork"
        inherited = [worker.connection for worker in self.workers] + [ours] if forked else []
        process = context.Process(  # type: ignore[attr-defined]
            target=_worker.main, args=(theirs, inherited, worker_id, setup), daemon=True, name=f"DataLoader-{worker_id}"
        )
        process.start()
        theirs.close()  # now only the worker holds its end: when it dies, ours reads "end of file"
        self.workers.append(Worker(process, ours))

    def send(self, worker_id: int, task: _worker.Task) -> None:
        """Give a worker something to do; RuntimeError if it has died."""
        process, connection = self.workers[worker_id]
        try:
            _transport.send(connection, task, process.pid)
        except OSError as error:
            raise self._death(worker_id) from error

    def receive(self, among: Iterable[int], timeout: float) -> tuple[int, _worker.Answer]:
        """The next answer of one of these workers, and which one it is.

        RuntimeError if none comes within `timeout` seconds (0: wait for ever) or the worker has died.
        """
        of_connection: dict[Any, int] = {self.workers[worker_id].connection: worker_id for worker_id in among}
        ready: list[Any] = connections.wait(of_connection, timeout or None)
        if not ready:
            raise RuntimeError(
                f"DataLoader timed out after {timeout} seconds\n"
                "  hint: a worker is slow or hangs; raise timeout=..., or set num_workers=0 to see what it does"
            )
        worker_id = of_connection[ready[0]]
        try:
            return worker_id, _transport.receive(ready[0])
        except (EOFError, OSError) as error:
            raise self._death(worker_id) from error

    def close(self) -> None:
        """End the processes; closing twice does nothing."""
        self._close()

    def _death(self, worker_id: int) -> RuntimeError:
        process = self.workers[worker_id].process
        process.join(SECONDS_TO_END)
        code = process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        hint = (
            "it may have run out of memory: use fewer workers or smaller batches"
            if code == -signal.Signals(9)
            else "set num_workers=0 to see what happens in the data set"
        )
        return RuntimeError(
            f"DataLoader worker {worker_id} (pid {process.pid}) exited unexpectedly: it {how}\n  hint: {hint}"
        )


def _end(workers: list[Worker], owner_pid: int) -> None:
    """Shut the connections, which workers take as the sign to end; kill those that go on working."""
    owner = os.getpid() == owner_pid
    for worker in workers:
        if owner and os.name == "posix":
            _shut(worker.connection)
        worker.connection.close()
    if not owner:
        return  # a forked copy of the pool: the processes are not its children
    deadline = time.monotonic() + SECONDS_TO_END
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _shut(connection: Any) -> None:
    """End a conversation. Closing alone would not do: processes forked since then hold the connection too."""
    if connection.closed:
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
