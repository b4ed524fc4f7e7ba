"""`torch.overrides`: the lists of functions, names, and modes beside the rest of the package."""

import inspect

import pytest

import flambeau as torch
from flambeau import overrides


def test_every_listed_function_can_be_taken_over():
    class Taker:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func

    for namespace, functions in overrides.get_overridable_functions().items():
        for function in functions:
            if namespace is not torch.Tensor:
                assert function(Taker()) is function, function


def test_ignored_functions_are_the_others():
    ignored = overrides.get_ignored_functions()
    assert {torch.manual_seed, torch.from_numpy, torch.is_tensor} <= ignored
    assert not ignored & set(overrides.get_overridable_functions()[torch])


def test_names():
    assert overrides.resolve_name(torch.add) == "torch.add"
    assert overrides.resolve_name(torch.Tensor.shape.__get__) == "torch.Tensor.shape.__get__"
    assert overrides.resolve_name(torch.nn.functional.cross_entropy) == "torch.nn.functional.cross_entropy"
    assert overrides.resolve_name(torch.linalg.svd) == "torch.linalg.svd"
    assert overrides.resolve_name(print) is None


def test_testing_overrides_have_the_functions_signatures():
    stand_ins = overrides.get_testing_overrides()
    assert stand_ins[torch.nn.functional.dropout](0, p=2) == -1
    assert list(inspect.signature(stand_ins[torch.nn.functional.dropout]).parameters)[:2] == ["input", "p"]


def test_a_mode_must_say_what_it_does():
    with pytest.raises(NotImplementedError, match="TorchFunctionMode does not define"), overrides.TorchFunctionMode():
        torch.ones(1)


def test_a_mode_sees_through_compiled_functions():
    class Doubling(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {})) * (2 if func is torch.sin else 1)

    compiled = torch.compile(lambda x: torch.sin(x))
    x = torch.ones(3)
    for _ in range(3):
        usual = compiled(x)
    with Doubling():
        doubled = compiled(x)
    assert torch.allclose(doubled, 2 * usual) and torch.allclose(compiled(x), usual)


def test_a_mode_around_a_training_step():
    class Counting(overrides.BaseTorchFunctionMode):
        count = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            Counting.count += 1
            return super().__torch_function__(func, types, args, kwargs)

    def losses():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(5, 4)).square().mean()
            loss.backward()
            optimizer.step()
            yield loss.item()

    plain = list(losses())
    with Counting():
        assert list(losses()) == plain
    assert Counting.count > 20


def test_a_subclass_under_autocast():
    class Weight(torch.Tensor):
        seen: list = []

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.seen.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    weight = torch.ones(2, 2).as_subclass(Weight)
    with torch.autocast("cpu"):
        made = torch.nn.functional.linear(torch.ones(1, 2), weight)
    assert made.dtype is torch.bfloat16 and type(made) is Weight and "linear" in Weight.seen
