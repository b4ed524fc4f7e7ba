"""Custom functions, gradcheck and the functional derivatives."""

import pytest

import flambeau as torch
from flambeau.autograd import Function, gradcheck, gradgradcheck
from flambeau.autograd import functional as AF
from flambeau.autograd.function import once_differentiable


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class WrongCube(Cube):
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


def double(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_custom_function_and_its_second_derivative():
    x = double(0.5, 2.0)
    assert gradcheck(Cube.apply, x) and gradgradcheck(Cube.apply, x)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(WrongCube.apply, x)
    assert not gradcheck(WrongCube.apply, x, raise_exception=False)


def test_setup_context_and_several_outputs():
    class Split(Function):
        @staticmethod
        def forward(x, k):
            return x * k, x.argmax()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def backward(ctx, g, _):
            return g * ctx.k, None

    x = double(1.0, 3.0)
    y, position = Split.apply(x, 4)
    assert y.requires_grad and not position.requires_grad and position.item() == 1
    y.sum().backward()
    assert x.grad.tolist() == [4, 4]
    assert y.grad_fn.name() == "SplitBackward"


def test_wrong_number_and_shape_of_gradients():
    class TooMany(Cube):
        @staticmethod
        def backward(ctx, g):
            return g, g

    class BadShape(Cube):
        @staticmethod
        def backward(ctx, g):
            return torch.ones(5)

    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        TooMany.apply(double(1.0)).backward()
    with pytest.raises(RuntimeError, match="invalid gradient at index 0"):
        BadShape.apply(double(1.0, 2.0)).sum().backward()


def test_once_differentiable_refuses_the_second_derivative():
    class Once(Cube):
        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return g * 3 * ctx.saved_tensors[0] ** 2

    x = double(2.0)
    weight = double(1.0)
    (g,) = torch.autograd.grad(Once.apply(x), x, weight, create_graph=True)
    assert g.item() == 12
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


def test_saved_inputs_are_checked_and_outputs_make_no_cycle():
    x = double(2.0) * 1
    y = Cube.apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="inplace operation"):
        y.backward()


def test_mark_dirty_in_place_function():
    class Add1(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.add_(1)

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = double(1.0)
    y = x * 2
    z = Add1.apply(y)
    assert z is y
    z.backward()
    assert x.grad.tolist() == [14]


def test_jacobian_hessian_and_products():
    x = torch.tensor([1.0, 2.0])
    assert AF.jacobian(lambda t: t * t, x).tolist() == [[2, 0], [0, 4]]
    assert AF.hessian(lambda t: (t * t * t).sum(), x).tolist() == [[6, 0], [0, 12]]
    assert AF.jvp(lambda t: t * t, x, torch.ones(2))[1].tolist() == [2, 4]
    assert AF.vjp(lambda t: t * t, x, torch.ones(2))[1].tolist() == [2, 4]
    assert AF.hvp(lambda t: (t * t * t).sum(), x, torch.ones(2))[1].tolist() == [6, 12]
    blocks = AF.jacobian(lambda a, b: a * b, (x, x * 2))
    assert blocks[0].tolist() == [[2, 0], [0, 4]] and blocks[1].tolist() == [[1, 0], [0, 2]]


def test_gradcheck_of_complex_functions():
    z = torch.tensor([1 + 2j, -0.5 + 1j], dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda t: t * t.exp(), z)


def test_variable_is_the_tensor_itself():
    v = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    assert isinstance(v, torch.autograd.Variable) and isinstance(v, torch.Tensor) and v.requires_grad


def test_the_context_is_the_node():
    seen = []

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, n):
            # names that a node of the graph might use itself
            ctx.n, ctx.edges, ctx.site, ctx.extra, ctx.seq, ctx.release = n, "a", "b", "c", "d", "e"
            ctx.save_for_backward(x)
            seen.append(ctx)
            return x * n

        @staticmethod
        def backward(ctx, g):
            seen.append(ctx)
            ctx.visited = True
            assert (ctx.edges, ctx.site, ctx.extra, ctx.seq, ctx.release) == ("a", "b", "c", "d", "e")
            return g * ctx.n, None

    x = torch.ones(2, requires_grad=True)
    node = Scale.apply(x, 3).grad_fn
    assert type(node).__name__ == node.name() == "ScaleBackward" and isinstance(node, torch.autograd.graph.Node)
    assert isinstance(node, torch.autograd.function.FunctionCtx)
    assert node.n == 3 and node.saved_tensors[0] is x and node.needs_input_grad == (True, False)
    assert [f and f.name() for f, _ in node.next_functions] == ["torch::autograd::AccumulateGrad"]
    node.more = 5
    y = x * 1
    z = Scale.apply(y, 3)
    z.sum().backward()
    assert node.more == 5 and seen[1] is seen[2] is z.grad_fn and z.grad_fn.visited
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        _ = z.grad_fn.saved_tensors
    assert Scale.apply(torch.ones(1), 2).grad_fn is None and seen[-1].needs_input_grad == (False, False)


def test_the_context_says_in_forward_what_it_was_told():
    said = []

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            said.append((ctx.dirty_tensors, ctx.non_differentiable, ctx.to_save))
            twice = y * 2
            ctx.mark_dirty(x.mul_(2))
            ctx.mark_non_differentiable(twice)
            ctx.save_for_backward(y)
            said.append((ctx.dirty_tensors[0] is x, ctx.non_differentiable[0] is twice, ctx.to_save[0] is y))
            return x, twice

        @staticmethod
        def backward(ctx, g, _):
            said.append((ctx.dirty_tensors, ctx.non_differentiable, ctx.to_save))
            with pytest.warns(DeprecationWarning, match="use 'saved_tensors'"):
                return g * ctx.saved_variables[0], None

    x = torch.ones(2, requires_grad=True)
    Doubled.apply(x * 1, torch.full((2,), 3.0))[0].sum().backward()
    assert said == [(None, None, None), (True, True, True), (None, None, None)]
    assert x.grad.tolist() == [3.0, 3.0]
