"""All workloads, a file a subject."""

from __future__ import annotations

from workloads import (
    conv,
    dispatch,
    elementwise,
    gpt,
    guide,
    indexing,
    matmul,
    optimizer,
    recurrent,
    rows,
    shapes,
    vision,
)
from workloads.workload import Workload

GROUPS: dict[str, list[Workload]] = {
    "calls": dispatch.WORKLOADS,
    "networks": [*guide.WORKLOADS, *vision.WORKLOADS, *recurrent.WORKLOADS, *gpt.WORKLOADS, *optimizer.WORKLOADS],
    "elementwise": elementwise.WORKLOADS,
    "rows": rows.WORKLOADS,
    "indexing": indexing.WORKLOADS,
    "matmul": matmul.WORKLOADS,
    "conv": conv.WORKLOADS,
}


def find(key: str) -> Workload:
    """The workload of a key such as "gpt: GPT, a step"."""
    group, _, name = key.partition(": ")
    candidates = [shapes.TEXTS] if group == "fresh" else GROUPS[group]
    return next(workload for workload in candidates if workload.name == name)
