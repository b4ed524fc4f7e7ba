"""Kernels that do nothing but what a machine is limited by: multiplications with additions, and copying."""

from __future__ import annotations

from flambeau._backends.cpu.emit import BYTES, Module, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Step
from flambeau._backends.cpu.target import Target

ROUNDS = 1 << 12  # of a task: some tens of microseconds, so that starting it is of no account
PIECE = 1 << 18  # bytes that a task copies
PRODUCTS = Fields("out_at")
COPY = Fields("to_at from_at bytes")


def chains(target: Target) -> int:
    """How many sums are under way at once: several times as many as any processor begins in a cycle, so that none is
    waited for, and so few that all are in registers with the two vectors that change them."""
    return target.registers * 3 // 4


def products_step(target: Target, tasks: int) -> Step:
    """Multiplications with additions of float32, in registers; operand: a vector of results for each task."""
    operations = 2 * tasks * ROUNDS * chains(target) * target.lanes(BYTES["float"])
    kernel = Kernel(generate_products, (), ("products",))
    return Step((Launch(kernel, "products", PRODUCTS.words(out_at=Address(0)), tasks, 1),), flops=operations)


def copy_step(bytes: int) -> Step:
    """A copy of so many bytes, a multiple of PIECE. Operands: to and from; a task's piece is one run."""
    words = COPY.words(to_at=Address(0), from_at=Address(1), bytes=PIECE)
    return Step((Launch(Kernel(generate_copy, (), ("copy",)), "copy", words, bytes // PIECE, 1),), bytes=2 * bytes)


def generate_products(target: Target) -> str:
    """`products`: a task is ROUNDS rounds, each of which does sum = sum * 0.5 + 0.5 in every chain. What a task has in
    the end is in its place in `out`: 1 in each lane for each chain, whatever the chains began with."""
    m = Module(target)
    lanes = target.lanes(BYTES["float"])
    type = vector("float", lanes)
    f, args, lo, hi = m.entry("products")
    (out,) = PRODUCTS.read(f, args, "out_at")
    half = f.load(type, m.constant("halves", "float", ["0.5"] * lanes))
    with f.loop(lo, hi) as task:
        begin = [f.float(number, type) for number in range(chains(target))]
        with f.loop(0, ROUNDS, 1, begin, guard=False) as round:
            round.next = [f.fma(x, half, half) for x in round.carried]
        total = round.results[0]
        for x in round.results[1:]:
            total = f.fadd(total, x)
        f.store(total, f.offset(out, f.mul(task.index, lanes), "float"))
    f.ret()
    f.close()
    return m.text()


def generate_copy(target: Target) -> str:
    """`copy`: a task is the next `bytes` bytes."""
    m = Module(target)
    f, args, lo, hi = m.entry("copy")
    to, source, size = COPY.read(f, args, "to_at from_at bytes")
    type, unroll = vector("i8", target.vector_bytes), 4
    with f.loop(f.mul(lo, size), f.mul(hi, size), unroll * target.vector_bytes) as at:
        places = [f.add(at.index, i * target.vector_bytes) for i in range(unroll)]
        values = [f.load(type, f.offset(source, place)) for place in places]
        for x, place in zip(values, places, strict=True):
            f.store(x, f.offset(to, place))
    f.ret()
    f.close()
    return m.text()
