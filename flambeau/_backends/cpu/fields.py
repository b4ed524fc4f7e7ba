"""Names for the words of a kernel's argument block, shared by the code that fills them and the code that reads them;
and what the number of a task says."""

from __future__ import annotations

from flambeau._backends.cpu.emit import Function, Val
from flambeau._backends.cpu.kernel import Word


class Fields:
    """The words of one kind of block, in order. A name that ends in `_at` is that of an address.

    Example::

        >>> fields = Fields("x_at size")
        >>> fields.words(size=3, x_at=64)
        (64, 3)
    """

    def __init__(self, names: str) -> None:
        self.names = names.split()
        self.index = {name: i for i, name in enumerate(self.names)}

    def words(self, **values: Word) -> tuple[Word, ...]:
        """The block with these values; every field must have one."""
        assert len(values) == len(self.names), set(self.names).symmetric_difference(values)
        return tuple([values[name] for name in self.names])

    def read(self, f: Function, args: Val, names: str) -> list[Val]:
        """Load the fields `names` of the block `args`."""
        return [f.word(args, self.index[name], "ptr" if name.endswith("_at") else "i64") for name in names.split()]


def split_task(f: Function, task: Val, *counts: Val) -> list[Val]:
    """A task's number as one number a count, the first one running fastest, and what is left."""
    numbers = []
    for count in counts:
        numbers.append(f.urem(task, count))
        task = f.udiv(task, count)
    return [*numbers, task]
