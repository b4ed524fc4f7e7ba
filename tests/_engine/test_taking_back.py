"""Writes of what could not be computed are taken back: the error comes once, and tensors are what they were before."""

import threading

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau._engine.signature import signature
from flambeau._engine.window import flush, state

OUT_OF_RANGE = torch.tensor([7])


@pytest.fixture(params=["always", "never"], autouse=True)
def both_ways(request, monkeypatch):
    monkeypatch.setattr(config, "compile", request.param)
    flush()
    state.window.failed = False
    yield
    state.window.failed = False
    state.window._forget()


def taken(n):
    return torch.ones(3).gather(0, OUT_OF_RANGE.expand(n))


def test_a_write_that_fails_leaves_the_tensor_usable():
    x = torch.arange(3.0)
    x.add_(1)
    x.copy_(taken(3))
    with pytest.raises(IndexError, match="out of bounds"):
        x.tolist()
    assert x.tolist() == [1, 2, 3]
    x.mul_(2)
    assert x.tolist() == [2, 4, 6]


def test_a_part_and_writes_that_build_on_a_failed_one():
    x = torch.arange(6.0).reshape(2, 3)
    x[1].add_(taken(3))
    x.mul_(2)
    x[0] += 1
    with pytest.raises(IndexError):
        (x + 1).tolist()
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_writes_before_the_failing_operation_are_kept():
    x = torch.zeros(3)
    y = torch.ones(3).gather(0, torch.tensor([0, 1, 2]))  # can fail, and does not
    x.add_(y)
    x.add_(taken(3))
    with pytest.raises(IndexError):
        x.sum().item()
    assert x.tolist() == [1, 1, 1]


def test_a_result_that_failed_before_spoils_no_tensor():
    x, y = torch.zeros(3), taken(3)
    with pytest.raises(IndexError):
        y.tolist()
    x.add_(y)
    with pytest.raises(IndexError):
        x.tolist()
    assert x.tolist() == [0, 0, 0]


def test_looking_at_another_tensor_tells_that_a_write_was_taken_back():
    x, z = torch.zeros(3), torch.ones(3) + 1
    x.copy_(taken(3))
    with pytest.raises(IndexError):
        z.tolist()
    assert z.tolist() == [2, 2, 2] and x.tolist() == [0, 0, 0]


def test_memory_shared_with_numpy():
    x = torch.zeros(3)
    array = x.numpy()
    with pytest.raises(IndexError):
        x.copy_(taken(3)).tolist()
    x.add_(1)
    assert array.tolist() == x.tolist() == [1, 1, 1]


def test_a_training_step_on_a_bad_batch_can_be_repeated_with_a_good_one():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Linear(4, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    def step(words, labels):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(words)), torch.tensor(labels))
        loss.backward()
        optimizer.step()
        return loss

    step([0, 4], [0, 2]).item()
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    with pytest.raises(IndexError):
        step([1, 5], [0, 2]).item()
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before
    assert 0 < step([1, 2], [0, 2]).item() < 10


def test_what_is_held_for_a_failure_counts_as_no_reference():
    x = torch.zeros(5000)
    flush()
    x.add_(torch.ones(5000).gather(0, torch.arange(5000)))
    x.mul_(2)
    found = signature(list(state.window.queue), state.window)
    assert len(found.live) == 1 and found.slots[x._storage.value] in found.live
    held = [v for values in state.window.before for v in values.values()]
    assert held and [found.values[slot] for slot in found.dying] == held


def test_a_write_that_another_thread_runs_is_not_taken_back_in_silence():
    x, z = torch.zeros(3), torch.ones(3) + 1
    x.copy_(taken(3))
    seen = []
    thread = threading.Thread(target=lambda: seen.append(z.tolist()))
    thread.start()
    thread.join()
    assert seen == [[2, 2, 2]]
    with pytest.raises(IndexError):
        x.tolist()
