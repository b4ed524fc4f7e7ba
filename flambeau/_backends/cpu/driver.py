"""From kernels to addresses: what is not on disk yet is compiled, kept there, and linked into this process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any

from flambeau._backends.cpu import cache
from flambeau._backends.cpu.host import default_threads, host_target
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.objects import compile_objects, machine
from flambeau._backends.cpu.target import Target
from flambeau._core import locks
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

llvm = lazy_module("llvmlite.binding")


class Statistics:
    """What was compiled in this process, what was loaded from the disk, and the seconds that took."""

    def __init__(self) -> None:
        self.compiled = self.loaded = 0
        self.seconds = 0.0


class Driver:
    """Compiles for one target and keeps what is linked."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.statistics = Statistics()
        self._addresses: dict[Kernel, dict[str, int]] = {}
        self._libraries: list[Any] = []  # code lives as long as its resource tracker
        self._names = itertools.count()  # of libraries: those that could not be linked keep theirs
        self._jit: Any = None

    def address(self, kernel: Kernel, entry: str) -> int:
        """The address of an entry; compiles the kernel at its first use."""
        if kernel not in self._addresses:
            self.load([kernel])
        return self._addresses[kernel][entry]

    def load(self, kernels: Iterable[Kernel]) -> None:
        """Have addresses for all these kernels, which takes less time than for one after the other."""
        with locks.compilation:
            missing = [kernel for kernel in dict.fromkeys(kernels) if kernel not in self._addresses]
            if missing:
                self._load(missing)

    def _load(self, kernels: Sequence[Kernel]) -> None:
        start = time.perf_counter()
        keys = {kernel: cache.key_of(kernel, self.target) for kernel in kernels}
        found = {kernel: cache.read(keys[kernel]) if config.dump_dir is None else None for kernel in kernels}
        images = {kernel: image for kernel, image in found.items() if image is not None}
        self.statistics.loaded += len(images)
        unknown = [kernel for kernel in kernels if kernel not in images]
        for kernel, image in zip(unknown, compile_objects(unknown, self.target, default_threads()), strict=True):
            cache.write(keys[kernel], image)
            images[kernel] = image
            self.statistics.compiled += 1
        for kernel in kernels:
            self._addresses[kernel] = self.link(images[kernel], kernel.entries)
        self.statistics.seconds += time.perf_counter() - start

    def link(self, image: bytes, entries: tuple[str, ...]) -> dict[str, int]:
        """Link an object into the process; the addresses of its entries."""
        if self._jit is None:
            self._jit = llvm.create_lljit_compiler(machine(self.target, jit=True))
        library = llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for name in entries:
            library.export_symbol(name)
        tracker = library.link(self._jit, f"kernel{next(self._names)}")
        self._libraries.append(tracker)
        return {name: tracker[name] for name in entries}


_drivers: dict[Target, Driver] = {}


def driver(target: Target | None = None) -> Driver:
    """The driver of a target, by default that of this machine."""
    target = host_target() if target is None else target
    found = _drivers.get(target)
    if found is None:
        found = _drivers.setdefault(target, Driver(target))
    return found
