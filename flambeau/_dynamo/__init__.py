"""`torch._dynamo`: what libraries take from the inside of PyTorch's compiler, where it has a meaning for replays.

`torch.compiler` is the public place of most of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from flambeau._core.unsupported import UnsupportedName
from flambeau.compiler import allow_in_graph as allow_in_graph
from flambeau.compiler import assume_constant_result as assume_constant_result
from flambeau.compiler import disable as disable
from flambeau.compiler import is_compiling as is_compiling
from flambeau.compiler import list_backends as list_backends
from flambeau.compiler import reset as reset
from flambeau.compiler import substitute_in_graph as substitute_in_graph
from flambeau.compiling import OptimizedModule as OptimizedModule

eval_frame = SimpleNamespace(OptimizedModule=OptimizedModule)


class _Config(SimpleNamespace):
    """Settings of PyTorch's tracer: they are kept, and there is no tracer that they could steer."""

    @contextmanager
    def patch(self, *names: Any, **changes: Any) -> Any:
        """A context, or decorator, with other settings."""
        if names:
            changes |= names[0] if isinstance(names[0], dict) else dict(zip(names[::2], names[1::2], strict=True))
        before = dict(vars(self))
        self.__dict__.update(changes)
        try:
            yield
        finally:
            vars(self).clear()
            self.__dict__.update(before)


config = _Config()


def mark_dynamic(t: Any, index: Any, **bounds: Any) -> None:
    """Say that a dimension will have several sizes. Guards find that out by themselves."""


maybe_mark_dynamic = mark_dynamic


def mark_static(t: Any, index: Any = None) -> None:
    """Say that a dimension will keep its size. Guards find that out by themselves."""


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Say that a tensor will stay where it is. A replay finds its memory each time."""


def graph_break(msg: str = "") -> None:
    """Ask that a graph end here: calls are replayed as a whole, or not at all."""


def __getattr__(name: str) -> Any:
    raise UnsupportedName(
        f"torch._dynamo.{name} is not implemented: there is no tracer of Python's byte code\n"
        "  hint: nearest is torch.compiler, whose public functions steer replays"
    )
