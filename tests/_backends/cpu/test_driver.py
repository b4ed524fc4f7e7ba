"""From kernels to code: what is compiled, what is loaded, for which targets."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from flambeau._backends.cpu import cache, host, launch
from flambeau._backends.cpu import driver as driver_module
from flambeau._backends.cpu.driver import Driver
from flambeau._backends.cpu.emit import Module
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.objects import compile_object, compile_objects, machine
from flambeau._backends.cpu.target import Target, aarch64, x86_64
from flambeau._core.config import config

sys.path.append(str(Path(__file__).parent))
from step_kernels import scaled, spoiled  # noqa: E402

APPLE = aarch64("arm64-apple-darwin23", "apple-m1")
WINDOWS = x86_64("v3")._replace(triple="x86_64-pc-windows-msvc")
TARGETS = [x86_64("v2"), x86_64("v3"), x86_64("v4"), aarch64(), APPLE, WINDOWS]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(config, "cache_dir", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(address: int, x: list[float]) -> list[float]:
    source, out = np.array(x), np.zeros(len(x))
    words = (ctypes.c_int64 * 3)(source.ctypes.data, out.ctypes.data, np.float64(1.0).view(np.int64))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)(words, 0, len(x))
    return out.tolist()


def test_a_kernel_is_compiled_once_and_loaded_by_the_next_process(monkeypatch):
    first = Driver(host.host_target())
    address = first.address(scaled(3.0), "run")
    assert first.address(scaled(3.0), "run") == address
    assert first.address(scaled(4.0), "run") != address
    assert (first.statistics.compiled, first.statistics.loaded) == (2, 0)
    monkeypatch.setattr(Kernel, "text", None)  # a hit needs no text
    second = Driver(host.host_target())
    assert run(second.address(scaled(4.0), "run"), [1.0, 2.0]) == [4.0, 8.0]
    assert run(address, [1.0, 2.0]) == [3.0, 6.0]
    assert (second.statistics.compiled, second.statistics.loaded) == (0, 1)
    assert second.statistics.seconds > 0


def test_a_damaged_object_is_compiled_again(folder):
    target = host.host_target()
    Driver(target).address(scaled(), "run")
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    again = Driver(target)
    assert run(again.address(scaled(), "run"), [1.0]) == [1.0]
    assert again.statistics.compiled == 1
    assert Driver(target).address(scaled(), "run") and cache.read(path.name) is not None


def test_python_threads_compile_a_kernel_once():
    driver = Driver(host.host_target())
    found: list[int] = []
    running = [threading.Thread(target=lambda: found.append(driver.address(scaled(), "run"))) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert driver.statistics.compiled == 1


def test_kernels_loaded_together_are_compiled_by_several_threads(monkeypatch):
    monkeypatch.setattr(driver_module, "default_threads", lambda: 3)
    several = [scaled(float(k)) for k in range(8)]
    together, alone = Driver(host.host_target()), Driver(host.host_target())
    together.load([*several, several[0]])
    assert (together.statistics.compiled, together.statistics.loaded) == (8, 0)
    monkeypatch.setattr(Kernel, "text", None)  # all are there
    for k, kernel in enumerate(several):
        assert run(together.address(kernel, "run"), [1.0, 2.0]) == [1.0 * k, 2.0 * k]
    alone.load(several)
    assert (alone.statistics.compiled, alone.statistics.loaded) == (0, 8)


def test_objects_do_not_depend_on_the_threads_that_make_them():
    several = [scaled(float(k)) for k in range(8)]
    assert compile_objects(several, host.host_target(), 1) == compile_objects(several, host.host_target(), 4)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_goes_wrong_on_any_thread_is_raised(threads):
    wrong = Kernel(lambda target: "this is no text", (), ("run",))
    with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
        compile_objects([*map(scaled, map(float, range(4))), wrong], host.host_target(), threads)


@pytest.mark.parametrize("level", ["v2", "v3"])
def test_lower_levels_run_on_this_machine(level, monkeypatch):
    monkeypatch.setattr(config, "cpu", level)
    try:
        target = host.host_target.__wrapped__()
    except ValueError:
        pytest.skip(f"this processor has no {level}")
    assert (target.vector_bytes, target.fma) == {"v2": (16, False), "v3": (32, True)}[level]
    assert run(Driver(target).address(scaled(2.0), "run"), [1.0, -2.0]) == [2.0, -4.0]


@pytest.mark.skipif(not llvm.get_process_triple().startswith("x86_64"), reason="levels are those of x86-64")
def test_a_level_that_the_processor_has_not_is_refused(monkeypatch):
    monkeypatch.setattr(config, "cpu", "v4")
    monkeypatch.setattr(host.llvm, "get_host_cpu_features", lambda: {"avx2": True, "fma": True})
    with pytest.raises(ValueError, match="FLAMBEAU_CPU=v4: this processor is of level v3"):
        host.host_target.__wrapped__()


def _multiplied(target: Target) -> str:
    m = Module(target)
    f, args, _, _ = m.entry("run")
    type = f"<{target.lanes(4)} x float>"
    at = f.word(args, 0, "ptr")
    f.store(f.fma(f.load(type, at), f.load(type, at), f.float(1.0, type)), at)
    f.ret()
    f.close()
    return m.text()


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.triple}-{t.cpu}")
def test_objects_for_any_target(target):
    image = compile_object(Kernel(_multiplied, (), ("run",)), target)
    object = llvm.ObjectFileRef.from_data(image)
    assert object.sections and b"run" in image
    assert (image[:4] == b"\x7fELF") == ("linux" in target.triple)
    assert b"fmaf" not in image  # the instruction, or none


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.triple}-{t.cpu}")
def test_what_runs_plans_compiles_for_any_target(target):
    image = compile_object(Kernel(launch.text, (), launch.entries(target)), target)
    assert all(name.encode() in image for name in launch.entries(target))
    assert (b"worker" in image) == (b"syscall" in image) == ("linux" in target.triple)
    llvm.parse_assembly(launch.text(target)).verify()


def test_vectors_are_those_of_the_target():
    def assembly(target: Target) -> str:
        return machine(target).emit_assembly(llvm.parse_assembly(_multiplied(target)))

    assert "zmm" in assembly(x86_64("v4"))
    assert "ymm" in assembly(x86_64("v3")) and "zmm" not in assembly(x86_64("v3"))
    assert "xmm" in assembly(x86_64("v2")) and "ymm" not in assembly(x86_64("v2"))


def test_dumps_show_the_text_although_the_object_is_there(tmp_path, monkeypatch):
    Driver(host.host_target()).address(scaled(), "run")
    monkeypatch.setattr(config, "dump_dir", str(tmp_path))
    Driver(host.host_target()).address(scaled(), "run")
    (path,) = (tmp_path / "kernels").iterdir()
    assert path.read_text() == scaled().text(host.host_target())


def test_an_error_in_a_text_is_raised_and_nothing_is_kept(folder):
    driver = Driver(host.host_target())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="expected top-level entity"):
            driver.address(spoiled(), "run")
    assert not folder.exists()
    assert driver.address(scaled(), "run")
