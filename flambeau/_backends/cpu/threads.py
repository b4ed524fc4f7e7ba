"""A native pool of threads that never holds its caller up.

A launch publishes a function, its block of words, and a ticket: a generation and how many chunks are left. Whoever
takes a chunk (the workers, and the caller itself) decrements the ticket by compare-and-swap, so a worker that sleeps, was
descheduled, or did not survive a fork takes nothing and is not waited for: the caller waits only for chunks that are
being run. Workers spin for a moment between launches, then sleep on a futex.

The code is LLVM text because there is no C compiler here; threads are made by the C library's `pthread_create`, and
never run Python.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import threading
from typing import Any

from flambeau._backends.cpu.host import default_threads, processors
from flambeau._backends.cpu.target import Target
from flambeau._core.lazy import lazy_module

ctypes = lazy_module("ctypes")

# Offsets in the pool's shared block; what is written by different threads lies in different cache lines.
TICKET, JOB, DONE, GENERATION, SLEEPING, STOP, SPINS, TIDS = 0, 64, 128, 192, 256, 320, 384, 448
BLOCK = 448 + 8 * 256
SPIN = 20_000  # pauses before a worker goes to sleep: some 300 us
STACK = 8 << 20  # bytes of a worker's stack
PAUSE = {"x86_64": "call void @llvm.x86.sse2.pause()", "aarch64": "call void @llvm.aarch64.hint(i32 1)"}
DECLARE_PAUSE = {"x86_64": "declare void @llvm.x86.sse2.pause()", "aarch64": "declare void @llvm.aarch64.hint(i32)"}
FUTEX = {"x86_64": 202, "aarch64": 98}
GETTID = {"x86_64": 186, "aarch64": 178}
ENTRIES = ("run_launch", "run_plan", "worker")


def has_futex() -> bool:
    """Are there futexes and pthreads to build on? Elsewhere the caller runs all chunks."""
    return platform.system() == "Linux" and platform.machine() in FUTEX


def text(target: Target) -> str:
    """The pool's functions.

    `run_launch(pool, function, words, tasks, grain)` runs one launch. `run_plan(pool, plan)` fills in the words of a plan
    and runs its launches until its status is not 0; a plan is a block of words: the table, the patches (destination,
    slot, offset), how many, the launches (function, words, tasks, grain), how many, the status. `worker(pool)` is what
    a thread does.
    """
    machine = target.triple.split("-")[0]
    machine = machine if machine in FUTEX else "x86_64"
    return f"""
target triple = "{target.triple}"
declare i64 @syscall(i64, ...)
{DECLARE_PAUSE[machine]}
declare i32 @sched_yield()

define internal i64 @take(ptr %pool) #0 {{
entry:
  %ticketp = getelementptr i8, ptr %pool, i64 {TICKET}
  %donep = getelementptr i8, ptr %pool, i64 {DONE}
  br label %try
try:
  %taken = phi i64 [ 0, %entry ], [ %more, %run ], [ %taken, %lost ]
  %ticket = load atomic i64, ptr %ticketp acquire, align 8
  %left = and i64 %ticket, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %out, label %swap
swap:
  %next = sub i64 %ticket, 1
  %swapped = cmpxchg ptr %ticketp, i64 %ticket, i64 %next acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %swapped, 1
  br i1 %mine, label %run, label %lost
lost:
  {PAUSE[machine]}
  br label %try
run:
  %job = getelementptr i8, ptr %pool, i64 {JOB}
  %function = load ptr, ptr %job
  %wordsp = getelementptr i64, ptr %job, i64 1
  %words = load ptr, ptr %wordsp
  %tasksp = getelementptr i64, ptr %job, i64 2
  %tasks = load i64, ptr %tasksp
  %grainp = getelementptr i64, ptr %job, i64 3
  %grain = load i64, ptr %grainp
  %chunksp = getelementptr i64, ptr %job, i64 4
  %chunks = load i64, ptr %chunksp
  %chunk = sub i64 %chunks, %left
  %lo = mul i64 %chunk, %grain
  %end = add i64 %lo, %grain
  %inside = icmp slt i64 %end, %tasks
  %hi = select i1 %inside, i64 %end, i64 %tasks
  call void %function(ptr %words, i64 %lo, i64 %hi)
  %before = atomicrmw add ptr %donep, i64 1 release
  %more = add i64 %taken, 1
  br label %try
out:
  ret i64 %taken
}}

define ptr @worker(ptr %pool) #0 {{
entry:
  %generationp = getelementptr i8, ptr %pool, i64 {GENERATION}
  %sleepingp = getelementptr i8, ptr %pool, i64 {SLEEPING}
  %stopp = getelementptr i8, ptr %pool, i64 {STOP}
  %spinsp = getelementptr i8, ptr %pool, i64 {SPINS}
  %tidsp = getelementptr i8, ptr %pool, i64 {TIDS}
  %tid = call i64 (i64, ...) @syscall(i64 {GETTID[machine]})
  %place = atomicrmw add ptr %tidsp, i64 1 seq_cst
  %after = add i64 %place, 1
  %tidp = getelementptr i64, ptr %tidsp, i64 %after
  store atomic i64 %tid, ptr %tidp release, align 8
  br label %top
top:
  %last = phi i32 [ 0, %entry ], [ %last, %sleep ], [ %current, %job ]
  br label %spin
spin:
  %i = phi i64 [ 0, %top ], [ %following, %again ]
  %current = load atomic i32, ptr %generationp acquire, align 4
  %new = icmp ne i32 %current, %last
  br i1 %new, label %go, label %again
again:
  {PAUSE[machine]}
  %following = add i64 %i, 1
  %limit = load i64, ptr %spinsp
  %tired = icmp sgt i64 %following, %limit
  br i1 %tired, label %sleep, label %spin
sleep:
  %a = atomicrmw add ptr %sleepingp, i32 1 seq_cst
  %r = call i64 (i64, ...) @syscall(i64 {FUTEX[machine]}, ptr %generationp, i64 128, i32 %last, ptr null, ptr null, i64 0)
  %b = atomicrmw sub ptr %sleepingp, i32 1 seq_cst
  br label %top
go:
  %stop = load atomic i32, ptr %stopp acquire, align 4
  %stopping = icmp ne i32 %stop, 0
  br i1 %stopping, label %end, label %job
job:
  %done = call i64 @take(ptr %pool)
  br label %top
end:
  ret ptr null
}}

define void @run_launch(ptr %pool, ptr %function, ptr %words, i64 %tasks, i64 %grain) #0 {{
entry:
  %alone = icmp eq ptr %pool, null
  %small = icmp sle i64 %tasks, %grain
  %serially = or i1 %alone, %small
  br i1 %serially, label %serial, label %parallel
serial:
  call void %function(ptr %words, i64 0, i64 %tasks)
  ret void
parallel:
  %sum = add i64 %tasks, %grain
  %less = sub i64 %sum, 1
  %chunks = sdiv i64 %less, %grain
  %job = getelementptr i8, ptr %pool, i64 {JOB}
  store ptr %function, ptr %job
  %wordsp = getelementptr i64, ptr %job, i64 1
  store ptr %words, ptr %wordsp
  %tasksp = getelementptr i64, ptr %job, i64 2
  store i64 %tasks, ptr %tasksp
  %grainp = getelementptr i64, ptr %job, i64 3
  store i64 %grain, ptr %grainp
  %chunksp = getelementptr i64, ptr %job, i64 4
  store i64 %chunks, ptr %chunksp
  %donep = getelementptr i8, ptr %pool, i64 {DONE}
  store i64 0, ptr %donep
  %generationp = getelementptr i8, ptr %pool, i64 {GENERATION}
  %old = load i32, ptr %generationp
  %new = add i32 %old, 1
  %wide = zext i32 %new to i64
  %high = shl i64 %wide, 32
  %ticket = or i64 %high, %chunks
  %ticketp = getelementptr i8, ptr %pool, i64 {TICKET}
  store atomic i64 %ticket, ptr %ticketp release, align 8
  %published = atomicrmw xchg ptr %generationp, i32 %new seq_cst
  %sleepingp = getelementptr i8, ptr %pool, i64 {SLEEPING}
  %sleeping = load atomic i32, ptr %sleepingp seq_cst, align 4
  %anybody = icmp ne i32 %sleeping, 0
  br i1 %anybody, label %wake, label %help
wake:
  %r = call i64 (i64, ...) @syscall(i64 {FUTEX[machine]}, ptr %generationp, i64 129, i64 2147483647, ptr null, ptr null, i64 0)
  br label %help
help:
  %taken = call i64 @take(ptr %pool)
  br label %wait
wait:
  %i = phi i64 [ 0, %help ], [ %following, %again ], [ 0, %yield ]
  %done = load atomic i64, ptr %donep acquire, align 8
  %finished = icmp eq i64 %done, %chunks
  br i1 %finished, label %out, label %again
again:
  {PAUSE[machine]}
  %following = add i64 %i, 1
  %long = icmp sgt i64 %following, 2000
  br i1 %long, label %yield, label %wait
yield:
  %y = call i32 @sched_yield()
  br label %wait
out:
  ret void
}}

define i64 @run_plan(ptr %pool, ptr %plan) #0 {{
entry:
  %table = load ptr, ptr %plan
  %patchesp = getelementptr i64, ptr %plan, i64 1
  %patches = load ptr, ptr %patchesp
  %npatchesp = getelementptr i64, ptr %plan, i64 2
  %npatches = load i64, ptr %npatchesp
  %launchesp = getelementptr i64, ptr %plan, i64 3
  %launches = load ptr, ptr %launchesp
  %nlaunchesp = getelementptr i64, ptr %plan, i64 4
  %nlaunches = load i64, ptr %nlaunchesp
  %statuspp = getelementptr i64, ptr %plan, i64 5
  %statusp = load ptr, ptr %statuspp
  store i64 0, ptr %statusp
  br label %patch
patch:
  %p = phi i64 [ 0, %entry ], [ %p1, %fill ]
  %patched = icmp eq i64 %p, %npatches
  br i1 %patched, label %launch, label %fill
fill:
  %pbase = mul i64 %p, 3
  %destpp = getelementptr i64, ptr %patches, i64 %pbase
  %dest = load ptr, ptr %destpp
  %slotp = getelementptr i64, ptr %destpp, i64 1
  %slot = load i64, ptr %slotp
  %offsetp = getelementptr i64, ptr %destpp, i64 2
  %offset = load i64, ptr %offsetp
  %entryp = getelementptr i64, ptr %table, i64 %slot
  %base = load i64, ptr %entryp
  %word = add i64 %base, %offset
  store i64 %word, ptr %dest
  %p1 = add i64 %p, 1
  br label %patch
launch:
  %l = phi i64 [ 0, %patch ], [ %l1, %next ]
  %over = icmp eq i64 %l, %nlaunches
  br i1 %over, label %out, label %go
go:
  %lbase = mul i64 %l, 4
  %functionp = getelementptr i64, ptr %launches, i64 %lbase
  %function = load ptr, ptr %functionp
  %wordsp = getelementptr i64, ptr %functionp, i64 1
  %words = load ptr, ptr %wordsp
  %tasksp = getelementptr i64, ptr %functionp, i64 2
  %tasks = load i64, ptr %tasksp
  %grainp = getelementptr i64, ptr %functionp, i64 3
  %grain = load i64, ptr %grainp
  call void @run_launch(ptr %pool, ptr %function, ptr %words, i64 %tasks, i64 %grain)
  %status = load i64, ptr %statusp
  %wrong = icmp ne i64 %status, 0
  br i1 %wrong, label %bad, label %next
next:
  %l1 = add i64 %l, 1
  br label %launch
bad:
  ret i64 %status
out:
  ret i64 0
}}

attributes #0 = {{ nounwind "frame-pointer"="none" "target-cpu"="{target.cpu}" }}
"""


class Pool:
    """Worker threads beside the caller. `block` is the address of the shared block; 0 if there are no workers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # one launch at a time
        self.threads: int | None = None
        self.block = 0
        self._memory: Any = None
        self._handles: list[Any] = []

    def count(self) -> int:
        """How many threads a launch may use, the caller among them."""
        if self.threads is None:
            self.threads = default_threads()
        return self.threads

    def resize(self, threads: int) -> None:
        """Use that many threads from now on."""
        with self.lock:
            self._stop()
            self.threads = threads

    def start(self, worker: int) -> int:
        """The address of the shared block, with workers running `worker` (an address); the lock is held."""
        if not self._memory and self.count() > 1 and has_futex():
            self._start(worker)
        return self.block

    def forget(self) -> None:
        """In a forked child: the parent's workers are not here."""
        self.lock = threading.Lock()
        self._memory, self._handles, self.block = None, [], 0

    def stop(self) -> None:
        """End the workers."""
        with self.lock:
            self._stop()

    def _start(self, worker: int) -> None:
        self._memory = ctypes.create_string_buffer(BLOCK + 64)
        self.block = (ctypes.addressof(self._memory) + 63) & ~63
        ctypes.c_int64.from_address(self.block + SPINS).value = SPIN
        libc = ctypes.CDLL(None)
        attributes = ctypes.create_string_buffer(256)
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK))
        for _ in range(self.count() - 1):
            handle = ctypes.c_uint64()
            error = libc.pthread_create(ctypes.byref(handle), attributes, ctypes.c_void_p(worker),
                                        ctypes.c_void_p(self.block))  # fmt: skip
            if error:
                break
            self._handles.append(handle)
        libc.pthread_attr_destroy(attributes)
        self._pin()

    def _pin(self) -> None:
        """Keep each worker on a processor of its own: a woken thread would be put on its waker's and wait there."""
        own = processors()
        tids = (ctypes.c_int64 * (len(self._handles) + 1)).from_address(self.block + TIDS)
        for _ in range(10_000):
            if all(tids[1 + i] for i in range(len(self._handles))):
                break
            os.sched_yield()
        for i in range(len(self._handles)):
            if len(own) > 1 and tids[1 + i]:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(tids[1 + i], {own[(i + 1) % len(own)]})

    def _stop(self) -> None:
        if self._memory is None:
            return
        libc = ctypes.CDLL(None)
        generation = ctypes.c_int32.from_address(self.block + GENERATION)
        ctypes.c_int32.from_address(self.block + STOP).value = 1
        generation.value += 1
        libc.syscall(FUTEX[platform.machine()], ctypes.c_void_p(self.block + GENERATION), 129, 2147483647, None, None, 0)
        for handle in self._handles:
            libc.pthread_join(handle, None)
        self._memory, self._handles, self.block = None, [], 0


pool = Pool()
atexit.register(pool.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget)


def set_num_threads(n: int) -> None:
    """Use `n` threads for what is launched from now on."""
    pool.resize(n)


def get_num_threads() -> int:
    """How many threads a launch may use."""
    return pool.count()
