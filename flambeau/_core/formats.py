"""Memory formats, layouts and schemes of quantization: PyTorch's names for orders of dimensions in memory, for kinds of
storage, and for what integers stand for."""

from __future__ import annotations


class _Named:
    """One of a few objects that are told apart by themselves, and printed and pickled by their names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self) -> str:
        return self.name


class memory_format(_Named):  # noqa: N801 (PyTorch's name)
    """An order of dimensions in memory: `contiguous_format`, `channels_last`, `channels_last_3d`, `preserve_format`."""

    __slots__ = ("ndim",)

    def __init__(self, name: str, ndim: int | None = None) -> None:
        super().__init__(name)
        self.ndim = ndim

    def order(self, ndim: int) -> list[int]:
        """The dimensions from slowest to fastest; RuntimeError if the format is for another number of dimensions."""
        if self.ndim is None:
            return list(range(ndim))
        if ndim != self.ndim:
            raise RuntimeError(
                f"required rank {self.ndim} tensor to use {self.name} format, got one of {ndim} dimensions"
            )
        return [0, *range(2, ndim), 1]


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)


class layout(_Named):  # noqa: N801 (PyTorch's name)
    """How a tensor keeps its elements: `strided`, `sparse_coo`, one of the compressed sparse ones, or `jagged` (parts
    of different lengths, one after the other)."""

    __slots__ = ()


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
sparse_bsr = layout("sparse_bsr")
sparse_bsc = layout("sparse_bsc")
jagged = layout("jagged")
LAYOUTS = (strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc, jagged)


class qscheme(_Named):  # noqa: N801 (PyTorch's name)
    """How a quantized tensor's integers become numbers: with one scale and zero point, or with one for each slice."""

    __slots__ = ()


per_tensor_affine = qscheme("per_tensor_affine")
per_channel_affine = qscheme("per_channel_affine")
per_tensor_symmetric = qscheme("per_tensor_symmetric")
per_channel_symmetric = qscheme("per_channel_symmetric")
per_channel_affine_float_qparams = qscheme("per_channel_affine_float_qparams")
QSCHEMES = (
    per_tensor_affine,
    per_channel_affine,
    per_tensor_symmetric,
    per_channel_symmetric,
    per_channel_affine_float_qparams,
)
