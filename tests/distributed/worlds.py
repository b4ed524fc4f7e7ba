"""Worlds of real processes for tests: each plays a scene, and tells how it ended."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flambeau import distributed as dist

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["flambeau.distributed"])


def free_port() -> int:
    server = dist.TCPStore("localhost", 0, is_master=True)
    server.close()
    return server.port


def _act(scene: Callable[..., Any], rank: int, arguments: tuple[Any, ...], results: Any) -> None:
    try:
        results.put((rank, scene(rank, *arguments)))
    except BaseException:
        results.put((rank, traceback.format_exc()))


def play(scene: Callable[..., Any], size: int, *arguments: Any, silent: int = 0) -> dict[int, Any]:
    """What `scene(rank, *arguments)` gave in each of `size` processes, or the text of what it raised; without those of
    `silent` processes that die."""
    results = context.Queue()
    processes = [context.Process(target=_act, args=(scene, rank, arguments, results)) for rank in range(size)]
    for process in processes:
        process.start()
    outcome = dict(results.get(timeout=120) for _ in range(size - silent))
    for process in processes:
        process.join(60)
        assert process.exitcode is not None, "a process goes on after its scene"
    return outcome


def join(method: str, rank: int, size: int, seconds: float = 60) -> None:
    dist.init_process_group("gloo", method, timedelta(seconds=seconds), size, rank)
