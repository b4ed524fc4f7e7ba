"""The Tensor class: what is not derived from the op table.

Attributes of the layout, the gradient's side, looking at values, conversions. Operators and the methods of operations
are bound in `_tensor.methods`, in one visible loop.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core import formats as _formats
from flambeau._core.device import cpu, device
from flambeau._core.hooks import RemovableHandle
from flambeau._core.lazy import lazy_module
from flambeau._core.overriding import DisableTorchFunctionSubclass
from flambeau._core.sites import user_site, warn
from flambeau._core.size import Size
from flambeau._engine.window import state
from flambeau._ir.meta import Meta, is_contiguous, meta, shared_dims
from flambeau._ir.recording import TensorBase
from flambeau._ops import convert, fill, view
from flambeau._tensor import creation, dispatch, indexing, interop, printing, sharing, subclassing
from flambeau._tensor.dispatch import make_tensor, node_of
from flambeau.autograd import engine
from flambeau.autograd.graph import AccumulateGrad, Node, add_hook, looked_at, present

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class Tensor(TensorBase):
    """A block of numbers of one dtype, with a shape, that remembers how it was computed if gradients are wanted.

    Made by `torch.tensor(...)`, `torch.zeros(...)` and the like; `Tensor(2, 3)` and `Tensor([1, 2])` are PyTorch's
    legacy forms (float32).

    Example::

        >>> import flambeau as torch
        >>> torch.tensor([[1., 2.], [3., 4.]]).sum(0)
        tensor([4., 6.])
    """

    __slots__ = ()

    _grad: Any = None
    _silent = False  # made by `.data`: writes do not count as changes of the variable
    __array_priority__ = 1000  # NumPy lets the tensor's operators win

    is_sparse = is_quantized = is_meta = is_nested = is_mkldnn = is_cuda = is_mps = is_xpu = is_sparse_csr = False
    is_cpu = True
    names: tuple[None, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return creation.legacy(cls, dtypes.get_default_dtype(), args, kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        subclassing.prepare(cls)

    @staticmethod
    def _make_subclass(cls: type, data: Any, require_grad: bool = False) -> Any:
        """A leaf of class `cls` over the memory of `data`."""
        made = make_tensor(cls, data._meta, data._storage)
        return made.requires_grad_(require_grad)

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """What becomes of a call of `func` whose arguments are of a subclass: its results are of this subclass, too.

        A subclass may do something else, and call this with `super()`. `types` are the arguments' classes that have a
        `__torch_function__`; NotImplemented unless this class is derived from all of them.

        Example::

            >>> import flambeau as torch
            >>> class Counted(torch.Tensor):
            ...     calls = []
            ...     @classmethod
            ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
            ...         cls.calls.append(func.__name__)
            ...         return super().__torch_function__(func, types, args, kwargs)
            >>> type(torch.ones(2).as_subclass(Counted) + 1).__name__, Counted.calls
            ('Counted', ['add'])
        """
        if not all([issubclass(cls, t) for t in types]):
            return NotImplemented
        with DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return result if func in subclassing.NOT_CONVERTED else subclassing.convert(result, cls)

    # ------------------------------------------------------------------------------------ layout

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return self._meta.shape

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return self._meta.dtype

    @property
    def device(self) -> device:
        """Where the numbers live."""
        return cpu

    @property
    def layout(self) -> _formats.layout:
        """`torch.strided`."""
        return _formats.strided

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._meta.ndim

    def dim(self) -> int:
        """The number of dimensions; also `.ndim`, `.ndimension()`."""
        return self._meta.ndim

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one of its sizes.

        Example::

            >>> import flambeau as torch
            >>> torch.ones(2, 3).size(), torch.ones(2, 3).size(-1)
            (torch.Size([2, 3]), 3)
        """
        return self._meta.shape if dim is None else self._meta.shape[_dim(dim, self._meta.ndim)]

    def stride(self, dim: int | None = None) -> Any:
        """How many elements lie between neighbours, for every dimension or for one."""
        return self._meta.strides if dim is None else self._meta.strides[_dim(dim, self._meta.ndim)]

    def storage_offset(self) -> int:
        """Where in its storage the tensor starts, in elements."""
        return self._meta.offset

    def numel(self) -> int:
        """The number of elements; also `.nelement()`."""
        return self._meta.numel

    nelement = numel

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self._meta.dtype.itemsize

    def element_size(self) -> int:
        """Bytes an element."""
        return self._meta.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._meta.nbytes

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Do the elements lie densely in the order of `memory_format` (row-major by default)?"""
        m = self._meta
        if memory_format is None or memory_format.ndim is None:
            return m.is_contiguous
        if m.ndim != memory_format.ndim:
            return False
        order = memory_format.order(m.ndim)
        return is_contiguous([m.shape[i] for i in order], [m.strides[i] for i in order])

    def is_floating_point(self) -> bool:
        """Is the dtype a real floating-point one?"""
        return self._meta.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Is the dtype complex?"""
        return self._meta.dtype.is_complex

    def is_signed(self) -> bool:
        """Can the dtype hold negative numbers?"""
        return self._meta.dtype.is_signed

    def is_inference(self) -> bool:
        """Was the tensor made in `inference_mode`?"""
        return self._storage.version < 0

    def is_conj(self) -> bool:
        """Is conjugation pending? Never: it is done at once."""
        return False

    is_neg = is_conj

    def is_shared(self) -> bool:
        """Does the tensor live in memory that processes share (see `share_memory_`)?"""
        return sharing.is_shared(self)

    def is_pinned(self, device: Any = None) -> bool:
        """Is the memory page-locked for a GPU?"""
        return False

    def is_set_to(self, tensor: Tensor) -> bool:
        """Do both look at the same memory through the same layout?"""
        return self._storage is tensor._storage and self._meta is tensor._meta

    def get_device(self) -> int:
        """The GPU's number; -1 on the CPU."""
        return -1

    def data_ptr(self) -> int:
        """The address of the first element, which stays there as long as the storage lives."""
        return interop.address(self._storage, self._meta)

    def untyped_storage(self) -> Any:
        """The storage, counted in bytes."""
        return interop.UntypedStorage(self._storage)

    def storage(self) -> Any:
        """The storage, counted in elements."""
        return interop.TypedStorage(self._storage, self.dtype)

    # ------------------------------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Do operations on this tensor record a graph for gradients?"""
        return node_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError(f"requires_grad must be a bool, got {value!r}")
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Turn gradients on or off for a leaf; RuntimeError for integers, or for turning off a computed tensor.

        Example::

            >>> import flambeau as torch
            >>> torch.ones(2).requires_grad_()
            tensor([1., 1.], requires_grad=True)
        """
        if not isinstance(requires_grad, bool):
            kind = type(requires_grad).__name__
            raise TypeError(f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {kind}")
        if not self.is_leaf:
            if not requires_grad:
                raise RuntimeError(
                    errors.explain(
                        "you can only change requires_grad flags of leaf variables.",
                        hint="If you want to use a computed variable in a subgraph that doesn't require "
                        "differentiation use "
                        "var_no_grad = var.detach().",
                        site=user_site(2),
                    )
                )
        elif not requires_grad:
            self._node = None
        elif not self.dtype.differentiable:
            raise RuntimeError(
                errors.explain(
                    f"only Tensors of floating point and complex dtype can require gradients, this one is {self.dtype}",
                    hint="convert it first: x.float().requires_grad_()",
                    site=user_site(2),
                )
            )
        elif self.is_inference() and not state.inference:
            raise RuntimeError(
                errors.explain(
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.",
                    hint="take a copy, which is a usual tensor: x.clone().requires_grad_(); or make it within "
                    "`with torch.no_grad():` instead of `torch.inference_mode()`",
                    site=user_site(2),
                )
            )
        elif self._node is None:
            self._node, self._index = AccumulateGrad(self), 0
        return self

    @property
    def is_leaf(self) -> bool:
        """Was the tensor made by the user rather than computed with gradients?"""
        node = node_of(self)
        return node is None or isinstance(node, AccumulateGrad)

    @property
    def grad_fn(self) -> Node | None:
        """The graph node that made the tensor; None for leaves."""
        node = node_of(self)
        return None if isinstance(node, AccumulateGrad) else looked_at(node)

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` this is."""
        return self._index

    @property
    def grad(self) -> Any:
        """The accumulated gradient, None before the first backward; a UserWarning for a result that keeps none."""
        if self._grad is None and not (self.is_leaf or self.retains_grad):
            warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. backward() does not fill "
                "it: call .retain_grad() on the tensor before, or look at the leaf that it was computed from."
            )
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value._meta.shape != self._meta.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: got {list(value._meta.shape)}, expected "
                    f"{list(self.shape)}"
                )
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: got {value.dtype}, expected {self.dtype}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Compute the gradients of this tensor with respect to the leaves it was computed from and add them to their
        `.grad`.

        `gradient` weights a tensor that is not a scalar; `retain_graph` keeps what was saved for another pass;
        `create_graph` makes the gradients differentiable; `inputs` limits accumulation to these tensors.

        Example::

            >>> import flambeau as torch
            >>> x = torch.tensor(3., requires_grad=True)
            >>> (x ** 2).backward()
            >>> x.grad
            tensor(6.)
        """
        engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Any:
        """The same memory without the history."""
        t = make_tensor(dispatch.Tensor, self._meta, self._storage)
        if self._silent or self._storage.version < 0:
            t._silent = True
        return t

    def detach_(self) -> Tensor:
        """Forget the history; RuntimeError for a view, which shares it with its base."""
        if self._base is not None and self._base._node is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node, self._index = None, 0
        return self

    @property
    def data(self) -> Any:
        """The same memory without history; writing to it goes unnoticed by gradients (prefer `detach()`)."""
        t = self.detach()
        t._silent = True
        return t

    @data.setter
    def data(self, value: Any) -> None:
        self._storage, self._meta = value._storage, value._meta
        self._base = self._base_node = None

    @property
    def _version(self) -> int:
        if self._storage.version < 0:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._storage.version

    def _is_view(self) -> bool:
        return self._base is not None

    def retain_grad(self) -> None:
        """Keep the gradient of a computed tensor in `.grad`, as leaves do."""
        node = node_of(self)
        if node is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not isinstance(node, AccumulateGrad):
            node._retained = node._retained or {}
            node._retained[self._index] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Did `retain_grad` ask to keep the gradient of this computed tensor?"""
        node = node_of(self)
        kept = None if node is None or node._retained is None else node._retained.get(self._index)
        return kept is not None and kept() is self

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad)` when the gradient of this tensor is known; it may return another gradient to go on with.

        Example::

            >>> import flambeau as torch
            >>> x = torch.ones(2, requires_grad=True)
            >>> handle = x.register_hook(lambda g: g * 10)
            >>> x.sum().backward()
            >>> x.grad
            tensor([10., 10.])
        """
        node = node_of(self)
        if node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if node._pre_hooks is None:
            node._pre_hooks = OrderedDict()
        return add_hook(node._pre_hooks, (self._index, hook))

    def register_post_accumulate_grad_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(leaf)` after a gradient was added to the leaf's `.grad`."""
        node = node_of(self)
        if node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not isinstance(node, AccumulateGrad):
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if node.post_accumulate_hooks is None:
            node.post_accumulate_hooks = OrderedDict()
        return add_hook(node.post_accumulate_hooks, hook)

    # ------------------------------------------------------------------------------------ looking at values

    def item(self) -> bool | int | float | complex:
        """The only element as a Python number; RuntimeError if there are several."""
        return self._number(RuntimeError, "a Tensor with {} elements cannot be converted to Scalar")

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        array = interop.array(self)
        return (array.astype(np.float64) if array.dtype.kind == "V" else array).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A NumPy array over the same memory. RuntimeError for a tensor that requires grad, unless `force` or within
        `no_grad`."""
        return interop.numpy(self, force)

    def __bool__(self) -> bool:
        if self._meta.numel != 1:
            if self._meta.numel == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError(
                errors.explain(
                    "Boolean value of Tensor with more than one value is ambiguous",
                    hint="use .any() or .all()",
                    site=user_site(2),
                )
            )
        return bool(interop.number(self))

    def __int__(self) -> int:
        return int(self._number())

    def __float__(self) -> float:
        return float(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def _number(
        self,
        error: type[Exception] = ValueError,
        fact: str = "only one element tensors can be converted to Python scalars, this one has {}",
    ) -> Any:
        """The only element; `error`, with `fact` about their number, if there are several."""
        if self._meta.numel != 1:
            raise error(
                errors.explain(
                    f"{fact.format(self._meta.numel)} (shape {list(self.shape)})",
                    hint="use .tolist() for all of them, or reduce first, e.g. .sum()",
                    site=user_site(3),
                )
            )
        return interop.number(self)

    def __index__(self) -> int:
        if self._meta.numel != 1 or self.dtype.category > dtypes.INTEGER:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._number())

    def __len__(self) -> int:
        if not self._meta.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._meta.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self._meta.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        node = self.grad_fn
        return printing.format_tensor(
            interop.array(self),
            dtype_name=self.dtype.name,
            size=tuple(self.shape),
            requires_grad=self.requires_grad,
            grad_fn=None if node is None else node.name().split("::")[-1],
            default_dtype=dtypes.get_default_dtype().name,
            class_name="tensor" if type(self) is Tensor else type(self).__name__,
        )

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._meta.ndim == 0 else object.__format__(self, spec)

    def __getitem__(self, index: Any) -> Any:
        return indexing.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        indexing.setitem(self, index, value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = interop.numpy(self, False)
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        return creation.from_numpy(np.asarray(array))

    __dlpack__ = interop.to_dlpack
    __dlpack_device__ = interop.dlpack_device
    __reduce_ex__: Any = interop.reduce_tensor
    __deepcopy__ = interop.deepcopy_tensor

    # ------------------------------------------------------------------------------------ conversions

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor with another dtype or device: `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`; itself
        if it already is.

        Example::

            >>> import flambeau as torch
            >>> torch.tensor([1, 2]).to(torch.float64)
            tensor([1., 2.], dtype=torch.float64)
        """
        where, d, copy, memory_format = creation.parse_to(args, kwargs)
        if where is not None:
            creation.resolve_device(where)
        result = self if d is None or d is self.dtype else convert.cast(self, d)
        if memory_format is not None and memory_format.ndim is not None:
            result = result.contiguous(memory_format=memory_format)
        return result.clone() if copy and result is self else result

    def type(self, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
        """Without arguments the legacy type's name (`torch.FloatTensor`); otherwise the tensor converted to a dtype or
        legacy type."""
        if dtype is None:
            return "torch." + creation.legacy_name(self.dtype)
        return self.to(creation.dtype_of_legacy(dtype))

    def type_as(self, other: Tensor) -> Any:
        """The tensor converted to the dtype of `other`."""
        return self.to(other.dtype)

    def cpu(self, memory_format: Any = None) -> Any:
        """The tensor on the CPU."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Any:
        """The tensor on a GPU; RuntimeError where there is none."""
        return self.to(device="cuda" if device is None else device)

    def pin_memory(self, device: Any = None) -> Any:
        """The tensor itself: there is no GPU to pin memory for."""
        return self

    def share_memory_(self) -> Any:
        """Move the tensor's memory to where other processes see it, too: those that are forked from now on, and those
        that get the tensor through `multiprocessing`, be it as an argument or through a queue (whose sender must not
        end before). What one writes in place the others see; nobody waits for anybody.

        Example::

            >>> import flambeau as torch
            >>> torch.zeros(2).share_memory_().is_shared()
            True
        """
        sharing.share(self)
        return self

    # ------------------------------------------------------------------------------------ changing the tensor itself

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Copy the elements of `src`, broadcast and converted, into this tensor.

        Example::

            >>> import flambeau as torch
            >>> torch.zeros(2, dtype=torch.int64).copy_(torch.tensor([1.9, 2.9]))
            tensor([1, 2])
        """
        src = src if isinstance(src, TensorBase) else creation.tensor(src)
        dispatch.check_writable(self)
        result = convert.cast(src, self.dtype) if src.dtype is not self.dtype else src
        if result.shape != self.shape:
            result = view.expand_(result, tuple(self.shape))
        if result._storage is src._storage:
            result = convert.copy_of(result, False)
        return self._overwrite(result, src, "torch::autograd::CopyBackwards")

    def fill_(self, value: Any) -> Any:
        """Fill with a number or a 0-dim tensor."""
        if isinstance(value, TensorBase):
            if value.dim():
                raise RuntimeError(
                    f"fill_ only supports 0-dimension value tensor but got tensor with {value.dim()} dimensions."
                )
            dispatch.check_writable(self)
            filled = view.expand_(convert.cast(value, self.dtype), tuple(self.shape))
            return self._overwrite(convert.copy_of(filled, False), value, "FillBackward3")
        dispatch.check_writable(self)
        if shared_dims(self._meta):
            dispatch.distinct(self).fill_(value)
            return self
        return self._overwrite(creation.full(self.shape, value, dtype=self.dtype), None, "FillBackward2")

    def zero_(self) -> Any:
        """Fill with zeros."""
        dispatch.check_writable(self)
        if shared_dims(self._meta):
            return self.fill_(0)
        return self._overwrite(creation.zeros(self.shape, dtype=self.dtype), None, "ZeroBackward0")

    def _overwrite(self, fresh: Any, source: Any, name: str) -> Any:
        """Write numbers made from `source` alone: the gradient of the old ones is zero, but history there remains. The
        node has this name."""
        if not self.requires_grad and not fresh.requires_grad:
            return dispatch.assign(self, fresh)
        if not fresh.requires_grad:
            fresh = fill.in_place_of(fresh, self)
        present(fresh, name, [self] if source is None else [self, source])
        return dispatch.assign(self, fresh)

    def set_(self, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Any:
        """Look at the memory of another tensor or storage from now on."""
        dispatch.check_inference(self)
        if source is None:
            source = creation.empty(0, dtype=self.dtype)
        if isinstance(source, TensorBase):
            self._storage, self._meta = source._storage, source._meta
            return self
        self._storage = source._storage
        size = (source.nbytes() // self.itemsize - storage_offset,) if size is None else size
        strides = stride if stride is not None else meta(self.dtype, size, ()).strides or _row_major(size)
        self._meta = meta(self.dtype, size, strides, storage_offset)
        return self

    def resize_(self, *sizes: Any, memory_format: Any = None) -> Any:
        """Give the tensor another shape in place; elements in excess of the old ones are undefined (here: zero)."""
        dispatch.check_inference(self)
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        shape = view.sizes(sizes)
        interop.resize(self, shape)
        return self

    def resize_as_(self, the_template: Tensor, memory_format: Any = None) -> Any:
        """Give the tensor the shape of another in place."""
        return self.resize_(tuple(the_template.shape))


def _row_major(size: Any) -> tuple[int, ...]:
    from_shape: Meta = convert.contiguous_meta(dtypes.float32, tuple(size))
    return from_shape.strides


def _dim(dim: int, ndim: int) -> int:
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {dim})"
        )
    return dim
