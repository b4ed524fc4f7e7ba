"""`Library`, `define` and `impl`: operators by their schemas, and kernels for them one at a time."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from flambeau._core.errors import explain
from flambeau.library import dispatch_keys, operators, registering
from flambeau.library.operators import OpOverload
from flambeau.library.schema import Schema, parse
from flambeau.library.tags import Tag, Tags, as_tags

NAMELESS = re.compile(r"\(.*\) -> .*")
RESERVED = ("aten", "prim", "prims")

_owners: dict[str, weakref.ref[Library]] = {}  # namespace -> the library of kind "DEF"
_kept: list[Library] = []  # of `define`, whose operators stay


class Library:
    """Operators of a namespace, defined by their schemas; what it defines and implements is gone when it is.

    Args:
        ns: the namespace.
        kind: "DEF" for the one library that a namespace has, "FRAGMENT" for more of it, "IMPL" for kernels alone.
        dispatch_key: what `impl` registers for by default. "": a kernel whose operations carry the gradient themselves.

    Raises:
        ValueError: for another kind, and for the namespace of PyTorch's own operations.
        RuntimeError: for a second "DEF".

    Example::

        >>> import flambeau as torch
        >>> library = Library("example_library", "DEF")
        >>> library.define("double(Tensor x, int times=1) -> Tensor")
        'double'
        >>> library.impl("double", lambda x, times=1: x * 2 ** times, "CPU")
        >>> torch.ops.example_library.double(torch.ones(2), 2)
        tensor([4., 4.])
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}; it is DEF, FRAGMENT or IMPL")
        if ns in RESERVED and kind != "IMPL":
            raise ValueError(f"{ns} is a reserved namespace. Please try creating a library with another name.")
        if kind == "DEF":
            owner = _owners.get(ns)
            if owner is not None and owner() is not None:
                raise RuntimeError(
                    explain(
                        f"Only a single library of kind DEF can be used to register the namespace {ns}; there is one",
                        hint=f'torch.library.Library("{ns}", "FRAGMENT") adds to it',
                    )
                )
            _owners[ns] = weakref.ref(self)
        self.ns = ns
        self.kind = kind
        self.dispatch_key = dispatch_key
        self._undo: list[Callable[[], object]] = []
        weakref.finalize(self, _undone, self._undo)

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Tags = ()) -> str:
        """Define an operator, "name(Tensor x, int n=2) -> Tensor"; its name is returned.

        RuntimeError for what is no schema, and for an operator that is defined already; ValueError for a schema that
        its tags contradict. `alias_analysis` is "", "FROM_SCHEMA" or "CONSERVATIVE", and means nothing here.
        """
        if alias_analysis not in ("", "FROM_SCHEMA", "CONSERVATIVE"):
            raise RuntimeError(f"Invalid alias_analysis type {alias_analysis}")
        if self.kind == "IMPL":
            raise RuntimeError(
                f"a Library of kind IMPL defines no operators: torch.library.Library('{self.ns}', 'FRAGMENT') does"
            )
        parsed = parse(schema)
        if not parsed.name:
            raise RuntimeError(f"expected ident but found '(' here:\n{schema}\n~ <--- HERE")
        name = parsed.name.removeprefix(f"{self.ns}::")
        parsed.name = name
        full = name + (parsed.overload_name and f".{parsed.overload_name}")
        if operators.find(f"{self.ns}::{full}") is not None:
            raise RuntimeError(
                f"Tried to register an operator ({self.ns}::{parsed}) with the same name and overload name multiple "
                "times. Each overload's schema should only be registered with a single call to def()."
            )
        known = as_tags(tags)
        check_tags(parsed, known)
        op = operators.define(self.ns, parsed, known)
        self._undo.append(lambda: operators.forget(op))
        return name

    def impl(
        self,
        op_name: str | OpOverload,
        fn: Callable,
        dispatch_key: str = "",
        *,
        with_keyset: bool = False,
        allow_override: bool = True,
    ) -> None:
        """Let `fn` run for an operator, which may be defined later.

        Args:
            op_name: "name" or "name.overload", or the operator itself.
            fn: the kernel.
            dispatch_key: "CPU"; "CompositeImplicitAutograd" or "CompositeExplicitAutograd" for all devices; "Autograd"
                for a kernel that applies an `autograd.Function`; "Meta" for what `register_fake` registers. Default:
                that of the library.
            with_keyset: must be False: there are no sets of keys.
            allow_override: may `fn` take the place of a kernel?

        Raises:
            TypeError: if `fn` is not callable.
            RuntimeError: for an unknown key, and for a kernel that is there with `allow_override=False`.
            NotImplementedError: for keys without a meaning here, and for operations of the package itself.

        A `fallthrough_kernel` takes away what is registered.
        """
        if not callable(fn):
            raise TypeError(f"Input function is required to be a callable but found type {type(fn)}")
        if self.ns in RESERVED:
            raise NotImplementedError(
                explain(
                    f"the operations of torch.ops.{self.ns} are those of the package, and are not replaced",
                    hint="define an operator in a namespace of your own, and call that",
                )
            )
        if with_keyset:
            raise NotImplementedError(
                explain("impl(with_keyset=True): there are no sets of dispatch keys", hint="leave it out")
            )
        name = op_name.name() if isinstance(op_name, OpOverload) else op_name
        name = name.rpartition("::")[2]
        key = dispatch_keys.checked(dispatch_key or self.dispatch_key)
        table = operators.kernels.setdefault(f"{self.ns}::{name}", {})
        if key in table and not allow_override:
            raise RuntimeError(
                "This is not allowed since there's already a kernel registered from python overriding "
                f"{name}'s behavior for {key} dispatch key and {self.ns} namespace."
            )
        if fn is fallthrough_kernel:
            table.pop(key, None)
            return
        table[key] = fn
        self._undo.append(lambda: table.pop(key) if table.get(key) is fn else None)

    def fallback(self, fn: Callable, dispatch_key: str = "", *, with_keyset: bool = False) -> NoReturn:
        """RuntimeError outside of the namespace "_", as PyTorch has it; there NotImplementedError: operations are
        recorded by one recorder, without keys that a function could stand for."""
        if self.ns != "_":
            raise RuntimeError(
                f'Fallback can only be registered using library fragment on the global namespace "_", not {self.ns}'
            )
        raise NotImplementedError(
            explain(
                "Library.fallback: there are no dispatch keys that a function could stand for",
                hint="impl registers a kernel for one operator",
            )
        )

    def _destroy(self) -> None:
        """Let go of all it holds now."""
        _undone(self._undo)
        owner = _owners.get(self.ns)
        if owner is not None and owner() is self:
            del _owners[self.ns]


def _undone(steps: list[Callable[[], object]]) -> None:
    """Take back definitions and kernels, the last first."""
    while steps:
        steps.pop()()


def check_tags(schema: Schema, tags: tuple[Tag, ...]) -> None:
    """ValueError unless a schema fits the tags `inplace` and `out`: what is changed is what is returned."""
    written = [a for a in schema.arguments if a.is_write]
    memory = [a.alias_info for a in written]
    returned = [r.alias_info for r in schema.returns]
    same = [a and (a.before_set, a.is_write) for a in memory] == [r and (r.before_set, r.is_write) for r in returned]
    plain = bool(written) and all(a.type.spelled() == "Tensor" for a in written)
    if Tag.out in tags and not (plain and same and all(a.kwarg_only for a in written)):
        raise ValueError(
            "Schema tagged with torch.Tag.out must return all its mutable arguments, which are keyword-only Tensors, "
            f"in their order: f(Tensor x, *, Tensor(a!) out) -> Tensor(a!). Got: {schema}"
        )
    if Tag.inplace in tags and not (plain and same and len(written) == 1 and schema.positional[:1] == written):
        raise ValueError(
            "Schema tagged with torch.Tag.inplace must change and return its first positional argument, a Tensor: "
            f"f(Tensor(a!) x) -> Tensor(a!). Got: {schema}"
        )


def define(qualname: Any, schema: Any, alias_analysis: str = "", *, lib: Library | None = None, tags: Tags = ()) -> Any:
    """Define an operator "namespace::name" with a schema "(Tensor x) -> Tensor"; kernels are given by `impl`.

    Args:
        qualname: the name. In an older form of the function a Library, `schema` with the name in it, and the result is
            a decorator for the kernel.
        schema: the schema, without the name.
        lib: whom the definition belongs to. Default: None, it stays.
        tags: `torch.Tag`s.

    ValueError for another form of name or schema.

    Example::

        >>> import flambeau as torch
        >>> define("example::plus_one", "(Tensor x) -> Tensor")
        >>> @impl("example::plus_one", "cpu")
        ... def plus_one(x):
        ...     return x + 1
        >>> torch.ops.example.plus_one(torch.zeros(2))
        tensor([1., 1.])
    """
    if isinstance(qualname, Library):
        owner = qualname

        def implement(function: Callable) -> Callable:
            owner.impl(owner.define(schema, alias_analysis), function)
            return function

        return implement
    if not isinstance(qualname, str):
        raise ValueError(f"define(qualname, schema): expected qualname to be instance of str, got {type(qualname)}")
    namespace, name = operators.split(qualname)
    if not NAMELESS.fullmatch(schema):
        raise ValueError(
            'define(qualname, schema, ...): expected schema to look like e.g. "(Tensor x) -> Tensor" but got '
            f'"{schema}"'
        )
    (_lasting(namespace) if lib is None else lib).define(name + schema, tags=tags)
    return None


def impl(qualname: Any, types: str | Sequence[str] = "", func: Any = None, *, lib: Library | None = None) -> Any:
    """Register a kernel for an operator "namespace::name".

    Args:
        qualname: the name. In an older form of the function a Library; then `types` is the operator's name, the third
            argument a dispatch key, and the result a decorator.
        types: one device or several, "cpu" for instance, or "default" for all devices.
        func: the kernel. Without it, a decorator.
        lib: whom the kernel belongs to. Default: None, it stays.

    RuntimeError for an unknown device.
    """
    if isinstance(qualname, Library):
        owner, name, key = qualname, types, func or ""

        def implement(function: Callable) -> Callable:
            owner.impl(str(name), function, key)
            return function

        return implement
    namespace, name = operators.split(qualname)
    devices = [types] if isinstance(types, str) else list(types)
    keys = [dispatch_keys.of_device(None if device == "default" else device) for device in devices]

    def register(function: Callable) -> Callable:
        for key in keys:
            (_lasting(namespace, "IMPL") if lib is None else lib).impl(name, function, key)
        return function

    if func is None:
        return register
    register(func)
    return None


def _lasting(namespace: str, kind: str = "FRAGMENT") -> Library:
    """A library that stays."""
    _kept.append(Library(namespace, kind))
    return _kept[-1]


def fallthrough_kernel() -> NoReturn:
    """A mark for `Library.impl`: no kernel. NotImplementedError if it is called."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def register_kernel(
    op: Any, device_types: str | Sequence[str] | None, func: Callable | None = None, /, *, lib: Library | None = None
) -> Any:
    """Let `func` run for an operator on tensors of these devices, or of all for None.

    Args:
        op: "namespace::name", the operator, or what `custom_op` made.
        device_types: one device or several.
        func: the kernel. Without it, a decorator.
        lib: whom the kernel belongs to. Default: None, it stays.

    RuntimeError for an unknown device.

    Example::

        >>> import flambeau as torch
        >>> def one(x: torch.Tensor) -> torch.Tensor: return torch.ones_like(x)
        >>> op = torch.library.custom_op("example::number", one, mutates_args=())
        >>> @torch.library.register_kernel("example::number", "cpu")
        ... def two(x):
        ...     return torch.full_like(x, 2)
        >>> op(torch.zeros(2))
        tensor([2., 2.])
    """
    known = operators.find(op) if isinstance(op, str) else registering.overload_of(op)
    if known is not None and known.definition is not None:
        return known.definition.register_kernel(device_types, func)
    name = op if known is None else known.name()
    return impl(name, "default" if device_types is None else device_types, func, lib=lib)
