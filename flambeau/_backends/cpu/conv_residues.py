"""Several launches that write different memory as one, in step: what they share is in the cache for all of them.

The correlations that a transposed convolution with a stride consists of read the same input, and write to every other
place of the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau._backends.cpu.emit import Module
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Entry, Kernel, Launch, Word, Words
from flambeau._backends.cpu.target import Target

FIELDS = Fields("launches table_at tasks")
KERNEL_WORDS = 3  # of a launch in the table: entry, arguments, tasks


def in_step(launches: Sequence[Launch]) -> Launch:
    """The launches as one. A task is a share of the tasks of each."""
    tasks = max([launch.tasks for launch in launches])
    table: list[Word] = []
    for launch in launches:
        table += [Entry(launch.kernel, launch.entry), Words(launch.words), launch.tasks]
    words = FIELDS.words(launches=len(launches), table_at=Words(tuple(table)), tasks=tasks)
    grain = min([max(1, launch.grain * tasks // (launch.tasks * len(launches))) for launch in launches])
    return Launch(Kernel(generate_in_step, (), ("in_step",)), "in_step", words, tasks, grain)


def generate_in_step(target: Target) -> str:
    """`in_step`: of each launch, as large a part as the tasks are of all."""
    m = Module(target)
    f, args, lo, hi = m.entry("in_step")
    launches, table, tasks = FIELDS.read(f, args, "launches table_at tasks")
    with f.loop(lo, hi) as task, f.loop(0, launches, 1, [table]) as i:
        entry, words, count = f.word(i.carried[0], 0, "ptr"), f.word(i.carried[0], 1, "ptr"), f.word(i.carried[0], 2)
        first, end = (f.udiv(f.mul(n, count), tasks) for n in (task.index, f.add(task.index, 1)))
        f.call_address(entry, [words, first, end])
        i.next = [f.offset(i.carried[0], KERNEL_WORDS, "i64")]
    f.ret()
    f.close()
    return m.text()
