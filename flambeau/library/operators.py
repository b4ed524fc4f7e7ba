"""Operators and where they are found: `torch.ops.namespace.name`, its overloads, and what is registered for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flambeau._core.errors import explain
from flambeau._core.overriding import PASSED, offer, switch
from flambeau._replay.opaque import Opaque
from flambeau.library import calling
from flambeau.library.gradients import Formula
from flambeau.library.schema import Schema
from flambeau.library.tags import Tag

# What runs on tensors of the CPU, the first that there is; the last two differ in PyTorch's graph of gradients alone.
ON_CPU = ("CPU", "CompositeExplicitAutograd", "CompositeImplicitAutograd")

namespaces: dict[str, Namespace] = {}
# Kernels by the operator's name and PyTorch's dispatch key; they may be registered before the operator is defined.
kernels: dict[str, dict[str, Callable]] = {}


class Overload(Opaque):
    """An overload of an operator, called through `torch.ops`: it is offered to `__torch_function__` before it runs."""

    overloadpacket: Any
    _overloadname: Any

    def __str__(self) -> str:
        return f"{self.overloadpacket}.{self._overloadname}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self.overloadpacket}', overload='{self._overloadname}')>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if switch.on and (taken := offer(self, args, kwargs)) is not PASSED:
            return taken
        return self.compute(args, kwargs)

    def compute(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The result of a call that nobody takes over."""
        raise NotImplementedError


class OpOverload(Overload):
    """One form of an operator, with one schema: `torch.ops.mylib.scale.default`.

    A call binds its arguments by the schema, and goes through what is registered: a rule for `vmap`, another precision
    under autocast, a formula for the gradient, the kernel.
    """

    def __init__(self, packet: OpOverloadPacket, schema: Schema, tags: tuple[Tag, ...]) -> None:
        self.overloadpacket = packet
        self._schema = schema
        self.tags = list(tags)
        self.called = f"the operator {self.name()} is called, whose kernel runs at every call"
        self.kernels = kernels.setdefault(self.name(), {})
        self.fake: Callable | None = None
        self.formula: Formula | None = None
        self.vmap_rule: Callable | None = None
        self.autocast: dict[str, Any] = {}  # device -> dtype
        self.definition: Any = None  # what `custom_op` made
        self.check: Callable[[OpOverload, Any, list, dict], None] | None = None  # of a kernel's result
        self.__name__ = f"{packet.__name__}.{self._overloadname}"
        self.__module__ = f"torch._ops.{self.namespace}"

    @property
    def namespace(self) -> str:
        """The part of the name before `::`."""
        return self._schema.name.partition("::")[0]

    @property
    def _overloadname(self) -> str:
        return self._schema.overload_name or "default"

    def name(self) -> str:
        """`mylib::scale`, or with the name of an overload `mylib::scale.Scalar`."""
        return self._schema.name + (self._schema.overload_name and f".{self._schema.overload_name}")

    def compute(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        return calling.call(self, *self._schema.bind(args, kwargs))

    def __deepcopy__(self, memo: dict) -> OpOverload:
        return self

    def kernel(self, device: str) -> Callable:
        """What runs on tensors of a device; NotImplementedError if nothing was registered."""
        for key in ON_CPU if device == "cpu" else (device.upper(), *ON_CPU[1:]):
            if key in self.kernels:
                return self.kernels[key]
        known = ", ".join(self.kernels) or "nothing"
        raise NotImplementedError(
            explain(
                f"Could not run '{self.name()}' with arguments from the '{device.upper()}' backend: there are kernels "
                f"for {known}",
                hint=f"torch.library.register_kernel('{self.name()}', '{device}') registers one",
            )
        )


class OpOverloadPacket(Opaque):
    """All forms of an operator: `torch.ops.mylib.scale`. A call takes the first whose schema the arguments fit."""

    def __init__(self, namespace: str, name: str) -> None:
        self.__name__ = name
        self._qualified_op_name = f"{namespace}::{name}"
        self.forms: dict[str, OpOverload] = {}

    def overloads(self) -> list[str]:
        """Their names; "default" is the one without a name."""
        return list(self.forms)

    def __getattr__(self, name: str) -> OpOverload:
        found = self.__dict__.get("forms", {}).get(name)
        if found is None:
            raise AttributeError(f"The underlying op of '{self}' has no overload name '{name}'")
        return found

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self.forms})

    def __deepcopy__(self, memo: dict) -> OpOverloadPacket:
        return self

    def __iter__(self) -> Iterator[str]:
        return iter(self.forms)

    def __str__(self) -> str:
        return self._qualified_op_name.replace("::", ".")

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self}')>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if switch.on and (taken := offer(self, args, kwargs)) is not PASSED:
            return taken
        if len(self.forms) == 1:
            (only,) = self.forms.values()
            return only(*args, **kwargs)
        misfits = []
        for form in self.forms.values():
            try:
                bound = form._schema.bind(args, kwargs)
            except RuntimeError as misfit:
                misfits.append(str(misfit))
                continue
            return calling.call(form, *bound)
        raise RuntimeError(
            "Overloaded torch operator invoked from Python failed to match any schema:\n" + "\n\n".join(misfits)
        )


class Namespace(Opaque):
    """`torch.ops.mylib`: the operators whose names begin with `mylib::`, as attributes."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.name = name
        self.operators: dict[str, OpOverloadPacket] = {}

    def __getattr__(self, name: str) -> OpOverloadPacket:
        found = None if name.startswith("__") else self.find(name)
        if found is None:
            raise AttributeError(f"'_OpNamespace' '{self.__dict__.get('name')}' object has no attribute '{name}'")
        return found

    def find(self, name: str) -> OpOverloadPacket | None:
        """The operator of that name, or None."""
        return self.__dict__.get("operators", {}).get(name)

    def __dir__(self) -> list[str]:
        return sorted({"name", *self.operators})

    def __iter__(self) -> Iterator[str]:
        return iter(self.operators)

    def __repr__(self) -> str:
        return f"<namespace torch.ops.{self.name}>"


# ---------------------------------------------------------------------------------------------- finding and defining


def namespace_of(name: str) -> Namespace:
    """`torch.ops.<name>`, made at its first use."""
    return namespaces.setdefault(name, Namespace(name))


def split(qualname: str) -> tuple[str, str]:
    """(namespace, name) of `namespace::name`; ValueError for another form."""
    namespace, separator, name = qualname.partition("::")
    if not (namespace and separator and name):
        raise ValueError(
            f'Expected `qualname` to be of the form "namespace::name", but got {qualname}. The qualname passed to the '
            "torch.library APIs must consist of a namespace and a name, e.g. aten::sin"
        )
    return namespace, name


def find(qualname: str) -> OpOverload | None:
    """The operator `namespace::name` or `namespace::name.overload`, or None."""
    namespace, name = split(qualname)
    name, _, overload = name.partition(".")
    packet = namespace_of(namespace).operators.get(name)
    return None if packet is None else packet.forms.get(overload or "default")


def define(namespace: str, schema: Schema, tags: tuple[Tag, ...]) -> OpOverload:
    """A new operator of that namespace."""
    name, overload = schema.name, schema.overload_name
    schema.name = f"{namespace}::{name}"
    operators = namespace_of(namespace).operators
    packet = operators.setdefault(name, OpOverloadPacket(namespace, name))
    made = packet.forms[overload or "default"] = OpOverload(packet, schema, tags)
    return made


def forget(op: OpOverload) -> None:
    """Undo the definition of an operator, unless another has taken its place."""
    packet = op.overloadpacket
    if packet.forms.get(op._overloadname) is op:
        del packet.forms[op._overloadname]
        if not packet.forms:
            namespace_of(op.namespace).operators.pop(packet.__name__, None)
