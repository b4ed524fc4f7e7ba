"""Who is offered a call, and in which order."""

import subprocess
import sys
import threading

import pytest

import flambeau as torch
from flambeau._core import overriding
from flambeau._core.overriding import DisableTorchFunction, DisableTorchFunctionSubclass
from flambeau.overrides import TorchFunctionMode


class Answers:
    """Takes calls over and says which class was asked; `answer` may be NotImplemented."""

    answer = True
    asked: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Answers.asked.append(cls.__name__)
        return (func.__name__, types, args, kwargs) if cls.answer is True else cls.answer


class Narrower(Answers):
    pass


class Silent(Answers):
    answer = NotImplemented


class Noting(TorchFunctionMode):
    def __init__(self):
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def nobody_was_asked():
    Answers.asked.clear()


def test_the_call_arrives_as_it_was_made():
    one, two = Answers(), Answers()
    assert torch.add(one, two, alpha=2) == ("add", (Answers,), (one, two), {"alpha": 2})
    assert torch.stack([torch.ones(1), one])[0] == "stack"
    assert torch.nn.functional.cross_entropy(torch.ones(1, 2), one)[0] == "cross_entropy"


def test_subclasses_are_asked_first_and_each_class_once():
    torch.stack([Silent(), Silent(), Answers(), Narrower()])
    assert Answers.asked == ["Silent", "Narrower"]


def test_nobody_answers():
    with pytest.raises(TypeError, match=r"Multiple dispatch failed for 'torch.mean'(.|\n)*Silent"):
        torch.mean(Silent())


def test_operators_ask_the_other_operand():
    assert (torch.ones(2) + Answers())[0] == "add"
    assert (torch.ones(2) - Answers())[0] == "sub"
    with pytest.raises(TypeError, match="unsupported operand"):
        torch.ones(2) + Silent()


def test_an_operator_of_the_silent_is_tried():
    class Reflecting(Silent):
        def __radd__(self, other):
            return "reflected"

    assert torch.ones(2) + Reflecting() == "reflected"


def test_within_the_contexts_nobody_is_asked():
    with DisableTorchFunctionSubclass(), pytest.raises(TypeError, match="must be Tensor or Number, not Answers"):
        torch.relu(Answers())
    mode = Noting()
    with mode, DisableTorchFunctionSubclass():
        torch.ones(1)
    with mode, DisableTorchFunction():
        torch.zeros(1)
    assert mode.names == ["ones"] and not Answers.asked


def test_modes_see_everything_and_hand_on():
    outer, inner = Noting(), Noting()
    with outer, inner:
        x = torch.ones(2)
        (x + 1).sum(dim=0).item()
        x.shape  # noqa: B018
    assert inner.names == outer.names == ["ones", "add", "sum", "item", "__get__"]
    torch.ones(2)
    assert len(inner.names) == 5


def test_a_mode_is_asked_before_arguments():
    class Deaf(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            assert types in ((Answers,), (Silent,))
            return NotImplemented

    with Deaf():
        assert torch.mean(Answers())[0] == "mean"
        with pytest.raises(TypeError, match="mode object"):
            torch.mean(Silent())


def test_a_mode_that_fails_is_left():
    class Failing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"), Failing():
        torch.ones(1)
    assert not overriding.modes.here and not overriding.modes.active
    assert (torch.ones(1) + 1).item() == 2


def test_modes_belong_to_a_thread():
    mode, found = Noting(), []
    with mode:
        thread = threading.Thread(target=lambda: found.append((torch.ones(1) + 1).item()))
        thread.start()
        thread.join()
    assert found == [2] and mode.names == []


def test_redispatch_skips_one_call():
    class Deep(TorchFunctionMode):
        names: list = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.names.append(func.__name__)
            with self:
                return torch.overrides.redispatch_function(func, types, args, kwargs)

    def twice(x):
        if torch.overrides.has_torch_function((x,)):
            return torch.overrides.handle_torch_function(twice, (x,), x)
        return x.add(x, alpha=1)

    x = torch.ones(1)
    with Deep():
        assert twice(x).item() == 2
    assert Deep.names[:2] == ["twice", "add"]


PROGRAM = """
import flambeau as torch
from flambeau._core.overriding import switch
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.LazyLinear(1))
torch.optim.Adam(model.parameters()).step()
torch.vmap(torch.sin)(torch.eye(2).to_sparse().to_dense())
assert not switch.on, "somebody turned it on"
class Duck:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__
print({call})
"""


@pytest.mark.parametrize(
    "call, name",
    [
        ("torch.nn.functional.mse_loss(Duck(), torch.ones(1))", "mse_loss"),
        ("torch.relu(Duck())", "relu"),
        ("torch.cat([Duck()])", "cat"),
        ("torch.zeros_like(Duck())", "zeros_like"),
        ("torch.transpose(Duck(), 0, 1)", "transpose"),
        ("torch.ones(1) * Duck()", "mul"),
        ("torch.add(torch.ones(1), 1, out=Duck())", "add"),
        ("torch.nn.Linear(2, 2)(Duck())", "linear"),
    ],
)
def test_the_first_object_of_an_unknown_class(call, name):
    """Nobody could know of the class before; the whole call is offered all the same, not what it consists of."""
    run = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True)
    assert (run.stdout.strip(), run.returncode) == (name, 0), run.stderr
