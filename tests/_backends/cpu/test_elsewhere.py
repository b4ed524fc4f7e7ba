"""Kernels of templates become code for machines that this one is not."""

from __future__ import annotations

import pytest

from flambeau._backends.cpu.attention_backward import backward_kernel
from flambeau._backends.cpu.attention_forward import forward_kernel
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.objects import compile_text
from flambeau._backends.cpu.products import tile_of
from flambeau._backends.cpu.random import KINDS, generate_fill
from flambeau._backends.cpu.rnn import generate_backward, generate_forward
from flambeau._backends.cpu.scan import generate_scan
from flambeau._backends.cpu.scatter import Kind, scatter_kernel
from flambeau._backends.cpu.sort_rows import network_kernel, radix_kernel
from flambeau._backends.cpu.target import aarch64, x86_64

TARGETS = {"avx512": x86_64("v4"), "neon": aarch64()}


def kernels(target):
    tile = tile_of(target, 100)
    yield forward_kernel("float", tile, True, "bool")
    yield backward_kernel("float", tile, False, "float")
    yield forward_kernel("double", tile_of(target, 1), False, None)
    yield Kernel(generate_forward, ("float", tile), ())
    yield Kernel(generate_backward, ("double", tile), ())
    yield Kernel(generate_scan, ("sum", "float32"), ())
    yield Kernel(generate_scan, ("max", "int8"), ())
    yield scatter_kernel(Kind("float", "i64", "add_scaled", "slices", 1, True, False))
    yield scatter_kernel(Kind("i8", "i32", "write", "elements", None, False, True))
    yield network_kernel("float32", True)
    yield network_kernel("int64", False)
    yield radix_kernel("uint8", False, 8)
    for kind in KINDS:
        yield Kernel(generate_fill, (kind,), ())


@pytest.mark.parametrize("name", TARGETS)
def test_every_kernel_is_compiled(name):
    target = TARGETS[name]
    for kernel in kernels(target):
        assert len(compile_text(kernel.text(target), target)) > 500
