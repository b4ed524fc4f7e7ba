"""Linear algebra by LAPACK through NumPy: solving, inverses, determinants, powers. Decompositions are in
`decompositions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.contract import matmul
from flambeau._ops.infer import broadcast_shapes, wrap_dim
from flambeau._ops.norms import matrix_norm
from flambeau._ops.registry import composite, library
from flambeau._ops.results import named
from flambeau._ops.singular import H, LinAlgError, lapack, singular_values
from flambeau._ops.strided import owner

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


inv_ex_result = named("linalg_inv_ex", "inverse", "info")
solve_ex_result = named("linalg_solve_ex", "result", "info")
slogdet_result, torch_slogdet_result = (named(name, "sign", "logabsdet") for name in ("linalg_slogdet", "slogdet"))
lstsq_result = named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def require_square(op: str, m: Meta) -> None:
    """RuntimeError unless `m` is a batch of square matrices of a floating-point or complex dtype."""
    require_matrix(op, m)
    if m.shape[-1] != m.shape[-2]:
        raise RuntimeError(
            errors.explain(
                f"{op}: A must be batches of square matrices, but they are {m.shape[-2]} by {m.shape[-1]} matrices",
                site=user_site(),
            )
        )


def require_matrix(op: str, m: Meta) -> None:
    """RuntimeError unless `m` has two dimensions or more and a floating-point or complex dtype."""
    if m.ndim < 2:
        raise RuntimeError(f"{op}: The input tensor A must have at least 2 dimensions.")
    if m.dtype.category < dtypes.FLOAT or m.dtype in dtypes.HALVES:
        raise RuntimeError(
            f"{op}: Expected a floating point or complex tensor as input. Got {errors.TYPE_NAMES[m.dtype.name]}"
        )


def hermitian_from(x: np.ndarray, uplo: str) -> np.ndarray:
    """The Hermitian matrix that one triangle stands for."""
    part = np.tril(x, -1) if uplo == "L" else np.triu(x, 1)
    diagonal = np.einsum("...ii->...i", x)
    result = part + part.conj().swapaxes(-1, -2)
    index = np.arange(x.shape[-1])
    result[..., index, index] = diagonal.real
    return result


# ---------------------------------------------------------------------------------------------- solving and inverses


def _same_square(m: Meta) -> Meta:
    require_square("linalg.inv", m)
    return contiguous(m.dtype, m.shape)


@library(
    node_name="LinalgInvExBackward0",
    category="linalg",
    method=False,
    namespace="linalg",
    infer=_same_square,
    fallible=True,
    gradient={"A": lambda g, out: -(H(out) @ g @ H(out))},
)
def inv(A: Any) -> Any:  # noqa: N803
    """The inverse of square matrices; LinAlgError for a singular one.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.inv(torch.tensor([[2., 0.], [0., 4.]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        bad = int(np.argmax((np.linalg.det(A) == 0).reshape(-1)))
        where = f"(Batch element {bad}): " if A.ndim > 2 else ""
        raise LinAlgError(
            f"linalg.inv: {where}The diagonal element is zero, the inversion could not be completed because the input "
            f"matrix is singular."
        ) from None


@composite(name="inverse")
def inverse(input: Any) -> Any:
    """`linalg.inv`.

    Example::

        >>> import flambeau as torch
        >>> torch.inverse(torch.tensor([[2.]]))
        tensor([[0.5000]])
    """
    return inv(input)


@composite(method=False, namespace="linalg")
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:  # noqa: N803
    """(inverse, info): info is 0 where it worked.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.inv_ex(torch.eye(1)).info
        tensor(0, dtype=torch.int32)
    """
    return inv_ex_result(inv(A), A.new_zeros(A.shape[:-2], dtype=dtypes.int32))


def is_vector_case(a: Meta, b: Meta) -> bool:
    """Is the right side of a system a batch of vectors rather than of matrices?"""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1]))


def _infer_solve(a: Meta, b: Meta) -> Meta:
    require_square("linalg.solve", a)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {a.dtype} and B of type "
            f"{b.dtype}"
        )
    vector = is_vector_case(a, b)
    if vector and a.shape[-1] == b.shape[-1]:
        return contiguous(a.dtype, (*a.shape[:-2], a.shape[-1]))
    if vector or a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({list(a.shape)} and "
            f"{list(b.shape)})"
        )
    return contiguous(a.dtype, (*broadcast_shapes((a.shape[:-2], b.shape[:-2])), *b.shape[-2:]))


@library(
    node_name="LinalgSolveExBackward0",
    category="linalg",
    method=False,
    function=False,
    infer=_infer_solve,
    fallible=True,
    gradient={("A", "B"): lambda g, A, out, B_meta, needs: _solve_grad(g, A, out, B_meta, needs)},
)
def solution(A: Any, B: Any) -> Any:  # noqa: N803
    """X with A X = B."""
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    result = lapack("linalg.solve", np.linalg.solve, A, B[..., None] if vector else B)
    return result[..., 0] if vector else result


def _solve_grad(g: Any, a: Any, x: Any, b: Meta, needs: Sequence[bool]) -> tuple[Any, Any]:
    """gB solves A^H gB = g, and gA = -gB X^H."""
    gb = solution(H(a), g)
    if is_vector_case(a._meta, b):
        return -(gb.unsqueeze(-1) @ H(x.unsqueeze(-1))), gb
    return -(gb @ H(x)), gb


@composite(method=False, namespace="linalg")
def solve(A: Any, B: Any, *, left: bool = True) -> Any:  # noqa: N803
    """X with A X = B (or X A = B if not `left`) for square A; B is matrices or vectors. LinAlgError for a singular A.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.solve(torch.tensor([[2.]]), torch.tensor([4.]))
        tensor([2.])
    """
    if left:
        return solution(A, B)
    if is_vector_case(A._meta, B._meta):
        return solution(A.transpose(-2, -1), B)
    return owner(solution(A.transpose(-2, -1), B.transpose(-2, -1)).transpose(-2, -1))


@composite(method=False, namespace="linalg")
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:  # noqa: N803
    """(result, info) of `solve`: info is 0 where it worked.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.solve_ex(torch.eye(1), torch.ones(1)).result
        tensor([1.])
    """
    return solve_ex_result(solve(A, B, left=left), A.new_zeros(A.shape[:-2], dtype=dtypes.int32))


@composite(method=False, namespace="linalg", saves=("A",))
def solve_triangular(
    A: Any,
    B: Any,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,  # noqa: N803
) -> Any:
    """X with A X = B for triangular A, of which only one triangle is looked at; `unitriangular` takes its diagonal as
    ones.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.solve_triangular(torch.tensor([[2.]]), torch.tensor([[4.]]), upper=True)
        tensor([[2.]])
    """
    triangle = A.triu() if upper else A.tril()
    if unitriangular:
        identity = A.new_zeros(A.shape[-2:])
        identity.diagonal().fill_(1)
        triangle = (A.triu(1) if upper else A.tril(-1)) + identity
    return solve(triangle, B, left=left)


@composite(out="castable", method=False, namespace="linalg")
def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None) -> Any:  # noqa: N803
    """X with tensordot(A, X, X.dim()) = B.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.tensorsolve(torch.eye(4).reshape(2, 2, 4), torch.ones(2, 2))
        tensor([1., 1., 1., 1.])
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))  # noqa: N806
    rest = A.shape[B.dim() :]
    return solution(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(tuple(rest))


@composite(out="castable", method=False, namespace="linalg")
def tensorinv(A: Any, ind: int = 2) -> Any:  # noqa: N803
    """The inverse for tensordot over the first `ind` dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4)).shape
        torch.Size([4, 2, 2])
    """
    first, rest = A.shape[:ind], A.shape[ind:]
    size = 1
    for n in first:
        size *= n
    return inv(A.reshape(size, -1)).reshape((*rest, *first))


# ---------------------------------------------------------------------------------------------- determinants


def _infer_det(m: Meta) -> Meta:
    require_square("linalg.det", m)
    return contiguous(m.dtype, m.shape[:-2])


@library(
    node_name="LinalgDetBackward0",
    category="linalg",
    method=False,
    namespace="linalg",
    infer=_infer_det,
    name="det",
    gradient={"A": lambda g, A: _det_grad(g, A)},
    saves=("out",),
)
def linalg_det(A: Any) -> Any:  # noqa: N803
    """The determinant of square matrices.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.det(torch.tensor([[1., 2.], [3., 4.]]))
        tensor(-2.)
    """
    return np.linalg.det(A)


def _det_grad(g: Any, a: Any) -> Any:
    """g times the conjugate of the cofactors, from the singular values so that singular matrices do no harm: with A = U
    S V^H, cofactors = det(U V^H) U diag(products of the other s) V^H."""
    from_svd = cofactors(a)
    return g.unsqueeze(-1).unsqueeze(-1) * (from_svd.conj() if a.dtype.is_complex else from_svd)


def cofactors(a: Any) -> Any:
    """The matrix of cofactors, differentiable where the matrix is regular."""
    determinant = linalg_det(a)
    if a.shape[-1] and not bool((determinant == 0).any()):
        return determinant.unsqueeze(-1).unsqueeze(-1) * inv(a).transpose(-2, -1)
    return cofactors_by_svd(a)


@library(category="linalg", method=False, function=False, infer=lambda m: contiguous(m.dtype, m.shape))
def cofactors_by_svd(input: Any) -> Any:
    """The cofactors of any square matrix."""
    u, s, vh = np.linalg.svd(input)
    n = s.shape[-1]
    others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return np.asarray(sign)[..., None, None] * ((u.conj() * others[..., None, :]) @ vh.conj())


@composite()
def det(input: Any) -> Any:
    """`linalg.det`.

    Example::

        >>> import flambeau as torch
        >>> torch.det(torch.eye(2))
        tensor(1.)
    """
    return linalg_det(input)


def _infer_slogdet(m: Meta) -> tuple[Meta, Meta]:
    require_square("linalg.slogdet", m)
    return contiguous(m.dtype, m.shape[:-2]), contiguous(m.dtype.to_real(), m.shape[:-2])


@library(
    node_name="LinalgSlogdetBackward0",
    category="linalg",
    method=False,
    function=False,
    infer=_infer_slogdet,
    result_type=slogdet_result,
    gradient={"input": lambda g0, g1, input, out0: _slogdet_grad(g0, g1, input, out0)},
)
def sign_and_log(input: Any) -> Any:
    """(sign, log of the absolute value) of determinants."""
    return tuple(np.linalg.slogdet(input))


def _slogdet_grad(g_sign: Any, g_log: Any, a: Any, sign: Any) -> Any:
    transposed = H(inv(a))
    g = 0 if g_log is None else g_log.unsqueeze(-1).unsqueeze(-1) * transposed
    if g_sign is not None and a.dtype.is_complex:
        # the phase turns with the imaginary part of the log determinant
        turn = (g_sign.conj() * sign).imag.unsqueeze(-1).unsqueeze(-1)
        g = g + turn * transposed * -1j
    return g


@composite(method=False, namespace="linalg", name="slogdet")
def linalg_slogdet(A: Any) -> Any:  # noqa: N803
    """(sign, logabsdet) of square matrices.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.slogdet(torch.eye(2)).logabsdet
        tensor(0.)
    """
    return sign_and_log(A)


@composite()
def slogdet(input: Any) -> Any:
    """`linalg.slogdet`.

    Example::

        >>> import flambeau as torch
        >>> torch.slogdet(torch.eye(2)).sign
        tensor(1.)
    """
    return torch_slogdet_result(*sign_and_log(input))


@composite()
def logdet(input: Any) -> Any:
    """The logarithm of the determinant; NaN where that is negative.

    Example::

        >>> import flambeau as torch
        >>> torch.logdet(torch.eye(2))
        tensor(0.)
    """
    sign, log = sign_and_log(input)
    if input.dtype.is_complex:
        return log + sign.log()
    return log.masked_fill(sign < 0, float("nan"))


# ---------------------------------------------------------------------------------------------- powers and products


def _identity_like(a: Any) -> Any:
    eye = a.new_zeros(a.shape)
    eye.diagonal(0, -2, -1).fill_(1)
    return eye


@composite(method=False, namespace="linalg", name="matrix_power")
def linalg_matrix_power(A: Any, n: int) -> Any:  # noqa: N803
    """Square matrices to the power of an integer; negative ones invert first.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.matrix_power(torch.tensor([[2.]]), 3)
        tensor([[8.]])
    """
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but its shape is {list(A.shape)}"
        )
    if n == 0:
        return _identity_like(A) + A * 0
    base, n = (inv(A), -n) if n < 0 else (A, n)
    result = None
    while n:
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        base = matmul(base, base) if n else base
    return result


@composite()
def matrix_power(input: Any, n: int) -> Any:
    """`linalg.matrix_power`.

    Example::

        >>> import flambeau as torch
        >>> torch.matrix_power(torch.tensor([[2.]]), 2)
        tensor([[4.]])
    """
    return linalg_matrix_power(input, n)


@composite(method=False, namespace="linalg", name="matrix_exp")
def linalg_matrix_exp(A: Any) -> Any:  # noqa: N803
    """The exponential of square matrices: scaling, an 18-term Taylor sum, squaring (Moler & Van Loan 2003, method 3).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.matrix_exp(torch.zeros(1, 1))
        tensor([[1.]])
    """
    wide = A.to(dtypes.complex128 if A.dtype.is_complex else dtypes.float64) if A.dtype.differentiable else A
    require_square("linalg.matrix_exp", wide._meta)
    return _exponential(wide).to(A.dtype) if A.numel() else A.clone()


def _exponential(A: Any) -> Any:  # noqa: N803
    """`matrix_exp` of matrices that are not empty."""
    largest = float(A.detach().abs().sum(-1).max())
    squarings = max(0, int(np.ceil(np.log2(largest))) + 1) if largest > 0.5 else 0
    scaled = A * (0.5**squarings)
    result = term = _identity_like(A)
    for k in range(1, 19):
        term = matmul(term, scaled) * (1 / k)
        result = result + term
    for _ in range(squarings):
        result = matmul(result, result)
    return result


@composite(node_name="LinalgMatrixExpBackward0", shows=("input",), saves=("input",))
def matrix_exp(input: Any) -> Any:
    """`linalg.matrix_exp`.

    Example::

        >>> import flambeau as torch
        >>> torch.matrix_exp(torch.zeros(1, 1))
        tensor([[1.]])
    """
    return linalg_matrix_exp(input)


@composite(method=False, namespace="linalg")
def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.multi_dot([torch.eye(2), torch.eye(2), torch.ones(2)])
        tensor([1., 1.])
    """
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    factors = list(tensors)
    row, column = factors[0].dim() == 1, factors[-1].dim() == 1
    factors[0] = factors[0].unsqueeze(0) if row else factors[0]
    factors[-1] = factors[-1].unsqueeze(1) if column else factors[-1]
    while len(factors) > 1:  # the pair whose shared dimension is largest goes first
        i = max(range(len(factors) - 1), key=lambda i: factors[i].shape[1])
        factors[i : i + 2] = [matmul(factors[i], factors[i + 1])]
    result = factors[0]
    result = result.squeeze(0) if row else result
    return result.squeeze(-1) if column else result


@composite(method=False, namespace="linalg")
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products of the conjugate of `x` with `y` along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.vecdot(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
        tensor(11.)
    """
    return ((x.conj() if x.dtype.is_complex else x) * y).sum(dim)


@composite(overlap="none", method=False, namespace="linalg", name="cross", saves=("input", "other"))
def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross products of 3-vectors along `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
        tensor([0., 0., 1.])
    """
    if input.dim() != other.dim():
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and {other.shape[dim]}"
        )
    d = wrap_dim(dim, input.dim())
    return input.roll(-1, d) * other.roll(-2, d) - input.roll(-2, d) * other.roll(-1, d)


@composite(overlap="none", node_name="LinalgCrossBackward0", shows=("input", "other"), saves=("input", "other"))
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross products of 3-vectors along `dim`, by default the first dimension of size 3.

    Example::

        >>> import flambeau as torch
        >>> torch.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]), dim=0)
        tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim)


@composite(method=False, namespace="linalg")
def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:  # noqa: N803
    """`torch.diagonal` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.diagonal(torch.eye(2))
        tensor([1., 1.])
    """
    return A.diagonal(offset, dim1, dim2)


@composite(method=False, namespace="linalg", name="vander")
def linalg_vander(x: Any, N: int | None = None) -> Any:  # noqa: N803
    """The powers 0 to N - 1 of every element, [..., N].

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.vander(torch.tensor([2, 3]))
        tensor([[1, 2],
                [1, 3]])
    """
    count = x.shape[-1] if N is None else N
    powers = x.new_tensor(list(range(count)), dtype=dtypes.int64)
    return x.unsqueeze(-1) ** powers


@composite(method=False)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803
    """The powers N - 1 to 0 (0 to N - 1 if `increasing`) of every element of a vector.

    Example::

        >>> import flambeau as torch
        >>> torch.vander(torch.tensor([2, 3]))
        tensor([[2, 1],
                [3, 1]])
    """
    found = linalg_vander(x, N)
    return found if increasing else found.flip(-1)


# ---------------------------------------------------------------------------------------------- rank, condition, least
# squares


@composite(out="castable", method=False, namespace="linalg")
def matrix_rank(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,  # noqa: N803
) -> Any:
    """The number of singular values above max(atol, rtol * the largest).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.matrix_rank(torch.eye(3))
        tensor(3)
    """
    values = singular_values(A.detach())
    atol, rtol = (tol, 0.0) if tol is not None else (atol, rtol)
    if atol is None and rtol is None:
        rtol = max(A.shape[-2:]) * float(np.finfo(values.dtype.numpy).eps)
    largest = values.amax(-1, True) if values.shape[-1] else values.new_zeros((*values.shape[:-1], 1))
    relative = (
        largest * (rtol if not hasattr(rtol, "unsqueeze") else rtol.unsqueeze(-1)) if rtol is not None else largest * 0
    )
    absolute = 0 if atol is None else atol.unsqueeze(-1) if hasattr(atol, "unsqueeze") else atol
    return (values > relative.maximum(relative * 0 + absolute)).sum(-1)


@composite(out="castable", method=False, namespace="linalg")
def cond(A: Any, p: Any = None) -> Any:  # noqa: N803
    """The condition number: the norm `p` of the matrix times that of its inverse; by default the ratio of extreme
    singular values.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.cond(torch.tensor([[2., 0.], [0., 1.]]))
        tensor(2.)
    """
    if p in (None, 2, -2):
        values = singular_values(A)
        return values[..., 0] / values[..., -1] if p != -2 else values[..., -1] / values[..., 0]
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@composite(method=False, namespace="linalg", name="pinv")
def linalg_pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:  # noqa: N803
    """The pseudo-inverse (Moore 1920, Penrose 1955).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.pinv(torch.tensor([[2.], [0.]]))
        tensor([[0.5000, 0.0000]])
    """
    relative = rcond if rcond is not None else rtol
    return pseudo_inverse(A, relative, atol, hermitian)


@library(
    category="linalg",
    method=False,
    function=False,
    infer=lambda m, rtol, atol, hermitian: _infer_pinv(m),
    gradient={"input": lambda g, input, out: _pinv_grad(g, input, out)},
)
def pseudo_inverse(input: Any, rtol: Any, atol: Any, hermitian: bool) -> Any:
    """The pseudo-inverse; singular values up to max(atol, rtol * the largest) count as zero."""
    if input.size == 0:
        return np.zeros((*input.shape[:-2], input.shape[-1], input.shape[-2]), input.dtype)
    if hermitian:  # only the lower triangle is looked at
        input = hermitian_from(input, "L")
    u, s, vh = np.linalg.svd(input, full_matrices=False)
    if rtol is None and (atol is None or not np.any(atol)):
        rtol = max(input.shape[-2:]) * np.finfo(s.dtype).eps
    limit = np.maximum(
        np.asarray(0 if atol is None else atol)[..., None],
        np.asarray(0 if rtol is None else rtol)[..., None] * s[..., :1],
    )
    inverse = np.where(s > limit, 1 / np.where(s > limit, s, 1), 0)
    return (vh.conj().swapaxes(-1, -2) * inverse[..., None, :]) @ u.conj().swapaxes(-1, -2)


def _infer_pinv(m: Meta) -> Meta:
    require_matrix("linalg.pinv", m)
    return contiguous(m.dtype, (*m.shape[:-2], m.shape[-1], m.shape[-2]))


def _pinv_grad(g: Any, a: Any, p: Any) -> Any:
    """Golub & Pereyra 1973."""
    ph, gh = H(p), H(g)
    if a.shape[-2] <= a.shape[-1]:
        k = gh @ p
        k_ph = k @ ph
        return -H(p @ k) + k_ph - (a @ p) @ k_ph + (ph @ p) @ (gh - k @ a)
    k = p @ gh
    ph_k = ph @ k
    return -H(k @ p) + (gh - a @ k) @ p @ ph + ph_k - (ph_k @ p) @ a


@composite()
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """`linalg.pinv`.

    Example::

        >>> import flambeau as torch
        >>> torch.pinverse(torch.tensor([[2.]]))
        tensor([[0.5000]])
    """
    return pseudo_inverse(input, rcond, None, False)


@composite(out="castable", method=False, namespace="linalg")
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:  # noqa: N803
    """The X that makes A X closest to B (least squares): (solution, residuals, rank, singular_values).

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.lstsq(torch.tensor([[1.], [1.]]), torch.tensor([[1.], [3.]])).solution.round()
        tensor([[2.]])
    """
    vector = is_vector_case(A._meta, B._meta)
    right = B.unsqueeze(-1) if vector else B
    found = pseudo_inverse(A, rcond, None, False) @ right
    residuals = owner(found.abs().reshape(-1)[:0])  # none, but part of the graph
    driver = driver or "gelsy"  # PyTorch's default, which gives no residuals
    if A.shape[-2] > A.shape[-1] and driver != "gelsy":
        residuals = (A @ found - right).abs().square().sum(-2)
    rank = matrix_rank(A) if driver != "gels" else A.new_zeros((0,), dtype=dtypes.int64)
    values = singular_values(A.detach()) if driver in ("gelsd", "gelss") else A.new_zeros((0,), dtype=A.dtype.to_real())
    return lstsq_result(owner(found.squeeze(-1)) if vector else found, residuals, rank, values)


@composite(method=False, namespace="linalg", name="matmul")
def linalg_matmul(input: Any, other: Any) -> Any:
    """`torch.matmul`.

    Example::

        >>> import flambeau as torch
        >>> torch.linalg.matmul(torch.eye(2), torch.tensor([1., 2.]))
        tensor([1., 2.])
    """
    return matmul(input, other)
