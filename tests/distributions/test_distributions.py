"""Every distribution against numbers: densities integrate to 1 and are the slopes of distribution functions, draws have
the moments that are claimed, gradients of draws are those of their quantiles, divergences those of sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau import distributions as D
from flambeau.autograd import gradcheck


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


CONTINUOUS = {
    "Normal": (D.Normal(t(0.5), t(1.5)), -20, 20),
    "Laplace": (D.Laplace(t(0.5), t(1.5)), -40, 40),
    "Gumbel": (D.Gumbel(t(0.5), t(1.5)), -20, 60),
    "StudentT": (D.StudentT(t(7.0), t(0.5), t(1.5)), -200, 200),
    "Gamma": (D.Gamma(t(2.5), t(1.5)), 0, 40),
    "Chi2": (D.Chi2(t(5.0)), 0, 90),
    "InverseGamma": (D.InverseGamma(t(5.0), t(1.5)), 0, 200),
    "Exponential": (D.Exponential(t(1.5)), 0, 40),
    "Beta": (D.Beta(t(2.5), t(3.5)), 0, 1),
    "Uniform": (D.Uniform(t(-1.0), t(3.0)), -1, 3),
    "FisherSnedecor": (D.FisherSnedecor(t(5.0), t(12.0)), 0, 300),
    "HalfNormal": (D.HalfNormal(t(1.5)), 0, 20),
    "GeneralizedPareto": (D.GeneralizedPareto(t(0.5), t(1.5), t(-0.2)), 0.5, 8),
    "ContinuousBernoulli": (D.ContinuousBernoulli(t(0.2)), 0, 1),
    "LogNormal": (D.LogNormal(t(0.2), t(0.5)), 0, 60),
    "Weibull": (D.Weibull(t(1.5), t(2.5)), 0, 20),
    "Kumaraswamy": (D.Kumaraswamy(t(2.5), t(1.5)), 0, 1),
    "VonMises": (D.VonMises(t(0.5), t(2.0)), -math.pi, math.pi),
    "RelaxedBernoulli": (D.RelaxedBernoulli(t(1.5), t(0.3)), 0, 1),
    "Mixture": (D.MixtureSameFamily(D.Categorical(t(1.0, 2.0)), D.Normal(t(-1.0, 2.0), t(0.5, 1.0))), -20, 20),
}
COUNTS = {
    "Bernoulli": D.Bernoulli(t(0.3)),
    "Binomial": D.Binomial(t(7.0), t(0.3)),
    "Geometric": D.Geometric(t(0.3)),
    "NegativeBinomial": D.NegativeBinomial(t(4.0), t(0.3)),
    "Poisson": D.Poisson(t(3.5)),
    "Categorical": D.Categorical(t(1.0, 2.0, 3.0)),
}


def integral(values, step):
    return float(values.sum() * step)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities(name):
    distribution, low, high = CONTINUOUS[name]
    step = (high - low) / 20_000
    x = torch.arange(20_000, dtype=torch.float64) * step + (low + step / 2)
    density = distribution.log_prob(x).exp().numpy()
    assert integral(density, step) == pytest.approx(1, abs=2e-4)
    if name != "VonMises":
        try:
            mean = float(distribution.mean)
        except NotImplementedError:
            mean = math.nan
        if math.isfinite(mean):
            assert integral(density * x.numpy(), step) == pytest.approx(mean, rel=2e-3, abs=1e-3)
            squares = integral(density * (x.numpy() - mean) ** 2, step)
            assert squares == pytest.approx(float(distribution.variance), rel=2e-2)
    try:
        entropy = float(distribution.entropy())
    except NotImplementedError:
        entropy = math.nan
    if math.isfinite(entropy):
        assert -integral(density * np.log(np.maximum(density, 1e-300)), step) == pytest.approx(entropy, abs=2e-3)
    try:
        below = distribution.cdf(x[10_000] - step / 2)
    except NotImplementedError:
        return
    assert float(below) == pytest.approx(integral(density[:10_000], step), abs=2e-4)


@pytest.mark.parametrize("name", [*CONTINUOUS, *COUNTS])
def test_draws_have_the_moments(name):
    distribution = CONTINUOUS[name][0] if name in CONTINUOUS else COUNTS[name]
    torch.manual_seed(0)
    x = distribution.sample((1000,)).double()
    assert x.shape[0] == 1000 and not x.requires_grad
    assert bool(distribution.support.check(x).all())
    if name in ("Categorical", "VonMises", "RelaxedBernoulli"):
        return
    error = float(distribution.stddev) / math.sqrt(1000)
    assert float(x.mean()) == pytest.approx(float(distribution.mean), abs=5 * error)


@pytest.mark.parametrize("name", COUNTS)
def test_probabilities_add_up(name):
    distribution = COUNTS[name]
    if distribution.has_enumerate_support:
        values = distribution.enumerate_support()
    else:
        values = torch.arange(400, dtype=torch.float64)
    probabilities = distribution.log_prob(values).exp()
    assert float(probabilities.sum()) == pytest.approx(1)
    if name != "Categorical":
        assert float((probabilities * values).sum()) == pytest.approx(float(distribution.mean))


@pytest.mark.parametrize(
    "name", ["Normal", "Laplace", "Gumbel", "Exponential", "Uniform", "Gamma", "Beta", "Weibull", "LogNormal"]
)
def test_draws_move_with_the_parameters(name):
    """By the implicit function theorem dx/da = -(dF/da) / density."""
    kind = type(CONTINUOUS[name][0])
    names = list(kind.arg_constraints)
    parameters = [t(0.7 + i).requires_grad_() for i in range(len(names))]
    if name == "Uniform":
        parameters = [t(0.5).requires_grad_(), t(2.5).requires_grad_()]
    torch.manual_seed(3)
    x = kind(*parameters).rsample()
    slopes = torch.autograd.grad(x.sum(), parameters)
    distribution = kind(*[p.detach() for p in parameters])
    density = float(distribution.log_prob(x.detach()).exp())
    if name == "Beta":
        assert all(math.isfinite(float(s)) for s in slopes)
        return
    for i, slope in enumerate(slopes):
        h = 1e-6
        moved = [[p.detach() + (h * sign if i == j else 0) for j, p in enumerate(parameters)] for sign in (1, -1)]
        up, down = [float(kind(*m, validate_args=False).cdf(x.detach())) for m in moved]
        assert float(slope) == pytest.approx(-(up - down) / (2 * h) / density, rel=1e-3, abs=1e-5)


def test_vectors_and_matrices():
    rng = np.random.RandomState(0)
    a = rng.randn(3, 3)
    covariance = torch.tensor(a @ a.T + 3 * np.eye(3))
    normal = D.MultivariateNormal(t(0.0, 1.0, 2.0), covariance)
    x = torch.tensor(rng.randn(5, 3))
    difference = x.numpy() - np.array([0.0, 1.0, 2.0])
    square = np.einsum("bi,ij,bj->b", difference, np.linalg.inv(covariance.numpy()), difference)
    expected = -0.5 * (square + np.log(np.linalg.det(2 * np.pi * covariance.numpy())))
    np.testing.assert_allclose(normal.log_prob(x).numpy(), expected)
    by_precision = D.MultivariateNormal(normal.loc, precision_matrix=torch.linalg.inv(covariance))
    np.testing.assert_allclose(by_precision.log_prob(x).numpy(), expected)
    low = D.LowRankMultivariateNormal(normal.loc, torch.tensor(rng.randn(3, 1)), t(1.0, 2.0, 0.5))
    full = D.MultivariateNormal(normal.loc, low.covariance_matrix)
    np.testing.assert_allclose(low.log_prob(x).numpy(), full.log_prob(x).numpy())
    np.testing.assert_allclose(low.entropy().item(), full.entropy().item())
    torch.manual_seed(0)
    scatter = D.Wishart(torch.tensor(7.0, dtype=torch.float64), covariance)
    np.testing.assert_allclose(scatter.sample((500,)).mean(0).numpy(), scatter.mean.numpy(), rtol=0.2, atol=3.0)
    factors = D.LKJCholesky(3, 1.5).sample((100,))
    assert bool(D.constraints.corr_cholesky.check(factors).all())


PAIRS = {
    "Normal": (D.Normal(t(0.5), t(1.5)), D.Normal(t(-0.5), t(2.0)), -20, 20),
    "Laplace": (D.Laplace(t(0.5), t(1.5)), D.Laplace(t(-0.5), t(2.0)), -60, 60),
    "Gumbel": (D.Gumbel(t(0.5), t(1.5)), D.Gumbel(t(-0.5), t(2.0)), -20, 80),
    "Gamma": (D.Gamma(t(2.5), t(1.5)), D.Gamma(t(1.5), t(1.0)), 0, 60),
    "Beta": (D.Beta(t(2.5), t(1.5)), D.Beta(t(1.5), t(3.0)), 0, 1),
    "HalfNormal": (D.HalfNormal(t(1.5)), D.HalfNormal(t(2.5)), 0, 30),
    "Normal Laplace": (D.Normal(t(0.5), t(1.5)), D.Laplace(t(-0.5), t(2.0)), -20, 20),
    "Exponential Gamma": (D.Exponential(t(1.5)), D.Gamma(t(2.5), t(1.0)), 0, 60),
}


@pytest.mark.parametrize("name", PAIRS)
def test_divergences(name):
    p, q, low, high = PAIRS[name]
    step = (high - low) / 50_000
    x = torch.arange(50_000, dtype=torch.float64) * step + (low + step / 2)
    log_p = p.log_prob(x)
    expected = integral((log_p.exp() * (log_p - q.log_prob(x))).numpy(), step)
    assert float(D.kl_divergence(p, q)) == pytest.approx(expected, abs=1e-3)


def test_divergences_of_classes_and_of_what_has_none():
    p, q = D.Categorical(t(1.0, 2.0, 3.0)), D.Categorical(t(3.0, 2.0, 1.0))
    assert float(D.kl_divergence(p, q)) == pytest.approx(float((p.probs * (p.probs / q.probs).log()).sum()))
    with pytest.raises(NotImplementedError, match=r"No KL\(p \|\| q\)"):
        D.kl_divergence(p, D.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    "transform, shape",
    [
        (D.ExpTransform(), (3,)),
        (D.SigmoidTransform(), (3,)),
        (D.TanhTransform(), (3,)),
        (D.SoftplusTransform(), (3,)),
        (D.AffineTransform(1.0, -2.0), (3,)),
        (D.StickBreakingTransform(), (3,)),
        (D.CorrCholeskyTransform(), (3,)),
        (D.ComposeTransform([D.AffineTransform(0.5, 2.0), D.SigmoidTransform()]), (3,)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_transforms_and_their_determinants(transform, shape):
    x = torch.tensor(np.random.RandomState(0).randn(*shape))
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).numpy(), x.numpy(), atol=1e-6)
    jacobian = torch.func.jacrev(transform)(x).reshape(-1, 3).numpy()
    if isinstance(transform, D.StickBreakingTransform):
        jacobian = jacobian[:3]  # the last part follows from the others
    if isinstance(transform, D.CorrCholeskyTransform):
        jacobian = jacobian[[3, 6, 7]]
    found = float(transform.log_abs_det_jacobian(x, y).sum())
    assert found == pytest.approx(np.log(abs(np.linalg.det(jacobian))), abs=1e-6)


def test_shapes_and_refusals():
    normal = D.Normal(torch.zeros(2, 1), torch.ones(3))
    assert normal.batch_shape == (2, 3) and normal.rsample((4,)).shape == (4, 2, 3)
    assert normal.expand((5, 2, 3)).log_prob(torch.zeros(())).shape == (5, 2, 3)
    assert D.Independent(normal, 1).log_prob(torch.zeros(2, 3)).shape == (2,)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="to be within the support"):
        D.Exponential(1.0).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="Either `probs` or `logits`"):
        D.Bernoulli()
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0


def test_gradients_of_densities():
    def loss(loc, scale):
        return D.Normal(loc, scale).log_prob(t(0.3, 0.7)).sum() + D.Gamma(scale, scale).log_prob(t(0.3, 0.7)).sum()

    assert gradcheck(loss, (t(0.1, 0.2).requires_grad_(), t(0.5, 1.5).requires_grad_()))
