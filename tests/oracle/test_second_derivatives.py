"""First and second derivatives in float64, operation by operation, on the samples of PyTorch's own database."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, spread, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SAMPLES = 5
# The derivative is one of many (a subgradient, the sign of a vector), or PyTorch's is of a factor's unused triangle.
DIFFERENT = {
    "cholesky_inverse": "PyTorch gives the triangle that is never read a gradient",
    "cholesky_solve": "PyTorch gives the triangle that is never read a gradient",
    "linalg.eigh": "eigenvectors have no sign of their own, and the sample's loss depends on it",
    "linalg.norm.subgradients_at_zero": "PyTorch gives NaN at zero, where Flambeau keeps 0",
    "native_layer_norm": "not looked into yet",
    "native_batch_norm": "not looked into yet",
    "as_strided_scatter": "the sample's storage is larger than its tensor",
    "cumprod": "the second derivative where a factor is zero",
    "linalg.eigvalsh": "of matrices that are not symmetric, where PyTorch reads a triangle twice",
    "nn.functional.linear_cross_entropy.chunked": "not looked into yet",
    "nn.functional.linear_cross_entropy.chunked_none": "not looked into yet",
    "index_reduce.prod": "the second derivative where a factor is zero",
    "scatter_reduce.prod": "the second derivative where a factor is zero",
    "nn.functional.scaled_dot_product_attention": "the samples drop out, from another stream",
    "nn.functional.multi_head_attention_forward": "the samples drop out, from another stream",
}
RANDOM = {"dropout", "bernoulli", "rrelu", "fractional"}  # the database's functions seed PyTorch by themselves
DIFFERENTIABLE_TWICE = [
    pytest.param(o, marks=[pytest.mark.xfail(reason=DIFFERENT[o.name], strict=False)] if o.name in DIFFERENT else ())
    for o in OPERATIONS
    if o.info.supports_gradgrad
    and o.info.supports_autograd
    and torch.float64 in o.info.dtypes
    and not any(word in o.name for word in RANDOM)
]


def weighed(ns, t, phase):
    """A sum of the tensor's numbers with weights that no symmetry of theirs cancels."""
    weights = ns.cos(ns.arange(t.numel(), dtype=ns.float64) + phase).reshape(tuple(t.shape))
    if t.dtype.is_complex:
        return (t.real * weights).sum() + (t.imag * weights * 0.5).sum()
    return (t * weights).sum()


def derivatives(ns, function, inputs):
    """The gradients of the weighed outputs, and the gradients of those."""
    outputs = [t for t in tensors_of(function()) if t.requires_grad]
    if not outputs:
        return None
    loss = sum(weighed(ns, t, i) for i, t in enumerate(outputs))
    first = ns.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    again = sum(weighed(ns, t, i + 0.5) for i, t in enumerate(first) if t is not None and t.requires_grad)
    live = isinstance(again, ns.Tensor) and again.requires_grad
    second = ns.autograd.grad(again, inputs, allow_unused=True) if live else [None] * len(inputs)
    return [[zeros_or(g, x) for g, x in zip(grads, inputs, strict=True)] for grads in (first, second)]


def zeros_or(g, x):
    """A gradient as an array; none, or PyTorch's zeros without memory, is zeros."""
    if g is None or getattr(g, "_is_zerotensor", bool)():
        return np.zeros(tuple(x.shape))
    return (g.detach().resolve_conj().resolve_neg() + 0).numpy()


@pytest.mark.parametrize("operation", DIFFERENTIABLE_TWICE, ids=lambda o: o.name)
def test_derivatives(operation):
    for sample in spread(list(operation.info.sample_inputs("cpu", torch.float64, requires_grad=True)), SAMPLES):
        given, named = [sample.input, *sample.args], sample.kwargs
        ours, ours_named = here(given), here(named)
        wanted = [t for t in tensors_of([*given, *named.values()]) if t.requires_grad]
        leaves = [t for t in tensors_of([*ours, *ours_named.values()]) if t.requires_grad]
        theirs = attempt(derivatives, torch, lambda: operation.info.op(*given, **named), wanted)  # noqa: B023
        if theirs is None or isinstance(theirs, Exception):
            continue
        found = derivatives(flambeau, lambda: operation.here(*ours, **ours_named), leaves)  # noqa: B023
        for order, (expected, got) in enumerate(zip(theirs, found, strict=True), 1):
            for e, g in zip(expected, got, strict=True):
                np.testing.assert_allclose(g, e, rtol=1e-6, atol=1e-7, err_msg=f"derivative {order}: {sample!r:.300}")
