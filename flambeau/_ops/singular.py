"""The singular value decomposition, and what all of linear algebra shares: calls of LAPACK and their error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau._ops.registry import library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class LinAlgError(RuntimeError):
    """A matrix that an operation of linear algebra cannot deal with: singular, not positive definite, not
    converging."""


LinAlgError.__qualname__ = "_LinAlgError"


def H(x: Any) -> Any:  # noqa: N802 (the field's name)
    """The conjugate transpose."""
    x = x.transpose(-2, -1)
    return x.conj() if x.dtype.is_complex else x


def lapack(op: str, function: Any, *args: Any) -> Any:
    """Call a NumPy function, turning its LinAlgError into PyTorch's."""
    try:
        return function(*args)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"{op}: {error}: the input matrix cannot be dealt with (singular or not converging)"
        ) from None


@library(
    category="linalg",
    method=False,
    function=False,
    infer=lambda m: contiguous(m.dtype.to_real(), (*m.shape[:-2], min(m.shape[-2:]))),
    gradient={"input": lambda g, input: _singular_values_grad(g, input)},
    snapshots=("input",),
    node_name="LinalgSvdBackward0",
)
def singular_values(input: Any) -> Any:
    """The singular values of matrices, largest first."""
    return np.linalg.svd(input, compute_uv=False)


def _singular_values_grad(g: Any, x: Any) -> Any:
    """U diag(g) V^H."""
    u, _, vh = full_svd(x, False)
    return (u * g.unsqueeze(-2).to(u.dtype)) @ vh


@library(
    node_name="LinalgSvdBackward0",
    category="linalg",
    method=False,
    function=False,
    gradient={"input": lambda g0, g1, g2, out0, out1, out2: _svd_grad(g0, g1, g2, out0, out1, out2)},
)
def full_svd(input: Any, full_matrices: bool) -> Any:
    """(U, S, V^H)."""
    return lapack("linalg.svd", lambda: tuple(np.linalg.svd(input, full_matrices=full_matrices)))


def _svd_grad(gu: Any, gs: Any, gvh: Any, u: Any, s: Any, vh: Any) -> Any:
    """With F_ij = 1 / (s_j^2 - s_i^2): U (sym(F * U^H gU) S + S sym(F * V^H gV) + diag(gS)) V^H, and what leaves the
    spaces of U, V."""
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    inner = u.new_zeros((*s.shape, k)) if gs is None else gs.to(u.dtype).diag_embed()
    squares = s * s
    gaps = squares.unsqueeze(-2) - squares.unsqueeze(-1)
    f = (1 / gaps.masked_fill(gaps == 0, 1)).masked_fill(gaps == 0, 0).to(u.dtype)
    s_row, s_column = s.unsqueeze(-2).to(u.dtype), s.unsqueeze(-1).to(u.dtype)
    outside = None
    if gu is not None:
        gu = gu[..., :k]
        skew = H(u) @ gu
        inner = inner + (f * (skew - H(skew))) * s_row
        if u.dtype.is_complex:
            phase = skew.diagonal(0, -2, -1)
            inner = inner + ((phase - phase.conj()) * 0.5 / s).diag_embed()
        if u.shape[-2] > k:
            outside = ((gu - u @ (H(u) @ gu)) / s_row) @ vh
    if gvh is not None:
        gvh = gvh[..., :k, :]
        skew = vh @ H(gvh)
        inner = inner + s_column * (f * (skew - H(skew)))
        if vh.shape[-1] > k:
            rest = u @ ((gvh - (gvh @ H(vh)) @ vh) / s_column)
            outside = rest if outside is None else outside + rest
    result = u @ inner @ vh
    return result if outside is None else result + outside
