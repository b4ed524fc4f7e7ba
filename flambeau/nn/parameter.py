"""Parameter and Buffer, tensors that a module registers by assignment, and their shapeless twins for lazy modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.overriding import skip_override

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


def _share(cls: type, data: torch.Tensor, requires_grad: bool) -> Any:
    """A leaf of class `cls` over the memory of `data`."""
    leaf = torch.Tensor.__new__(cls)
    leaf.data = data
    return leaf.requires_grad_(requires_grad)


class _ParameterMeta(type(torch.Tensor)):  # type: ignore[misc]
    """Lets a tensor of the user's own subclass count as a Parameter once it carries `_is_param`."""

    def __instancecheck__(cls, instance: object) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, torch.Tensor) and getattr(instance, "_is_param", False)


class Parameter(torch.Tensor, metaclass=_ParameterMeta):
    """A tensor that a module counts among its parameters when it is assigned as an attribute.

    Args:
        data: the values; a new Parameter shares their memory. Default: an empty tensor.
        requires_grad: whether autograd collects a gradient, also when built under `no_grad`. Default: True.

    Raises:
        RuntimeError: `requires_grad=True` for a dtype that has no gradients (integers, bool).

    Example:
        >>> import flambeau as torch
        >>> torch.nn.Parameter(torch.ones(2))
        Parameter containing:
        tensor([1., 1.], requires_grad=True)
    """

    __torch_function__: Any = skip_override

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = torch.empty(0)
        if type(data) in (torch.Tensor, Parameter):
            return _share(cls, data, requires_grad)
        if not torch.is_tensor(data):
            hint = "torch.tensor(...) makes a tensor of numbers"
            raise TypeError(explain(f"Parameter() expects a Tensor, not {type(data).__name__}", hint=hint))
        # A tensor of the user's own subclass stays one: it is only marked.
        marked: Any = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns "
                f"an instance of the same type, but it returned a {type(marked).__name__}. Override detach() in "
                f"{type(data).__name__}."
            )
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        known = memo.get(id(self))
        if known is None:
            copied = self.data.clone(memory_format=torch.preserve_format)
            known = memo[id(self)] = type(self)(copied, self.requires_grad)
        return known

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        plain = self.detach().requires_grad_(self.requires_grad)
        return "Parameter containing:\n" + repr(plain)


class _BufferMeta(type(torch.Tensor)):  # type: ignore[misc]
    """`isinstance(t, Buffer)` asks for the mark that `Buffer(...)` leaves, so buffers stay plain tensors."""

    def __instancecheck__(cls, instance: object) -> bool:
        if cls is Buffer and isinstance(instance, torch.Tensor) and getattr(instance, "_is_buffer", False):
            return True
        return super().__instancecheck__(instance)


class Buffer(torch.Tensor, metaclass=_BufferMeta):
    """A tensor that a module counts among its buffers when it is assigned as an attribute.

    Args:
        data: the values; memory is shared. Default: an empty tensor.
        persistent: whether `state_dict` holds it. Default: True.

    Example:
        >>> import flambeau as torch
        >>> module = torch.nn.Module()
        >>> module.mean = torch.nn.Buffer(torch.zeros(3))
        >>> list(module.state_dict())
        ['mean']
    """

    __torch_function__: Any = skip_override

    def __new__(cls, data: torch.Tensor | None = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = torch.empty(0)
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked


class UninitializedTensorMixin:
    """What parameters and buffers share while their shape is unknown: they hold no data and refuse to be used."""

    __torch_function__: Any = skip_override
    cls_to_become: type
    data: Any

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: torch.dtype | None = None) -> None:
        """Take `shape` and become an ordinary parameter or buffer, in place; the values are arbitrary.

        Args:
            shape: the shape to take.
            device, dtype: where and of which type; default: those given at construction.
        """
        held = self.data
        self.data = torch.empty(
            tuple(shape),
            device=held.device if device is None else device,
            dtype=held.dtype if dtype is None else dtype,
        )
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> torch.Size:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling `module.share_memory()`."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        known = memo.get(id(self))
        if known is None:
            held = self.data
            known = memo[id(self)] = type(self)(self.requires_grad, held.device, held.dtype)  # type: ignore
        return known

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad,)  # type: ignore[attr-defined]


def is_lazy(value: object) -> bool:
    """Whether `value` is a parameter or buffer whose shape is still unknown."""
    return isinstance(value, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape a lazy module learns from its first input.

    Args:
        requires_grad: as in `Parameter`. Default: True.
        device, dtype: used when the parameter is materialized. Default: the default device and dtype.

    Example:
        >>> import flambeau as torch
        >>> weight = torch.nn.UninitializedParameter()
        >>> weight.materialize((2, 3))
        >>> weight.shape
        torch.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: torch.dtype | None = None
    ) -> UninitializedParameter:
        return _share(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, torch.Tensor):  # type: ignore[misc]
    """A buffer whose shape a lazy module learns from its first input.

    Args:
        requires_grad: default False.
        device, dtype: used when the buffer is materialized.
        persistent: whether `state_dict` holds it. Default: True.
    """

    cls_to_become = torch.Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        lazy = _share(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)
        lazy.persistent = persistent
        lazy._is_buffer = True
        return lazy
