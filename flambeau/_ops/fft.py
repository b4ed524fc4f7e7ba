"""Discrete Fourier transforms (`torch.fft`).

Three operations do the work: complex to complex, real to half spectrum, half spectrum to real. They take the
dimensions, the direction and a scaling; the public functions pad or trim and choose. Gradients are the adjoint
transforms, so that they are the same
operations again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import Meta, contiguous
from flambeau._ops.infer import wrap_dim
from flambeau._ops.join import cat
from flambeau._ops.registry import composite, library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Dims = tuple[int, ...]

# A scaling says by what the plain sums are divided; NumPy names that from the view of one direction.
FORWARD_SCALINGS = {None: "none", "backward": "none", "ortho": "root", "forward": "count"}
INVERSE_SCALINGS = {None: "count", "backward": "count", "ortho": "root", "forward": "none"}
NUMPY_FORWARD: dict[str, Any] = {"none": "backward", "root": "ortho", "count": "forward"}
NUMPY_INVERSE: dict[str, Any] = {"none": "forward", "root": "ortho", "count": "backward"}


# ---------------------------------------------------------------------------------------------- the three transforms


@library(
    node_name="FftC2CBackward0",
    category="fft",
    method=False,
    function=False,
    infer=lambda m, dims, forward, scaling: contiguous(m.dtype, m.shape),
    gradient={"input": lambda g, dims, forward, scaling: complex_transform(g, dims, not forward, scaling)},
)
def complex_transform(input: Any, dims: Dims, forward: bool, scaling: str) -> Any:
    """The transform of complex numbers along `dims`."""
    if not dims:
        return input
    if input.size == 0:
        return np.zeros_like(input)
    if forward:
        return np.fft.fftn(input, axes=dims, norm=NUMPY_FORWARD[scaling])
    return np.fft.ifftn(input, axes=dims, norm=NUMPY_INVERSE[scaling])


def _infer_real_to_half(m: Meta, dims: Dims, scaling: str) -> Meta:
    return contiguous(m.dtype.to_complex(), _with_size(m.shape, dims[-1], m.shape[dims[-1]] // 2 + 1))


@library(
    node_name="FftR2CBackward0",
    category="fft",
    method=False,
    function=False,
    infer=_infer_real_to_half,
    gradient={"input": lambda g, input_meta, dims, scaling: _real_to_half_grad(g, input_meta, dims, scaling)},
    saves=("input",),
)
def real_to_half(input: Any, dims: Dims, scaling: str) -> Any:
    """The forward transform of real numbers along `dims`; the redundant half of the last one is left out."""
    if input.size == 0:
        return np.zeros(
            _with_size(input.shape, dims[-1], input.shape[dims[-1]] // 2 + 1), np.result_type(input.dtype, np.complex64)
        )
    return np.fft.rfftn(input, axes=dims, norm=NUMPY_FORWARD[scaling])


def _real_to_half_grad(g: Any, m: Meta, dims: Dims, scaling: str) -> Any:
    return complex_transform(resized(g, dims[-1], m.shape[dims[-1]]), dims, False, scaling).real


def _infer_half_to_real(m: Meta, dims: Dims, size: int, scaling: str) -> Meta:
    return contiguous(m.dtype.to_real(), _with_size(m.shape, dims[-1], size))


@library(
    node_name="FftC2RBackward0",
    category="fft",
    method=False,
    function=False,
    infer=_infer_half_to_real,
    gradient={
        "input": lambda g, input_meta, dims, size, scaling: _half_to_real_grad(g, input_meta, dims, size, scaling)
    },
)
def half_to_real(input: Any, dims: Dims, size: int, scaling: str) -> Any:
    """The inverse transform, real, of a half spectrum along `dims`; the last of them gets `size` elements."""
    if input.size == 0:
        return np.zeros(_with_size(input.shape, dims[-1], size), input.real.dtype)
    sizes = [*[input.shape[d] for d in dims[:-1]], size]
    return np.fft.irfftn(input, sizes, axes=dims, norm=NUMPY_INVERSE[scaling])


def _half_to_real_grad(g: Any, m: Meta, dims: Dims, size: int, scaling: str) -> Any:
    """The adjoint: elements that stand for their mirror image too count twice."""
    spectrum = real_to_half(g, dims, scaling)
    last, half = dims[-1], m.shape[dims[-1]]
    twice = [2.0 if 0 < k < size - half + 1 else 1.0 for k in range(half)]
    weight = g.new_tensor(twice, dtype=g.dtype).reshape([half if d == last else 1 for d in range(m.ndim)])
    return spectrum * weight


# ---------------------------------------------------------------------------------------------- arguments


def _with_size(shape: Sequence[int], dim: int, size: int) -> tuple[int, ...]:
    return tuple([size if d == dim else n for d, n in enumerate(shape)])


def resized(x: Any, dim: int, size: int) -> Any:
    """`x` cut, or filled up with zeros at the end, to `size` elements along `dim`."""
    present = x.shape[dim]
    if present > size:
        return x.narrow(dim, 0, size)
    return cat([x, x.new_zeros(_with_size(x.shape, dim, size - present))], dim) if present < size else x


def _scaling(norm: str | None, table: dict) -> str:
    if norm not in table:
        raise RuntimeError(f"Invalid normalization mode: {norm!r}; expected 'backward', 'ortho' or 'forward'")
    return table[norm]


def _floating(x: Any, *, complex_: bool) -> Any:
    """`x` as floats or complex numbers: integers become the default dtype; RuntimeError for half precision."""
    d = x.dtype
    if d in dtypes.HALVES:
        raise RuntimeError(
            errors.explain(f"Unsupported dtype {errors.TYPE_NAMES[d.name]}", hint="convert it first, e.g. x.float()")
        )
    if d.category < dtypes.FLOAT:
        d = dtypes.get_default_dtype()
    return x.to(d.to_complex() if complex_ else d)


def _saved_for_full(input: Any, *_: Any) -> tuple[str, ...]:
    return () if input.dtype.is_complex else ("input",)


@composite(method=False, function=False, saves=_saved_for_full)
def full_transform(input: Any, dims: Dims, forward: bool, scaling: str) -> Any:
    """`complex_transform` of any numbers."""
    return complex_transform(_floating(input, complex_=True), dims, forward, scaling)


def _real_input(name: str, x: Any) -> Any:
    if x.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {errors.TYPE_NAMES[x.dtype.name]}")
    return _floating(x, complex_=False)


def _checked_size(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _one(x: Any, n: int | None, dim: int) -> tuple[int, int]:
    """(dimension, size) of a transform along one dimension."""
    d = wrap_dim(dim, x.dim())
    return d, _checked_size(x.shape[d] if n is None else n)


def _several(
    name: str, x: Any, s: Sequence[int] | None, dim: Sequence[int] | int | None
) -> tuple[Dims, list[int | None]]:
    """(dimensions, the sizes given) of a transform along several dimensions; None stands for the present size."""
    s = [s] if isinstance(s, int) else s
    if dim is not None:
        dims = tuple([wrap_dim(d, x.dim()) for d in ((dim,) if isinstance(dim, int) else dim)])
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"FFT dims must be unique, got {list(dims)}")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(
                f"When given, dim and shape arguments must have the same length, got {len(dims)} and {len(s)}"
            )
    elif s is not None:
        if len(s) > x.dim():
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {x.dim()} dimensions.")
        dims = tuple(range(x.dim() - len(s), x.dim()))
    else:
        dims = tuple(range(x.dim()))
    sizes: list[int | None] = (
        [None] * len(dims) if s is None else [None if n == -1 else _checked_size(int(n)) for n in s]
    )
    if s is None:
        for d in dims:
            _checked_size(x.shape[d])
    return dims, sizes


def _fitted(x: Any, dims: Dims, sizes: list[int | None]) -> Any:
    for d, n in zip(dims, sizes, strict=True):
        x = x if n is None else resized(x, d, n)
    return x


def _need_one(name: str, dims: Dims) -> None:
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


def fft_function(**options: Any) -> Any:
    """Declares a composite of torch.fft."""
    return composite(method=False, namespace="fft", **options)


# ---------------------------------------------------------------------------------------------- one dimension


@fft_function()
def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The discrete Fourier transform along `dim`, cut or zero-padded to `n` elements; complex.

    `norm`: "backward" (default) leaves the sums as they are, "ortho" divides them by sqrt(n), "forward" by n.
    RuntimeError for n < 1 and half precision.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.fft(torch.tensor([1., 0.]))
        tensor([1.+0.j, 1.+0.j])
    """
    d, size = _one(input, n, dim)
    return full_transform(resized(input, d, size), (d,), True, _scaling(norm, FORWARD_SCALINGS))


@fft_function()
def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `fft`: by default the sums are divided by n.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ifft(torch.tensor([2., 0.]))
        tensor([1.+0.j, 1.+0.j])
    """
    d, size = _one(input, n, dim)
    return full_transform(resized(input, d, size), (d,), False, _scaling(norm, INVERSE_SCALINGS))


@fft_function()
def rfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The first n // 2 + 1 elements of `fft` of real numbers (the others are their conjugates).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.rfft(torch.tensor([1., 0., 0., 0.]))
        tensor([1.+0.j, 1.+0.j, 1.+0.j])
    """
    input = _real_input("rfft", input)
    d, size = _one(input, n, dim)
    return real_to_half(resized(input, d, size), (d,), _scaling(norm, FORWARD_SCALINGS))


@fft_function(out="castable")
def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `rfft`: `n` real numbers, by default 2 * (size - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.irfft(torch.tensor([1., 1., 1.]))
        tensor([1., 0., 0., 0.])
    """
    return _to_real(_floating(input, complex_=True), n, dim, _scaling(norm, INVERSE_SCALINGS))


def _to_real(x: Any, n: int | None, dim: int, scaling: str) -> Any:
    d = wrap_dim(dim, x.dim())
    size = _checked_size(2 * (x.shape[d] - 1) if n is None else n)
    return half_to_real(resized(x, d, size // 2 + 1), (d,), size, scaling)


@fft_function(out="castable")
def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The (real) transform of a Hermitian signal, of which the first half is given; `n` is by default 2 * (size - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.hfft(torch.tensor([1., 0., 0.]))
        tensor([1., 1., 1., 1.])
    """
    return _to_real(_floating(input, complex_=True).conj(), n, dim, _scaling(norm, FORWARD_SCALINGS))


@fft_function()
def ihfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`: the first half of a Hermitian signal.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ihfft(torch.tensor([1., 1., 1., 1.])).real
        tensor([1., 0., 0.])
    """
    input = _real_input("ihfft", input)
    d, size = _one(input, n, dim)
    return real_to_half(resized(input, d, size), (d,), _scaling(norm, INVERSE_SCALINGS)).conj()


# ---------------------------------------------------------------------------------------------- several dimensions


def _complex_transforms(name: str, x: Any, s: Any, dim: Any, forward: bool, scaling: str) -> Any:
    dims, sizes = _several(name, x, s, dim)
    return complex_transform(_fitted(_floating(x, complex_=True), dims, sizes), dims, forward, scaling)


@fft_function()
def fftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`fft` along several dimensions: `dim`, by default all (or the last len(s)), brought to the sizes `s` (-1: as it
    is).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.fftn(torch.ones(2, 2)).real
        tensor([[4., 0.],
                [0., 0.]])
    """
    return _complex_transforms("fftn", input, s, dim, True, _scaling(norm, FORWARD_SCALINGS))


@fft_function()
def ifftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `fftn`.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ifftn(torch.ones(2, 2)).real
        tensor([[1., 0.],
                [0., 0.]])
    """
    return _complex_transforms("ifftn", input, s, dim, False, _scaling(norm, INVERSE_SCALINGS))


@fft_function()
def rfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`fftn` of real numbers, without the redundant half of the last dimension.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.rfftn(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """
    input = _real_input("rfftn", input)
    dims, sizes = _several("rfftn", input, s, dim)
    _need_one("rfftn", dims)
    return real_to_half(_fitted(input, dims, sizes), dims, _scaling(norm, FORWARD_SCALINGS))


def _half_sizes(name: str, x: Any, s: Any, dim: Any) -> tuple[Dims, list[int | None], int]:
    """(dimensions, sizes of the half spectrum, size of the last dimension of the result)."""
    dims, sizes = _several(name, x, s, dim)
    _need_one(name, dims)
    last = _checked_size(2 * (x.shape[dims[-1]] - 1) if sizes[-1] is None else sizes[-1])
    return dims, [*sizes[:-1], last // 2 + 1], last


@fft_function(out="castable")
def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `rfftn`; the last of the sizes `s` is by default 2 * (size - 1).

    Example::

        >>> import flambeau as torch
        >>> torch.fft.irfftn(torch.ones(2, 2))
        tensor([[1., 0.],
                [0., 0.]])
    """
    x = _floating(input, complex_=True)
    dims, sizes, last = _half_sizes("irfftn", x, s, dim)
    return half_to_real(_fitted(x, dims, sizes), dims, last, _scaling(norm, INVERSE_SCALINGS))


@fft_function(out="castable")
def hfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`hfft` along the last of several dimensions, after `fft` along the others.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.hfftn(torch.ones(2, 2))
        tensor([[4., 0.],
                [0., 0.]])
    """
    x = _floating(input, complex_=True)
    scaling = _scaling(norm, FORWARD_SCALINGS)
    dims, sizes, last = _half_sizes("hfftn", x, s, dim)
    x = complex_transform(_fitted(x, dims, sizes), dims[:-1], True, scaling)
    return half_to_real(x.conj(), dims[-1:], last, scaling)


@fft_function()
def ihfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `hfftn`.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ihfftn(torch.ones(2, 2)).real
        tensor([[1., 0.],
                [0., 0.]])
    """
    input = _real_input("ihfftn", input)
    scaling = _scaling(norm, INVERSE_SCALINGS)
    dims, sizes = _several("ihfftn", input, s, dim)
    _need_one("ihfftn", dims)
    half = real_to_half(_fitted(input, dims, sizes), dims[-1:], scaling).conj()
    return complex_transform(half, dims[:-1], False, scaling)


# ---------------------------------------------------------------------------------------------- two dimensions


@fft_function()
def fft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`fftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.fft2(torch.ones(1, 2)).real
        tensor([[2., 0.]])
    """
    return fftn(input, s, dim, norm)


@fft_function()
def ifft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`ifftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ifft2(torch.ones(1, 2)).real
        tensor([[1., 0.]])
    """
    return ifftn(input, s, dim, norm)


@fft_function()
def rfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`rfftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.rfft2(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """
    return rfftn(input, s, dim, norm)


@fft_function(out="castable")
def irfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`irfftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.irfft2(torch.ones(1, 2))
        tensor([[1., 0.]])
    """
    return irfftn(input, s, dim, norm)


@fft_function(out="castable")
def hfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`hfftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.hfft2(torch.ones(1, 2))
        tensor([[2., 0.]])
    """
    return hfftn(input, s, dim, norm)


@fft_function()
def ihfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """`ihfftn` of the last two dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ihfft2(torch.ones(1, 2)).real
        tensor([[1., 0.]])
    """
    return ihfftn(input, s, dim, norm)


# ---------------------------------------------------------------------------------------------- order of frequencies


def _shifted(x: Any, dim: Any, inverse: bool) -> Any:
    dims = range(x.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = [wrap_dim(d, x.dim()) for d in dims]
    steps = [(x.shape[d] + 1) // 2 if inverse else x.shape[d] // 2 for d in dims]
    return x.roll(tuple(steps), tuple(dims)) if dims else x.clone()


@fft_function()
def fftshift(input: Any, dim: Any = None) -> Any:
    """Roll frequencies along `dim` (default: all) so that the negative ones come first.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.fftshift(torch.fft.fftfreq(4))
        tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted(input, dim, False)


@fft_function()
def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of `fftshift`.

    Example::

        >>> import flambeau as torch
        >>> torch.fft.ifftshift(torch.tensor([-2, -1, 0, 1]))
        tensor([ 0,  1, -2, -1])
    """
    return _shifted(input, dim, True)
