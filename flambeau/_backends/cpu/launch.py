"""The native code that runs plans: it fills in their words and calls their kernels, alone or together with workers.

The chunks of a shared launch are divided into territories, one for each thread. A territory is published as a ticket:
a generation, and how many of its chunks are left. Whoever takes chunks, a worker or the caller itself, lowers a ticket
by compare-and-swap. So a worker that sleeps, was descheduled or did not survive a fork takes nothing and is not waited
for: the caller waits only for chunks that are being run. Workers spin for a moment between launches, then sleep on a
futex; so does a caller whose last chunks take long, which leaves its processor to a worker that has none.

Everybody begins in a territory of his own, so that from launch to launch a thread meets the memory that it has written
or read before: what lies in another processor's cache can take longer to fetch than what lies in none. When nothing is
left there, others are helped. One takes a fixed part of what is left in a territory, many chunks in a row at first and
single ones at the end: long stretches are what processors fetch ahead, and short ones let all end at the same time.

Where there are no futexes a plan runs on its caller alone.
"""

from __future__ import annotations

from flambeau._backends.cpu.emit import Function, Module, Val
from flambeau._backends.cpu.target import Target

# Offsets in the block that a pool's threads share. What different threads write lies in different cache lines.
TICKET = 0  # i64: generation << 32 | chunks left, of the caller's territory
DONE = 64  # i64: chunks that were run
SLEEPING = 128  # i32: workers that sleep
WAITING = 192  # i32: does the caller sleep?
LAUNCH = 256  # ptr function, ptr words, i64 tasks, i64 grain, i64 chunks
SPIN = 320  # i64: nanoseconds that a worker spins before it sleeps
STOP = 328  # i64: are the workers to end?
HOME = 336  # i64: the processor that no worker is kept on
PINNED = 344  # i64: the workers that are kept on processors of their own
THREADS = 352  # i64: how many territories there are
BEGUN = 360  # i64: workers that have begun
WORKERS = 384  # for each of them: i64 thread, i64 processor; in another cache line the ticket of its territory
WORKER_BYTES, WORKER_TICKET = 128, 64

SHARE = 4  # a quarter of the chunks that are left in a territory is taken at once
MASK_BYTES = 128  # of a set of processors, as the C library has it
PATIENCE = 50_000  # nanoseconds that the caller spins for the last chunks before it sleeps
NAP = 1_000_000  # nanoseconds that it sleeps at most
MONOTONIC, FUTEX_WAIT, FUTEX_WAKE, ALL = 1, 128, 129, 2**31 - 1
FUTEX = {"x86_64": 202, "aarch64": 98}  # the number of the system call
PAUSE = {"x86_64": ("x86.sse2.pause", []), "aarch64": ("aarch64.hint", [Val("1", "i32")])}


def has_futex(target: Target) -> bool:
    """Can threads of this target sleep on a word of memory?"""
    machine, *rest = target.triple.split("-")
    return "linux" in rest and machine in FUTEX


def entries(target: Target) -> tuple[str, ...]:
    """The functions of the text that are called from outside."""
    return ("run_plan", "worker") if has_futex(target) else ("run_plan",)


def text(target: Target) -> str:
    """`i64 run_plan(ptr pool, ptr plan)`, and `ptr worker(ptr pool)`, which a thread of the pool runs until it is told
    to stop. Without a pool (0) everything runs on the caller."""
    module = Module(target)
    if has_futex(target):
        _take(module)
        _worker(module)
        _move_worker(module)
        _share(module)
    _run_launch(module)
    _run_plan(module)
    return module.text()


def _run_plan(module: Module) -> None:
    """A plan is a block of words: the addresses of its table, its patches and how many these are, its launches and how
    many, its status. A patch is (address of a word, slot of the table, bytes to add); a launch is (function, words,
    tasks, grain). The result is the status, which is 0 unless a kernel has set it, with which the plan ends."""
    f = module.function("run_plan", "i64", (("pool", "ptr"), ("plan", "ptr")))
    pool, plan = f.parameters
    table, patches, launches, status = (f.word(plan, i, "ptr") for i in (0, 1, 3, 5))
    f.store(f.int(0), status)
    with f.loop(0, f.word(plan, 2)) as patch:
        record = f.offset(patches, f.mul(patch.index, 3), "i64")
        filled = f.load("i64", f.offset(table, f.word(record, 1), "i64"))
        f.store(f.add(filled, f.word(record, 2)), f.word(record, 0, "ptr"))
    with f.loop(0, f.word(plan, 4)) as launch:
        record = f.offset(launches, f.mul(launch.index, 4), "i64")
        words = [f.word(record, i, type) for i, type in enumerate(("ptr", "ptr", "i64", "i64"))]
        f.call("void", "run_launch", [pool, *words], declare=False)
        f.branch(f.compare("eq", f.load("i64", status), 0), "well", "wrong")
        f.label("well")
    f.ret(f.int(0))
    f.label("wrong")
    f.ret(f.load("i64", status))
    f.close()


def _run_launch(module: Module) -> None:
    """One launch: in one call if it is small or there is no pool."""
    parameters = (("pool", "ptr"), ("function", "ptr"), ("words", "ptr"), ("tasks", "i64"), ("grain", "i64"))
    f = module.function("run_launch", "void", parameters, internal=True)
    pool, function, words, tasks, grain = f.parameters
    if has_futex(module.target):
        alone = f.binary("or", f.compare("eq", pool, Val("null", "ptr")), f.compare("sle", tasks, grain))
        f.branch(alone, "alone", "shared")
        f.label("shared")
        f.call("void", "share", f.parameters, declare=False)
        f.ret()
        f.label("alone")
    f.call_address(function, [words, f.int(0), tasks])
    f.ret()
    f.close()


# ---------------------------------------------------------------------------------------------- with workers


def _share(module: Module) -> None:
    """Publish a launch, wake who sleeps, take chunks as well, and wait for those that others have taken."""
    parameters = (("pool", "ptr"), ("function", "ptr"), ("words", "ptr"), ("tasks", "i64"), ("grain", "i64"))
    f = module.function("share", "void", parameters, internal=True)
    pool, function, words, tasks, grain = f.parameters
    time = f.stack("i64", 2)
    processor = f.cast("sext", f.call("i32", "sched_getcpu", []), "i64")
    home = f.load("i64", f.offset(pool, HOME))
    with f.when(f.binary("and", f.compare("sge", home, 0), f.compare("ne", home, processor))):
        f.call("void", "move_worker", [pool, processor], declare=False)
    chunks = f.udiv(f.sub(f.add(tasks, grain), 1), grain)
    for i, value in enumerate((function, words, tasks, grain, chunks)):
        f.store(value, f.offset(pool, LAUNCH + 8 * i))
    done, ticket = f.offset(pool, DONE), f.offset(pool, TICKET)
    f.store(f.int(0), done)
    generation = f.binary("shl", f.add(f.binary("lshr", f.load("i64", ticket), 32), 1), 32)
    threads = f.load("i64", f.offset(pool, THREADS))
    with f.loop(1, threads) as other:
        first, end = _territory(f, chunks, other.index, threads)
        published = f.binary("or", generation, f.sub(end, first))
        f.raw(f"store atomic {published}, ptr {_ticket(f, pool, other.index).name} release, align 8")
    published = f.binary("or", generation, _territory(f, chunks, f.int(0), threads)[1])
    f.op("i64", f"atomicrmw xchg ptr {ticket.name}, {published} seq_cst")  # the last, as this one is watched
    with f.when(f.compare("ne", _load(f, "i32", f.offset(pool, SLEEPING)), 0)):
        _wake(f, f.offset(ticket, 4), f.cast("trunc", f.min(f.sub(chunks, 1), ALL), "i32"))
    f.call("void", "take", [pool, f.int(0)], declare=False)
    _wait(f, pool, done, chunks, time)
    f.ret()
    f.close()


def _wait(f: Function, pool: Val, done: Val, chunks: Val, time: Val) -> None:
    """Until all chunks are done: spin for a while, then sleep."""
    waiting, deadline = f.offset(pool, WAITING), f.add(_now(f, time), PATIENCE)
    f.jump("watch")
    f.label("watch")
    f.branch(f.compare("eq", _load(f, "i64", done), chunks), "over", "pause")
    f.label("pause")
    _pause(f)
    f.branch(f.compare("slt", _now(f, time), deadline), "watch", "sleep")
    f.label("sleep")
    f.op("i32", f"atomicrmw xchg ptr {waiting.name}, i32 1 seq_cst")
    seen = _load(f, "i64", done)
    f.branch(f.compare("eq", seen, chunks), "awake", "nap")
    f.label("nap")
    f.store(f.int(0), time)
    f.store(f.int(NAP), f.offset(time, 8))
    _futex(f, done, FUTEX_WAIT, f.cast("trunc", seen, "i32"), time)
    f.jump("sleep")
    f.label("awake")
    f.store(f.int(0, "i32"), waiting)
    f.jump("over")
    f.label("over")


def _territory(f: Function, chunks: Val, thread: Val, threads: Val) -> tuple[Val, Val]:
    """The chunks of a thread's territory: the first, and the one after the last."""
    return f.udiv(f.mul(chunks, thread), threads), f.udiv(f.mul(chunks, f.add(thread, 1)), threads)


def _ticket(f: Function, pool: Val, thread: Val) -> Val:
    """The address of a territory's ticket."""
    place = f.add(f.mul(thread, WORKER_BYTES), WORKERS + WORKER_TICKET - WORKER_BYTES)
    return f.offset(pool, f.select(f.compare("eq", thread, 0), f.int(TICKET), place))


def _take(module: Module) -> None:
    """Run chunks of the present launch until none is left, those of the thread's own territory first. The launch's
    description is read only after some were taken, which is what keeps it from being replaced."""
    f = module.function("take", "void", (("pool", "ptr"), ("thread", "i64")), internal=True)
    pool, thread = f.parameters
    done, threads = f.offset(pool, DONE), f.load("i64", f.offset(pool, THREADS))
    with f.loop(0, threads) as visit:
        there = f.urem(f.add(thread, visit.index), threads)
        ticket_at = _ticket(f, pool, there)
        f.jump("look")
        f.label("look")
        ticket = _load(f, "i64", ticket_at)
        left = f.binary("and", ticket, 2**32 - 1)
        f.branch(f.compare("eq", left, 0), "empty", "try")
        f.label("try")
        count = f.max(f.udiv(left, SHARE), 1)
        swap = f"cmpxchg ptr {ticket_at.name}, {ticket}, {f.sub(ticket, count)} acq_rel acquire"
        taken = f.op("i1", f"extractvalue {{ i64, i1 }} {f.op('', swap).name}, 1")
        f.branch(taken, "run", "look")
        f.label("run")
        types = ("ptr", "ptr", "i64", "i64", "i64")
        function, words, tasks, grain, chunks = (f.load(t, f.offset(pool, LAUNCH + 8 * i)) for i, t in enumerate(types))
        first = f.mul(f.sub(_territory(f, chunks, there, threads)[1], left), grain)
        f.call_address(function, [words, first, f.min(f.add(first, f.mul(count, grain)), tasks)])
        f.op("i64", f"atomicrmw add ptr {done.name}, {count} seq_cst")
        with f.when(f.compare("ne", _load(f, "i32", f.offset(pool, WAITING)), 0)):
            _wake(f, done, f.int(1, "i32"))
        f.jump("look")
        f.label("empty")
    f.ret()
    f.close()


def _worker(module: Module) -> None:
    """Take part in every launch that is seen; between them spin, then sleep until there is another generation."""
    f = module.function("worker", "ptr", (("pool", "ptr"),))
    (pool,) = f.parameters
    ticket, sleeping = f.offset(pool, TICKET), f.offset(pool, SLEEPING)
    seen_at, deadline, time = f.stack("i64", 1), f.stack("i64", 1), f.stack("i64", 2)
    f.store(f.int(0), seen_at)
    before = f.op("i64", f"atomicrmw add ptr {f.offset(pool, BEGUN).name}, i64 1 seq_cst")
    thread = f.add(before, 1)
    f.jump("begin")
    f.label("begin")
    f.store(f.add(_now(f, time), f.load("i64", f.offset(pool, SPIN))), deadline)
    f.jump("watch")
    f.label("watch")
    generation, seen = f.binary("lshr", _load(f, "i64", ticket), 32), f.load("i64", seen_at)
    f.branch(f.compare("ne", generation, seen), "look", "pause")
    f.label("pause")
    _pause(f)
    f.branch(f.compare("slt", _now(f, time), f.load("i64", deadline)), "watch", "sleep")
    f.label("sleep")
    f.op("i32", f"atomicrmw add ptr {sleeping.name}, i32 1 seq_cst")
    _futex(f, f.offset(ticket, 4), FUTEX_WAIT, f.cast("trunc", seen, "i32"))
    f.op("i32", f"atomicrmw sub ptr {sleeping.name}, i32 1 seq_cst")
    f.jump("begin")
    f.label("look")
    f.store(generation, seen_at)
    f.branch(f.compare("eq", _load(f, "i64", f.offset(pool, STOP)), 0), "work", "stop")
    f.label("work")
    f.call("void", "take", [pool, thread], declare=False)
    f.jump("begin")
    f.label("stop")
    f.ret(Val("null", "ptr"))
    f.close()


def _move_worker(module: Module) -> None:
    """The caller was moved to another processor: send the worker that is kept there to the one the caller left."""
    f = module.function("move_worker", "void", (("pool", "ptr"), ("processor", "i64")), internal=True)
    pool, processor = f.parameters
    mask, home_at = f.stack("i8", MASK_BYTES), f.offset(pool, HOME)
    home = f.load("i64", home_at)
    f.call("void", "llvm.memset.p0.i64", [mask, f.int(0, "i8"), f.int(MASK_BYTES), Val("false", "i1")])
    bit = f.binary("shl", 1, f.binary("and", home, 63))
    f.store(bit, f.offset(mask, f.binary("lshr", home, 6), "i64"))
    f.store(processor, home_at)
    with f.loop(0, f.load("i64", f.offset(pool, PINNED))) as loop:
        worker = f.offset(pool, f.add(f.mul(loop.index, WORKER_BYTES), WORKERS))
        kept_on = f.offset(worker, 8)
        with f.when(f.compare("eq", f.load("i64", kept_on), processor)):
            f.call("i32", "pthread_setaffinity_np", [f.load("i64", worker), f.int(MASK_BYTES), mask])
            f.store(home, kept_on)
    f.ret()
    f.close()


def _load(f: Function, type: str, pointer: Val) -> Val:
    """What another thread may write at any time."""
    return f.op(type, f"load atomic {type}, ptr {pointer.name} seq_cst, align {8 if type == 'i64' else 4}")


def _pause(f: Function) -> None:
    name, args = PAUSE[f.target.triple.split("-")[0]]
    f.call("void", f"llvm.{name}", args)


def _now(f: Function, time: Val) -> Val:
    """Nanoseconds on a clock that never goes back; `time` is memory for two words."""
    f.call("i32", "clock_gettime", [f.int(MONOTONIC, "i32"), time])
    return f.add(f.mul(f.load("i64", time), 10**9), f.load("i64", f.offset(time, 8)))


def _futex(f: Function, address: Val, operation: int, value: Val, span: Val | None = None) -> None:
    """Sleep while a word (i32) has a value, at most for the time at `span`; or wake so many who sleep there."""
    f.module.declare("syscall", "i64 @syscall(i64, ...)")
    number = FUTEX[f.target.triple.split("-")[0]]
    rest = span or Val("null", "ptr")
    f.op("i64", f"call i64 (i64, ...) @syscall(i64 {number}, {address}, i32 {operation}, {value}, {rest})")


def _wake(f: Function, address: Val, count: Val) -> None:
    _futex(f, address, FUTEX_WAKE, count)
