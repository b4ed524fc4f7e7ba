"""Code of primitives and casts made callable on NumPy arrays, for any target that this machine can run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache

import llvmlite.binding as llvm
import numpy as np
import pytest

from flambeau._backends.cpu.casts import MEMORY, cast, to_memory, to_register
from flambeau._backends.cpu.driver import driver
from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.objects import compile_text, machine
from flambeau._backends.cpu.primitives import primitive
from flambeau._backends.cpu.target import Target, aarch64, x86_64

LANES = 16
Body = Callable[[Function, list[Val]], Val]

V2, V3, V4, ARM = x86_64("v2"), x86_64("v3"), x86_64("v4"), aarch64()


def _runs(target: Target) -> bool:
    if not llvm.get_process_triple().startswith("x86_64"):
        return False
    features = llvm.get_host_cpu_features()
    needed = {"x86-64-v2": "sse4.2", "x86-64-v3": "fma", "x86-64-v4": "avx512bw"}[target.cpu]
    return bool(features.get(needed))


TARGETS = [
    pytest.param(t, id=t.cpu, marks=pytest.mark.skipif(not _runs(t), reason="not this machine")) for t in (V2, V3, V4)
]


def text(target: Target, body: Body, sources: Sequence[str], result: str, lanes: int = LANES) -> str:
    """A kernel that applies `body` to all elements of arrays: words of args are the addresses, the result's last."""
    module = Module(target)
    f, args, lo, hi = module.entry("kernel")
    addresses = [f.word(args, i, "ptr") for i in range(len(sources) + 1)]
    with f.loop(lo, hi, max(lanes, 1)) as loop:
        values = []
        for source, address in zip(sources, addresses, strict=False):
            loaded = f.load(vector(MEMORY[source], lanes), f.offset(address, loop.index, MEMORY[source]))
            values.append(to_register(f, loaded, source))
        f.store(to_memory(f, body(f, values), result), f.offset(addresses[-1], loop.index, MEMORY[result]))
    f.ret()
    f.close()
    return module.text()


@cache
def compiled(target: Target, text: str) -> Callable:
    address = driver(target).link(compile_text(text, target), ("kernel",))["kernel"]
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)


def run(target: Target, body: Body, arrays: Sequence[np.ndarray], dtypes: Sequence[str], result: str,
        out: type | np.dtype, lanes: int = LANES) -> np.ndarray:  # fmt: skip
    """`body` over arrays whose elements are of the framework's `dtypes`; gives an array of NumPy's dtype `out`."""
    n = len(arrays[0])
    padded = -(-n // LANES) * LANES
    buffers = [np.concatenate([a, np.ones(padded - n, a.dtype)]) for a in arrays]
    buffers.append(np.empty(padded, out))
    words = (ctypes.c_int64 * len(buffers))(*[b.ctypes.data for b in buffers])
    compiled(target, text(target, body, dtypes, result, lanes))(words, 0, padded)
    return buffers[-1][:n]


def apply(target: Target, name: str, dtype: str, *arrays: np.ndarray, predicate: bool = False, lanes: int = LANES
          ) -> np.ndarray:  # fmt: skip
    """One primitive on arrays of the dtype; a predicate gives bools."""
    result, out = ("bool", np.dtype(bool)) if predicate else (dtype, arrays[0].dtype)
    return run(target, lambda f, args: primitive(f, name, dtype, args), arrays, [dtype] * len(arrays), result, out,
               lanes)  # fmt: skip


def convert(target: Target, array: np.ndarray, source: str, to: str, out: type | np.dtype, lanes: int = LANES
            ) -> np.ndarray:  # fmt: skip
    """A cast of an array."""
    return run(target, lambda f, args: cast(f, args[0], source, to), [array], [source], to, out, lanes)


def assembly(target: Target, text: str) -> str:
    """What the target runs for a kernel's text."""
    module = llvm.parse_assembly(text)
    tm = machine(target)
    module.data_layout = str(tm.target_data)
    return tm.emit_assembly(module)
