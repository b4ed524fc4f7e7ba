"""What kernels are compiled for: a triple, a CPU with features, and what follows from them for generated code."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A machine. `vector_bytes` is the width of a vector register, `registers` how many there are, `fma` whether a
    fused multiply-add is one instruction (elsewhere it would become a library call), `masks` whether masked loads and
    stores are, `lookups` whether there are instructions that look up 16 floats in a table held in registers, and that
    scale them by powers of two (AVX-512)."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fma: bool
    masks: bool
    lookups: bool = False

    def lanes(self, itemsize: int) -> int:
        """Elements of that many bytes in one vector register."""
        return self.vector_bytes // itemsize


def x86_64(level: str, cpu: str = "", features: str = "") -> Target:
    """The target of an x86-64 level: "v2" (SSE4.2, plain vectors of 16 bytes), "v3" (AVX2 + FMA), "v4" (AVX-512)."""
    vector_bytes, registers, fma = {"v2": (16, 16, False), "v3": (32, 16, True), "v4": (64, 32, True)}[level]
    return Target(
        "x86_64-unknown-linux-gnu", cpu or f"x86-64-{level}", features, vector_bytes, registers, fma, level != "v2",
        level == "v4",
    )  # fmt: skip


def aarch64(triple: str = "aarch64-unknown-linux-gnu", cpu: str = "generic", features: str = "+neon") -> Target:
    """The target of 64-bit ARM with NEON."""
    return Target(triple, cpu, features, 16, 32, True, False)
