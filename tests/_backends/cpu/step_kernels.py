"""Small kernels for the tests of what runs kernels."""

from __future__ import annotations

from flambeau._backends.cpu.emit import Module
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.target import Target


def scaled(factor: float = 1.0) -> Kernel:
    """Words x, out, scale: out[task] = x[task] * scale * factor, in doubles."""
    return Kernel(_scaled, (factor,), ("run",))


def noted() -> Kernel:
    """Words starts, counts: starts[lo] += hi - lo, and counts[task] += 1 for each task."""
    return Kernel(_noted, (), ("run",))


def met() -> Kernel:
    """Words here, expected, out: here += 1, then wait (not for ever) until it is as expected; out[lo] = what it is."""
    return Kernel(_met, (), ("run",))


def called() -> Kernel:
    """Words function, words: calls the function with these words."""
    return Kernel(_called, (), ("run",))


def stored() -> Kernel:
    """Words to, value: stores the value."""
    return Kernel(_stored, (), ("run",))


def spoiled() -> Kernel:
    """A kernel that cannot be compiled."""
    return Kernel(_spoiled, (), ("run",))


def _scaled(target: Target, factor: float) -> str:
    m = Module(target)
    f, args, lo, hi = m.entry("run")
    x, out = f.word(args, 0, "ptr"), f.word(args, 1, "ptr")
    scale = f.fmul(f.word(args, 2, "double"), f.float(factor, "double"))
    with f.loop(lo, hi) as loop:
        value = f.load("double", f.offset(x, loop.index, "double"))
        f.store(f.fmul(value, scale), f.offset(out, loop.index, "double"))
    f.ret()
    f.close()
    return m.text()


def _noted(target: Target) -> str:
    m = Module(target)
    f, args, lo, hi = m.entry("run")
    starts, counts = f.word(args, 0, "ptr"), f.word(args, 1, "ptr")
    f.op("i64", f"atomicrmw add ptr {f.offset(starts, lo, 'i64').name}, {f.sub(hi, lo)} seq_cst")
    with f.loop(lo, hi) as loop:
        f.op("i64", f"atomicrmw add ptr {f.offset(counts, loop.index, 'i64').name}, i64 1 seq_cst")
    f.ret()
    f.close()
    return m.text()


def _met(target: Target) -> str:
    m = Module(target)
    f, args, lo, _ = m.entry("run")
    here, expected = f.word(args, 0, "ptr"), f.word(args, 1)
    f.op("i64", f"atomicrmw add ptr {here.name}, i64 1 seq_cst")
    tries = f.stack("i64", 1)
    f.store(f.int(1 << 20), tries)
    f.jump("look")
    f.label("look")
    seen, left = f.op("i64", f"load atomic i64, ptr {here.name} seq_cst, align 8"), f.load("i64", tries)
    f.store(f.sub(left, 1), tries)
    f.call("i32", "sched_yield", [])
    f.branch(f.binary("or", f.compare("sge", seen, expected), f.compare("eq", left, 0)), "over", "look")
    f.label("over")
    f.store(seen, f.offset(f.word(args, 2, "ptr"), lo, "i64"))
    f.ret()
    f.close()
    return m.text()


def _called(target: Target) -> str:
    m = Module(target)
    f, args, lo, hi = m.entry("run")
    f.call_address(f.word(args, 0, "ptr"), [f.word(args, 1, "ptr"), lo, hi])
    f.ret()
    f.close()
    return m.text()


def _stored(target: Target) -> str:
    m = Module(target)
    f, args, _, _ = m.entry("run")
    f.store(f.word(args, 1), f.word(args, 0, "ptr"))
    f.ret()
    f.close()
    return m.text()


def _spoiled(target: Target) -> str:
    return "this is no LLVM text"
