"""Data pipes that branch: several pipes read what one gives, in one pass over it."""

from __future__ import annotations

import copy as copying
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe

COPIES: dict[str | None, Callable] = {None: lambda item: item, "shallow": copying.copy, "deep": copying.deepcopy}


class _Pass:
    """One pass over a source: what each branch has still to read, and which of them have begun."""

    def __init__(self, source: Any, branches: int) -> None:
        self.items = iter(source)
        self.waiting: list[deque] = [deque() for _ in range(branches)]
        self.begun: set[int] = set()


class _Trunk:
    """What branches have in common. `readers(item)` says which of them an item is for."""

    def __init__(
        self, kind: str, source: Any, branches: int, buffer_size: int, readers: Callable[[Any], Sequence[int]]
    ) -> None:
        if branches < 1:
            raise ValueError(f"Expected `num_instances` larger than 0, but {branches} is found")
        if buffer_size < 0:
            warnings.warn(
                f"Unlimited buffer size is set for `{kind}`, please be aware of OOM at random places",
                UserWarning,
                stacklevel=4,
            )
        self.kind, self.source, self.branches, self.buffer_size = kind, source, branches, buffer_size
        self.readers = readers
        self.current: _Pass | None = None

    def enter(self, number: int) -> _Pass:
        """The pass that a branch reads from now on: a new one if it has begun the present one before."""
        if self.current is None or number in self.current.begun:
            self.current = _Pass(self.source, self.branches)
        self.current.begun.add(number)
        return self.current

    def advance(self, reading: _Pass) -> bool:
        """Take one more item of the source; False at its end."""
        for item in reading.items:
            for reader in self.readers(item):
                reading.waiting[reader].append(item)
            held = map(len, reading.waiting)
            if 0 <= self.buffer_size < (max(held) if self.kind == "fork" else sum(held)):
                name = "ForkerIterDataPipe" if self.kind == "fork" else "DemultiplexerIterDataPipe"
                raise BufferError(f"{name} buffer overflow, buffer size {self.buffer_size} is insufficient.")
            return True
        return False


class _Branch(IterDataPipe):
    """One of the pipes that read a source together."""

    def __init__(self, trunk: _Trunk, number: int, copy: Callable) -> None:
        self.trunk, self.number, self.copy = trunk, number, copy

    def __iter__(self) -> Iterator:
        return self._read(self.trunk.enter(self.number))

    def _read(self, reading: _Pass) -> Iterator:
        waiting = reading.waiting[self.number]
        while True:
            if self.trunk.current is not reading:
                raise RuntimeError(
                    "This iterator has been invalidated because another iterator has been created from one of the "
                    "pipes that read the same source: begin all of them before a second pass"
                )
            if waiting:
                yield self.copy(waiting.popleft())
            elif not self.trunk.advance(reading):
                return

    def __len__(self) -> int:
        if self.trunk.kind != "fork":
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return len(self.trunk.source)


@functional_datapipe("fork")
class Forker(IterDataPipe):
    """`num_instances` pipes that each give all items of one: a list. Items that only some have read are kept, up to
    `buffer_size` of them (any number if it is negative, with a warning); BufferError beyond. `copy` ("shallow" or
    "deep") gives each pipe copies of its own.

    Example::

        >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
        >>> a, b = IterableWrapper(range(3)).fork(2)
        >>> list(zip(a, b))
        [(0, 0), (1, 1), (2, 2)]
    """

    def __new__(  # type: ignore[misc]
        cls, datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: str | None = None
    ) -> list[Any]:
        if copy not in COPIES:
            raise ValueError(f"Unknown copy method `{copy}` requested, choose one of None, `shallow` or `deep`.")
        everybody = range(num_instances)
        trunk = _Trunk("fork", datapipe, num_instances, buffer_size, lambda item: everybody)
        return [datapipe] if num_instances == 1 else [_Branch(trunk, i, COPIES[copy]) for i in everybody]


@functional_datapipe("demux")
class Demultiplexer(IterDataPipe):
    """`num_instances` pipes among which `classifier_fn(item)` shares out the items of one: a list. An item for which it
    says None is left out with `drop_none`; ValueError for what is no number of a pipe. Items wait, up to `buffer_size`
    of them, as in `Forker`.

    Example::

        >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
        >>> even, odd = IterableWrapper(range(5)).demux(2, lambda n: n % 2)
        >>> list(even), list(odd)
        ([0, 2, 4], [1, 3])
    """

    def __new__(  # type: ignore[misc]
        cls,
        datapipe: Any,
        num_instances: int,
        classifier_fn: Callable[[Any], int | None],
        drop_none: bool = False,
        buffer_size: int = 1000,
    ) -> list[Any]:
        def readers(item: Any) -> Sequence[int]:
            found = classifier_fn(item)
            if found is None and drop_none:
                return ()
            if found is None or not 0 <= found < num_instances:
                raise ValueError(
                    f"Output of the classification fn should be between 0 and {num_instances - 1}. {found} is returned."
                )
            return (found,)

        trunk = _Trunk("demux", datapipe, num_instances, buffer_size, readers)
        return [_Branch(trunk, i, COPIES[None]) for i in range(num_instances)]
