"""Views of the same bytes as other elements: complex as pairs of reals, one dtype as another."""

from __future__ import annotations

from typing import Any

from flambeau._core import dtypes, errors
from flambeau._core.dtypes import dtype
from flambeau._core.sites import user_site
from flambeau._ir.meta import Meta, contiguous_strides, meta
from flambeau._ops.registry import composite
from flambeau._ops.registry import view as view_op
from flambeau._ops.strided import INTERNAL, as_strided_, embed


@view_op(name="view_dtype", **INTERNAL)
def view_dtype(input: Meta, dtype: dtype) -> Meta:
    """The same bytes as elements of another dtype; the last dimension absorbs a change of width."""
    dtypes.refuse_quantized(dtype)
    old, new = input.dtype.itemsize, dtype.itemsize
    if old == new:
        return input.with_dtype(dtype)
    if input.ndim == 0:
        raise RuntimeError(
            errors.explain(
                f"self.dim() cannot be 0 to view {input.dtype} as {dtype} (different element sizes)", site=user_site(4)
            )
        )
    if input.strides[-1] != 1:
        raise RuntimeError(
            errors.explain(
                f"self.stride(-1) must be 1 to view {input.dtype} as {dtype} (different element sizes), but got "
                f"{input.strides[-1]}",
                hint="call .contiguous() first",
                site=user_site(4),
            )
        )
    shape, strides = list(input.shape), list(input.strides)
    if new < old:
        ratio = old // new
        shape[-1] *= ratio
        return meta(dtype, shape, [*[s * ratio for s in strides[:-1]], 1], input.offset * ratio)
    ratio = new // old
    if shape[-1] % ratio or input.offset % ratio or any(s % ratio for s in strides[:-1]):
        raise RuntimeError(
            errors.explain(
                f"self.size(-1), the storage offset and the strides must be divisible by {ratio} to view "
                f"{input.dtype} as {dtype} "
                f"(different element sizes), but got shape {shape}, offset {input.offset} and strides {strides}",
                site=user_site(4),
            )
        )
    shape[-1] //= ratio
    return meta(dtype, shape, [*[s // ratio for s in strides[:-1]], 1], input.offset // ratio)


@view_op(method=False, gradient={"input": lambda g: view_as_complex(g.contiguous())})
def view_as_real(input: Meta) -> Meta:
    """A complex tensor as a real one with a last dimension of size 2: real and imaginary part. RuntimeError for a real
    tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    if not input.dtype.is_complex:
        raise RuntimeError(errors.explain("view_as_real is only supported for complex tensors", site=user_site(4)))
    return meta(input.dtype.to_real(), (*input.shape, 2), (*[2 * s for s in input.strides], 1), 2 * input.offset)


@view_op(method=False, gradient={"input": lambda g: view_as_real(g)})
def view_as_complex(input: Meta) -> Meta:
    """A real tensor whose last dimension has size 2 as a complex one.

    RuntimeError for other shapes, for strides that do not pair the parts, and for integers.

    Example::

        >>> import flambeau as torch
        >>> torch.view_as_complex(torch.tensor([[1., 2.]]))
        tensor([1.+2.j])
    """
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            errors.explain(
                f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar "
                f"type: "
                f"{errors.TYPE_NAMES[input.dtype.name]}",
                site=user_site(4),
            )
        )
    if not input.ndim or input.shape[-1] != 2:
        raise RuntimeError(
            errors.explain(
                f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}", site=user_site(4)
            )
        )
    if input.strides[-1] != 1 or input.offset % 2 or any(s % 2 for s in input.strides[:-1]):
        raise RuntimeError(
            errors.explain(
                f"Tensor must have a last dimension with stride 1 and even strides and offset elsewhere, got strides "
                f"{list(input.strides)} and offset {input.offset}",
                hint="call .contiguous() first",
                site=user_site(4),
            )
        )
    strides = [s // 2 for s in input.strides[:-1]]
    return meta(input.dtype.to_complex(), tuple(input.shape)[:-1], strides, input.offset // 2)


@view_op(name="real", gradient={"input": lambda g: as_part(g, 0)}, **INTERNAL)
def real_part(input: Meta) -> Meta:
    """The real parts of a complex tensor."""
    return meta(input.dtype.to_real(), input.shape, [2 * s for s in input.strides], 2 * input.offset)


@view_op(name="imag", gradient={"input": lambda g: as_part(g, 1)}, **INTERNAL)
def imaginary_part(input: Meta) -> Meta:
    """The imaginary parts of a complex tensor."""
    return meta(input.dtype.to_real(), input.shape, [2 * s for s in input.strides], 2 * input.offset + 1)


def as_part(g: Any, part: int) -> Any:
    """A complex tensor whose real (0) or imaginary (1) part is `g` and whose other part is zero."""
    shape = g._meta.shape
    return view_as_complex(embed(g, (*shape, 2), tuple([2 * s for s in contiguous_strides(shape)]), part))


@composite(method=False)
def real(input: Any) -> Any:
    """The real part, as a view of a complex tensor; a real tensor is itself. Also the attribute `x.real`.

    Example::

        >>> import flambeau as torch
        >>> torch.real(torch.tensor([1 + 2j]))
        tensor([1.])
    """
    return real_part(input) if input._meta.dtype.is_complex else input


@composite(method=False)
def imag(input: Any) -> Any:
    """The imaginary part, as a view; also the attribute `x.imag`. RuntimeError for a real tensor.

    Example::

        >>> import flambeau as torch
        >>> torch.imag(torch.tensor([1 + 2j]))
        tensor([2.])
    """
    if not input._meta.dtype.is_complex:
        raise RuntimeError(
            errors.explain("imag is not implemented for tensors with non-complex dtypes.", site=user_site(3))
        )
    return imaginary_part(input)


def reinterpreted(tensor: Any, d: dtype) -> Any:
    """The whole of a tensor's elements as real or complex numbers, whichever `d` is; its shape is up to the caller."""
    own = tensor._meta.dtype
    if own.is_complex and not d.is_complex:
        return view_as_real(tensor)
    if d.is_complex and not own.is_complex:
        pairs = tensor._storage.nbytes // own.itemsize // 2
        return view_as_complex(as_strided_(tensor, (pairs, 2), (2, 1), 0))
    return tensor
