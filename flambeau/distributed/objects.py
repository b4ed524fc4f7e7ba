"""Collective operations on Python objects, which travel pickled: use them among processes that you trust."""

from __future__ import annotations

import pickle
from typing import Any

from flambeau.distributed.collectives import expect_at, rank_in
from flambeau.distributed.world import of


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Write the objects of all processes into everybody's list, which has a place for each.

    Example::

        >>> import flambeau.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> found = [None]
        >>> dist.all_gather_object(found, {"loss": 1})
        >>> found
        [{'loss': 1}]
        >>> dist.destroy_process_group()
    """
    found = of(group)
    if found is not None:
        found.share("all_gather_object", pickle.dumps(obj), lambda parts: _write(object_list, parts)).wait()


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """Write the objects of all processes into the list of `dst`; the others give no list."""
    found = of(group)
    if found is None:
        return
    root = rank_in(found, dst, group_dst)
    expect_at(found.rank() == root, object_gather_list is not None, "object_gather_list", "destination")
    payloads = [pickle.dumps(obj) if rank == root else b"" for rank in range(found.size())]
    parts: list[bytes] = []
    found.deal("gather_object", payloads, parts.extend).wait()
    if object_gather_list is not None:
        _write(object_gather_list, parts)


def broadcast_object_list(
    object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None, group_src: int | None = None
) -> None:
    """Write the objects in the list of `src` into everybody's list, which is as long."""
    found = of(group)
    if found is None:
        return
    root = rank_in(found, src, group_src)
    payload = pickle.dumps(list(object_list)) if found.rank() == root else b""
    found.share("broadcast_object_list", payload, lambda ps: _replace(object_list, pickle.loads(ps[root]))).wait()


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """Write into the first place of each output list one object of the list of `src`."""
    found = of(group)
    if found is None:
        return
    root = rank_in(found, src, group_src)
    payloads = [b""] * found.size()
    if found.rank() == root:
        payloads = [pickle.dumps(item) for item in scatter_object_input_list or ()]
        if len(payloads) != found.size():
            raise ValueError(f"expected one object for each of {found.size()} processes, got {len(payloads)}")

    def use(parts: list[bytes]) -> None:
        _replace(scatter_object_output_list, [pickle.loads(parts[root])])

    found.deal("scatter_object_list", payloads, use).wait()


def send_object_list(
    object_list: list[Any],
    dst: int | None = None,
    group: Any = None,
    device: Any = None,
    group_dst: int | None = None,
    use_batch: bool = False,
) -> None:
    """Send the objects of a list to one process."""
    found = of(group)
    if found is not None:
        found.post(pickle.dumps(list(object_list)), rank_in(found, dst, group_dst, None), OBJECTS)


def recv_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
    use_batch: bool = False,
) -> int:
    """Receive objects into a list, from whoever sends first if no rank is given; the sender's rank in the world, -1
    outside the group."""
    found = of(group)
    if found is None:
        return -1
    work = found.collect(
        rank_in(found, src, group_src, None), OBJECTS, lambda payload: _replace(object_list, pickle.loads(payload))
    )
    work.wait()
    return found.ranks[work.source_rank()]


OBJECTS = -1  # the tag of messages that are objects


def _write(places: list[Any], parts: list[bytes]) -> None:
    for rank, part in enumerate(parts):
        places[rank] = pickle.loads(part)


def _replace(places: list[Any], objects: list[Any]) -> None:
    places[: len(objects)] = objects
