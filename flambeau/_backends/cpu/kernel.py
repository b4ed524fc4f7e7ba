"""What a step of a plan is made of: kernels (text to be compiled) and launches (how a kernel is called).

Every entry of a kernel is a function `void entry(ptr args, i64 lo, i64 hi)`: it does the tasks lo..hi-1 of a launch.
`args` is a block of 64-bit words that the plan fills: sizes and strides once, addresses and scalars at every run.
Tasks of one launch are independent and write different memory; which thread does which must not matter. How work is
split into tasks follows from shapes alone, so results have the same bits on any number of threads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from flambeau._backends.cpu.target import Target


class Kernel(NamedTuple):
    """LLVM text that is yet to be made: `generate(target, *params)`.

    `generate` is a function of a module, `params` are hashable and have a `repr` that tells them apart: together they
    name the kernel in memory and on disk. `entries` are the functions of the text that are called from outside.
    """

    generate: Callable[..., str]
    params: tuple
    entries: tuple[str, ...]

    def text(self, target: Target) -> str:
        return self.generate(target, *self.params)


class Address(NamedTuple):
    """The word is the address of operand number `operand` of the step, plus `offset` bytes."""

    operand: int
    offset: int = 0


class Scalar(NamedTuple):
    """The word is run-time scalar number `scalar` of the step: the bits of a double, or a 64-bit integer."""

    scalar: int


class Scratch(NamedTuple):
    """The word is the address of the step's scratch memory (aligned to 64 bytes) plus `offset` bytes."""

    offset: int = 0


class Entry(NamedTuple):
    """The word is the address of an entry of another kernel, to be called by this one."""

    kernel: Kernel
    name: str


class Words(NamedTuple):
    """The word is the address of another block of words, which lives as long as the plan."""

    words: tuple[Word, ...]


class Status(NamedTuple):
    """The word is the address of the plan's status: a 64-bit word that is 0 until a kernel stores there that it met
    something wrong (an index out of range). The run stops after that launch, and the reference backend repeats it to
    say what was wrong."""


Word = int | Address | Scalar | Scratch | Entry | Words | Status


class Launch(NamedTuple):
    """Call `entry` of `kernel` for `tasks` tasks, `grain` of them at a time."""

    kernel: Kernel
    entry: str
    words: tuple[Word, ...]
    tasks: int
    grain: int


class Step(NamedTuple):
    """The launches, one after the other, that do one piece of work, and the bytes of scratch memory they share.

    `bytes` and `flops` say how much memory the work must move and how many operations it takes at the least (for
    `explain`)."""

    launches: tuple[Launch, ...]
    scratch: int = 0
    bytes: int = 0
    flops: int = 0


def kernels_of(step: Step) -> Iterator[Kernel]:
    """The kernels that a step launches, and those that these call."""

    def called(words: tuple[Word, ...]) -> Iterator[Kernel]:
        for word in words:
            if isinstance(word, Entry):
                yield word.kernel
            elif isinstance(word, Words):
                yield from called(word.words)

    for launch in step.launches:
        yield launch.kernel
        yield from called(launch.words)


def double_bits(x: float) -> int:
    """The bits of a double as a signed 64-bit word.

    Example::

        >>> double_bits(1.0) == 0x3FF0000000000000
        True
    """
    return struct.unpack("<q", struct.pack("<d", x))[0]
