"""From LLVM text to relocatable objects, several at once: writing machine code is what takes the time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flambeau._backends.cpu import cache
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")
llvm = lazy_module("llvmlite.binding")


def compile_objects(kernels: Sequence[Kernel], target: Target, threads: int) -> list[bytes]:
    """The objects of some kernels, made on up to so many threads."""
    pending = enumerate(kernels)
    images: dict[int, bytes] = {}
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for i, kernel in pending:
                images[i] = compile_object(kernel, target)
                if failures:
                    return
        except BaseException as failure:
            failures.append(failure)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(kernels)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]
    return [images[i] for i in range(len(kernels))]


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
    try:
        tm = _idle.setdefault(target, []).pop()
    except IndexError:
        tm = machine(target)
    module = llvm.parse_assembly(text, llvm.create_context())
    module.data_layout = str(tm.target_data)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(tm, llvm.create_pipeline_tuning_options(speed_level=1)))
    image = _emitted(tm, module)
    _idle[target].append(tm)
    return image


def _emitted(tm: Any, module: Any) -> bytes:
    """What `tm.emit_object(module)` gives. llvmlite lets only one thread into LLVM, for the sake of what threads share;
    here that is nothing, so several may write code at the same time."""
    lib = llvm.ffi.lib
    emit = lib.LLVMPY_TargetMachineEmitToMemory
    with llvm.ffi.OutputString() as error:
        buffer = getattr(emit, "_cfn", emit)(tm, module, 1, error)
        if not buffer:
            raise RuntimeError(f"LLVM writes no code: {error}")
    try:
        return ctypes.string_at(lib.LLVMPY_GetBufferStart(buffer), lib.LLVMPY_GetBufferSize(buffer))
    finally:
        lib.LLVMPY_DisposeMemoryBuffer(buffer)


_idle: dict[Target, list[Any]] = {}  # machines that no thread is using


def machine(target: Target, jit: bool = False) -> Any:
    """LLVM's description of a target, which emits its code: for one thread at a time."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small", jit=jit
    )
