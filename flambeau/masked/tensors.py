"""Masked tensors: numbers, and for each of them whether it counts.

What is masked out takes no part in operations, has no gradient, and is shown as `--`. The data are an ordinary tensor,
`_value`, with which everything is computed; `rules` says what becomes of the mask.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from flambeau import _api as torch
from flambeau._tensor.shaped import Shaped

# name of an operation -> what it does to masked operands: a function of the operation and all its arguments; filled by
# `rules`
RULES: dict[str, Callable[..., Any]] = {}

KEPT = (
    torch.float16, torch.float32, torch.float64, torch.bool, torch.int8, torch.int16, torch.int32, torch.int64,
)  # fmt: skip


class MaskedTensor(Shaped):
    """`data` together with `mask`, booleans of the same shape: True where an element counts. Made by `masked_tensor`
    and `as_masked_tensor`; `MaskedTensor(data, mask)` is like the latter.

    TypeError or ValueError for data and masks that do not go together.

    Example::

        >>> import flambeau as torch
        >>> x = torch.masked.masked_tensor(torch.tensor([1., 2., 4.]), torch.tensor([True, False, True]))
        >>> x * 2, x.mean().item()
        (MaskedTensor(
          [  2.0000,       --,   8.0000]
        ), 2.5)
    """

    def __init__(self, data: Any, mask: Any, requires_grad: bool = False) -> None:
        _check(data, mask)
        self._value, self._mask = data, mask
        self._meta = data._meta
        if requires_grad:
            self.requires_grad_()

    def with_values(self, values: Any) -> MaskedTensor:
        """Other data with the same mask."""
        return MaskedTensor(values, self._mask)

    def operate(self, op: Any, args: tuple) -> Any:
        """What an operation means for masked operands; TypeError where that is not written down."""
        rule = RULES.get("pointwise" if op.family == "pointwise" and op.name not in RULES else op.name)
        if rule is None:
            raise TypeError(
                f"{op.name}() of a MaskedTensor is not implemented\n"
                "  hint: compute with to_tensor(value), which has a number where the mask is False, or with get_data()"
            )
        return rule(op, *(args if op.family == "pointwise" else op.complete(args)))

    def check_same_places(self, other: Any) -> None:
        """ValueError unless `other` has the same mask."""
        same_mask(self._mask, other._mask)

    def get_data(self) -> Any:
        """The numbers, those that are masked out too."""
        return self.alias()

    def get_mask(self) -> Any:
        """Booleans: does an element count?"""
        return self._mask

    def to_tensor(self, value: Any) -> Any:
        """The data with the number `value` where the mask is False."""
        return self._value.masked_fill(~self._mask, value)

    def _number(self, *error: Any) -> Any:
        if self.numel() == 1 and not bool(self._mask):
            raise ValueError("the only element of this MaskedTensor is masked out, and is no number")
        return super()._number(*error)

    def _refused(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("a MaskedTensor cannot say what is masked out; take to_tensor(value), or get_data(), first")

    tolist = numpy = __array__ = _refused

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        data, mask = self._value.detach(), self._mask
        if not data.dim():
            return f"MaskedTensor({_text(data.item()) if bool(mask) else '--'}, {bool(mask)})"
        return f"MaskedTensor(\n{_rows(data.tolist(), mask.tolist(), 1)}\n)"

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return MaskedTensor, (self._value, self._mask)


def _text(number: Any) -> str:
    return f"{number:8.4f}" if isinstance(number, float) else str(number)


def _rows(data: list, mask: list, depth: int) -> str:
    """Nested lists, a row a line, with -- for what is masked out."""
    indent = "  " * depth
    if data and isinstance(data[0], list):
        rows = ",\n".join([_rows(d, m, depth + 1) for d, m in zip(data, mask, strict=True)])
        return f"{indent}[\n{rows}\n{indent}]"
    texts = [_text(d) if m else None for d, m in zip(data, mask, strict=True)]
    width = max([8, *[len(t) for t in texts if t is not None]])
    return f"{indent}[{', '.join(['--'.rjust(width) if t is None else t for t in texts])}]"


def _check(data: Any, mask: Any) -> None:
    """TypeError or ValueError for data and masks that do not go together."""
    for name, t in (("data", data), ("mask", mask)):
        if not isinstance(t, torch.Tensor) or isinstance(t, MaskedTensor):
            raise TypeError(f"{name} must be a Tensor, got {type(t).__name__}")
    if data.layout is not torch.strided or mask.layout is not torch.strided or data.is_nested or mask.is_nested:
        raise TypeError(
            "data and mask must have the same layout.\n"
            f"  hint: only dense tensors are masked here, got {data.layout} and {mask.layout}; use to_dense() first"
        )
    if data.dtype not in KEPT:
        raise TypeError(f"{data.dtype} is not supported in MaskedTensor.")
    if mask.dtype is not torch.bool:
        raise TypeError(f"mask must have dtype bool. Got {mask.dtype}")
    if data.dim() != mask.dim():
        raise ValueError(f"data.dim() must equal mask.dim(), got {data.dim()} and {mask.dim()}")
    if data.shape != mask.shape:
        raise ValueError(f"data.size() must equal mask.size(), got {list(data.shape)} and {list(mask.shape)}")


def same_mask(mask: Any, other: Any) -> None:
    """ValueError unless both masks are the same."""
    if mask is not other and not torch.equal(mask, other):
        raise ValueError(
            "Input masks must match. If you need support for this, please open an issue on Github.\n"
            "  hint: to_tensor(value) says what is to be computed where only one of the operands counts"
        )


class _Entering(torch.autograd.Function):
    """Data that get a mask; what comes back through it is masked as well."""

    @staticmethod
    def forward(ctx: Any, data: Any, mask: Any) -> Any:
        ctx.mask = mask
        return data

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad if isinstance(grad, MaskedTensor) else MaskedTensor(grad, ctx.mask), None


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
    """A MaskedTensor of copies of `data` and the boolean `mask`: a leaf, whose gradient is masked too.

    UserWarning for data that require a gradient, which does not reach them (`as_masked_tensor` lets it).

    Example::

        >>> x = masked_tensor(torch.tensor([0., 4.]), torch.tensor([False, True]), requires_grad=True)
        >>> x.sqrt().sum().backward()
        >>> x.grad
        MaskedTensor(
          [      --,   0.2500]
        )
    """
    _check(data, mask)
    if data.requires_grad:
        warnings.warn(
            "It is not recommended to create a MaskedTensor with a tensor that requires_grad. To avoid this, you can "
            "use data.detach().clone()",
            UserWarning,
            stacklevel=2,
        )
    return MaskedTensor(data.detach().clone(), mask.detach().clone(), requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> MaskedTensor:
    """A MaskedTensor over `data` and the boolean `mask` themselves. The gradient that reaches the data through it is a
    MaskedTensor.

    Example::

        >>> x = torch.tensor([1., 1.], requires_grad=True)
        >>> y = x / torch.tensor([0., 1.])
        >>> as_masked_tensor(y, torch.tensor([False, True])).sum().backward()
        >>> x.grad
        MaskedTensor(
          [      --,   1.0000]
        )
    """
    _check(data, mask)
    return MaskedTensor(_Entering.apply(data, mask) if data.requires_grad else data, mask)


def is_masked_tensor(obj: Any, /) -> bool:
    """Is `obj` a MaskedTensor?

    Example::

        >>> is_masked_tensor(torch.ones(1))
        False
    """
    return isinstance(obj, MaskedTensor)
