"""The calls of a compiled function: which replay serves one, and when it is worth watching another."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

from flambeau._core.config import config
from flambeau._core.errors import explain
from flambeau._core.overriding import modes
from flambeau._engine.window import state
from flambeau._replay.capture import capturing
from flambeau._replay.reach import Wrapper
from flambeau._replay.recording import Failed
from flambeau._replay.refusal import Foreign, Refusal, Unsettled
from flambeau._replay.replay import Replay, Watch
from flambeau._replay.steering import inside, steering
from flambeau._replay.steps import Changed

MOST_REPLAYS = 8  # of a function, if nothing else is said: PyTorch's limit of recompilations
MOST_ATTEMPTS = 8  # to learn to replay a function, before it counts as one that cannot be replayed

_known: weakref.WeakSet[Calls] = weakref.WeakSet()


class Calls(Wrapper):
    """What is known of the calls of `function`; there are `most` replays of it at most."""

    def __init__(self, function: Any, fullgraph: bool = False, most: int | None = None) -> None:
        self.function = function
        self.fullgraph = fullgraph
        self.most = MOST_REPLAYS if most is None else most
        _known.add(self)
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.replays: list[Replay] = []
        self.refusal: Refusal | None = None  # why there are no more replays to come
        self._begun = False  # was it called?
        self._attempts = 0
        self._warned = False

    def __call__(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        stance = steering.stance
        if stance != "default" and self._is_eager(stance) or capturing() or modes.active:  # a mode sees every call
            return self.function(*args, **kwargs)
        for replay in self.replays:
            tensors = replay.check(args, kwargs)
            if tensors is not None:
                try:
                    return replay.run(tensors)
                except Changed:
                    continue
                except Failed:
                    break
        else:
            if self.refusal is None and config.compile != "never":
                return self._new(args, kwargs, stance)
        return self._ordinary(args, kwargs)

    def _is_eager(self, stance: str) -> bool:
        """Is this call to run as if nothing was compiled?"""
        first, self._begun = not self._begun, True
        return stance == "force_eager" or (first and stance in ("eager_then_compile", "aot_eager_then_compile"))

    def _new(self, args: tuple, kwargs: dict[str, Any], stance: str) -> Any:
        """A call that no replay serves."""
        if stance == "eager_on_recompile":
            return self.function(*args, **kwargs)
        if stance == "fail_on_recompile":
            raise RuntimeError(
                explain(
                    f"Detected recompile when torch.compile stance is 'fail_on_recompile': {_name(self.function)} has "
                    "no replay for such a call",
                    hint="call it so before the stance is set",
                )
            )
        return _as_compiled(self._observe, (args, kwargs), {})

    def _observe(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run the function and learn to replay it; whatever prevents that may be different at the next call."""
        try:
            watch = Watch(self.function, args, kwargs)
        except Refusal as refusal:
            self._refused(refusal)
            return self._ordinary(args, kwargs)
        result, found = watch.run(self.function, args, kwargs)
        if isinstance(found, Refusal):
            self._refused(found)
            return result
        self.replays.insert(0, found)  # the next call is likely to be like this one
        if len(self.replays) >= self.most:
            self.refusal = Refusal(f"it was called in {self.most} different ways")
        return result

    def _ordinary(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        if len(self.replays) >= self.most and not self._warned:
            self._warn()
        state.window.compile_now = True
        return _as_compiled(self.function, args, kwargs)

    def _refused(self, refusal: Refusal) -> None:
        self._attempts += 1
        if self._attempts >= MOST_ATTEMPTS:
            self.refusal = refusal.with_traceback(None)
        if self.fullgraph and not isinstance(refusal, Unsettled | Foreign):
            raise RuntimeError(
                explain(
                    f"torch.compile(fullgraph=True): {_name(self.function)} cannot be replayed: {refusal.describe()}",
                    hint="leave fullgraph=True out to run such calls as ordinary code",
                )
            )

    def _warn(self) -> None:
        assert self.refusal is not None
        self._warned = True
        warnings.warn(
            f"{_name(self.function)} was called in more than {self.most} different ways (shapes, numbers, state); "
            "ways that are new run as ordinary code from now on. Pass numbers that change as tensors.",
            UserWarning,
            stacklevel=4,
        )


def forget_all() -> None:
    """Let all compiled functions begin anew."""
    for calls in list(_known):
        calls.forget()


def _as_compiled(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A call in which `torch.compiler.is_compiling()`."""
    before, inside.compiled = inside.compiled, True
    try:
        return function(*args, **kwargs)
    finally:
        inside.compiled = before


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
