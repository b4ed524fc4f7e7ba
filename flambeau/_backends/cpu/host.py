"""The machine that this process runs on, as a target, and how many of its processors it may use."""

from __future__ import annotations

import math
import os
import platform
from functools import cache
from pathlib import Path

from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

llvm = lazy_module("llvmlite.binding")


@cache
def host_target() -> Target:
    """The target of this machine; FLAMBEAU_CPU=v2, v3 or v4 asks for an x86-64 level instead."""
    triple = llvm.get_process_triple()
    if triple.startswith(("aarch64", "arm64")):
        return aarch64(triple, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    if config.cpu != "native":
        return x86_64(config.cpu)._replace(triple=triple)
    features = llvm.get_host_cpu_features()
    wide = all(features.get(f) for f in ("avx512f", "avx512vl", "avx512bw", "avx512dq"))
    level = "v4" if wide else "v3" if features.get("avx2") and features.get("fma") else "v2"
    return x86_64(level, llvm.get_host_cpu_name(), features.flatten())._replace(triple=triple)


def processors() -> list[int]:
    """The processors this process may run on; their number stands in their place where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def default_threads() -> int:
    """FLAMBEAU_THREADS, else as many as the affinity mask and the control group's quota allow."""
    if config.threads:
        return config.threads
    quota = _quota()
    count = len(processors())
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _quota() -> float | None:
    """The processors that the control group grants, or None."""
    if platform.system() != "Linux":
        return None
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text()
        period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text()
        return None if int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None
