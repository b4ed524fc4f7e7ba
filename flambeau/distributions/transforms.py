"""Invertible maps (`torch.distributions.transforms`) with the logarithms of their Jacobian determinants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau.nn.functional as F
from flambeau import _api as torch
from flambeau.distributions import constraints
from flambeau.distributions.distribution import sum_rightmost

__all__ = [
    "AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
    "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
    "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
    "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform", "identity_transform",
]  # fmt: skip


class Transform:
    """A map from `domain` to `codomain`; `bijective` ones have an inverse `inv`. `sign` is that of the slope.

    Called with a tensor it maps it; `log_abs_det_jacobian(x, y)` sums over the dimensions of one event.
    """

    bijective = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._cached: tuple[Any, Any] = (None, None)

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _Inverse(self)

    @property
    def sign(self) -> Any:
        """1 for increasing maps, -1 for decreasing ones."""
        raise NotImplementedError

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same map, remembering its last argument and value."""
        self._cache_size = cache_size
        return self

    def __call__(self, x: Any) -> Any:
        if self._cache_size and x is self._cached[0]:
            return self._cached[1]
        y = self._call(x)
        self._cached = (x, y) if self._cache_size else (None, None)
        return y

    def _inv_call(self, y: Any) -> Any:
        if self._cache_size and y is self._cached[1]:
            return self._cached[0]
        x = self._inverse(y)
        self._cached = (x, y) if self._cache_size else (None, None)
        return x

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of |det dy/dx|."""
        raise NotImplementedError

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The shape of the value for an argument of `shape`."""
        return shape

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The shape of the argument for a value of `shape`."""
        return shape

    def __eq__(self, other: object) -> bool:
        return self is other or type(self) is type(other) and self._key() == other._key()

    def _key(self) -> tuple:
        """What makes two maps of one kind equal."""
        return (id(self),)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class _Inverse(Transform):
    """The inverse of another map."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._forward = transform
        self.bijective = transform.bijective

    @property
    def inv(self) -> Transform:
        """The map itself again."""
        return self._forward

    @property
    def domain(self) -> Any:
        """The codomain of the map."""
        return self._forward.codomain

    @property
    def codomain(self) -> Any:
        """The domain of the map."""
        return self._forward.domain

    @property
    def sign(self) -> Any:
        """That of the map."""
        return self._forward.sign

    def __call__(self, x: Any) -> Any:
        return self._forward._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._forward(y)

    def _key(self) -> tuple:
        return (self._forward,)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The negative of the map's."""
        return -self._forward.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """That of the map's argument."""
        return self._forward.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """That of the map's value."""
        return self._forward.forward_shape(shape)


class _Elementwise(Transform):
    """An increasing map of numbers, given by three functions."""

    bijective = True
    sign = 1

    def _key(self) -> tuple:
        return ()


class ExpTransform(_Elementwise):
    """y = exp(x)."""

    domain, codomain = constraints.real, constraints.positive

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """x."""
        return x


class PowerTransform(_Elementwise):
    """y = x ** exponent for positive x."""

    domain, codomain = constraints.positive, constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent if isinstance(exponent, torch.Tensor) else torch.tensor(float(exponent))

    @property
    def sign(self) -> Any:  # type: ignore[override]
        """That of the exponent."""
        return self.exponent.sign()

    def _key(self) -> tuple:
        return tuple(self.exponent.reshape(-1).tolist())

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |exponent y / x|."""
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """Broadcast with the exponent's."""
        return torch.broadcast_shapes(tuple(shape), tuple(self.exponent.shape))

    inverse_shape = forward_shape


class SigmoidTransform(_Elementwise):
    """y = 1 / (1 + exp(-x))."""

    domain, codomain = constraints.real, constraints.unit_interval

    def _call(self, x: Any) -> Any:
        finfo = torch.finfo(x.dtype)
        return x.sigmoid().clamp(finfo.tiny, 1.0 - finfo.eps)

    def _inverse(self, y: Any) -> Any:
        finfo = torch.finfo(y.dtype)
        y = y.clamp(finfo.tiny, 1.0 - finfo.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """-softplus(-x) - softplus(x)."""
        return -F.softplus(-x) - F.softplus(x)


class SoftplusTransform(_Elementwise):
    """y = log(1 + exp(x))."""

    domain, codomain = constraints.real, constraints.positive

    def _call(self, x: Any) -> Any:
        return F.softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """-softplus(-x)."""
        return -F.softplus(-x)


class TanhTransform(_Elementwise):
    """y = tanh(x)."""

    domain, codomain = constraints.real, constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return torch.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """2 (log 2 - x - softplus(-2 x)), exact for large x."""
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))


class AbsTransform(Transform):
    """y = |x|; the inverse gives the positive one."""

    domain, codomain = constraints.real, constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y

    def _key(self) -> tuple:
        return ()


class AffineTransform(Transform):
    """y = loc + scale * x; with `event_dim` the last dimensions make one event."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    @property
    def domain(self) -> Any:
        """All numbers."""
        return constraints.independent(constraints.real, self.event_dim) if self.event_dim else constraints.real

    codomain = domain

    @property
    def sign(self) -> Any:
        """That of the scale."""
        if isinstance(self.scale, torch.Tensor):
            return self.scale.sign()
        return (self.scale > 0) - (self.scale < 0)

    def _key(self) -> tuple:
        parts = [p.reshape(-1).tolist() if isinstance(p, torch.Tensor) else [p] for p in (self.loc, self.scale)]
        return tuple(map(tuple, parts))

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |scale|, for each element."""
        size = self.scale.abs().log() if isinstance(self.scale, torch.Tensor) else math.log(abs(self.scale))
        return sum_rightmost(torch.zeros_like(x) + size, self.event_dim)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """Broadcast with loc's and scale's."""
        return torch.broadcast_shapes(tuple(shape), *[tuple(getattr(p, "shape", ())) for p in (self.loc, self.scale)])

    inverse_shape = forward_shape


class CumulativeDistributionTransform(Transform):
    """y = the distribution function of a distribution of numbers."""

    bijective = True
    codomain = constraints.unit_interval
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """The support of the distribution."""
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The density's logarithm."""
        return self.distribution.log_prob(x)


class SoftmaxTransform(Transform):
    """y = softmax(x) along the last dimension; the inverse is one of many."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def _key(self) -> tuple:
        return ()


class StickBreakingTransform(Transform):
    """From n numbers to a point of the simplex with n + 1 parts: each breaks its share off what is left."""

    bijective = True
    domain, codomain = constraints.real_vector, constraints.simplex

    def _key(self) -> tuple:
        return ()

    def _offset(self, x: Any) -> Any:
        n = x.shape[-1]
        return x - torch.arange(n, 0, -1, dtype=x.dtype).log()

    def _call(self, x: Any) -> Any:
        z = self._offset(x).sigmoid().clamp(min=torch.finfo(x.dtype).tiny, max=1 - torch.finfo(x.dtype).eps)
        left = (1 - z).cumprod(-1)
        return F.pad(z, [0, 1], value=1) * F.pad(left, [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        head = y[..., :-1]
        left = (1 - head.cumsum(-1)).clamp(min=torch.finfo(y.dtype).tiny)
        offset = torch.arange(head.shape[-1], 0, -1, dtype=y.dtype).log()
        return head.log() - left.log() + offset

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum over the steps."""
        shifted = self._offset(x)
        return (-shifted + F.logsigmoid(shifted) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """One part more."""
        return torch.Size([*shape[:-1], shape[-1] + 1])

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """One number less."""
        return torch.Size([*shape[:-1], shape[-1] - 1])


class LowerCholeskyTransform(Transform):
    """From square matrices to lower triangular ones with a positive diagonal: the diagonal's exponential."""

    bijective = True
    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _key(self) -> tuple:
        return ()

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """From square matrices to positive definite ones: L L^T of the lower Cholesky form."""

    bijective = True
    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _key(self) -> tuple:
        return ()

    def _call(self, x: Any) -> Any:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(y.cholesky())


class CorrCholeskyTransform(Transform):
    """From n (n - 1) / 2 numbers to the Cholesky factor of a correlation matrix: their tanh are partial
    correlations."""

    bijective = True
    domain, codomain = constraints.real_vector, constraints.corr_cholesky

    def _key(self) -> tuple:
        return ()

    def _call(self, x: Any) -> Any:
        eps = torch.finfo(x.dtype).eps
        partial = _below_diagonal(x.tanh().clamp(-1 + eps, 1 - eps))
        left = (1 - partial**2).sqrt().cumprod(-1)
        whole = partial + torch.eye(partial.shape[-1], dtype=x.dtype)
        return whole * F.pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        left = F.pad(left[..., :-1], [1, 0], value=1)
        partial = _vector_of(y, -1) / _vector_of(left, -1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """From the shares left, and tanh."""
        left = 1 - (y * y).cumsum(-1)
        shares = 0.5 * _vector_of(left, -2).log().sum(-1)
        slopes = -2 * (x + F.softplus(-2 * x) - math.log(2.0)).sum(-1)
        return shares + slopes

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The matrix with so many elements below the diagonal."""
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return torch.Size([*shape[:-1], n, n])

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """How many elements are below the diagonal."""
        return torch.Size([*shape[:-2], shape[-1] * (shape[-1] - 1) // 2])


def _below_diagonal(v: Any) -> Any:
    """A vector as the elements below the diagonal, row by row."""
    n = round((0.25 + 2 * v.shape[-1]) ** 0.5 + 0.5)
    rows, columns = torch.tril_indices(n, n, -1)
    return v.new_zeros((*v.shape[:-1], n * n)).index_copy(-1, rows * n + columns, v).reshape((*v.shape[:-1], n, n))


def _vector_of(m: Any, diagonal: int) -> Any:
    """The elements of matrices at and below a diagonal, row by row."""
    n = m.shape[-1]
    rows, columns = torch.tril_indices(n, n, diagonal)
    return m.reshape((*m.shape[:-2], n * n)).index_select(-1, rows * n + columns)


class ReshapeTransform(Transform):
    """The last dimensions in another shape."""

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = torch.Size(in_shape), torch.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _key(self) -> tuple:
        return tuple(self.in_shape), tuple(self.out_shape)

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """0."""
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """With out_shape in the place of in_shape."""
        return torch.Size([*shape[: len(shape) - len(self.in_shape)], *self.out_shape])

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """With in_shape in the place of out_shape."""
        return torch.Size([*shape[: len(shape) - len(self.out_shape)], *self.in_shape])


class IndependentTransform(Transform):
    """Another map, of which the last dimensions make one event."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    @property
    def sign(self) -> Any:
        """That of the map."""
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Summed over the event."""
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """That of the map."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """That of the map."""
        return self.base_transform.inverse_shape(shape)


class ComposeTransform(Transform):
    """Maps one after the other, the first first."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(p.bijective for p in self.parts)

    @property
    def domain(self) -> Any:
        """That of the first map, with the dimensions of the largest event."""
        if not self.parts:
            return constraints.real
        found = self.parts[0].domain
        needed = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            needed = max(needed + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim)
        extra = needed - found.event_dim
        return constraints.independent(found, extra) if extra > 0 else found

    @property
    def codomain(self) -> Any:
        """That of the last map, with the dimensions of the largest event."""
        if not self.parts:
            return constraints.real
        found = self.parts[-1].codomain
        needed = self.parts[0].domain.event_dim
        for part in self.parts:
            needed = max(needed + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim)
        extra = needed - found.event_dim
        return constraints.independent(found, extra) if extra > 0 else found

    @property
    def sign(self) -> Any:
        """The product of the signs."""
        found: Any = 1
        for p in self.parts:
            found = found * p.sign
        return found

    @property
    def inv(self) -> Transform:
        """The inverses, the last first."""
        return ComposeTransform([p.inv for p in reversed(self.parts)])

    def _key(self) -> tuple:
        return tuple(self.parts)

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum over the maps."""
        if not self.parts:
            return torch.zeros_like(x)
        event = self.domain.event_dim
        total: Any = 0
        for i, part in enumerate(self.parts):
            after = y if i == len(self.parts) - 1 else part(x)
            total = total + sum_rightmost(part.log_abs_det_jacobian(x, after), event - part.domain.event_dim)
            event += part.codomain.event_dim - part.domain.event_dim
            x = after
        return total

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """Through all maps."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """Back through all maps."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape


identity_transform = ComposeTransform([])


class _Parts(Transform):
    """Maps of the parts of a tensor."""

    transforms: list[Transform]
    dim: int

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Are all maps?"""
        return all(t.bijective for t in self.transforms)

    def _split(self, x: Any) -> Sequence[Any]:
        raise NotImplementedError

    def _join(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def _call(self, x: Any) -> Any:
        return self._join([t(p) for t, p in zip(self.transforms, self._split(x), strict=True)])

    def _inverse(self, y: Any) -> Any:
        return self._join([t.inv(p) for t, p in zip(self.transforms, self._split(y), strict=True)])


class CatTransform(_Parts):
    """Maps of the parts along a dimension, of these lengths."""

    def __init__(
        self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    def _split(self, x: Any) -> Sequence[Any]:
        return x.split(self.lengths, self.dim)

    def _join(self, parts: list[Any]) -> Any:
        return torch.cat(parts, self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Of each part its own."""
        event = self.domain.event_dim
        pieces = []
        for t, a, b in zip(self.transforms, self._split(x), self._split(y), strict=True):
            pieces.append(sum_rightmost(t.log_abs_det_jacobian(a, b), event - t.domain.event_dim))
        dim = self.dim - x.dim() if self.dim >= 0 else self.dim
        dim += event
        return torch.cat(pieces, dim) if dim < 0 else sum(pieces[1:], pieces[0])


class StackTransform(_Parts):
    """Maps of the slices along a dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _split(self, x: Any) -> Sequence[Any]:
        return x.unbind(self.dim)

    def _join(self, parts: list[Any]) -> Any:
        return torch.stack(parts, self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Of each slice its own."""
        pieces = zip(self.transforms, self._split(x), self._split(y), strict=True)
        return torch.stack([t.log_abs_det_jacobian(a, b) for t, a, b in pieces], self.dim)
