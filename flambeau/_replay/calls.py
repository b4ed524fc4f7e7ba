"""The calls of a compiled function: which replay serves one, and when it is worth watching another."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau._core.config import config
from flambeau._core.errors import explain
from flambeau._engine.window import state
from flambeau._replay.capture import capturing
from flambeau._replay.reach import Wrapper
from flambeau._replay.recording import Failed
from flambeau._replay.refusal import Refusal, Unsettled
from flambeau._replay.replay import Replay, observe
from flambeau._replay.steps import Changed

MOST_REPLAYS = 8  # of a function: PyTorch's limit of recompilations
MOST_ATTEMPTS = 8  # at a function that changes its own state, before it counts as one that always does


class Calls(Wrapper):
    """What is known of the calls of `function`."""

    def __init__(self, function: Any, fullgraph: bool = False) -> None:
        self.function = function
        self.fullgraph = fullgraph
        self.replays: list[Replay] = []
        self.refusal: Refusal | None = None  # why there are no more replays to come
        self._attempts = 0

    def __call__(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        if capturing():
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
                return self._observe(args, kwargs)
        state.window.compile_now = True
        return self.function(*args, **kwargs)

    def _observe(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        result, found = observe(self.function, args, kwargs)
        if isinstance(found, Replay):
            self.replays.insert(0, found)  # the next call is likely to be like this one
            if len(self.replays) > MOST_REPLAYS:
                self._give_up(Refusal(f"it was called in more than {MOST_REPLAYS} different ways"))
                self._warn()
        elif not isinstance(found, Unsettled) or self._attempts >= MOST_ATTEMPTS:
            self._give_up(found)
        else:
            self._attempts += 1
        return result

    def _give_up(self, refusal: Refusal) -> None:
        self.refusal = refusal
        if self.fullgraph:
            raise RuntimeError(
                explain(
                    f"torch.compile(fullgraph=True): {_name(self.function)} cannot be replayed: {refusal.describe()}",
                    hint="leave fullgraph=True out to run such calls as ordinary code",
                )
            )

    def _warn(self) -> None:
        assert self.refusal is not None
        warnings.warn(
            f"{_name(self.function)} is not replayed for new situations any more, since {self.refusal.describe()}; "
            "other calls run as ordinary code. Pass what changes as a tensor instead of a number, and keep shapes few.",
            UserWarning,
            stacklevel=5,
        )


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
