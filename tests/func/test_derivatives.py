"""Derivatives of functions: against formulas, against each other, and against `autograd.functional`."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau import func
from flambeau.autograd import functional

X = torch.tensor(np.random.RandomState(0).randn(4))
Y = torch.tensor(np.random.RandomState(1).randn(3))


def close(found, expected):
    np.testing.assert_allclose(found.detach().numpy(), np.asarray(expected), rtol=1e-10, atol=1e-12)


def test_gradients_of_every_order():
    value = 0.7
    f = torch.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)):
        f = func.grad(f)
        close(f(torch.tensor(value, dtype=torch.float64)), expected(value))


def test_structures_and_extra_results():
    gradients, (value, extra) = func.grad_and_value(lambda p, x: ((p["w"] * x + p["b"]).sum(), x * 2), has_aux=True)(
        {"w": X, "b": X * 2}, X
    )
    close(gradients["w"], X.numpy())
    close(gradients["b"], np.ones(4))
    close(value, (X * X + X * 2).sum().numpy())
    close(extra, X.numpy() * 2)
    both = func.grad(lambda x, y: (x.sum() * y).sum(), argnums=(0, 1))(X, Y)
    close(both[0], np.full(4, Y.sum().item()))
    close(both[1], np.full(3, X.sum().item()))


def of_two(x, y):
    return x.sin() * y.sum(), torch.outer(y, y) * x[0]


def test_matrices_of_derivatives_in_both_modes():
    expected = functional.jacobian(of_two, (X, Y))
    for jacobian in (func.jacrev, func.jacfwd):
        found = jacobian(of_two, argnums=(0, 1))(X, Y)
        for row, wanted in zip(found, expected, strict=True):
            for one, other in zip(row, wanted, strict=True):
                close(one, other.numpy())
    close(func.jacrev(of_two, chunk_size=2)(X, Y)[1], expected[1][0].numpy())


def test_second_derivatives():
    def f(x):
        return (x.sin() * x.sum()).exp().sum()

    expected = functional.hessian(f, X).numpy()
    close(func.hessian(f)(X), expected)
    close(func.jacrev(func.jacrev(f))(X), expected)
    close(func.jacfwd(func.grad(f))(X), expected)
    batch = torch.stack([X, X * 2])
    close(func.vmap(func.hessian(f))(batch), np.stack([func.hessian(f)(x).numpy() for x in batch]))


def test_products_with_the_jacobian():
    jacobian = functional.jacobian(lambda x: of_two(x, Y), X)
    value, pull = func.vjp(lambda x: of_two(x, Y), X)
    close(value[0], of_two(X, Y)[0].numpy())
    for _ in range(2):  # the graph is kept
        weights = (X * 3, torch.outer(Y, Y * 2))
        expected = weights[0].numpy() @ jacobian[0].numpy() + np.tensordot(weights[1].numpy(), jacobian[1].numpy(), 2)
        close(pull(weights)[0], expected)
    value, pushed = func.jvp(lambda x: of_two(x, Y), (X,), (X * 3,))
    close(pushed[0], jacobian[0].numpy() @ (X * 3).numpy())
    _, push = func.linearize(lambda x: of_two(x, Y)[0], X)
    close(push(X), jacobian[0].numpy() @ X.numpy())


def test_results_carry_no_graph_unless_the_caller_has_one():
    assert not func.grad(lambda x: (x**3).sum())(X).requires_grad
    assert not func.vjp(torch.sin, X)[0].requires_grad
    w = X.clone().requires_grad_()
    inner = func.grad(lambda w: (w**3).sum())(w)
    assert inner.requires_grad
    inner.sum().backward()
    close(w.grad, 6 * X.numpy())
    with torch.no_grad():
        assert not func.grad(lambda x: (x * w).sum())(X).requires_grad


def test_what_is_no_number_has_no_gradient():
    with pytest.raises(RuntimeError, match="return a scalar tensor, got shape \\(4,\\)"):
        func.grad(torch.sin)(X)
    with pytest.raises(RuntimeError, match="Got argnum=2, but only 1 positional inputs"):
        func.grad(torch.sum, argnums=2)(X)
    with pytest.raises(RuntimeError, match=r"\(output, aux\)"):
        func.grad(torch.sum, has_aux=True)(X)
    with pytest.raises(RuntimeError, match="expected 1 tangents"):
        func.linearize(torch.sin, X)[1](X, X)
