"""Several processes of one function, of which none is left behind when one fails."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any


class ProcessException(Exception):
    """A process has failed; `error_index` is its number, `pid` its process id."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid

    def __reduce__(self) -> Any:
        return type(self), tuple(vars(self).values())


class ProcessRaisedException(ProcessException):
    """A process has raised: the message has its traceback."""


class ProcessExitedException(ProcessException):
    """A process has ended with an exit code, or by a signal, whose name is `signal_name`."""

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None):
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name


def _run(fn: Callable[..., Any], number: int, args: Sequence[Any], errors: Any) -> None:
    try:
        fn(number, *args)
    except KeyboardInterrupt:
        pass  # whoever started the process had the signal, too
    except Exception:
        errors.send(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that have been started; `join` waits for them."""

    def __init__(self, processes: Sequence[Any], errors: Sequence[Any]) -> None:
        self.processes = list(processes)
        self._errors = list(errors)
        self._running = dict(enumerate(self.processes))

    def pids(self) -> list[int]:
        """Their process ids."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process ends, no longer than `timeout` seconds: have all ended well?

        When one has failed, the others are ended, after `grace_period` seconds if one is given, and
        ProcessRaisedException or ProcessExitedException tells what went wrong.
        """
        ended = connection.wait([process.sentinel for process in self._running.values()], timeout)
        failed = None
        for number, process in list(self._running.items()):
            if process.sentinel in ended:
                process.join()
                del self._running[number]
                failed = number if process.exitcode and failed is None else failed
        if failed is None:
            return not self._running
        self._end(grace_period)
        raise self._error(failed)

    def _end(self, grace_period: float | None) -> None:
        end = time.monotonic() + (grace_period or 0)
        for process in self._running.values():
            process.join(max(0.0, end - time.monotonic()))
        for stop in ("terminate", "kill"):
            for process in self._running.values():
                if process.is_alive():
                    getattr(process, stop)()
            for process in self._running.values():
                process.join(5)

    def _error(self, number: int) -> ProcessException:
        process, errors = self.processes[number], self._errors[number]
        try:
            text = f"\n\n-- Process {number} terminated with the following error:\n{errors.recv()}"
            return ProcessRaisedException(text, number, process.pid)
        except EOFError:  # it has sent nothing
            pass
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            text = f"process {number} terminated with signal {name}"
            return ProcessExitedException(text, number, process.pid, code, name)
        return ProcessExitedException(f"process {number} terminated with exit code {code}", number, process.pid, code)


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call `fn(number, *args)` in each of `nprocs` processes, numbered from 0, which are started by `start_method`.

    With `join` it returns, None, when all have ended well, and raises as soon as one has not (see
    `ProcessContext.join`); otherwise the context comes back at once.
    """
    context: Any = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for number in range(nprocs):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, number, tuple(args), there), daemon=daemon)
        process.start()
        there.close()
        processes.append(process)
        errors.append(here)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """`start_processes` of fresh interpreters, into which `fn` and `args` are pickled.

    Example::

        def work(rank, size):
            torch.distributed.init_process_group("gloo", rank=rank, world_size=size)
            ...

        if __name__ == "__main__":
            torch.multiprocessing.spawn(work, args=(2,), nprocs=2)
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
