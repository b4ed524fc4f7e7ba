"""Versions: this package's, and PyTorch's whose behaviour it follows (`torch.version`)."""

from __future__ import annotations

import re

__version__ = "0.2.0"

PYTORCH = "2.13.0"

cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
debug = False
git_version = "unknown"


class TorchVersion(str):
    """A version that compares by its numbers, with text and with tuples.

    Example::

        >>> TorchVersion("2.13.0+cpu") >= "2.9", TorchVersion("2.13.0") < (3, 0)
        (True, True)
    """

    __slots__ = ()

    def _order(self, other: object) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        theirs = tuple(other) if isinstance(other, tuple | list) else _numbers(str(other))
        if not all(isinstance(number, int) for number in theirs):
            return None
        ours = _numbers(self)
        length = max(len(ours), len(theirs))
        return tuple((*ours, *[0] * length)[:length]), tuple((*theirs, *[0] * length)[:length])

    def __lt__(self, other: object) -> bool:
        return NotImplemented if (order := self._order(other)) is None else order[0] < order[1]

    def __le__(self, other: object) -> bool:
        return NotImplemented if (order := self._order(other)) is None else order[0] <= order[1]

    def __gt__(self, other: object) -> bool:
        return NotImplemented if (order := self._order(other)) is None else order[0] > order[1]

    def __ge__(self, other: object) -> bool:
        return NotImplemented if (order := self._order(other)) is None else order[0] >= order[1]


def _numbers(text: str) -> tuple[int, ...]:
    """The release's numbers: 2.13.0 of 2.13.0+cpu."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in release[0].split(".")) if release else ()


AS_TORCH = TorchVersion(f"{PYTORCH}+flambeau.{__version__}")
AS_TORCHVISION = TorchVersion(f"0.28.0+flambeau.{__version__}")
