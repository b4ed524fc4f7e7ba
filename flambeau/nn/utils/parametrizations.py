"""Ready-made parametrizations: orthogonal matrices, weight normalisation, spectral normalisation."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau import linalg
from flambeau.nn import functional as F

from ..modules.module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, default_dim, power_iteration
from .weight_norm import norm_except_dim, normalised_weight

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

Tensor = torch.Tensor

_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """Orthogonal matrices Q, n x k, Q^T Q = 1 (or their transposes, where n < k), from unconstrained ones.

    matrix_exp and cayley map the skew matrix A = X - X^T (X lower triangular) to exp(A) and to
    (1 - A/2)^-1 (1 + A/2); householder multiplies the reflections in the columns of X. With a `base`, Q is multiplied
    by it, so that X = -1 stands for the base (Lezcano-Casado, 2019).
    """

    base: Any  # a Tensor or None

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.size(-2), x.size(-1)
        transposed = rows < columns
        if transposed:
            x = x.mT
            rows, columns = columns, rows
        q = self._by_reflections(x) if self.orthogonal_map == "householder" else self._by_skew(x, rows, columns)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if transposed else q

    def _by_skew(self, x: Tensor, rows: int, columns: int) -> Tensor:
        x = x.tril()
        if rows != columns:
            filler = x.new_zeros(rows, rows - columns).expand(*x.shape[:-2], -1, -1)
            x = torch.cat([x, filler], dim=-1)
        skew = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = torch.matrix_exp(skew)
        else:
            one = torch.eye(rows, dtype=skew.dtype, device=skew.device)
            q = linalg.solve(one - skew * 0.5, one + skew * 0.5)
        return q[..., :columns]

    def _by_reflections(self, x: Tensor) -> Tensor:
        columns = x.size(-1)
        one = torch.eye(x.size(-2), columns, dtype=x.dtype, device=x.device)
        v = x.tril(diagonal=-1) + one
        # The product of all 1 - 2 v v^T / |v|^2 is 1 - V S^-1 V^T, S upper triangular (Joffrain et al., 2006).
        products = v.mT @ v
        s = products.triu(1) + torch.diag_embed(products.diagonal(dim1=-2, dim2=-1) / 2)
        q = one - v @ linalg.solve(s, v[..., :columns, :].mT)
        # The diagonal holds a sign for each column, which is no parameter: int() cuts its gradient.
        return q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        with torch.no_grad():
            return self._as_base(q) if hasattr(self, "base") else self._as_reflections(q)

    def _as_reflections(self, q: Tensor) -> Tensor:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        transposed = q.size(-2) < q.size(-1)
        reflections = _reflections(q.mT if transposed else q)
        return reflections.mT if transposed else reflections

    def _as_base(self, q: Tensor) -> Tensor:
        given = q
        if q.size(-2) < q.size(-1):
            q = q.mT
        rows, columns = q.size(-2), q.size(-1)
        if rows == columns:
            self.base = q.clone() if _is_orthogonal(q) else _orthogonalised(q)
        else:
            filler = torch.randn(*q.shape[:-2], rows, rows - columns, dtype=q.dtype, device=q.device)
            self.base = _orthogonalised(torch.cat([q, filler], dim=-1))
        # Under each of the maps this X gives Q = 1, since only its diagonal is not 0.
        minus_one = torch.zeros_like(given)
        minus_one.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return minus_one


def _is_orthogonal(q: Tensor) -> bool:
    one = torch.eye(q.size(-1), dtype=q.dtype, device=q.device)
    tolerance = 10.0 * q.size(-2) * torch.finfo(q.dtype).eps
    return torch.allclose(q.mH @ q, one, atol=tolerance)


def _reflections(q: Tensor) -> Tensor:
    """The X that `_by_reflections` maps to an orthogonal q.

    Below the diagonal of column i: the vector that reflects what the columns before left of column i to a multiple of
    the unit vector i; on the diagonal: that multiple's sign.
    """
    rest = q.clone()
    found = torch.zeros_like(q)
    for i in range(q.size(-1)):
        column = rest[..., i:, i]
        first = column[..., :1]
        length = linalg.vector_norm(column, dim=-1, keepdim=True)
        target = torch.where(first >= 0, -length, length)
        v = torch.cat([torch.ones_like(first), column[..., 1:] / (first - target)], dim=-1).unsqueeze(-1)
        block = rest[..., i:, :]
        rest[..., i:, :] = block - v @ (v.mT @ block) * (2.0 / (v * v).sum(dim=-2, keepdim=True))
        found[..., i + 1 :, i] = v[..., 1:, 0]
        found[..., i, i] = target[..., 0].sign()
    return found


def _orthogonalised(matrix: Tensor) -> Tensor:
    """The Q of the QR decomposition whose R has a positive diagonal."""
    q, r = linalg.qr(matrix)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a matrix (or batch of them) orthogonal: its rows or columns, whichever are shorter in number.

    Args:
        name: the tensor, at least 2-D (else ValueError).
        orthogonal_map: "matrix_exp", "cayley" or "householder". Default: matrix_exp if square or complex, else
            householder.
        use_trivialization: multiply by a fixed base, which makes any orthogonal matrix assignable. Default: True.

    Returns:
        The module.

    Example:
        >>> import flambeau as torch
        >>> layer = orthogonal(torch.nn.Linear(20, 40))
        >>> q = layer.weight
        >>> bool(torch.dist(q.T @ q, torch.eye(20)) < 1e-4)
        True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, parametrization, unsafe=True)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return normalised_weight(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """weight = g v / |v|, g and v being trained: `parametrizations.weight.original0` and `original1` (Salimans and
    Kingma, 2016).

    Args:
        dim: the dimension whose slices have a length each; None: one length for the whole. Default: 0.

    Returns:
        The module. State_dicts of `nn.utils.weight_norm` can be loaded into it.

    Example:
        >>> import flambeau as torch
        >>> layer = weight_norm(torch.nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        torch.Size([40, 1])
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def from_hook_form(state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        old = (f"{prefix}{name}_g", f"{prefix}{name}_v")
        if all(key in state_dict for key in old):
            for place, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{place}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(from_hook_form)
    return module


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        dims = weight.dim()
        if not -dims <= dim < dims:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{dims}, {dims - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % dims
        self.eps = eps
        if dims > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            start = [matrix.new_empty(size).normal_(0, 1) for size in matrix.shape]
            for name, vector in zip(("_u", "_v"), start, strict=True):
                self.register_buffer(name, F.normalize(vector, dim=0, eps=eps))
            power_iteration(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_iteration(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        # A projection has no inverse; the value itself, if it is normalised, is mapped to itself.
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a tensor by its largest singular value, which power iterations in training estimate (Miyato et al., 2018).

    Args:
        n_power_iterations: for each forward; positive (else ValueError). Default: 1.
        eps: keeps normalised vectors finite. Default: 1e-12.
        dim: the dimension of outputs. Default: 1 for transposed convolutions, else 0.

    Returns:
        The module.

    Example:
        >>> import flambeau as torch
        >>> layer = spectral_norm(torch.nn.Linear(20, 40))
        >>> bool(torch.linalg.matrix_norm(layer.weight, 2) < 1.1)
        True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    dim = default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
