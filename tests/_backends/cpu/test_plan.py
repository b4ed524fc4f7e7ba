"""Plans: every kind of word, the status, and runs from several Python threads."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from flambeau._backends.cpu.kernel import (
    Address,
    Entry,
    Launch,
    Scalar,
    Scratch,
    Status,
    Step,
    Word,
    Words,
    double_bits,
)
from flambeau._backends.cpu.plan import NativePlan, Sites, block_of, run_step

sys.path.append(str(Path(__file__).parent))
from step_kernels import called, met, noted, scaled, stored  # noqa: E402


def launch(kernel, words: tuple[Word, ...], tasks: int = 1, grain: int = 1) -> Launch:
    return Launch(kernel, "run", words, tasks, grain)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_addresses_with_offsets_scalars_and_constants():
    x, out = np.arange(10.0), np.zeros(10)
    words = (Address(0, 16), Address(1, 8), Scalar(1))
    assert run_step(Step((launch(scaled(), words, 8, 3),)), [x, out], [7, 0.5]) == 0
    assert out.tolist() == [0, *(0.5 * x[2:]), 0]
    assert run_step(Step((launch(scaled(), (Address(0), Address(1), double_bits(3.0)), 10, 10),)), [x, out]) == 0
    assert out.tolist() == (3 * x).tolist()


def test_an_integer_scalar_arrives_as_it_is():
    out = np.zeros(2, np.int64)
    step = Step((launch(stored(), (Address(0), Scalar(0))), launch(stored(), (Address(0, 8), Scalar(1)))))
    run_step(step, [out], [-(2**63), 5])
    assert out.tolist() == [-(2**63), 5]


def test_scratch_is_aligned_and_shared_by_the_launches_of_a_step():
    x, out, place = np.arange(4.0), np.zeros(4), np.zeros(1, np.int64)
    step = Step(
        (
            launch(scaled(), (Address(0), Scratch(64), double_bits(2.0)), 4, 4),
            launch(scaled(), (Scratch(64), Address(1), double_bits(2.0)), 4, 4),
            launch(stored(), (Address(2), Scratch(64))),
        ),
        scratch=64 + 32,
    )
    run_step(step, [x, out, place])
    assert out.tolist() == (4 * x).tolist()
    assert place[0] % 64 == 0


def test_entries_and_nested_words():
    x, out = np.arange(5.0), np.zeros(5)
    inner = Words((Address(0), Address(1), Scalar(0)))
    outer = Words((Entry(scaled(2.0), "run"), inner))
    run_step(Step((launch(called(), (Entry(called(), "run"), outer), 5, 2),)), [x, out], [10.0])
    assert out.tolist() == (20 * x).tolist()


def test_a_status_ends_the_run_and_is_forgotten_at_the_next():
    done = np.zeros(3, np.int64)
    steps = [
        Step((launch(stored(), (Address(0), 1)), launch(stored(), (Status(), Scalar(0))))),
        Step((launch(stored(), (Address(0), 1)),)),
    ]
    plan = NativePlan(Sites([((0,), (0,)), ((1,), ())], 4, "n"), list(map(block_of, steps)))
    assert plan.run([address(done), address(done) + 8, 0, 0, 7]) == 7
    assert done.tolist() == [1, 0, 0]
    assert plan.run([address(done) + 16, address(done) + 8, 0, 0, 0]) == 0
    assert done.tolist() == [1, 1, 1]


def test_profiled_runs_do_the_same_and_stop_at_a_status():
    x, out = np.arange(3.0), np.zeros(3)
    double = Step((launch(scaled(), (Address(0), Address(1), double_bits(2.0)), 3, 1),))
    twice = Step((double.launches[0], launch(scaled(), (Address(1), Address(1), Scalar(0)), 3, 3)))
    plan = NativePlan(Sites([((0, 1), ()), ((1, 1), (0,))], 4, "n"), [block_of(double), block_of(twice)])
    words = [address(x), address(out), 0, 0, double_bits(10.0)]
    seconds = plan.run_profiled(words)
    assert out.tolist() == (40 * x).tolist()
    assert len(seconds) == 2 and all(s > 0 for s in seconds)
    assert plan.run(words) == 0  # all steps again
    assert out.tolist() == (40 * x).tolist()


def test_plans_of_the_same_form_lie_in_their_own_places_of_the_arena():
    """Both have one skeleton; words, offsets and tasks are their own."""
    x, arena = np.arange(8.0), np.zeros(64)
    plans, sites = [], Sites([((0, ~1), ()), ((~1, ~0), (0,))], 3, "d")
    for count, factor, offset in ((3, 2.0, 8), (5, 10.0, 256)):
        step = Step((launch(scaled(), (Address(0), Address(1), double_bits(factor)), count, 1),))
        back = Step((launch(scaled(), (Address(0, 8), Address(1), Scalar(0)), count - 1, 1),))
        plans.append(NativePlan(sites, [block_of(step), block_of(back)], (offset + 128, offset)))
    assert len(sites._skeletons) == 1
    for plan in plans:
        assert plan.run([address(x), address(arena), 0, 0.5]) == 0
    assert arena[1:4].tolist() == [0, 2, 4] and arena[17:19].tolist() == [1, 2]
    assert arena[32:37].tolist() == [0, 10, 20, 30, 40] and arena[48:52].tolist() == [5, 10, 15, 20]


def test_no_steps_and_no_slots():
    assert NativePlan(Sites([], 0), []).run([]) == 0


def test_a_table_of_the_wrong_length_is_refused():
    with pytest.raises(Exception, match="pack_into expected 4 items"):
        NativePlan(Sites([], 4), []).run([1, 2, 3])


def test_python_threads_run_plans_at_the_same_time(threads):
    threads(2)
    wrong: list[int] = []

    def repeat(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            tasks, grain = int(rng.integers(1, 200)), int(rng.integers(1, 50))
            starts, counts = np.zeros((2, tasks), np.int64)
            run_step(Step((launch(noted(), (Address(0), Address(1)), tasks, grain),)), [starts, counts])
            if not (counts == 1).all():
                wrong.append(tasks)

    running = [threading.Thread(target=repeat, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


def test_a_run_lets_other_python_threads_go_on():
    """Two launches of one task each that wait for each other, which would take for ever with the interpreter's lock."""
    here, out = np.zeros(1, np.int64), np.zeros(2, np.int64)
    step = Step((launch(met(), (Address(0), 2, Address(1))),))
    other = threading.Thread(target=run_step, args=(step, [here, out[:1]]))
    other.start()
    run_step(step, [here, out[1:]])
    other.join()
    assert out.tolist() == [2, 2]
