"""Memory that NumPy sees: both sides agree as long as somebody looks, and nothing is left of it afterwards."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine.exposure import is_exposed
from flambeau._engine.plans import statistics

SIZES = (6, 6000)  # an array of NumPy's; a block of the allocator's


def exposed(t):
    return is_exposed(t._storage)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "show",
    [
        lambda t: t.numpy(),
        lambda t: t.numpy()[1:],
        lambda t: t[1:].numpy().reshape(-1, 1)[::2],
        lambda t: t.view(2, -1).t().numpy(),
        lambda t: t.view(2, -1)[:, 1].numpy(),
        lambda t: t.view(torch.int32).numpy(),
        lambda t: np.asarray(t).view(np.uint8),
        lambda t: memoryview(t.numpy()[2:]),
        lambda t: t.numpy().ctypes.data_as(ctypes.c_void_p),
        lambda t: t.__dlpack__(),
        lambda t: np.from_dlpack(t),
        lambda t: torch.from_numpy(t.numpy()),
        lambda t: torch.from_numpy(t.numpy()[::2]),
        lambda t: [t.numpy()],
    ],
)
def test_memory_is_exposed_as_long_as_somebody_can_see_it(show, size):
    t = torch.zeros(size)
    held = show(t)
    assert exposed(t)
    t.add_(1)
    assert exposed(t)
    del held
    gc.collect()
    assert not exposed(t)
    assert t.tolist() == [1] * size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "twice",
    [
        lambda x: (torch.zeros(len(x)), torch.zeros(len(x))),
        lambda x: (x.clone(), x.clone()),
        lambda x: [y + 1 for y in [x * 2] for _ in range(2)],
    ],
)
def test_equal_results_are_seen_apart(monkeypatch, twice, size):
    """A plan computes them once, in the same memory."""
    monkeypatch.setattr(config, "compile", "always")
    a, b = twice(torch.ones(size))
    expected = b.tolist()
    shown, others = a.numpy(), b.numpy()
    a.add_(1)
    others *= 3
    assert a.tolist() == shown.tolist() == [e + 1 for e in expected]
    assert b.tolist() == others.tolist() == [e * 3 for e in expected]
    assert a.data_ptr() != b.data_ptr()


def test_reading_a_tensor_exposes_nothing():
    t = torch.arange(4.0)
    str(t), t.tolist(), t[1].item(), bool(t[0]), t.untyped_storage().tolist()
    assert not t._storage.exposed


@pytest.mark.parametrize("size", SIZES)
def test_an_address_holds_as_long_as_the_tensor(size):
    for address_of in (torch.Tensor.data_ptr, lambda t: t.untyped_storage().data_ptr()):
        t = torch.zeros(size)
        address = address_of(t)
        for _ in range(3):
            t.mul_(2)
            t.add_(1)
        assert exposed(t) and t.numpy().ctypes.data == address == address_of(t)
        np.testing.assert_array_equal(t.numpy(), 7)


@pytest.mark.parametrize("size", SIZES)
def test_the_memory_of_an_array_that_is_gone_is_the_tensors(size):
    source = np.zeros(size, np.float32)
    t = torch.from_numpy(source)
    t.add_(1)
    assert exposed(t) and source[0] == 1
    del source
    assert not exposed(t)
    t.add_(1)
    assert t.tolist() == [2] * size


@pytest.mark.parametrize(
    "lend",
    [
        lambda: np.frombuffer(bytearray(24), np.float32),
        lambda: np.zeros((3, 4), np.float32)[:, ::2],
        lambda: np.array(memoryview(bytearray(24)).cast("f"), copy=False),
    ],
)
def test_memory_that_an_array_does_not_own_stays_exposed(lend):
    t = torch.from_numpy(lend())
    gc.collect()
    assert exposed(t)


def test_two_tensors_over_parts_of_an_array_see_each_other():
    source = np.zeros(10, np.float32)
    a, b = torch.from_numpy(source[:6]), torch.from_numpy(source[4:])
    del source
    a.add_(1)
    b.add_(1)
    assert a.tolist() == [1, 1, 1, 1, 2, 2] and b.tolist() == [2, 2, 1, 1, 1, 1]


def test_a_step_is_one_instruction_again_when_nobody_looks_any_more(monkeypatch):
    monkeypatch.setattr(config, "compile", "always")

    def step():
        before = statistics().runs
        for p in params:
            p.grad = torch.ones_like(p)
        torch.synchronize()
        optimizer.step()
        torch.synchronize()
        return statistics().runs - before

    params = [torch.nn.Parameter(torch.zeros(6000)) for _ in range(3)]
    optimizer = torch.optim.SGD(params, lr=0.5, momentum=0.5)
    for _ in range(4):
        step()
    ordinary = step()
    views = [p.detach().numpy() for p in params]
    assert step() != ordinary
    assert [v[0] for v in views] == [p[0].item() for p in params]
    del views
    assert step() == ordinary


def test_another_thread_may_look_while_steps_are_taken():
    def watch():
        while not done:
            try:
                seen.append(w.detach().numpy()[0].item())
            except Exception as error:
                problems.append(error)

    done, seen, problems = [], [], []
    w = torch.nn.Parameter(torch.zeros(6000))
    optimizer = torch.optim.SGD([w], lr=1.0)
    thread = threading.Thread(target=watch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        for _ in range(300):
            w.grad = torch.full((6000,), -1.0)
            optimizer.step()
    finally:
        done.append(True)
        thread.join()
        sys.setswitchinterval(interval)
    assert w[0].item() == 300 and not problems
    assert seen == sorted(seen)


class Shared:
    """Tensors and arrays over their memory, and beside each an array that is what it should be."""

    def __init__(self, size):
        self.size = size
        self.tensors = [(torch.arange(float(size)) % 5, np.arange(size, dtype=np.float32) % 5)]
        self.views = []
        w = np.arange(size, dtype=np.float32) % 3
        self.param = torch.nn.Parameter(torch.tensor(w)), w
        self.buffer = None
        self.optimizer = torch.optim.SGD([self.param[0]], lr=0.25, momentum=0.5)

    def pick(self, i):
        everything = [*self.tensors, (self.param[0].detach(), self.param[1])]
        return everything[i % len(everything)]

    def new(self, i, j):
        (a, x), (b, y) = self.pick(i), self.pick(j)
        n = min(len(x), len(y))
        self.tensors.append((a[:n] + 0.5 * b[:n], x[:n] + np.float32(0.5) * y[:n]))

    def part(self, i, j):
        a, x = self.pick(i)
        self.tensors.append((a[j % 3 :], x[j % 3 :]))

    def lend(self, i, j):
        x = np.full(self.size, j, np.float32)
        self.tensors.append((torch.from_numpy(x), x.copy()))
        if i % 2:
            self.views.append((x, self.tensors[-1][1]))

    def change(self, i, j):
        (a, x), (b, y) = self.pick(i), self.pick(j)
        n = min(len(x), len(y))
        with torch.no_grad():
            added = b[:n].clone()
            a[:n].mul_(0.5).add_(added)
        x[:n] = x[:n] * np.float32(0.5) + y[:n]

    def replace(self, i, j):
        a, x = self.pick(i)
        with torch.no_grad():
            a.mul_(-0.5)
        x *= -0.5

    def copy(self, i, j):
        (a, x), (b, y) = self.pick(i), self.pick(j)
        if len(x) == len(y) and a._storage is not b._storage:
            a.copy_(b)
            x[:] = y

    def show(self, i, j):
        a, x = self.pick(i)
        how = (lambda v: v, lambda v: v[1:][::2], lambda v: v.reshape(-1, 1)[2:])[j % 3]
        self.views.append((how(a.numpy()), how(x)))

    def glance(self, i, j):
        a, x = self.pick(i)
        np.testing.assert_allclose(a.numpy(), x, 1e-4, 1e-5)

    def drop(self, i, j):
        if self.views:
            del self.views[i % len(self.views)]

    def drop_tensor(self, i, j):
        if len(self.tensors) > 1:
            del self.tensors[i % len(self.tensors)]

    def write(self, i, j):
        if self.views:
            v, x = self.views[i % len(self.views)]
            v[...] = j
            x[...] = j

    def step(self, i, j):
        p, x = self.param
        p.grad = torch.full((self.size,), float(j))
        self.optimizer.step()
        self.buffer = np.zeros_like(x) if self.buffer is None else self.buffer
        self.buffer[...] = np.float32(0.5) * self.buffer + np.float32(j)
        x -= np.float32(0.25) * self.buffer

    def show_state(self, i, j):
        if self.buffer is not None:
            shown = self.optimizer.state_dict()["state"][0]["momentum_buffer"].numpy()
            self.views.append((shown, self.buffer))

    def check(self, i, j):
        for found, wanted in itertools.chain(self.views, [(a.tolist(), x) for a, x in self.tensors]):
            np.testing.assert_allclose(found, wanted, 1e-4, 1e-5)
        np.testing.assert_allclose(self.param[0].tolist(), self.param[1], 1e-4, 1e-5)


STEPS = [name for name in vars(Shared) if name[0] != "_" and name != "pick"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_arrays_and_tensors_over_one_memory_agree(mode, size, monkeypatch):
    monkeypatch.setattr(config, "compile", mode)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7), st.integers(0, 7)), max_size=30))
    def check(program):
        shared = Shared(size)
        for name, i, j in program:
            getattr(shared, name)(i, j)
        shared.check(0, 0)

    check()


def test_an_outsider_gives_its_array_another_shape():
    t = torch.arange(4.0)
    (t + 1).tolist()
    array = t.numpy()
    array.shape = (2, 2)
    assert t.tolist() == [0.0, 1.0, 2.0, 3.0]
    t[0] = 5.0
    assert array.tolist() == [[5.0, 1.0], [2.0, 3.0]]
