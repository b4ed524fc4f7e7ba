"""From kernels to addresses: LLVM text is compiled to an object, kept on disk, and linked into this process."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from flambeau._backends.cpu import cache
from flambeau._backends.cpu.host import host_target
from flambeau._backends.cpu.kernel import Kernel
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
        found = self._addresses.get(kernel)
        if found is None:
            with locks.compilation:
                found = self._addresses.get(kernel)
                if found is None:
                    found = self._addresses[kernel] = self._load(kernel)
        return found[entry]

    def _load(self, kernel: Kernel) -> dict[str, int]:
        start = time.perf_counter()
        key = cache.key_of(kernel, self.target)
        image = cache.read(key) if config.dump_dir is None else None
        if image is None:
            image = compile_object(kernel, self.target)
            cache.write(key, image)
            self.statistics.compiled += 1
        else:
            self.statistics.loaded += 1
        addresses = self.link(image, kernel.entries)
        self.statistics.seconds += time.perf_counter() - start
        return addresses

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


def compile_object(kernel: Kernel, target: Target) -> bytes:
    """The relocatable object of a kernel, for any target. FLAMBEAU_DUMP gets its text, which is then verified."""
    text = kernel.text(target)
    if config.dump_dir is not None:
        folder = Path(config.dump_dir) / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{kernel.generate.__name__}-{cache.key_of(kernel, target)[:8]}.ll").write_text(text)
        llvm.parse_assembly(text).verify()
    return compile_text(text, target)


def compile_text(text: str, target: Target) -> bytes:
    """The object for LLVM text.

    The text says what is to run, vectors and all, so it needs no optimiser: folding calls and memory on the stack into
    registers is enough. (Combining instructions and numbering values made kernels no faster, some slower, and took a
    tenth of the time; the pipelines O1 to O3 take as long again as generating code does.)
    """
    module = llvm.parse_assembly(text)
    tm = machine(target)
    module.data_layout = str(tm.target_data)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(tm, llvm.create_pipeline_tuning_options(speed_level=1)))
    return tm.emit_object(module)


_machines: dict[tuple[Target, bool], Any] = {}


def machine(target: Target, jit: bool = False) -> Any:
    """LLVM's description of a target, which emits its code."""
    found = _machines.get((target, jit))
    if found is None:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        found = _machines[target, jit] = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small", jit=jit
        )
    return found


_drivers: dict[Target, Driver] = {}


def driver(target: Target | None = None) -> Driver:
    """The driver of a target, by default that of this machine."""
    target = host_target() if target is None else target
    found = _drivers.get(target)
    if found is None:
        found = _drivers.setdefault(target, Driver(target))
    return found
