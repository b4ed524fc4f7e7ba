"""Assembly: a sum of arrays that are 0 but for a part each becomes one array, into which the parts are written.

The gradients of slices of a tensor are such arrays, and what uses several slices adds them up. Where no two parts
overlap, each takes the place of the zeros that would be added to it; if they fill the array, zeros are not needed at
all. (A negative zero stays one, which a sum with 0 would make positive.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flambeau._ir.graph import Array, Graph, Node
from flambeau._ir.meta import Meta


class _Written(NamedTuple):
    """Zeros, and what is written into them, in order."""

    zeros: Node
    writes: list[Node]


def assembled(graph: Graph, array: Array) -> Array:
    """The array; if it is such a sum, as one array with parts."""
    node = array.node
    if node.kind != "map" or node.name != "add":
        return array
    a, b = (_written(x) for x in node.inputs)
    if a is None or b is None or not _are_apart(a.writes, b.writes):
        return array
    whole, writes = node.outputs[0], a.writes + b.writes
    filled = sum([w.params[0].numel for w in writes]) == whole.numel and _are_all_apart(writes)
    base = graph.empty(whole.dtype, whole.numel) if filled else graph.whole(a.zeros).reshape((whole.numel,))
    for write in writes:
        base = graph.write(base, write.params[0], write.inputs[1])
    return base.reshape(whole.shape)


def _written(x: Array) -> _Written | None:
    """What is written into zeros to make an array; None if it is made otherwise."""
    writes: list[Node] = []
    while x.node.kind == "write" and _is_whole(x):
        writes.append(x.node)
        x = x.node.inputs[0]
    if not writes or not _is_whole(x) or x.node.kind != "map" or x.node.name != "copy":
        return None
    source = x.node.inputs[0].node
    return _Written(x.node, writes[::-1]) if source.kind == "const" and source.params[0] == 0 else None


def _is_whole(x: Array) -> bool:
    """Does an array have all elements of its node's result in order?"""
    return x.meta.is_contiguous and x.meta.offset == 0 and x.meta.numel == x.node.outputs[x.output].numel


# ---------------------------------------------------------------------------------------------- parts of memory


def _are_all_apart(writes: Sequence[Node]) -> bool:
    return all(_are_apart([w], writes[i + 1 :]) for i, w in enumerate(writes))


def _are_apart(some: Sequence[Node], others: Sequence[Node]) -> bool:
    """Is no element among what some write and what others do?"""
    layouts = [w.params[0] for w in (*some, *others)]
    steps: list[int] = []
    for step in sorted([s for m in layouts for _, s in _dims(m)] + [1], reverse=True):
        if not steps or steps[-1] != step:
            steps.append(step)
    boxes = [_box(m, steps) for m in layouts]
    return all(
        a is not None and b is not None and any(p + n <= q or q + k <= p for (p, n), (q, k) in zip(a, b, strict=True))
        for a in boxes[: len(some)] for b in boxes[len(some) :]
    )  # fmt: skip


def _dims(m: Meta) -> list[tuple[int, int]]:
    """The size and stride of each dimension that has more than one place."""
    return [(n, s) for n, s in zip(m.shape, m.strides, strict=True) if n != 1]


def _box(m: Meta, steps: Sequence[int]) -> list[tuple[int, int]] | None:
    """A layout as first position and length along dimensions with these strides; None if it has no such form."""
    dims = sorted(_dims(m), key=lambda dim: dim[1], reverse=True)
    box: list[tuple[int, int]] = []
    rest, room = m.offset, None
    for step in steps:
        first, rest = divmod(rest, step)
        length = dims.pop(0)[0] if dims and dims[0][1] == step else 1
        if room is not None and (room % step or first + length > room // step):
            return None
        box.append((first, length))
        room = step
    return None if dims else box
