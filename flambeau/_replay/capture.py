"""Watching what a function does to tensors: the window it fills, what it draws, which optimizers take a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau._core import dtypes
from flambeau._core.config import config
from flambeau._core.sites import line_of, user_site
from flambeau._engine.exposure import is_exposed
from flambeau._engine.window import Window, state
from flambeau._ir.program import Value
from flambeau._ops.lowering import precision
from flambeau._replay.refusal import Foreign, Refusal, Unsettled
from flambeau._tensor.batched import levels
from flambeau.autograd import engine, saved
from flambeau.nn.modules import _hooks
from flambeau.optim import optimizer as optimizers

MOST_INSTRUCTIONS = 4096  # of a window that is replayed
MOST_BYTES = 16  # of its results, in windows' worth


class Draw(NamedTuple):
    """Random numbers that were drawn, and how to draw the next ones."""

    array: Any
    function: Callable[..., Any]
    generator: Any
    args: tuple
    kwargs: dict[str, Any]


class Step(NamedTuple):
    """The formula of an optimizer begins for a parameter at instruction number `start`; `grad` is the gradient's
    layout."""

    optimizer: Any
    group: Any
    param: Any
    grad: Any
    start: int


class CapturingWindow(Window):
    """A window that holds all that a function records, whatever asks it to run on the way, until somebody looks at a
    value: then it is `broken`, and goes on as any other window."""

    def __init__(self, born: int = 0) -> None:
        super().__init__(born)
        self.broken: Refusal | None = None
        self.constants: list[Value] = []
        self.draws: list[Draw] = []
        self.drawn_values: dict[int, int] = {}  # the number of the draw that a constant is, by the constant's id
        self.steps: list[Step] = []
        self.compile_now = True

    def full(self) -> bool:
        return self.broken is not None and super().full()

    def flush(self) -> None:
        if self.broken is None and not self._too_long():
            return
        self.compile_now = True
        super().flush()

    def _too_long(self) -> bool:
        if len(self.queue) > MOST_INSTRUCTIONS or self.nbytes > MOST_BYTES * config.window_bytes:
            self.give_up(Refusal(f"more than {len(self.queue)} operations are recorded"))
        return self.broken is not None

    def give_up(self, refusal: Refusal) -> None:
        """From now on this is a window as any other."""
        self.broken = self.broken or refusal
        self.constants.clear()
        self.draws.clear()

    def looked(self) -> None:
        if self.broken is None:
            self.give_up(_about_users_line(Refusal, "a tensor's numbers are read"))

    def unseen(self, what: str, in_graph: bool = False) -> None:
        if self.broken is None:
            self.give_up(_about_users_line(Foreign if in_graph else Refusal, what))

    def made(self, value: Value) -> None:
        if self.broken is None:
            self.constants.append(value)
            if self.draws and _is_that(value.array, self.draws[-1].array):
                self.drawn_values[id(value)] = len(self.draws) - 1

    def drawn(self, array: Any, function: Callable[..., Any], generator: Any, args: tuple, kwargs: dict) -> None:
        if self.broken is None:
            self.draws.append(Draw(array, function, generator, args, kwargs))

    def stepped(self, optimizer: Any, group: Any, param: Any) -> None:
        if self.broken is None:
            grad = None if param is None else param.grad._meta
            self.steps.append(Step(optimizer, group, param, grad, len(self.queue)))


def _about_users_line(kind: type[Refusal], reason: str) -> Refusal:
    """A refusal that names the line of the user's program that is running."""
    site = user_site(3)
    code, line = (None, None) if site is None else (site[0], line_of(site))
    return kind(reason, code, line)


def address_of(array: Any) -> int:
    """Where an array begins."""
    return array.__array_interface__["data"][0]


def _is_that(array: Any, drawn: Any) -> bool:
    """Is an array the very memory of what was drawn?"""
    same = array.dtype == drawn.dtype and array.nbytes == drawn.nbytes
    return same and address_of(array) == address_of(drawn)


def capturing() -> bool:
    """Is a function being captured in this thread?"""
    return type(state.window) is CapturingWindow


def ambient() -> tuple:
    """What steers operations from outside of all objects, with the expressions that give it to guards."""
    mixed = precision.dtype if precision.enabled else None
    ambient = state.grad_enabled, state.inference, dtypes.get_default_dtype(), config.compile
    return *ambient, engine.anomaly.enabled, mixed


def ambient_guards(guards: Any) -> None:
    """Guard `ambient`, and that no hooks are there for everything."""
    grad_enabled, inference, default, compiling, anomaly, mixed = ambient()
    thread, settings, watched = guards.name(state), guards.name(config), guards.name(engine.anomaly)
    guards.require(f"{thread}.grad_enabled is {grad_enabled} and {thread}.inference is {inference}")
    guards.require(f"{settings}.compile == {compiling!r} and {watched}.enabled is {anomaly}")
    guards.require_same(f"{guards.name(dtypes.get_default_dtype)}()", default)
    if mixed is not None or saved.stack.top is not None or levels:
        raise Refusal("mixed precision, hooks on saved tensors or vmap are at work")
    lowered, hooks, batches = guards.name(precision), guards.name(saved.stack), guards.name(levels)
    guards.require(f"not {lowered}.enabled and {hooks}.top is None and not {batches}")
    tables = _global_hooks()
    if any(tables):
        raise Refusal("there are hooks for all modules or optimizers")
    guards.require("not (" + " or ".join(map(guards.name, tables)) + ")")


def _global_hooks() -> tuple:
    return (
        _hooks.global_forward_hooks, _hooks.global_forward_pre_hooks, _hooks.global_backward_hooks,
        _hooks.global_backward_pre_hooks, _hooks.global_legacy_backward_hooks,
        optimizers._global_pre_hooks, optimizers._global_post_hooks,
    )  # fmt: skip


class Before(NamedTuple):
    """A tensor as it was before the function ran."""

    storage: Any
    value: Any
    version: int
    nbytes: int
    exposed: bool
    meta: Any
    node: Any
    base: Any
    grad: Any

    @classmethod
    def of(cls, t: Any) -> Before:
        s = t._storage
        return cls(s, s.value, s.version, s.nbytes, is_exposed(s), t._meta, t._node, t._base, t._grad)

    def without_value(self) -> Before:
        return self._replace(value=None)


def unchanged(t: Any, before: Before) -> None:
    """Refusal if something about a tensor changed that a replay does not change."""
    if t._storage is not before.storage or t._meta is not before.meta or t._storage.nbytes != before.nbytes:
        raise Refusal("a tensor is given other memory or another shape")
    if t._node is not before.node or t._base is not before.base:
        raise Refusal("the gradient history of a tensor from outside is changed")
    if t._storage.exposed != before.exposed:
        raise Unsettled("a tensor's memory is shown to somebody")
