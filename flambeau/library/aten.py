"""`torch.ops.aten`: the operations of the package under the names that PyTorch's operators have."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from flambeau import _api as torch
from flambeau._core.overriding import PASSED, offer, switch
from flambeau._ops.registry import OPS, Op, named_like
from flambeau._tensor import creation
from flambeau.library import operators
from flambeau.library.operators import Namespace, OpOverloadPacket, Overload

# namespace of the table -> how PyTorch's names begin; where two have a name, the last is meant
PREFIXES = {"nn.functional": "", "": "", "linalg": "linalg_", "fft": "fft_", "special": "special_"}
REDUCTIONS = ("none", "mean", "sum")  # by PyTorch's numbers
# PyTorch has one operator for each combination of types. Here the arguments tell, so these names mean the same.
OVERLOADS = frozenset(
    """
    default out Tensor Scalar Tensor_out Scalar_out Tensor_Tensor Tensor_Scalar Scalar_Tensor Scalar_Scalar
    Tensor_Tensor_out Tensor_Scalar_out Scalar_Tensor_out Tensor_mode Scalar_mode out_mode Tensor_Tensor_mode
    int float dim dims int_out dim_out dims_out dim_int dim_IntList IntList_out dtype dtype_out dim_dtype correction
    correction_out correction_names self other self_Tensor self_int self_scalar other_scalar self_scalar_out
    other_scalar_out x_scalar n_scalar x_scalar_out n_scalar_out unary_out dim_max dim_min max min values values_stable
    stable dim_values value src reduce value_reduce two two_out sizes sections indices intlist int_list padding
    padding_idx decimals decimals_out ScalarOpt_dim ScalarOpt_dtype ScalarOpt_dim_dtype Tensor_indices vec input scalar
    start start_step start_out names like memory_format dtype_layout device generator from to from_int
""".split()
)


@cache
def functions() -> dict[str, Callable]:
    """What there is, by PyTorch's names: operations, in-place methods, functions that make tensors."""
    methods = vars(torch.Tensor)
    own = [n for n, f in vars(creation).items() if getattr(f, "__module__", None) == creation.__name__]
    found: dict[str, Any] = {n: getattr(torch, n) for n in own if hasattr(torch, n)}
    found.update({n: f for n, f in methods.items() if n.endswith("_") and not n.startswith("_")})
    found.update({n: methods[n] for n in ("detach", "to", "type_as") if n in methods})
    for namespace, prefix in PREFIXES.items():
        for op in OPS.values():
            if op.namespace == namespace and (namespace or op.exported or op.method):
                named = namespace == "nn.functional" and "reduction" in op.parameters
                function = with_numbered_reduction(op) if named else op.function
                found.update(dict.fromkeys([prefix + name for name in (op.name, *op.aliases)], function))
    public = {name: f for name, f in found.items() if isinstance(f, FunctionType) and not name.startswith("_")}
    return {**public, **FURTHER}


def _to_copy(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: Any = None,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> Any:
    """A copy with another dtype, or in another order."""
    return input.to(device=device, dtype=dtype, copy=True, memory_format=memory_format)


def slice_(input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """Part of a dimension, as `x[start:end:step]` has it."""
    return input[(slice(None),) * (dim % input.dim()) + (slice(start, end, step),)]


# Operators that PyTorch has no function for.
FURTHER: dict[str, Any] = {
    "_log_softmax": lambda input, dim, half_to_float=False: torch.log_softmax(input, dim),
    "_pin_memory": lambda input, device=None: input.pin_memory(device),
    "_softmax": lambda input, dim, half_to_float=False: torch.softmax(input, dim),
    "_sparse_addmm": lambda input, mat1, mat2, beta=1, alpha=1: torch.addmm(input, mat1, mat2, beta=beta, alpha=alpha),
    "_to_copy": _to_copy,
    "_unsafe_view": lambda input, size: input.reshape(size),
    "alias": lambda input: input[...],
    "index": lambda input, indices: input[tuple([slice(None) if i is None else i for i in indices])],
    "slice": slice_,
}


def with_numbered_reduction(op: Op) -> Callable:
    """A loss as PyTorch's operators have it: `reduction` is a number, in the place of the deprecated `size_average`."""
    order = [p for p in op.parameters if p not in ("size_average", "reduce", "reduction")]
    order.insert(op.parameters.index("size_average" if "size_average" in op.parameters else "reduction"), "reduction")

    def loss(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(order):
            raise TypeError(f"{op.name}() takes {len(order)} arguments, {', '.join(order)}, got {len(args)}")
        given = {**dict(zip(order, args, strict=False)), **{op.keyword(name): value for name, value in kwargs.items()}}
        if type(given.get("reduction")) is int:
            given["reduction"] = REDUCTIONS[given["reduction"]]
        return op.function(**given)

    return named_like(loss, op.body, op.name)


class TableOverload(Overload):
    """An overload of an operation of the package: `torch.ops.aten.add.Tensor`. `_schema` is not known."""

    def __init__(self, packet: TablePacket, name: str) -> None:
        self.overloadpacket = packet
        self.namespace = "aten"
        self.tags: list[Any] = []
        self._overloadname = name
        self.__name__ = f"{packet.__name__}.{name}"

    def name(self) -> str:
        """`aten::add.Tensor`; `aten::relu` for the one called "default"."""
        suffix = "" if self._overloadname == "default" else f".{self._overloadname}"
        return self.overloadpacket._qualified_op_name + suffix

    def compute(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        return self.overloadpacket.function(*args, **kwargs)


class TablePacket(OpOverloadPacket):
    """An operation of the package: `torch.ops.aten.add`, with any of the overloads' names that PyTorch has."""

    def __init__(self, name: str, function: Callable) -> None:
        super().__init__("aten", name)
        self.function = function

    def __getattr__(self, name: str) -> Any:
        if name not in OVERLOADS:
            return super().__getattr__(name)
        found = self.__dict__[name] = TableOverload(self, name)
        return found

    def overloads(self) -> list[str]:
        """The one that stands for all."""
        return ["default"]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if switch.on and (taken := offer(self, args, kwargs)) is not PASSED:
            return taken
        return self.function(*args, **kwargs)


class TableNamespace(Namespace):
    """`torch.ops.aten`: what has been defined there, else an operation of the package."""

    def find(self, name: str) -> OpOverloadPacket | None:
        found = super().find(name)
        if found is None and name in functions():
            found = self.operators[name] = TablePacket(name, functions()[name])
        return found

    def __dir__(self) -> list[str]:
        return sorted({*self.operators, *functions()})


operators.namespaces.setdefault("aten", TableNamespace("aten"))
