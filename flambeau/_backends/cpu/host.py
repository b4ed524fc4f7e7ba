"""The machine that this process runs on, as a target, and how many of its processors it may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

llvm = lazy_module("llvmlite.binding")

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@cache
def host_target() -> Target:
    """The target of this machine; FLAMBEAU_CPU=v2, v3 or v4 asks for an x86-64 level instead."""
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    if triple.startswith(("aarch64", "arm64")):
        return aarch64(triple, llvm.get_host_cpu_name(), features.flatten())
    level = level_of(features)
    if config.cpu == "native":
        return x86_64(level, llvm.get_host_cpu_name(), features.flatten())._replace(triple=triple)
    if config.cpu > level:
        raise ValueError(f"FLAMBEAU_CPU={config.cpu}: this processor is of level {level}")
    return x86_64(config.cpu)._replace(triple=triple)


def level_of(features: Mapping[str, bool]) -> str:
    """The x86-64 level of a processor with these features."""
    wide = all(features.get(f) for f in ("avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"))
    return "v4" if wide else "v3" if features.get("avx2") and features.get("fma") else "v2"


def processors() -> list[int]:
    """The processors this process may run on; their number stands in their place where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def largest_cache(root: Path | None = None) -> int:
    """The bytes of this processor's largest cache; 0 where the system does not tell. `root` has what Linux says."""
    sizes = [0]
    for file in (root or CACHES).glob("index*/size"):
        number, unit = file.read_text().strip()[:-1], file.read_text().strip()[-1:]
        if number.isdigit() and unit in "KMG":
            sizes.append(int(number) << {"K": 10, "M": 20, "G": 30}[unit])
    return max(sizes)


def default_threads() -> int:
    """FLAMBEAU_THREADS, else as many as the affinity mask and the quota of the control groups allow."""
    return config.threads or max(1, math.ceil(min([len(processors()), *quotas()])))


def quotas(root: Path | None = None, own: Path | None = None) -> Iterator[float]:
    """The processors granted by this process's control group and those around it, of both versions of the interface.

    `root` is where the groups are mounted, `own` the file that names the groups of this process. In a container the
    name may be one of the host's, of which only the mount's top is visible."""
    root, own = root or CONTROL_GROUPS, own or OWN_GROUPS
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = root / controllers
        group = mounted / name.lstrip("/")
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == mounted:
                break


def _quota(folder: Path) -> Iterator[float]:
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join([(folder / file).read_text() for file in files]).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue
