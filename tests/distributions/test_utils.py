"""What distributions of one's own are made of."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.distributions import utils


@pytest.mark.parametrize("diag", [-2, -1, 0])
def test_triangles_there_and_back(diag):
    square = torch.arange(32.0).reshape(2, 4, 4)
    vector = utils.tril_matrix_to_vec(square, diag)
    assert vector.shape == (2, {-2: 3, -1: 6, 0: 10}[diag])
    assert torch.equal(utils.vec_to_tril_matrix(vector, diag), square.tril(diag))


def test_what_is_no_triangle():
    with pytest.raises(ValueError, match="The size of last dimension is 4 which cannot be"):
        utils.vec_to_tril_matrix(torch.ones(4))
    with pytest.raises(ValueError, match=r"diag \(3\) provided is outside \[-2, 1\]"):
        utils.tril_matrix_to_vec(torch.ones(2, 2), 3)


def test_numbers_and_tensors_of_one_shape():
    a, b, c = utils.broadcast_all(torch.zeros(2, 1, dtype=torch.float64), 1, torch.ones(3, dtype=torch.float64))
    assert a.shape == b.shape == c.shape == (2, 3) and b.dtype is torch.float64
    with pytest.raises(ValueError, match="instances of Number or torch.Tensor, got list"):
        utils.broadcast_all([1])


def test_probabilities_and_logits():
    p = torch.tensor([0.2, 0.3, 0.5])
    torch.testing.assert_close(utils.logits_to_probs(utils.probs_to_logits(p)), p)
    torch.testing.assert_close(utils.logits_to_probs(utils.probs_to_logits(p, True), True), p)
    assert utils.probs_to_logits(torch.tensor([0.0, 1.0]), True).isfinite().all()


def test_a_mixture_draws_what_all_its_components_may():
    low, high = torch.distributions.Uniform(0.0, 1.0), torch.tensor([1.0, 2.0])
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(2)), torch.distributions.Uniform(torch.zeros(2), high)
    )
    assert mixture.support.check(torch.tensor([0.5, 1.5])).tolist() == [True, False]
    assert repr(mixture.support).startswith("MixtureSameFamilyConstraint(") and low.support.event_dim == 0
    with pytest.raises(ValueError, match="Expected value.dim"):
        torch.distributions.constraints.MixtureSameFamilyConstraint(torch.distributions.constraints.simplex).check(
            torch.tensor(1.0)
        )
