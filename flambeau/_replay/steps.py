"""Optimizer steps inside a function that is replayed."""

from __future__ import annotations

from typing import Any

from flambeau._replay.guards import Guards
from flambeau._replay.reach import Reach
from flambeau._replay.recording import Draft
from flambeau._replay.refusal import Refusal


class Steps:
    def __init__(self, reach: Reach) -> None:
        self.tensors: list[Any] = []
        self.taken: list[Any] = []
        if reach.optimizers:
            raise Refusal("an optimizer is used")

    def settle(self, draft: Draft, guards: Guards) -> None:
        if draft.window.steps:
            raise Refusal("an optimizer from elsewhere takes a step")
