"""Taking a profile: `profile`, and when to take it."""

from __future__ import annotations

import enum
import gzip
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.profiler import collecting
from flambeau.profiler.averages import Averages
from flambeau.profiler.ranges import record_function


class ProfilerActivity(enum.Enum):
    """Whose work is collected: the CPU's, there is no other."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a profile does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


RECORDS = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """What can be collected.

    Example::

        >>> supported_activities()
        {<ProfilerActivity.CPU: 0>}
    """
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """What to do in each step of a program: leave out `skip_first`; then, `repeat` times or for ever (0), leave out
    `wait`, warm up for `warmup`, and collect `active`, of which the last one hands over what was collected. With
    `skip_first_wait` not 0 the first `wait` is left out.

    Example::

        >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
        >>> [plan(step).name for step in range(5)]
        ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments")
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        step += wait if skip_first_wait else 0
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable:
    """For `on_trace_ready`: writes each trace into a folder, as TensorBoard's plugin for profiles finds them.

    RuntimeError if the folder cannot be made.
    """

    def handle(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        prof.export_chrome_trace(
            os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}")
        )

    return handle


class profile:  # noqa: N801 (PyTorch's name)
    """A context that collects what runs within, and how long it takes: kernels of native code, named by the operations
    that were fused into each; operations that NumPy computes, as at the first sight of a computation; and ranges marked
    with `record_function`. Collecting costs some time, as kernels run one after the other then.

    Args:
        activities: whose work to collect; UserWarning for anything but the CPU's.
        schedule: for each step (see `step`) what to do, as `torch.profiler.schedule` makes it; None collects all.
        on_trace_ready: called with the profile when a `schedule` says that it is complete, and at the end.
        record_shapes, profile_memory, with_stack, with_modules: UserWarning, as kernels have no shapes, lines or
            modules of their own; every kernel says its FLOPs, with or without `with_flops`.

    Example::

        >>> with profile() as p:
        ...     y = torch.ones(100).exp().sum().item()
        >>> p.key_averages().table(sort_by="cpu_time_total").splitlines()[1].split()[0]
        'Name'
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        **options: Any,
    ) -> None:
        others = [a.name for a in set(activities or ()) - supported_activities()]
        asked = {"record_shapes": record_shapes, "profile_memory": profile_memory, "with_stack": with_stack,
                 "with_modules": with_modules}  # fmt: skip
        others += [name for name, wanted in asked.items() if wanted]
        if others:
            warnings.warn(f"profile: there is nothing to collect for {', '.join(others)}", stacklevel=2)
        self.schedule, self.on_trace_ready = schedule or (lambda step: ProfilerAction.RECORD), on_trace_ready
        self._marks_steps = schedule is not None
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._collector: collecting.Collector | None = None
        self._collecting = False
        self._step: record_function | None = None
        self._metadata: dict[str, Any] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; RuntimeError if another profile is being taken."""
        self._begin_step()

    def stop(self) -> None:
        """End, and hand over what was collected."""
        self._end_step()
        if self._collecting:
            self._finish()

    def step(self) -> None:
        """The next step of the program begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        if self._collecting and (before is ProfilerAction.RECORD_AND_SAVE or self.current_action not in RECORDS):
            self._finish()
        self._begin_step()

    def _begin_step(self) -> None:
        if self.current_action in RECORDS and not self._collecting:
            self._collector, self._collecting = collecting.start(), True
        if self._collecting and self._marks_steps:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None

    def _finish(self) -> None:
        collecting.stop()
        self._collecting = False
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    # ------------------------------------------------------------------------------------------ what was collected

    def events(self) -> list[collecting.Event]:
        """What was collected, in the order in which it ended. AssertionError before anything was."""
        if self._collector is None:
            raise AssertionError("Profiler must be initialized before accessing events")
        return self._collector.events

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> Averages:
        """The same, with events of one name put together; NotImplementedError for other groups."""
        if group_by_input_shape or group_by_stack_n:
            raise NotImplementedError("key_averages: kernels have neither shapes nor stacks; they go by name")
        return Averages(self.events())

    def add_metadata(self, key: str, value: str) -> None:
        """Add a text to the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add what a text of JSON says to the trace."""
        self._metadata[key] = json.loads(value)

    def export_chrome_trace(self, path: str) -> None:
        """Write a file that Chrome (chrome://tracing) and Perfetto show; compressed if its name ends in ".gz"."""
        rows = [
            {"ph": "X", "cat": e.kind, "name": e.name, "pid": os.getpid(), "tid": e.thread, "ts": e.start,
             "dur": e.duration, "args": {"bytes": e.nbytes, "flops": e.flops}}
            for e in self.events()
        ]  # fmt: skip
        text = json.dumps({"traceEvents": rows, "displayTimeUnit": "ms", **self._metadata})
        if path.endswith(".gz"):
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.write(text)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
