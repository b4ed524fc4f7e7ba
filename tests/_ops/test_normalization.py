"""Layer normalisation is one operation, with a gradient that is one, and so is batch normalisation by known statistics:
they agree with the formula, written out."""

import pytest

import flambeau as torch
from flambeau.nn import functional as F

SHAPES = [((3, 4), (4,)), ((2, 3, 4), (4,)), ((2, 3, 4), (3, 4)), ((4,), (4,))]


def ramp(*shape: int) -> torch.Tensor:
    """Numbers without a pattern."""
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(count, dtype=torch.float64) ** 2 + 0.4).reshape(shape)


def by_formula(x, shape, weight, bias, eps):
    dims = tuple(range(-len(shape), 0))
    centred = x - x.mean(dims, True)
    out = centred / (centred.square().mean(dims, True) + eps).sqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def gradients(function, tensors, create_graph=False):
    inputs = [t.clone().requires_grad_() for t in tensors]
    out = function(*inputs)
    return [out, *torch.autograd.grad(out, inputs, ramp(*out.shape), create_graph=create_graph)]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("given", [3, 2, 1])
@pytest.mark.parametrize("shape, normalized", SHAPES)
def test_layer_norm_and_its_gradients_are_those_of_the_formula(shape, normalized, given, create_graph):
    tensors = [ramp(*shape), ramp(*normalized) + 2, ramp(*normalized)][:given]

    def layer(x, weight=None, bias=None):
        return F.layer_norm(x, normalized, weight, bias, 0.01)

    def formula(x, weight=None, bias=None):
        return by_formula(x, normalized, weight, bias, 0.01)

    found, wanted = gradients(layer, tensors, create_graph), gradients(formula, tensors)
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w)


def test_layer_norm_of_what_lies_otherwise():
    x = ramp(4, 3).t()
    assert F.layer_norm(x, (4,)).is_contiguous()
    torch.testing.assert_close(F.layer_norm(x, (4,)), by_formula(x, (4,), None, None, 1e-5))


def test_layer_norm_rounds_halves_once():
    x, weight, bias = [ramp(*shape).bfloat16() for shape in ((3, 8), (8,), (8,))]
    exact = by_formula(x.double(), (8,), weight.double(), bias.double(), 1e-5)
    assert torch.equal(F.layer_norm(x, (8,), weight, bias), exact.bfloat16())


def test_layer_norm_of_no_rows():
    x, weight = torch.zeros(0, 4, requires_grad=True), torch.ones(4, requires_grad=True)
    F.layer_norm(x, (4,), weight).sum().backward()
    assert x.grad.shape == (0, 4) and weight.grad.tolist() == [0.0] * 4


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_layer_norm_of_numbers_that_are_not_real(dtype):
    with pytest.raises(NotImplementedError, match="LayerNormKernelImpl"):
        F.layer_norm(torch.ones(2, 3).to(dtype), (3,))


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_layer_norm_saves_its_arguments(changed):
    tensors = [ramp(3, 4).requires_grad_(), ramp(4).requires_grad_(), ramp(4).requires_grad_()]
    out = F.layer_norm(tensors[0], (4,), *tensors[1:])
    with torch.no_grad():
        tensors[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_batch_of_layer_norms():
    x, weights = ramp(5, 3, 4), ramp(5, 4)
    each = torch.stack([F.layer_norm(a, (4,), w, w) for a, w in zip(x, weights, strict=True)])
    torch.testing.assert_close(torch.func.vmap(lambda a, w: F.layer_norm(a, (4,), w, w))(x, weights), each)
    shared = torch.func.vmap(lambda w: F.layer_norm(x[0], (4,), w))(weights)
    torch.testing.assert_close(shared, torch.stack([F.layer_norm(x[0], (4,), w) for w in weights]))
    slope = torch.func.grad(lambda w, a: F.layer_norm(a, (4,), w, w).pow(3).sum())
    found = torch.func.vmap(slope, (None, 0))(weights[0], x)
    torch.testing.assert_close(found, torch.stack([slope(weights[0], a) for a in x]))


MEAN, VARIANCE = ramp(3), ramp(3).abs() + 0.5


def by_known(x, weight=None, bias=None, eps=0.01):
    """Batch normalisation in evaluation mode, by the formula."""
    mean, variance, weight, bias = [
        t if t is None else t.to(x.dtype).reshape(-1, *[1] * (x.dim() - 2)) for t in (MEAN, VARIANCE, weight, bias)
    ]
    out = (x - mean) / (variance + eps).sqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def known(x, weight=None, bias=None, eps=0.01):
    return F.batch_norm(x, MEAN.to(x.dtype), VARIANCE.to(x.dtype), weight, bias, eps=eps)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("given", [3, 2, 1])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 2), (0, 3, 2)])
def test_batch_norm_by_known_statistics_and_its_gradients(shape, given, create_graph):
    tensors = [ramp(*shape), ramp(3) + 2, ramp(3)][:given]
    for f, w in zip(gradients(known, tensors, create_graph), gradients(by_known, tensors), strict=True):
        torch.testing.assert_close(f, w)


def test_batch_norm_by_known_statistics_twice_differentiated():
    tensors = [t.requires_grad_() for t in (ramp(2, 3, 2), ramp(3) + 2, ramp(3))]
    assert torch.autograd.gradgradcheck(known, tensors)


def test_batch_norm_by_known_statistics_keeps_channels_innermost():
    x = ramp(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert known(x).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(known(x), by_known(x))


def test_batch_norm_by_known_statistics_rounds_halves_once():
    x, weight, bias = [ramp(*shape).bfloat16() for shape in ((8, 3), (3,), (3,))]
    found = F.batch_norm(x, MEAN.float(), VARIANCE.float(), weight.float(), bias.float(), eps=0.01)
    assert torch.equal(found, by_known(x.double(), weight.double(), bias.double()).bfloat16())


def test_batch_norm_by_known_statistics_of_whole_numbers():
    whole = torch.ones(3, dtype=torch.int64)
    with pytest.raises(NotImplementedError, match="batch_norm"):
        F.batch_norm(torch.ones(2, 3, dtype=torch.int64), whole, whole)


@pytest.mark.parametrize("changed", [0, 1])
def test_batch_norm_by_known_statistics_saves_its_arguments(changed):
    tensors = [ramp(4, 3).requires_grad_(), ramp(3).requires_grad_()]
    out = known(*tensors)
    with torch.no_grad():
        tensors[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_batch_of_batch_norms():
    x, weights = ramp(5, 2, 3, 4), ramp(5, 3)
    each = torch.stack([known(a, w, w) for a, w in zip(x, weights, strict=True)])
    torch.testing.assert_close(torch.func.vmap(lambda a, w: known(a, w, w))(x, weights), each)
    torch.testing.assert_close(torch.func.vmap(known)(x), torch.stack([known(a) for a in x]))
    slope = torch.func.grad(lambda w, a: known(a, w, w).pow(3).sum())
    found = torch.func.vmap(slope, (None, 0))(weights[0], x)
    torch.testing.assert_close(found, torch.stack([slope(weights[0], a) for a in x]))
