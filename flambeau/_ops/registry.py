"""The op table: one record an operation, from which everything else is derived.

An operation is declared by decorating its body with its family:

* `@pointwise(...)`: the body is a scalar expression over a builder `k` (`k.exp(x)`, `k.where(c, a, b)`, and Python's
  arithmetic and comparison operators); shapes broadcast and dtypes promote by themselves.
* `@library(...)`: the body takes and returns NumPy arrays; `infer` says the result's meta from the arguments' metas.
  Without `infer` the op runs at once and the result tells (data-dependent shapes, LAPACK).
* `@view(...)`: the body takes the Meta of the input and returns the Meta of the view; no data moves.
* `@composite(...)`: plain Python over other operations.

The record becomes the public function, the Tensor method, the in-place method and the `out=` form.

Gradients are written beside the op in public operations: a dict from a parameter's name (or a tuple of names that share
one computation) to a function whose own parameter names say what it needs: `g` (gradient of the output; `g0`, `g1`...
of several, `gs` for the list), `out` (`out0`...), a parameter of the op by its name, `<parameter>_meta` for its Meta
alone, and `needs` (which of a tuple of names want one).

Where backward needs what PyTorch does not save, an argument or "out" may change in place all the same: `snapshots`
names those whose contents are kept as they are, or says so of the metas. That costs no copy, since values never
change.

Where several names share a computation, `needed_for` names arguments that only the gradient of another one reads: they
are kept, and no None, if that is wanted.

Where PyTorch saves more than the formula here reads, `saves` names that, parameters or "out" ("out0"... of several), or
it says by parameters that want a gradient what is saved for these, or is a function of the metas (of the arguments for
a composite). Backward refuses once it was changed in place, as there, without keeping it.

`writes_shared` allows the in-place method on expanded tensors, of which several elements are the same memory; there is
a warning unless it is "silently".

`legacy` names the numbers that PyTorch 1.4 had before the tensors they weight: `add(input, alpha, other)`.

The node in the graph of gradients looks like PyTorch's: `node_name` is its name or a function of the metas, `shows`
lists the parameters that its `next_functions` list (by default those with a gradient), among them numbers where
`shows_numbers`, and `between` names a step that PyTorch has before a parameter and the operation here includes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from math import copysign
from typing import Any

from flambeau._core import dtypes, errors, keywords
from flambeau._core.forgetting import forget_unused, room_for
from flambeau._core.lazy import lazy_module
from flambeau._core.overriding import PASSED, USUAL, USUAL_ELEMENTS, asks_again, is_unforeseen, offer, switch
from flambeau._core.sites import warn
from flambeau._ir import recording
from flambeau._ir.meta import Meta, holds_metas
from flambeau._ir.recording import TensorBase
from flambeau._ops.arguments import not_a_tensor, refuse_others
from flambeau._ops.outs import OutRule, write_out

inspect = lazy_module("inspect")

OPS: dict[str, Op] = {}
INFERENCES = 1 << 13  # with so many, those that no plan uses are forgotten


Saves = tuple[str, ...] | Mapping[str, tuple[str, ...]] | Callable[..., tuple[str, ...]]


class Derivative:
    """The gradient of one parameter (or of several that share a computation)."""

    __slots__ = ("inputs", "fn", "sources", "grouped")

    def __init__(self, names: str | tuple[str, ...], fn: Callable, parameters: tuple[str, ...]) -> None:
        self.grouped = isinstance(names, tuple)
        self.inputs = tuple(parameters.index(n) for n in ((names,) if isinstance(names, str) else names))
        self.fn = fn
        code = fn.__code__
        self.sources = tuple(_source(n, parameters) for n in code.co_varnames[: code.co_argcount])


def _source(name: str, parameters: tuple[str, ...]) -> tuple[str, int]:
    """Where the gradient's parameter `name` comes from: (kind, index)."""
    if name in parameters:
        return "arg", parameters.index(name)
    if name.endswith("_meta") and name[:-5] in parameters:
        return "meta", parameters.index(name[:-5])
    if name in ("needs", "gs"):
        return name, 0
    for prefix in ("out", "g"):
        rest = name.removeprefix(prefix)
        if rest != name and (not rest or rest.isdigit()):
            return prefix, int(rest or 0)
    raise ValueError(f"the gradient's parameter {name!r} is neither g, out, needs nor one of {parameters}")


class Op:
    """One operation: its name, family, parameters, body, gradient, and the public function made from them.

    `out` and `overlap` say what it asks of `out=`; see `OutRule`.
    """

    family = ""
    out_rule = OutRule()
    nondifferentiable: frozenset[int] = frozenset()  # outputs that never carry a gradient
    tensors: tuple[int, ...] = ()  # parameters that must be tensors, as far as the recorder does not check that itself

    def __init__(
        self,
        body: Callable,
        *,
        skip: int = 0,
        gradient: Mapping[Any, Callable] | None = None,
        method: bool = True,
        inplace: bool = False,
        writes_shared: bool | str = False,
        function: bool = True,
        aliases: tuple[str, ...] = (),
        name: str | None = None,
        namespace: str = "",
        node_name: str | Callable[..., str] = "",
        shows: tuple[str, ...] | Callable[..., tuple[str, ...]] | None = None,
        shows_numbers: bool = False,
        between: Mapping[str, str] | None = None,
        snapshots: tuple[str, ...] | Callable[..., tuple[str, ...]] = (),
        saves: Saves = (),
        needed_for: Mapping[str, str] | None = None,
        out: str = "",
        overlap: str = "",
        legacy: tuple[str, ...] = (),
    ) -> None:
        signature = getattr(body, "__wrapped__", body)
        code = signature.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        self.name = name or body.__name__.rstrip("_")
        self.body = body
        self.parameters = code.co_varnames[skip:count]
        self.positional = code.co_argcount - skip
        self.body_positional = code.co_argcount
        # The body, to be called with arguments in the order of the parameters.
        self.run: Callable[..., Any] = self._run_with_names if code.co_kwonlyargcount else body
        defaults = signature.__defaults__ or ()
        self.defaults: dict[str, Any] = dict(
            zip(self.parameters[self.positional - len(defaults) : self.positional], defaults, strict=True)
        )
        self.defaults.update(signature.__kwdefaults__ or {})
        self.most = len(self.parameters)
        several = code.co_varnames[skip : count + bool(code.co_flags & VARARGS)]
        self.usual = USUAL_ELEMENTS if SEQUENCES & {*several} else USUAL
        self.required = len([p for p in self.parameters[: self.positional] if p not in self.defaults])
        self.gradient = tuple(Derivative(n, f, self.parameters) for n, f in (gradient or {}).items())
        self.derivative_of = {i: d for d in self.gradient for i in d.inputs}
        self.differentiable_mask = sum(1 << i for i in self.derivative_of)
        self.method = method
        self.inplace = inplace
        self.writes_shared = writes_shared
        self.exported = function
        self.aliases = aliases
        self.namespace = namespace
        self.legacy = legacy
        self.out_rule = OutRule(out or self.out_rule.dtype, overlap or self.out_rule.overlap)
        self.doc = body.__doc__ or ""
        self.node_name = node_name
        self.shows = shows or self.parameters
        self.snapshots = snapshots
        self.saves = saves
        self.needed_for = {self.parameters.index(p): self.parameters.index(q) for p, q in (needed_for or {}).items()}
        self.between = {self.parameters.index(p): name for p, name in (between or {}).items()}
        self.shows_numbers = shows_numbers
        self.cache: dict[Any, Any] = {}  # what was inferred, by what that depends on
        self._forms: dict[tuple, tuple] = {}  # of calls with keywords
        self.function = self._make_function()
        qualified = f"{namespace}.{self.name}" if namespace else self.name
        if qualified in OPS:
            raise ValueError(f"the operation {qualified!r} is declared twice")
        OPS[qualified] = self

    def __repr__(self) -> str:
        return f"<op {self.name} ({self.family})>"

    # -------------------------------------------------------------------------------- the derived functions

    def record(self, args: tuple) -> Any:
        """Record one call; `args` lists parameters in order and may leave out trailing ones that have defaults. What
        is recorded by families (pointwise, library, view) is set by the recorder."""
        raise RuntimeError("no recorder is installed: import flambeau, not its parts")

    def _make_function(self) -> Callable:
        def function(*args: Any, **kwargs: Any) -> Any:
            try:
                return self.call(args, kwargs) if kwargs else self.record(args)
            except (AttributeError, TypeError):
                if is_unforeseen(args, kwargs):
                    return function(*args, **kwargs)
                if (today := self.in_todays_order(args)) is not None:
                    return function(*today[0], **today[1], **kwargs)
                raise

        asks_again(function)
        return named_like(function, self.body, self.name)

    def offered(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """What a mode or an argument makes of this call, or `PASSED`; what no user can call is not offered."""
        for a in (*args, *kwargs.values()) if kwargs else args:
            if type(a) not in self.usual:
                return offer(self.function, args, kwargs) if self.exported or self.method else PASSED
        return PASSED

    def call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A call with keywords, among them perhaps `out`. Whoever records a call without them offers it himself."""
        if switch.on and (taken := self.offered(args, kwargs)) is not PASSED:
            return taken
        if "out" in kwargs:
            return self.into(kwargs["out"], args, {k: a for k, a in kwargs.items() if k != "out"})
        return self.record(self.bind(args, kwargs))

    def into(self, out: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The `out=` form; as without if `out` is None."""
        if out is None:
            return self.call(args, kwargs)
        if self.out_rule.dtype == "computed" and isinstance(out, TensorBase) and kwargs.get("dtype") is None:
            if len(args) <= self.parameters.index("dtype"):
                kwargs["dtype"] = out._meta.dtype
        result = self.call(args, kwargs)
        return write_out(self.name, out, result, self.out_rule, (*args, *kwargs.values()))

    def in_todays_order(self, args: tuple) -> tuple[list[Any], dict[str, Any]] | None:
        """Arguments in the order of PyTorch 1.4, where numbers stand before the tensors that they weight: the tensors,
        and the numbers by name, with a warning. None for other arguments."""
        numbers = [a for a in args if type(a) in (bool, int, float, complex)]
        tensors = [a for a in args if isinstance(a, TensorBase)]
        if not 0 < len(numbers) <= len(self.legacy) or len(tensors) != self.required or len(args) == self.required:
            return None
        if len(numbers) + len(tensors) != len(args):
            return None
        named = dict(zip(self.legacy, numbers, strict=False))
        shown = ", ".join([*self.parameters[: self.required], *[f"{name}={number}" for name, number in named.items()]])
        warn(f"This overload of {self.name} is deprecated: write {self.name}({shown})")
        return tensors, named

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple:
        """The arguments in the order of the parameters, up to the last one given."""
        form = (len(args), *kwargs)
        known = self._forms.get(form)
        if known is None:
            known = self._forms[form] = self._form(len(args), kwargs)
        places, defaults = known
        rest = [*defaults]
        for place, value in zip(places, kwargs.values(), strict=True):
            rest[place] = value
        return (*args, *rest)

    def _form(self, count: int, names: Iterable[str]) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        """Where arguments with these names belong among the parameters behind the first `count`, and the defaults of
        these up to the last one given; TypeError for names that do not fit."""
        places: list[int] = []
        for given in names:
            name = self.keyword(given)
            if name not in self.parameters:
                raise keywords.unexpected(self.name, name, self.parameters)
            place = self.parameters.index(name) - count
            if place < 0 or place in places:
                raise TypeError(f"{self.name}() got multiple values for argument '{name}'")
            places.append(place)
        rest = self.parameters[count : count + max(places, default=-1) + 1]
        try:
            return tuple(places), tuple([None if i in places else self.defaults[n] for i, n in enumerate(rest)])
        except KeyError as missing:
            raise TypeError(f"{self.name}() missing the required argument {missing}") from None

    def keyword(self, name: str) -> str:
        """The parameter meant by a keyword, NumPy's names included."""
        return name if name in self.parameters else KEYWORD_ALIASES.get(name, name)

    def check_arguments(self, args: tuple) -> None:
        """TypeError unless the number of arguments fits, tensors are tensors and dtypes are dtypes."""
        if not self.required <= len(args) <= self.most:
            expected = ", ".join(self.parameters)
            missing = [repr(p) for p in self.parameters[len(args) : self.required]]
            what = f"missing the required argument {' and '.join(missing)}" if missing else f"got {len(args)} arguments"
            raise TypeError(errors.explain(f"{self.name}() {what}", hint=f"it takes ({expected})"))
        for i in self.tensors:
            if not isinstance(args[i], TensorBase):
                raise not_a_tensor(self.name, self.parameters[i], i + 1, args[i])
        for name, value in zip(self.parameters, args, strict=False):
            if name == "dtype":
                dtypes.checked(value, self.name)

    def complete(self, args: tuple) -> tuple:
        """`args` with the defaults of the parameters that were left out."""
        return args + tuple([self.defaults[n] for n in self.parameters[len(args) :]])

    def _run_with_names(self, *args: Any) -> Any:
        """Call the body with arguments in the order of the parameters, keyword-only ones by their names."""
        named = args[self.body_positional :]
        if not named:
            return self.body(*args)
        return self.body(
            *args[: self.body_positional], **dict(zip(self.parameters[self.positional :], named, strict=False))
        )

    def remember(self, key: tuple, inferred: Any) -> None:
        """Keep what was inferred for these arguments; a negative zero, which equals zero, is no key."""
        if any([type(a) is float and a == 0 and copysign(1.0, a) < 0 for a in key]):
            return
        self.keep(key, inferred)

    def keep(self, key: tuple, inferred: Any) -> None:
        """The same where no number is part of the key."""
        self.cache[key] = inferred
        _inferences.count()

    def saving(self, mask: int, metas: tuple) -> Saving:
        """What backward needs of arguments with these metas when the inputs in `mask` (bit i: parameter i) want
        gradients."""
        sources = {s for i, d in self.derivative_of.items() if mask >> i & 1 for s in d.sources}
        sources -= {("arg", p) for p, q in self.needed_for.items() if not mask >> q & 1}
        tensors = [i for i, m in enumerate(metas) if type(m) is Meta or holds_metas(m)]
        saves: Any = self.saves
        if callable(saves):
            saves = saves(*metas)
        elif isinstance(saves, Mapping):
            saves = [s for p, names in saves.items() if mask >> self.parameters.index(p) & 1 for s in names]
        snapshots = self.snapshots(*metas) if callable(self.snapshots) else self.snapshots
        saving = Saving()
        saving.kept = tuple([i for i in tensors if ("arg", i) in sources])
        saving.dropped = tuple([i for i in tensors if i not in saving.kept])
        saving.nothing = (None,) * len(metas) if len(saving.dropped) == len(metas) else None
        saving.snapshots = tuple([i for i in saving.kept if self.parameters[i] in snapshots])
        saving.outputs = "out" in saves or any([kind == "out" for kind, _ in sources])
        saving.watched = tuple([i for i, m in enumerate(metas) if type(m) is Meta and self.parameters[i] in saves])
        saving.watched += (-1,) if "out" in saves else ()
        saving.grouped = any([holds_metas(m) for m in metas])
        needs = [tuple([bool(mask >> i & 1) for i in d.inputs]) for d in self.gradient]
        saving.wanted = [(d, needed) for d, needed in zip(self.gradient, needs, strict=True) if any(needed)]
        saving.name = self._node_name(metas)
        saving.shown = self._shown(metas)
        return saving

    def _node_name(self, metas: tuple) -> str:
        """By default that of an operation that PyTorch has in one form."""
        if callable(self.node_name):
            return self.node_name(*metas)
        return self.node_name or f"{camel_case(self.name)}Backward0"

    def _shown(self, metas: tuple) -> tuple[int, ...]:
        """The edges that users see, in PyTorch's order: those of the tensors that may have a gradient, whether or not
        these have one. A tensor left out is -1."""
        places: list[list[int]] = []  # of each parameter
        position = 0
        for i, m in enumerate(metas):
            several = sum([isinstance(x, Meta) for x in m]) if type(m) is tuple else 0
            here = range(position, position + (several or 1))
            position = here.stop
            is_tensor = several or type(m) is Meta or m is None or (self.shows_numbers and _is_number(m))
            places.append(list(here) if i in self.derivative_of and is_tensor else [])
        for i in range(len(metas), self.most):
            left_out = i in self.derivative_of and self.defaults.get(self.parameters[i], 0) is None
            places.append([-1] if left_out else [])
        order = self.shows(*metas) if callable(self.shows) else self.shows
        return tuple([place for p in order for place in places[self.parameters.index(p)]])


class _Inferences:
    """How many inferences all operations remember together."""

    def __init__(self) -> None:
        self._number = 0
        self._limit = INFERENCES

    def count(self) -> None:
        """One more. If there are too many, those are forgotten that nobody else refers to: no plan, and no window that
        waits."""
        self._number += 1
        if self._number >= self._limit:
            for op in OPS.values():
                forget_unused(op.cache)
            self._number = sum([len(op.cache) for op in OPS.values()])
            self._limit = room_for(self._number, INFERENCES)

    def forget(self) -> None:
        """Forget all: what integers give as floats has the default dtype, which is another one now."""
        for op in OPS.values():
            op.cache.clear()
        self._number = 0


_inferences = _Inferences()
dtypes.followers.append(_inferences.forget)


class Saving:
    """What a node keeps for backward, by the numbers of arguments: those `dropped`, and the tensors `kept` (numbers and
    other attributes stay), of which `snapshots` are kept with their present contents; whether it needs `outputs`;
    whether an argument may be a list of tensors (`grouped`). `nothing` takes the place of arguments that are all
    dropped, else it is None.

    `watched` are the arguments that may not change though they need not be kept, and -1 for the results.

    `wanted` are the gradients to compute, with which of their inputs need one.

    `name` is the node's, `shown` what its `next_functions` list: numbers of edges, -1 for a tensor that was not given.
    """

    __slots__ = ("nothing", "dropped", "kept", "snapshots", "outputs", "watched", "grouped", "wanted", "name",
                 "shown")  # fmt: skip

    nothing: tuple[None, ...] | None
    dropped: tuple[int, ...]
    kept: tuple[int, ...]
    snapshots: tuple[int, ...]
    outputs: bool
    watched: tuple[int, ...]
    grouped: bool
    wanted: list[tuple[Derivative, tuple[bool, ...]]]
    name: str
    shown: tuple


def with_option(stem: str, i: int, given: int = 1, missing: int = 0) -> Callable[..., str]:
    """The name of a node whose number says whether argument `i` was given: PyTorch numbers an operation's forms."""
    return lambda *metas: f"{stem}Backward{missing if len(metas) <= i or metas[i] is None else given}"


def with_tensor(stem: str, i: int, tensor: int = 1, number: int = 0) -> Callable[..., str]:
    """The name of a node whose number says whether argument `i` is a tensor."""
    return lambda *metas: f"{stem}Backward{tensor if len(metas) > i and type(metas[i]) is Meta else number}"


def camel_case(name: str) -> str:
    """An operation's name as PyTorch's nodes write it: `log1p` is `Log1P`."""
    return "".join([part[:1].upper() + part[1:] for part in re.split(r"_|(?<=\d)(?=[a-z])", name)])


def _is_number(m: Any) -> bool:
    """Is that a number, or the type of one, which stands in a number's place for a pointwise operation?"""
    return (m if type(m) is type else type(m)) in NUMBERS


NUMBERS = (bool, int, float, complex)


# PyTorch accepts NumPy's names for these parameters.
KEYWORD_ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other", "self": "input"}


# Parameters that are tensors wherever they are required; the others, where there is a gradient for them.
ALWAYS_TENSORS = frozenset({"input", "A", "query", "index"})
OFTEN_TENSORS = frozenset({"other", "weight", "target", "B", "key", "source", "mask", "condition"})


SEQUENCES = frozenset({"tensors", "operands", "matrices", "indices"})  # parameters that are sequences of tensors
VARARGS = 4  # the flag of functions with `*args` (`inspect.CO_VARARGS`)


def named_like(function: Callable, body: Callable, name: str) -> Callable:
    """Give a derived function the name, the place and the documentation of the body it was derived from."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = body.__doc__
    function.__module__ = body.__module__
    function.__wrapped__ = body  # type: ignore[attr-defined]
    return function


def in_place(function: Callable, target: Any, *args: Any, **kwargs: Any) -> Any:
    """Write what an operation makes of `target` and other arguments into `target`, and return that."""
    return recording.assign(target, function(recording.original(target, args), *args, **kwargs))


def inplace_of(function: Callable, name: str) -> Callable:
    """The in-place form of an operation: compute, then write into the first argument."""

    def inplace(self: Any, *args: Any, **kwargs: Any) -> Any:
        return in_place(function, self, *args, **kwargs)

    inplace.__name__ = inplace.__qualname__ = name + "_"
    inplace.__doc__ = f"In-place version of :func:`{name}`: the result is written into this tensor, which is returned."
    return inplace


# ---------------------------------------------------------------------------------------------- the families


class Pointwise(Op):
    """`operands` take part in type promotion (default: the parameters without a default); the other parameters are
    numbers.

    `result` says the result's dtype: "promoted", "float" (integers become the default dtype), "bool", "real" (of
    complex: the real part's dtype) or a function of the promoted dtype. `refuses` lists the kinds of dtypes it has no
    meaning for,
    out of "bool", "integer", "float", "complex".

    `numbers` says whether a Python number may stand for an operand; "later": for another than the first.

    `check(metas)` raises errors that follow from the dtypes and shapes (for a number its type stands in the place of a
    Meta); it runs once for each combination. `guard(*args)` looks at the arguments themselves, at every call. A
    `fallible` op can fail on integers when it runs, so the user's line is kept.
    """

    family = "pointwise"
    out_rule = OutRule("castable", "same")

    def __init__(
        self,
        body: Callable,
        *,
        operands: tuple[str, ...] | None = None,
        result: Any = "promoted",
        refuses: tuple[str, ...] = (),
        check: Callable[[tuple], None] | None = None,
        guard: Callable[..., None] | None = None,
        fallible: bool = False,
        numbers: bool | str = True,
        **common: Any,
    ) -> None:
        self.numbers = numbers
        self.check = check
        self.guard = guard
        self.fallible = fallible
        super().__init__(body, skip=1, **common)
        names = operands or tuple(p for p in self.parameters[: self.positional] if p not in self.defaults)
        self.operands = frozenset(self.parameters.index(n) for n in names)
        self.result = result
        self.refuses = frozenset({"bool": 0, "integer": 1, "float": 2, "complex": 3}[r] for r in refuses)


class Library(Op):
    """`category` ("reduce", "contract", "window", "index", "scan", "sort", "random", "linalg", "fft", "norm"...) tells
    a compiler what it is.

    `infer(*arguments)` gets Metas in place of tensors and returns a Meta or a tuple of them. An op that can fail only
    when it runs sets `fallible`, so that the user's line is kept. `nondifferentiable` lists outputs that are integers
    or otherwise carry no gradient though their dtype could.

    `expand(c, *arguments)` says the same in the terms of a compiler: `c` is the Graph that is being built (see
    `_ir.graph`), tensors are Arrays of it. Without one, or where it raises Unsupported, the body runs.
    """

    family = "library"

    def __init__(
        self,
        body: Callable,
        *,
        infer: Callable[..., Meta | tuple[Meta, ...]] | None = None,
        category: str = "library",
        fallible: bool = False,
        nondifferentiable: tuple[int, ...] = (),
        result_type: type[tuple] | None = None,
        expand: Callable[..., Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(body, **common)
        required = self.parameters[: self.required]
        self.tensors = tuple(
            [i for i, p in enumerate(required) if p in ALWAYS_TENSORS or p in OFTEN_TENSORS and i in self.derivative_of]
        )
        self.infer = infer
        self.expand = expand
        self.category = category
        self.fallible = fallible
        self.nondifferentiable = frozenset(nondifferentiable)
        self.result_type = result_type


class View(Op):
    """The body gets the input's Meta and the arguments and returns the Meta of the view into the same storage."""

    family = "view"


class Composite(Op):
    """Plain Python over other operations; differentiated through them. With a `node_name`, what PyTorch has as one
    operation: the last node has this name, and shows the nodes of the parameters `shows` as those it leads to. What it
    `saves`, the last node watches."""

    family = "composite"

    def __init__(self, body: Callable, *, node_name: Any = "", shows: tuple[str, ...] = (), **common: Any) -> None:
        self.whole = node_name, shows
        super().__init__(body, **common)

    def record(self, args: tuple) -> Any:
        return self.body(*args)

    def _make_function(self) -> Callable:
        if self.whole[0] or self.saves:
            self.body = _shown_whole(self.body, *self.whole, self.saves)
        body = self.body

        def turn(on: bool) -> None:
            nonlocal body
            body = self._asking if on else self.body

        switch.followers.append(turn)

        def function(*args: Any, **kwargs: Any) -> Any:
            try:
                return self.call(args, kwargs) if kwargs else body(*args)
            except (AttributeError, TypeError) as error:
                if is_unforeseen(args, kwargs):
                    return function(*args, **kwargs)
                if (today := self.in_todays_order(args)) is not None:
                    return function(*today[0], **today[1], **kwargs)
                plain = self.body
                named = [p for p in inspect.signature(plain).parameters.values() if p.kind != p.VAR_POSITIONAL]
                refuse_others(self.name, [p.name for p in named], args, kwargs, error)
                better = keywords.explained(error, plain, self.name, kwargs) if isinstance(error, TypeError) else None
                if better is None:
                    raise
                raise better from None

        asks_again(function)
        return named_like(function, body, self.name)

    def _asking(self, *args: Any) -> Any:
        """The body while calls are offered."""
        taken = self.offered(args, {})
        return self.body(*args) if taken is PASSED else taken

    def call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        if switch.on and (taken := self.offered(args, kwargs)) is not PASSED:
            return taken
        if "out" in kwargs:
            return self.into(kwargs["out"], args, {k: a for k, a in kwargs.items() if k != "out"})
        return self.body(*args, **{self.keyword(name): value for name, value in kwargs.items()})


def _shown_whole(body: Callable, name: str | Callable[..., str], shows: tuple[str, ...], saves: Any) -> Callable:
    """The body of a composite whose result shows the composite as one operation, with a name if that is not "", and
    what that saves."""
    plain: Any = body
    while hasattr(plain, "__wrapped__"):
        plain = plain.__wrapped__
    code = plain.__code__
    positions = {p: i for i, p in enumerate(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])}

    def given(p: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        return args[positions[p]] if positions[p] < len(args) else kwargs.get(p)

    @functools.wraps(body)
    def whole(*args: Any, **kwargs: Any) -> Any:
        result = body(*args, **kwargs)
        if not recording.grad_enabled():
            return result
        if name:
            inputs = [given(p, args, kwargs) for p in shows]
            recording.present(result, name if isinstance(name, str) else name(*args, **kwargs), inputs)
        if saves:
            saved: list[Any] = []
            for p in saves(*args, **kwargs) if callable(saves) else saves:
                found = given(p, args, kwargs) if p in positions else _results(result, p)
                saved += found if isinstance(found, (tuple, list)) else [found]
            recording.watch(result, [t for t in saved if isinstance(t, TensorBase)])
        return result

    return whole


def _results(result: Any, name: str) -> list[Any]:
    """Of the result what `name` says: "out" all of it, "out1" the second of several, if there is one."""
    found = list(result) if isinstance(result, tuple) else [result]
    return found if name == "out" else found[int(name[3:]) :][:1]


def _decorator(family: type[Op]) -> Callable[..., Callable[[Callable], Callable]]:
    def declare(**options: Any) -> Callable[[Callable], Callable]:
        def decorate(body: Callable) -> Callable:
            return family(body, **options).function

        return decorate

    return declare


pointwise = _decorator(Pointwise)
library = _decorator(Library)
view = _decorator(View)
composite = _decorator(Composite)
