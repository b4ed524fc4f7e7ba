"""In-place operations and gradients: backward finds what was there before, and errors say what was lost."""

import numpy as np
import pytest

import flambeau as torch

# Operations whose gradient needs the input that they overwrite, with their other arguments.
OVERWRITING = {
    "sin": (),
    "cos": (),
    "square": (),
    "pow": (3,),
    "clamp": (-0.5, 1.0),
    "clamp_min": (0.1,),
    "abs": (),
    "log": (),
    "atan2": (torch.tensor([0.5, 2.0, -1.0]),),
    "mul": (torch.tensor([0.5, 2.0, -1.0], requires_grad=True),),
    "lerp": (torch.tensor([0.5, 2.0, -1.0]), torch.tensor([0.1, 0.2, 0.3], requires_grad=True)),
    "erf": (),
}


@pytest.mark.parametrize("name", OVERWRITING)
def test_gradients_of_the_overwritten_input(name):
    more = OVERWRITING[name]
    parameters = [a for a in more if getattr(a, "requires_grad", False)]
    results = []
    for form in (name, name + "_"):
        x = torch.tensor([0.3, 0.9, 1.7], requires_grad=True)
        y = x * 1
        result = getattr(y, form)(*more)
        assert (result is y) == form.endswith("_")
        results.append([g.tolist() for g in torch.autograd.grad(result.sum(), [x, *parameters])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-6)


def test_only_the_other_operand_wants_a_gradient():
    w, y = torch.ones(3, requires_grad=True), torch.full((3,), 3.0)
    y.mul_(w)
    y.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0, 3.0]


def test_parts_of_a_tensor():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 1
    y[0].pow_(2)
    y[:, 1].mul_(y[:, 0].clone())
    y.sum().backward()
    # y = [[x00^2, x01^2 x00^2], [x10, x11 x10]]
    assert x.grad.tolist() == [[2 + 2 * 4, 2 * 2], [1 + 4, 3]]


def test_memory_shared_with_numpy():
    array = np.array([1.0, 2.0])
    y, w = torch.from_numpy(array), torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    y.mul_(w)
    assert array.tolist() == [3.0, 8.0]
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 2.0]


def test_what_others_saved_is_lost():
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    z = y * y
    y.sin_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_nothing_is_recorded_without_gradients():
    y = torch.ones(3)
    y.mul_(2.0).sin_()
    with torch.no_grad():
        y.mul_(torch.ones(3, requires_grad=True))
    assert not y.requires_grad and y._version == 3


@pytest.mark.parametrize("write", [lambda x: x.zero_(), lambda x: x.fill_(3.0), lambda x: x[:2].fill_(3.0)])
def test_what_is_filled_keeps_its_history_with_gradient_zero(write):
    leaf = torch.ones(3, requires_grad=True)
    x = leaf * 2
    write(x)
    assert x.requires_grad
    x.sum().backward()
    assert leaf.grad.tolist() == ([0, 0, 2] if x[2] == 2 else [0, 0, 0])


@pytest.mark.parametrize("write, expected", [
    (lambda e: e.fill_(5.0), [5.0, 5.0, 5.0]),
    (lambda e: e.zero_(), [0.0, 0.0, 0.0]),
    (lambda e: e.masked_fill_(torch.tensor([[True, False, False], [False, False, True]]), 5.0), [5.0, 1.0, 5.0]),
    (lambda e: e.index_fill_(1, torch.tensor([1]), 5.0), [0.0, 5.0, 2.0]),
    (lambda e: e.index_put_((torch.tensor([0]),), torch.tensor([[5.0, 6.0, 7.0]])), [5.0, 6.0, 7.0]),
    (lambda e: e.__setitem__(e > 1, 5.0), [0.0, 1.0, 5.0]),
    (lambda e: e.__setitem__((torch.tensor([1]), 0), float("nan")), [float("nan"), 1.0, 2.0]),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Use of .* on expanded tensors")
def test_writing_to_some_elements_of_an_expanded_tensor(write, expected):
    """Memory takes what any of its elements became, as in PyTorch."""
    row = torch.arange(3.0)
    write(row.expand(2, 3))
    assert torch.equal(row.nan_to_num(-1.0), torch.tensor(expected).nan_to_num(-1.0))


def test_an_expanded_tensor_is_refused_where_all_elements_are_written():
    for write in (lambda e: e.add_(1), lambda e: e.copy_(torch.ones(2, 3)), lambda e: e.normal_()):
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single"):
            write(torch.ones(3).expand(2, 3))
    with pytest.warns(UserWarning, match="Use of masked_fill_ on expanded tensors is deprecated"):
        torch.ones(3).expand(2, 3).masked_fill_(torch.tensor(True), 0)


def test_gradients_of_what_was_filled_in_an_expanded_tensor():
    x = torch.ones(3, requires_grad=True)
    spread = (x * 2).expand(2, 3)
    spread.fill_(3.0)
    assert torch.autograd.grad(spread.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name, expected", [
    ("tril_", [[[0, 0, 0], [0, 0, 0], [7, 7, 7]], [[1, 0, 0], [1, 0, 0], [1, 0, 0]]]),
    ("triu_", [[[5, 5, 5], [0, 0, 0], [0, 0, 0]], [[0, 0, 3], [0, 0, 3], [0, 0, 3]]]),
])  # fmt: skip
def test_triangles_of_expanded_tensors(name, expected, recwarn):
    """Memory of which an element lies outside of the triangle becomes 0, as in PyTorch, without a warning."""
    rows, columns = torch.tensor([[5.0], [6.0], [7.0]]).expand(3, 3), torch.tensor([1.0, 2.0, 3.0]).expand(3, 3)
    assert [getattr(t, name)().tolist() for t in (rows, columns)] == expected
    assert not recwarn
