"""What kernels are compiled for: a triple, a CPU with features, and what follows from them for generated code."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A machine. `vector_bytes` is the width of a vector register, `registers` how many there are, `fma` whether a
    fused multiply-add is one instruction (elsewhere it would become a library call), `masks` whether masked loads and
    stores are, `lookups` how many floats instructions look up in a table held in a register: 0, 8, or 16 where there
    also is one that scales floats by powers of two (AVX-512)."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fma: bool
    masks: bool
    lookups: int = 0

    def lanes(self, itemsize: int) -> int:
        """Elements of that many bytes in one vector register."""
        return self.vector_bytes // itemsize


def x86_64(level: str, cpu: str = "", features: str = "") -> Target:
    """The target of an x86-64 level: "v2" (SSE4.2, plain vectors of 16 bytes), "v3" (AVX2 + FMA), "v4" (AVX-512)."""
    vector_bytes, registers, lookups = {"v2": (16, 16, 0), "v3": (32, 16, 8), "v4": (64, 32, 16)}[level]
    return Target(
        "x86_64-unknown-linux-gnu", cpu or f"x86-64-{level}", features, vector_bytes, registers, level != "v2",
        level != "v2", lookups,
    )  # fmt: skip


def aarch64(triple: str = "aarch64-unknown-linux-gnu", cpu: str = "generic", features: str = "+neon") -> Target:
    """The target of 64-bit ARM with NEON."""
    return Target(triple, cpu, features, 16, 32, True, False)
