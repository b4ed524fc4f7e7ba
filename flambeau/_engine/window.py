"""The window: instructions recorded and not yet run, one window a thread.

Recording appends; the window runs (is *flushed*) when somebody looks at a value, when it holds too many instructions or
promises too many bytes, before a fork, and whenever the outside world could notice that something is late.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference.execute import execute
from flambeau._compiler.capture import operands_of
from flambeau._core import locks
from flambeau._core.config import config
from flambeau._core.quiet import quietly
from flambeau._core.sites import describe
from flambeau._engine import plans
from flambeau._engine.formula import Formula
from flambeau._engine.memory import SETTLED, reuse_pages, settle
from flambeau._engine.signature import owns_its_memory
from flambeau._ir.program import INFERENCE, Instruction, Storage, Value

if TYPE_CHECKING:
    import numpy as np

UNBROKEN = -(1 << 60)  # bytes: far below the bound


class Window:
    """A queue of instructions in the order they were recorded."""

    __slots__ = ("queue", "nbytes", "lock", "compile_now", "running", "lasting", "before", "failed", "undone", "thread",
                 "born", "__weakref__")  # fmt: skip

    def __init__(self, born: int = 0) -> None:
        self.queue: deque[Instruction] = deque()
        self.nbytes = 0
        self.born = born  # the version that storages begin with: 0, or INFERENCE in inference mode
        self.compile_now = False  # whether what it holds is to be compiled at first sight
        self.running: plans.Run | None = None  # the plan that runs it, or was interrupted
        self.lasting: frozenset[int] | None = None  # ids of results that outlive it, where the reference runs it
        # What storages held when they were first written after an instruction that can fail, latest such last.
        self.before: list[dict[weakref.ref[Storage], Value]] = []
        self.failed = False  # whether an instruction ever did: then any write may be of a value that failed
        self.undone = False  # whether the last run took a write back
        self.thread = threading.get_ident()  # whose window this is
        self.lock = threading.RLock()
        _windows.add(self)

    def full(self) -> bool:
        return len(self.queue) >= config.window_instructions or self.nbytes >= config.window_bytes

    def has_room(self, instructions: int, nbytes: int) -> bool:
        """Does it not become full before the last of so many instructions, which promise so many bytes?"""
        few = len(self.queue) + instructions <= config.window_instructions
        return few and self.nbytes + nbytes <= config.window_bytes

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Inside, the window does not run because it promises too many bytes: for formulas that become one pass over
        memory however large it is."""
        before, self.nbytes = self.nbytes, UNBROKEN
        try:
            yield
        finally:
            if self.nbytes < 0:  # else somebody had a look, and it ran
                self.nbytes += before - UNBROKEN

    # A write of what could not be computed is taken back: its tensor is as it was before, as if the error had been
    # raised where the failing operation stands.

    def can_fail(self) -> None:
        """An instruction that can fail is about to wait here: what is written from now on may depend on it."""
        if not self.before or self.before[-1]:
            self.before.append({})

    def writes(self, storage: Storage) -> None:
        """A storage is about to get another value; to be told if there is something `before`."""
        self.before[-1].setdefault(weakref.ref(storage), storage.value)

    def _forget(self) -> None:
        """All that waited has run: no write is taken back any more."""
        self.before = [{}] if self.failed else []

    def _cannot_fail(self) -> bool:
        """Can no instruction that waits fail, and has no operand?"""
        return all(i.site is None and not any(v.failure for v in operands_of(i)) for i in list(self.queue))

    def _take_back(self) -> None:
        """Give storages whose value could not be computed the last one that could."""
        for held in reversed(self.before):
            for cell, value in held.items():
                storage = cell()
                if storage is not None and storage.value.failure is not None and value.failure is None:
                    storage.value = value
                    self.undone = True

    # What a window that captures a function wants to know (`_replay.capture`).

    def looked(self) -> None:
        """Python is about to read the numbers of a value."""

    def unseen(self, what: str, in_graph: bool = False) -> None:
        """Python that no replay can stand for is about to run: `what` says which. It is `in_graph` if PyTorch's graphs
        hold it, too."""

    def made(self, value: Value) -> None:
        """A value came to be whose numbers are known already."""

    def drawn(self, array: Any, function: Callable[..., Any], generator: Any, args: tuple, kwargs: dict) -> None:
        """Random numbers were drawn: what `function` returned for the generator's engine and these arguments."""

    def stepped(self, optimizer: Any, group: Any, param: Any) -> None:
        """An optimizer is about to record the formula for a parameter; for None, it is done."""

    def flush(self) -> None:
        """Run everything recorded, in order: by a compiled plan if there is one, else on the reference backend. There,
        an instruction that fails does not stop the ones that do not need it; its error is raised at the end, and again
        by whoever looks at its result."""
        with self.lock:
            self.undone = False
            if self.running is not None:
                self._conclude()
            nbytes, self.nbytes = self.nbytes, 0
            if self.queue and not self._run_plan(nbytes):
                quietly(self._run_reference)
            if self.before and not self.queue:
                self._forget()

    def _run_plan(self, nbytes: int) -> bool:
        if plans.never_compiled(self.queue, nbytes, self.compile_now):
            return False
        now, self.compile_now = self.compile_now, False
        try:
            queue = list(self.queue)
            done = plans.run(queue, self, now)
            if done:  # there may be more by now, if the window's own thread did not wait
                drop = self.queue.popleft
                for _ in queue:
                    drop()
            self.running = None
        except BaseException:
            self._conclude()
            raise
        if done and after_plan is not None:
            after_plan()
        return done

    def _conclude(self) -> None:
        """After an interrupt: if all kernels of the plan have run, its results are told, so that nothing is done twice,
        else the window is as it was before."""
        run = self.running
        if run is not None and run.complete:
            run.tell()
            while self.queue and self.queue[0].outputs[0].window is None:  # it has run
                self.queue.popleft()
        elif run is not None:
            run.withdraw()
        self.running = None

    def _run_reference(self) -> None:
        reuse_pages()
        failure: BaseException | None = None
        queue = self.queue
        lasting, self.lasting = self.lasting, None
        if self.before and self._cannot_fail():
            self._forget()  # what nobody holds is written in place
        while queue:
            instruction = queue[0]
            try:
                for value in operands_of(instruction):
                    if value.window is not None:
                        self.fetch(value)
                if not queue or queue[0] is not instruction:
                    continue  # another window needed something of this one
                _execute(instruction)
                inference = instruction.inference
                if inference is None or inference.nbytes >= SETTLED:
                    self._settle(instruction.outputs, lasting)
            except Exception as error:
                _name_line(error, instruction)
                failure = failure or error
                for value in instruction.outputs:
                    value.failure = error
            for value in instruction.outputs:
                value.window = None
            queue.popleft()  # last: what Ctrl-C interrupts is run by the next flush
        if failure is not None:
            self.failed = True
            if self.thread == threading.get_ident():  # another thread would not tell: whoever looks sees the error
                self._take_back()
            self._forget()
            raise failure

    def _settle(self, outputs: tuple[Value, ...], lasting: frozenset[int] | None) -> None:
        """Move large results that outlive the window to blocks."""
        for value in outputs:
            large = value.array is not None and value.array.nbytes >= SETTLED
            if large and (lasting is None or id(value) in lasting) and owns_its_memory(value):
                settle(value)

    def interpret(self, instruction: Instruction) -> None:
        """Run one instruction on the reference backend."""
        quietly(_execute, instruction)

    def fetch(self, value: Value) -> None:
        """Run the window of another thread if an operand waits there."""
        owner = value.window
        if owner is not None and owner is not self:
            realize(value, not_in=self)


# Called when a plan has run a window: by whoever makes more native once it is worth while.
after_plan: Callable[[], None] | None = None
# Called with an instruction and the seconds that NumPy took for it.
watcher: Callable[[Instruction, float], None] | None = None


def _execute(instruction: Instruction) -> None:
    """Run one instruction, or those that a formula stands for, with NumPy."""
    if type(instruction.op) is Formula:
        for part in instruction.op.instructions(instruction):
            _execute(part)
    elif watcher is None:
        execute(instruction)
    else:
        start = time.perf_counter()
        execute(instruction)
        watcher(instruction, time.perf_counter() - start)


def _name_line(error: Exception, instruction: Instruction) -> None:
    """Add the line that recorded a failing instruction to its error, once."""
    if instruction.site is not None and not hasattr(error, "flambeau_site"):
        error.flambeau_site = instruction.site  # type: ignore[attr-defined]
        message = str(error.args[0]) if error.args else ""
        error.args = (f"{message}\n  recorded at {describe(instruction.site)}", *error.args[1:])


def realize(value: Value, not_in: Window | None = None) -> None:
    """Make `value` hold data, running the window it waits in; raise the error that running it raised, or why a write
    in that window was taken back."""
    owner = value.window
    if owner is not None and owner is not not_in:
        try:
            owner.looked()
            owner.flush()
        except Exception:
            if value.failure is None and value.data is None or owner.undone:
                raise
    if value.failure is not None:
        raise value.failure


def look(value: Value) -> np.ndarray:
    """The memory of a value, which Python is about to read."""
    state.window.looked()
    if value.data is None:
        realize(value)
    return value.data  # type: ignore[return-value]


class ThreadState(threading.local):
    """The ambient things of a thread: its window, whether operations build a graph for gradients, and whether it is in
    inference mode, which the window knows."""

    def __init__(self) -> None:
        self.window = Window()
        self.grad_enabled = True

    @property
    def inference(self) -> bool:
        return self.window.born < 0

    @inference.setter
    def inference(self, on: bool) -> None:
        self.window.born = INFERENCE if on else 0


_windows: weakref.WeakSet[Window] = weakref.WeakSet()
state = ThreadState()


def flush() -> None:
    """Run what this thread has recorded.

    Example::

        >>> flush()
    """
    state.window.flush()


def synchronize() -> None:
    """Run what this thread has recorded, and wait for it: for clocks, since calls return before the work is done.

    Example::

        >>> synchronize()
    """
    flush()


def flush_all() -> None:
    """Run what every thread has recorded; before a fork, whose child has no other threads."""
    for window in list(_windows):
        window.flush()


def _before_fork() -> None:
    flush_all()
    locks.acquire()


def _after_fork_in_child() -> None:
    locks.release()
    plans.renew_locks()
    for window in _windows:
        window.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=locks.release, after_in_child=_after_fork_in_child)
