"""`torch.Size`: a shape, which is a tuple that can count its elements; and sizes that are no numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, NoReturn


class Size(tuple[int, ...]):
    """The shape of a tensor.

    Example::

        >>> Size([2, 3]).numel(), Size([2, 3])
        (6, torch.Size([2, 3]))
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[int] = ()) -> Size:
        return tuple.__new__(cls, sizes)

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[type, tuple[tuple[int, ...]]]:
        return Size, (tuple(self),)


class RaggedSize:
    """The size of a dimension in which the parts of a nested tensor differ. It has a name (`j1`, `j2`, ...) in place of
    a number, equals itself alone, can be multiplied by a number, and is not less than 2.

    Example::

        >>> n = RaggedSize()
        >>> n == n, n == 3, n >= 2, 2 * n == n * 2
        (True, False, True, True)
    """

    __slots__ = ("number", "factor")
    _numbers = itertools.count(1)

    def __init__(self, number: int | None = None, factor: int = 1) -> None:
        self.number = next(self._numbers) if number is None else number
        self.factor = factor

    def __repr__(self) -> str:
        return f"j{self.number}" if self.factor == 1 else f"{self.factor}*j{self.number}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RaggedSize) and (self.number, self.factor) == (other.number, other.factor)

    def __hash__(self) -> int:
        return hash((RaggedSize, self.number, self.factor))

    def __mul__(self, times: Any) -> RaggedSize:
        return RaggedSize(self.number, self.factor * times) if isinstance(times, int) else NotImplemented

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> bool:
        return False if isinstance(other, int) and other <= 2 else self._refuse()

    def __ge__(self, other: Any) -> bool:
        return True if isinstance(other, int) and other <= 2 else self._refuse()

    def __le__(self, other: Any) -> bool:
        return False if isinstance(other, int) and other <= 1 else self._refuse()

    def __gt__(self, other: Any) -> bool:
        return True if isinstance(other, int) and other <= 1 else self._refuse()

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotImplementedError(
            f"the size {self} of a ragged dimension has no number, which this needs\n"
            "  hint: each part of a nested tensor has its own: loop over unbind(), or pad with to_padded_tensor()"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _refuse
    __truediv__ = __rtruediv__ = __neg__ = __int__ = __float__ = _refuse
