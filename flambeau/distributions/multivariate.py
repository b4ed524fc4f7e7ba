"""Distributions of vectors and matrices: normal ones, Wishart's, correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import linalg
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.positive import Beta
from flambeau.distributions.real import ExponentialFamily


def _half_log_det(lower: Any) -> Any:
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _mahalanobis(lower: Any, x: Any) -> Any:
    """|L^-1 x|^2 for vectors x in the last dimension."""
    return linalg.solve_triangular(lower, x.unsqueeze(-1), upper=False).squeeze(-1).square().sum(-1)


def _lower_of_precision(precision: Any) -> Any:
    """The Cholesky factor of the inverse."""
    flipped = torch.flip(precision, (-2, -1)).cholesky()
    upper = torch.flip(flipped, (-2, -1)).mT
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype).expand(precision.shape)
    return linalg.solve_triangular(upper, eye, upper=False)


MATRICES: Any = {
    "covariance_matrix": constraints.positive_definite,
    "precision_matrix": constraints.positive_definite,
    "scale_tril": constraints.lower_cholesky,
}


class _OfMatrix(Distribution):
    """Distributions given by a covariance, its inverse or its Cholesky factor; `scale_tril` is what they compute with,
    the others are computed when asked for."""

    def _factor(self, covariance_matrix: Any, precision_matrix: Any, scale_tril: Any) -> Any:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        if given[0].dim() < 2:
            raise ValueError("the matrix must be at least two-dimensional")
        if scale_tril is not None:
            return scale_tril
        return covariance_matrix.cholesky() if covariance_matrix is not None else _lower_of_precision(precision_matrix)

    def __getattr__(self, name: str) -> Any:
        if name == "covariance_matrix" and "scale_tril" in self.__dict__:
            return self.scale_tril @ self.scale_tril.mT
        if name == "precision_matrix" and "scale_tril" in self.__dict__:
            return torch.cholesky_inverse(self.scale_tril)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class MultivariateNormal(_OfMatrix):
    """Normal vectors of mean `loc` with a covariance, given as one of the three matrices.

    Example:
        >>> MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    arg_constraints = {"loc": constraints.real_vector, **MATRICES}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        lower = self._factor(covariance_matrix, precision_matrix, scale_tril)
        batch = torch.broadcast_shapes(tuple(lower.shape[:-2]), tuple(loc.shape[:-1]))
        self.loc = loc.expand((*batch, loc.shape[-1]))
        self.scale_tril = lower.expand((*batch, *lower.shape[-2:]))
        super().__init__(batch, loc.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        """The mean."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        """The covariance's diagonal."""
        return self.scale_tril.square().sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """loc + L times standard normal numbers."""
        noise = torch.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        difference = value - self.loc
        lower = self.scale_tril.expand((*difference.shape[:-1], *self.scale_tril.shape[-2:]))
        size = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (size + _mahalanobis(lower, difference)) - _half_log_det(self.scale_tril)

    def entropy(self) -> Any:
        """Half the logarithm of det(2 pi e covariance)."""
        return 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + _half_log_det(self.scale_tril)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of covariance W W^T + diag(d), with W = `cov_factor` [n, rank] and d = `cov_diag`."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if cov_factor.shape[-2] != loc.shape[-1] or cov_diag.shape[-1] != loc.shape[-1]:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {loc.shape[-1]} x m")
        batch = torch.broadcast_shapes(tuple(loc.shape[:-1]), tuple(cov_factor.shape[:-2]), tuple(cov_diag.shape[:-1]))
        self.loc = loc.expand((*batch, *loc.shape[-1:]))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self.cov_diag = cov_diag.expand((*batch, *cov_diag.shape[-1:]))
        super().__init__(batch, loc.shape[-1:], validate_args)

    def _capacitance(self) -> Any:
        """The Cholesky factor of I + W^T D^-1 W."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        return (scaled @ self.cov_factor + torch.eye(self.cov_factor.shape[-1], dtype=self.loc.dtype)).cholesky()

    @property
    def mean(self) -> Any:
        """The mean."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        """The covariance's diagonal."""
        return self.cov_factor.square().sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Any:
        """W W^T + diag(d)."""
        return self.cov_factor @ self.cov_factor.mT + self.cov_diag.diag_embed()

    @property
    def scale_tril(self) -> Any:
        """The covariance's Cholesky factor."""
        return self.covariance_matrix.cholesky()

    @property
    def precision_matrix(self) -> Any:
        """The covariance's inverse, by Woodbury's formula."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        inner = linalg.solve_triangular(self._capacitance(), scaled, upper=False)
        return self.cov_diag.reciprocal().diag_embed() - inner.mT @ inner

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """loc + W times noise + other noise."""
        shape = self._extended_shape(sample_shape)
        wide = torch.randn((*shape[:-1], self.cov_factor.shape[-1]), dtype=self.loc.dtype)
        own = torch.randn(shape, dtype=self.loc.dtype)
        return self.loc + (self.cov_factor @ wide.unsqueeze(-1)).squeeze(-1) + self.cov_diag.sqrt() * own

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm, by Woodbury's formula and the determinant lemma."""
        if self._validate_args:
            self._validate_sample(value)
        x = value - self.loc
        lower = self._capacitance()
        projected = ((self.cov_factor.mT / self.cov_diag.unsqueeze(-2)) @ x.unsqueeze(-1)).squeeze(-1)
        lower_wide = lower.expand((*projected.shape[:-1], *lower.shape[-2:]))
        square = (x.square() / self.cov_diag).sum(-1) - _mahalanobis(lower_wide, projected)
        size = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (size + self._log_det(lower) + square)

    def _log_det(self, lower: Any) -> Any:
        return 2 * _half_log_det(lower) + self.cov_diag.log().sum(-1)

    def entropy(self) -> Any:
        """Half the logarithm of det(2 pi e covariance)."""
        return 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det(self._capacitance()))


class Wishart(_OfMatrix, ExponentialFamily):
    """The Wishart distribution of scatter matrices of `df` normal vectors with a covariance."""

    arg_constraints = {"df": constraints.greater_than(0), **MATRICES}
    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        lower = self._factor(covariance_matrix, precision_matrix, scale_tril)
        df = df if isinstance(df, torch.Tensor) else torch.tensor(float(df), dtype=lower.dtype)
        batch = torch.broadcast_shapes(tuple(lower.shape[:-2]), tuple(df.shape))
        self.df, self.scale_tril = df.expand(batch), lower.expand((*batch, *lower.shape[-2:]))
        super().__init__(batch, lower.shape[-2:], validate_args)
        if bool((self.df <= lower.shape[-1] - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {lower.shape[-1] - 1}.")

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        lower = self.scale_tril.expand((*batch_shape, *self.scale_tril.shape[-2:]))
        return Wishart(self.df.expand(tuple(batch_shape)), scale_tril=lower, validate_args=False)

    @property
    def mean(self) -> Any:
        """df covariance."""
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Any:
        """(df - n - 1) covariance; NaN if that is negative."""
        factor = self.df - self._event_shape[0] - 1
        return factor.masked_fill(factor <= 0, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Any:
        """Of each element."""
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _halves(self) -> Any:
        """(df - i) / 2 for each dimension i."""
        return (self.df.unsqueeze(-1) - torch.arange(self._event_shape[0], dtype=self.df.dtype)) / 2

    def rsample(self, sample_shape: Sequence[int] = (), max_try_correction: int | None = None) -> Any:
        """By Bartlett's decomposition."""
        shape = self._extended_shape(sample_shape)
        squares = torch._standard_gamma(self._halves().expand(shape[:-1])) * 2
        factor = torch.randn(shape, dtype=self.df.dtype).tril(-1) + squares.sqrt().diag_embed()
        whole = self.scale_tril @ factor
        return whole @ whole.mT

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[0]
        inner, lower = torch.broadcast_tensors(value, self.scale_tril)
        trace = torch.cholesky_solve(inner, lower).diagonal(dim1=-2, dim2=-1).sum(-1)
        determinant = linalg.slogdet(value).logabsdet
        size = self.df * (n * math.log(2.0) / 2 + _half_log_det(self.scale_tril)) + self._log_gamma()
        return (self.df - n - 1) / 2 * determinant - trace / 2 - size

    def _log_gamma(self) -> Any:
        n = self._event_shape[0]
        return n * (n - 1) / 4 * math.log(math.pi) + self._halves().lgamma().sum(-1)

    def entropy(self) -> Any:
        """By the multivariate gamma function and digamma."""
        n = self._event_shape[0]
        size = (n + 1) / 2 * (n * math.log(2.0) + 2 * _half_log_det(self.scale_tril)) + self._log_gamma()
        return size - (self.df - n - 1) / 2 * self._halves().digamma().sum(-1) + n * self.df / 2


class LKJCholesky(Distribution):
    """Cholesky factors of random correlation matrices of size `dim`, uniform for concentration 1 (Lewandowski,
    Kurowicka & Joe 2009)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        self.concentration = (
            concentration if isinstance(concentration, torch.Tensor) else torch.tensor(float(concentration))
        )
        super().__init__(self.concentration.shape, (dim, dim), validate_args)
        offset = torch.arange(dim - 1, dtype=self.concentration.dtype)
        offset = torch.cat([offset.new_zeros((1,)), offset])
        margin = self.concentration.unsqueeze(-1) + 0.5 * (dim - 2)
        self._beta = Beta(offset + 0.5, margin - 0.5 * offset, validate_args=False)

    def _other_arguments(self) -> dict[str, Any]:
        return {"dim": self.dim}

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """By the onion method: row by row, directions on spheres of beta-distributed radius."""
        with torch.no_grad():
            squares = self._beta.sample(sample_shape).unsqueeze(-1)
            noise = torch.randn(self._extended_shape(sample_shape), dtype=self.concentration.dtype).tril(-1)
            directions = noise / noise.norm(dim=-1, keepdim=True)
            directions[..., 0, :] = 0.0
            rows = squares.sqrt() * directions
            tiny = torch.finfo(rows.dtype).tiny
            return rows + (1 - rows.square().sum(-1)).clamp(min=tiny).sqrt().diag_embed()

    def log_prob(self, value: Any) -> Any:
        """The density's logarithm."""
        if self._validate_args:
            self._validate_sample(value)
        n = self.dim
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = torch.arange(2, n + 1, dtype=self.concentration.dtype)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + n - order
        unnormalised = (order * diagonal.log()).sum(-1)
        alpha = self.concentration + 0.5 * (n - 1)
        size = 0.5 * (n - 1) * math.log(math.pi) + torch.mvlgamma(alpha - 0.5, n - 1) - (n - 1) * alpha.lgamma()
        return unnormalised - size
