"""Numbers of a parameter's state: Python's for the optimizer, tensors for everybody else."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as torch
from flambeau.optim._state import HIDDEN, ParameterState


@pytest.fixture
def state():
    state = ParameterState()
    state.set_number("step", 2.0)
    state["mean"] = torch.zeros(2)
    return state


LOOKS = {
    "state[...]": lambda s: s["step"],
    "get": lambda s: s.get("step"),
    "items": lambda s: dict(s.items())["step"],
    "values": lambda s: next(iter(s.values())),
    "dict": lambda s: dict(s)["step"],
    "**": lambda s: dict(**s)["step"],
    "copy": lambda s: s.copy()["step"],
    "|": lambda s: (s | {})["step"],
    "pop": lambda s: s.pop("step"),
    "deepcopy": lambda s: copy.deepcopy(s)["step"],
    "pickle": lambda s: pickle.loads(pickle.dumps(s))["step"],
    "snapshot": lambda s: s.snapshot()["step"],
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_whoever_looks_sees_a_tensor(state, look):
    seen = look(state)
    assert isinstance(seen, torch.Tensor) and seen.dtype == torch.float32 and seen.shape == () and seen.item() == 2.0
    assert "step" not in state or state.number("step") == 2.0


def test_it_looks_like_a_dict(state):
    assert list(state) == ["step", "mean"] and len(state) == 2 and "step" in state
    assert repr(state) == "{'step': tensor(2.), 'mean': tensor([0., 0.])}"


def test_nobody_looked_so_there_is_no_tensor(state):
    for step in range(3, 6):
        state.set_number("step", float(step))
    assert dict.__getitem__(state, "step") is HIDDEN and state.number("step") == 5.0


def test_a_tensor_once_seen_keeps_up(state):
    seen = state["step"]
    state.set_number("step", 7.0)
    assert state["step"] is seen and seen.item() == 7.0


def test_what_others_write_counts(state):
    state["step"] += 3
    assert state.number("step") == 5.0
    state["step"].fill_(11)
    assert state.number("step") == 11.0
    state["step"] = torch.tensor(4.0)
    assert state.number("step") == 4.0
    state["step"] = 6
    assert state.number("step") == 6.0
    state.set_number("step", 7.0)
    assert state["step"].item() == 7.0


def test_numbers_are_what_will_be_saved(state):
    state.set_number("eta", 0.1)
    assert state.number("eta") == torch.tensor(0.1).item() == state["eta"].item() != 0.1


def test_a_step_set_by_hand_changes_the_bias_correction():
    def after(change):
        w = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.Adam([w], lr=0.1)
        w.grad = torch.tensor([1.0, 2.0])
        optimizer.step()
        change(optimizer, w)
        optimizer.step()
        return w.tolist(), optimizer.state[w]["step"].item()

    def replaced(optimizer, w):
        optimizer.state[w] = {**optimizer.state[w], "step": torch.tensor(9.0)}

    expected = after(lambda o, w: o.state[w]["step"].fill_(9.0))
    assert expected[1] == 10.0
    assert after(replaced) == expected
    assert after(lambda o, w: o.state[w].update(step=9)) == expected
    assert after(lambda o, w: None) != expected


def test_forgetting_all_state_starts_anew():
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.Adam([w])
    w.grad = torch.ones(2)
    for _ in range(2):
        optimizer.state = type(optimizer.state)(dict)
        optimizer.step()
        assert optimizer.state[w]["step"].item() == 1.0
