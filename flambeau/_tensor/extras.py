"""Less common methods of tensors, and functions of `torch` that are methods too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._ir.recording import TensorBase
from flambeau._ops.registry import OPS
from flambeau._tensor import creation, dispatch, indexing, interop
from flambeau._tensor.tensor import Tensor

np = interop.np


def apply_(self: Any, callable: Callable) -> Any:  # noqa: A002
    """Replace each element by `callable(element)`, in place: slow, one call of Python an element.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2.]).apply_(lambda x: x * 10)
        tensor([10., 20.])
    """
    return _mapped(self, callable)


def map_(self: Any, tensor: Any, callable: Callable) -> Any:  # noqa: A002
    """Replace each element by `callable(element, the other tensor's element)`, in place.

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([1., 2.]).map_(torch.tensor([3., 4.]), lambda a, b: a * b)
        tensor([3., 8.])
    """
    return _mapped(self, callable, tensor)


def map2_(self: Any, x: Any, y: Any, callable: Callable) -> Any:  # noqa: A002
    """Replace each element by `callable(element, x's element, y's element)`, in place."""
    return _mapped(self, callable, x, y)


def _mapped(self: Any, function: Callable, *others: Any) -> Any:
    if self.requires_grad:
        raise TypeError("apply_() and map_() can be called only on tensors that don't require grad")
    shape = tuple(self.shape)
    columns = [interop.array(t.expand(shape)).reshape(-1).tolist() for t in (self, *others)]
    values = [function(*items) for items in zip(*columns, strict=True)]
    return self.copy_(creation.tensor(values, dtype=self.dtype).reshape(shape))


def as_subclass(self: Any, cls: type) -> Any:
    """An instance of a subclass over the same memory and with the same history.

    TypeError for a class that is not derived from Tensor.

    Example::

        >>> import flambeau as torch
        >>> class Named(torch.Tensor):
        ...     pass
        >>> type(torch.ones(1).as_subclass(Named)).__name__
        'Named'
    """
    if not (isinstance(cls, type) and issubclass(cls, TensorBase)):
        raise TypeError(f"as_subclass expects a subclass of Tensor, got {cls!r}")
    if self.is_leaf and self.requires_grad and type(self) is not cls:
        self = indexing.getitem(self, ...)  # whoever is no leaf any more needs a node of its own
    made = dispatch.make_tensor(cls, self._meta, self._storage, dispatch.node_of(self), self._index)
    made._base, made._base_node = self._base, self._base_node
    return made


def dim_order(self: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the one with the largest stride to that with the smallest.

    Example::

        >>> import flambeau as torch
        >>> torch.ones(2, 3).t().dim_order()
        (1, 0)
    """
    strides, shape = self.stride(), self.shape
    if ambiguity_check is True and len({s for s, n in zip(strides, shape, strict=True)}) < self.dim():
        raise RuntimeError(
            "The tensor does not have unique dim order, or cannot map to exact one of the given formats."
        )
    return tuple(sorted(range(self.dim()), key=lambda d: (-strides[d], d)))


def module_load(self: Any, other: Any, assign: bool = False) -> Any:
    """What `load_state_dict` puts in the place of this tensor: a copy of `other`, or `other` itself.

    Example::

        >>> import flambeau as torch
        >>> torch.zeros(2).module_load(torch.ones(2))
        tensor([1., 1.])
    """
    if assign:
        return other.detach()
    return self.detach().copy_(other)


def record_stream(self: Any, stream: Any) -> None:
    """Say that a stream uses the tensor: there are no streams on the CPU."""


def reinforce(self: Any, *args: Any) -> None:
    """Removed from PyTorch: RuntimeError."""
    raise RuntimeError("reinforce() was removed; use torch.distributions and log_prob")


def _resized(self: Any, *sizes: Any) -> Any:
    """A tensor of another shape over the same memory (deprecated; `resize_` changes the tensor itself)."""
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return self.detach().clone().resize_(*sizes).requires_grad_(self.requires_grad)


def resize_as(self: Any, tensor: Any) -> Any:
    """`resize` to the shape of another tensor (deprecated)."""
    return _resized(self, *tensor.shape)


def storage_type(self: Any) -> type:
    """The type of the tensor's storage."""
    return type(self.storage())


def is_nonzero(self: Any) -> bool:
    """Is the only element different from zero? RuntimeError if there are several."""
    return bool(self)


def is_same_size(input: Any, other: Any) -> bool:
    """Have both tensors the same shape?

    Example::

        >>> import flambeau as torch
        >>> torch.is_same_size(torch.ones(2), torch.ones(3))
        False
    """
    return input.shape == other.shape


def is_distributed(input: Any) -> bool:
    """Is the tensor spread over several processes? Never.

    Example::

        >>> import flambeau as torch
        >>> torch.is_distributed(torch.ones(1))
        False
    """
    return False


def index(self: Any, *indices: Any) -> Any:
    """`self[indices]`."""
    return self[indices]


def _to_device(kind: str) -> Callable:
    def convert(self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Any:
        return self.to(device=kind if device is None else device)

    convert.__name__ = convert.__qualname__ = kind
    convert.__doc__ = f"The tensor on such a device ({kind}); RuntimeError, there is no backend for it."
    return convert


def to_padded_tensor(self: Any, padding: float, output_size: Any = None) -> Any:
    """A nested tensor as a dense one, padded; NotImplementedError, since this one is dense."""
    raise NotImplementedError(
        f"to_padded_tensor() expected a nested tensor, got a dense one of shape {list(self.shape)}\n"
        "  hint: torch.nested.as_nested_tensor makes one of a list of tensors"
    )


METHODS: dict[str, Any] = {
    "apply_": apply_,
    "as_subclass": as_subclass,
    "const_data_ptr": Tensor.data_ptr,
    "dim_order": dim_order,
    "index": index,
    "is_distributed": is_distributed,
    "is_nonzero": is_nonzero,
    "is_same_size": is_same_size,
    "map2_": map2_,
    "map_": map_,
    "module_load": module_load,
    "record_stream": record_stream,
    "reinforce": reinforce,
    "resize": _resized,
    "resize_as": resize_as,
    "storage_type": storage_type,
    "to_padded_tensor": to_padded_tensor,
    **{kind: _to_device(kind) for kind in ("ipu", "mtia", "xpu")},
    **dict.fromkeys(("is_ipu", "is_maia", "is_mtia", "is_vulkan", "is_xla", "volatile"), False),
    "name": None,
    "grad_dtype": property(lambda self: self.dtype, doc="The dtype that gradients of this tensor have: its own."),
}


# ---------------------------------------------------------------------------------------------- functions of torch


def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **options: Any) -> Any:
    """A tensor of shape `size` whose dimensions lie in memory in the order `physical_layout`, outermost first;
    uninitialised (here: zero). Keywords as of `torch.empty`.

    Example::

        >>> import flambeau as torch
        >>> torch.empty_permuted((2, 3), (1, 0)).stride()
        (1, 2)
    """
    order = list(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise RuntimeError(f"Duplicate or missing dim in physical_layout {tuple(physical_layout)} for {len(size)} dims")
    requires_grad = options.pop("requires_grad", False)
    made = creation.empty(tuple([size[d] for d in order]), **options)
    return made.permute([order.index(d) for d in range(len(size))]).detach().requires_grad_(requires_grad)


def from_file(
    filename: str,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A tensor [size] over a file that is mapped into memory: with `shared` changes are written to the file, which is
    made or made larger if need be; without, they stay in memory.

    Example::

        >>> import flambeau as torch
        >>> torch.from_file("/dev/zero", size=2)
        tensor([0., 0.])
    """
    d = dtypes.get_default_dtype() if dtype is None else dtype
    if not shared:
        with open(filename, "rb") as file:
            content = file.read((size or 0) * d.itemsize)
        if len(content) < (size or 0) * d.itemsize:
            raise RuntimeError(f"{filename} is too small for {size} elements of {d}")
        return creation.from_numpy(np.frombuffer(bytearray(content), d.numpy))
    needed = (size or 0) * d.itemsize
    with open(filename, "a+b") as file:
        if file.seek(0, 2) < needed:
            file.truncate(needed)
    return creation.from_numpy(np.memmap(filename, d.numpy, "r+", shape=(size or 0,)).view(np.ndarray))


def frobenius_norm(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """The root of the sum of squares over `dim`.

    Example::

        >>> import flambeau as torch
        >>> torch.frobenius_norm(torch.tensor([3., 4.]), [0])
        tensor(5.)
    """
    return OPS["linalg.vector_norm"].function(input, 2, dim, keepdim)


def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The sum of the singular values of matrices.

    Example::

        >>> import flambeau as torch
        >>> torch.nuclear_norm(torch.eye(2))
        tensor(2.)
    """
    if isinstance(dim, bool):  # the form (input, keepdim)
        dim, keepdim = (-2, -1), dim
    return OPS["linalg.matrix_norm"].function(input, "nuc", tuple(dim), keepdim)


def get_device(input: Any) -> int:
    """The number of the GPU that a tensor lives on; -1 on the CPU.

    Example::

        >>> import flambeau as torch
        >>> torch.get_device(torch.ones(1))
        -1
    """
    return input.get_device()


def is_inference(input: Any) -> bool:
    """Was the tensor made in `inference_mode`?

    Example::

        >>> import flambeau as torch
        >>> torch.is_inference(torch.ones(1))
        False
    """
    return input.is_inference()


def to_dlpack(tensor: Any) -> Any:
    """The DLPack capsule over the tensor's memory, which `from_dlpack` takes."""
    return tensor.__dlpack__()


# Methods that are functions of `torch` too.
AS_FUNCTIONS = ("detach", "detach_", "fill_", "resize_as_", "zero_")

FUNCTIONS: dict[str, Any] = {
    **{
        f.__name__: f
        for f in (
            empty_permuted, frobenius_norm, from_file, get_device, is_distributed, is_inference, is_same_size,
            nuclear_norm, to_dlpack,
        )
    },
    **{name: getattr(Tensor, name) for name in AS_FUNCTIONS},
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- storages


def _storage_class(name: str, d: dtypes.dtype) -> type:
    """A class of PyTorch's that makes typed storages: of so many elements, or with the elements of a list."""

    def new(cls: type, *args: Any) -> Any:
        source = args[0] if args else 0
        held = creation.zeros(source, dtype=d) if isinstance(source, int) else creation.tensor(source, dtype=d)
        return held.storage()

    doc = f"Memory counted in elements of {d}: `{name}(n)` of zeros, `{name}([...])` with these elements."
    return type(name, (interop.TypedStorage,), {"__new__": new, "__init__": lambda *a: None, "__doc__": doc})


STORAGES: dict[str, type] = {
    name + "Storage": _storage_class(name + "Storage", d)
    for name, d in (
        ("BFloat16", dtypes.bfloat16), ("Bool", dtypes.bool_), ("Byte", dtypes.uint8), ("Char", dtypes.int8),
        ("ComplexDouble", dtypes.complex128), ("ComplexFloat", dtypes.complex64), ("Double", dtypes.float64),
        ("Float", dtypes.float32), ("Half", dtypes.float16), ("Int", dtypes.int32), ("Long", dtypes.int64),
        ("Short", dtypes.int16),
    )
}  # fmt: skip
STORAGES["TypedStorage"], STORAGES["UntypedStorage"] = interop.TypedStorage, interop.UntypedStorage
STORAGES["StorageBase"] = interop.StorageBase
STORAGES["Storage"] = STORAGES["FloatStorage"]
