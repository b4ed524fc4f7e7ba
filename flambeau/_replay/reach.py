"""What a function could get hold of, and guards on all of it.

A function's behaviour is decided by its arguments and by what it reads beyond them. Instead of following its
instructions, every object that it could reach is looked at: from the globals and closure cells of its code, through
every attribute whose name occurs anywhere in the code, through items of containers, into functions that might be
called. What is reached must be of a kind that is known: constants, containers, tensors, modules, optimizers,
functions. Each step of the way is guarded, so that a guard fails whenever another object, or another content, would be
found. Anything else, and a call of what is not known to be pure, is refused. That is more than the function really
reads; it is never less.

The package's own code is trusted: it keeps no state of the user's, apart from what is guarded or recorded elsewhere.
"""

from __future__ import annotations

import builtins
import cmath
import functools
import itertools
import math
import operator
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch
from flambeau._core.device import device
from flambeau._core.dtypes import dtype
from flambeau._core.formats import layout, memory_format
from flambeau._core.sites import is_internal
from flambeau._core.size import Size
from flambeau._ir.recording import TensorBase
from flambeau._replay.code import facts_of
from flambeau._replay.guards import CONSTANTS, Guards
from flambeau._replay.opaque import Opaque
from flambeau._replay.refusal import Refusal
from flambeau._replay.steering import substitutes, trusted
from flambeau._tensor import random
from flambeau.nn import Module, Parameter
from flambeau.optim.optimizer import Optimizer

PURE_BUILTINS = frozenset(map(id, (
    abs, all, any, bool, complex, dict, divmod, enumerate, filter, float, frozenset, int, isinstance, issubclass, iter,
    len, list, map, max, min, next, object, pow, range, reversed, round, set, slice, sorted, str, sum, super, tuple,
    type, zip, functools.partial, functools.reduce,
)))  # fmt: skip
PURE_MODULES = (math, cmath, itertools, operator)
DYNAMIC = frozenset(map(id, (operator.attrgetter, operator.methodcaller)))  # names in strings
IMMUTABLE = (dtype, device, layout, memory_format, Size)
TENSORS = (torch.Tensor, Parameter)
# Functions of the package that change more than tensors.
EFFECTS = frozenset({
    "manual_seed", "seed", "set_rng_state", "get_rng_state", "initial_seed", "fork_rng", "set_default_dtype",
    "use_deterministic_algorithms", "set_num_threads", "get_num_threads", "set_printoptions", "save", "load", "explain",
    "synchronize", "set_detect_anomaly", "from_numpy", "from_dlpack", "frombuffer", "reset",
})  # fmt: skip
TRUSTED_CLASSES = (
    "flambeau.nn.", "flambeau.autograd.", "flambeau._tensor.tensor", "flambeau._core.", "flambeau.optim.",
)  # fmt: skip
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Of a module's own attributes: those that saving and loading alone look at.
UNREAD = frozenset({
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
    "_non_persistent_buffers_set", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs", "_is_full_backward_hook",
})  # fmt: skip
MODULE_ATTRIBUTES = frozenset({"training", "_parameters", "_buffers", "_modules"})
# Special methods that nobody calls without naming them or making an instance.
NEVER_CALLED = frozenset({
    "__init__", "__new__", "__repr__", "__str__", "__del__", "__dir__", "__init_subclass__", "__class_getitem__",
    "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__copy__", "__deepcopy__", "__sizeof__",
    "__set_name__", "__subclasshook__",
})  # fmt: skip


@contextmanager
def _about(code: types.CodeType | None, line: int) -> Iterator[None]:
    """A refusal inside that names no line is about this one."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code is None:
            refusal.code, refusal.line = code, line
        raise


class Wrapper:
    """What stands around a function of the user's and calls it."""

    function: Any


class Reach:
    """Everything that `function(*args, **kwargs)` could reach. `tensors` are the tensors found, with the expression
    that gives each at the next call: first `dynamic` ones that belong to the arguments of a call, then those that are
    the same at every call. `owners` are the optimizers found."""

    def __init__(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.guards = Guards()
        self.arguments: dict[int, tuple[Any, str]] = {}  # tensors, by id, with their expressions
        self.constants: dict[int, Any] = {}
        self.optimizers: list[Optimizer] = []
        self.containers: set[int] = set()  # ids of what must not be mistaken for a fresh container
        self.generators: dict[int, Any] = {}
        self._seen: dict[int, Any] = {}  # objects looked at, kept alive so that ids stay theirs
        self._names: dict[str, Any] = {}  # attributes that occur in the code, with code and line
        self._functions: set[str] = set()  # names of the package's functions that it could call
        self._owners: list[Callable[[str], None]] = []  # what to do about each name, old ones and new ones
        self._classes: set[type] = set()
        self._own(self._look_up_in_tensors)
        self.guards.require(f"len(args) == {len(args)} and len(kwargs) == {len(kwargs)}")
        self.visit(function)
        for i, argument in enumerate(args):
            self._visit_argument(argument, f"args[{i}]")
        for name, argument in kwargs.items():
            self._visit_argument(argument, f"kwargs[{name!r}]")

    def about_gradients(self, not_about: frozenset[str], about: frozenset[str]) -> bool:
        """Could the function read or change the gradients of leaves? Judged by the names it uses."""
        names = (self._names.keys() | self._functions) - not_about
        return any("grad" in name or name in about for name in names)

    # ------------------------------------------------------------------------------------------ arguments

    def _visit_argument(self, thing: Any, expression: str) -> None:
        """What is given at every call anew: containers by their structure, tensors by their layout."""
        kind = type(thing)
        if kind in (list, tuple, dict):
            self.containers.add(id(thing))
            self._keep(thing)
            variable = self.guards.local(expression)
            self.guards.require(f"type({variable}) is {kind.__name__} and len({variable}) == {len(thing)}")
            if kind is dict:
                self._require_keys(variable, thing)
            for key, item in thing.items() if kind is dict else enumerate(thing):
                self._visit_argument(item, f"{variable}[{key!r}]")
        elif isinstance(thing, TensorBase):
            self._visit_tensor_argument(thing, expression)
        else:
            self.step(expression, thing)

    def _visit_tensor_argument(self, t: Any, expression: str) -> None:
        known = self.arguments.get(id(t))
        if known is not None:
            self.guards.require(f"({expression}) is {known[1]}")
        elif id(t) in self.constants:
            self.guards.require(f"({expression}) is {self.guards.name(t)}")
        else:
            self._check_tensor(t)
            variable = self.guards.local(expression)
            self.guards.require(f"type({variable}) is {self.guards.name(type(t))}")
            self.arguments[id(t)] = t, variable

    def _check_tensor(self, t: Any) -> None:
        if type(t) not in TENSORS:
            raise Refusal(f"a tensor of class {type(t).__name__} is used")
        others = t.__dict__.keys() - {"_grad"}
        if others:
            raise Refusal(f"a tensor has attributes of its own: {', '.join(sorted(others))}")

    # ------------------------------------------------------------------------------------------ steps and objects

    def step(self, expression: str, thing: Any) -> None:
        """Guard that an expression goes on giving `thing`, and look at that."""
        argument = self.arguments.get(id(thing))
        if argument is not None:
            self.guards.require(f"({expression}) is {argument[1]}")
            return
        self.guards.require_same(expression, thing)
        self.visit(thing)

    def visit(self, thing: Any) -> None:
        """Look at an object whose identity is guarded."""
        if id(thing) in substitutes:
            _, thing = substitutes[id(thing)]
        if id(thing) in self._seen or type(thing) in CONSTANTS or id(thing) in trusted:
            return
        self._keep(thing)
        for kind, look in _KINDS:
            if isinstance(thing, kind):
                return look(self, thing)
        if type(thing).__module__.startswith("flambeau."):
            raise Refusal(f"a {type(thing).__name__} is used")
        return self._visit_instance(thing)

    def _keep(self, thing: Any) -> None:
        self._seen[id(thing)] = thing

    def _learn(self, names: dict[str, int], code: types.CodeType | None) -> None:
        """New attribute names: look them up on everything that has attributes."""
        fresh = names.keys() - self._names.keys()
        self._names.update({name: (code, names[name]) for name in fresh})
        for owner in list(self._owners):
            for name in fresh:
                self._look_up(owner, name)

    def _own(self, look_up: Callable[[str], None]) -> None:
        """Something with attributes: look up all names, now and later."""
        self._owners.append(look_up)
        for name in list(self._names):
            self._look_up(look_up, name)

    def _look_up(self, owner: Callable[[str], None], name: str) -> None:
        code, line = self._names[name]
        with _about(code, line):
            owner(name)

    # ------------------------------------------------------------------------------------------ containers

    def _visit_tuple(self, thing: tuple) -> None:
        if type(thing) is not tuple and not type(thing).__module__.startswith("flambeau."):
            raise Refusal(f"a {type(thing).__name__} is used")
        self.containers.add(id(thing))
        for item in thing:
            self.visit(item)

    def _visit_list(self, thing: list) -> None:
        if type(thing) is not list:
            raise Refusal(f"a {type(thing).__name__} is used")
        self.containers.add(id(thing))
        name = self.guards.name(thing)
        self.guards.require(f"len({name}) == {len(thing)}")
        for i, item in enumerate(thing):
            self.step(f"{name}[{i}]", item)

    def _visit_dict(self, thing: dict) -> None:
        if type(thing) not in (dict, OrderedDict):
            raise Refusal(f"a {type(thing).__name__} is used")
        self.containers.add(id(thing))
        name = self.guards.name(thing)
        self._require_keys(name, thing)
        for key, item in thing.items():
            self.step(f"{name}[{key!r}]", item)

    def _require_keys(self, name: str, thing: dict) -> None:
        if not all(type(key) in (str, int) for key in thing):
            raise Refusal("a dict is used whose keys are neither strings nor integers")
        if len(thing) > 1:  # their order is that of iteration
            self.guards.require(f"[*{name}] == {self.guards.name(list(thing))}")
        else:
            self.guards.require(f"len({name}) == 1" if thing else f"not {name}")

    def _visit_frozenset(self, thing: frozenset) -> None:
        if not all(type(item) in CONSTANTS for item in thing):
            raise Refusal("a frozenset of other things than constants is used")

    # ------------------------------------------------------------------------------------------ functions

    def _visit_function(self, function: types.FunctionType) -> None:
        code = function.__code__
        name = self.guards.name(function)
        if is_internal(code.co_filename):
            self._functions.add(function.__name__)
            if function.__name__ in EFFECTS and not function.__module__.startswith("flambeau._ops"):
                raise Refusal(f"{function.__name__}() is called")
            for cell in function.__closure__ or ():  # a wrapper around a function of the user's
                held = cell.cell_contents
                own = isinstance(held, types.MethodType) and is_internal(getattr(held, "__code__", code).co_filename)
                if isinstance(held, _CALLABLE) and not own:
                    self.visit(held)
            return
        facts = facts_of(code)
        self.guards.require(f"{name}.__code__ is {self.guards.name(code)}")
        with _about(code, code.co_firstlineno):
            self.step(f"{name}.__defaults__", function.__defaults__)
            self.step(f"{name}.__kwdefaults__", function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                raise Refusal("a variable of an enclosing function has no value yet", code) from None
            with _about(code, code.co_firstlineno):
                self.step(f"{self.guards.name(cell)}.cell_contents", held)
        for variable, line in facts.globals.items():
            with _about(code, line):
                self._visit_global(function, variable)
        self._own(lambda attribute: self._look_up_in(function.__dict__, attribute))
        self._learn(facts.attributes, code)

    def _visit_global(self, function: types.FunctionType, variable: str) -> None:
        scope = function.__globals__
        name = self.guards.name(scope)
        if variable in scope:
            self.step(f"{name}[{variable!r}]", scope[variable])
            return
        found = scope.get("__builtins__", builtins)
        found = found if isinstance(found, dict) else found.__dict__
        if variable not in found:
            raise Refusal(f"there is no '{variable}'")
        self.guards.require(f"{variable!r} not in {name}")
        self.step(f"{self.guards.name(found)}[{variable!r}]", found[variable])

    def _visit_method(self, method: types.MethodType) -> None:
        self.visit(method.__func__)
        self.visit(method.__self__)

    def _visit_partial(self, partial: functools.partial) -> None:
        if type(partial) is not functools.partial or partial.__dict__:
            raise Refusal(f"a {type(partial).__name__} is called")
        name = self.guards.name(partial)
        self.step(f"{name}.func", partial.func)
        self.visit(partial.args)
        self.visit(partial.keywords)

    def _visit_builtin(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        pure = id(function) in PURE_BUILTINS or owner in PURE_MODULES
        if not pure:
            raise Refusal(f"{_qualified(function)}() is called")

    def _visit_property(self, thing: property) -> None:
        for function in (thing.fget, thing.fset, thing.fdel):
            self.visit(function)

    def _visit_wrapped(self, thing: Any) -> None:
        """A static method or a class method."""
        self.visit(thing.__func__)

    # ------------------------------------------------------------------------------------------ things with attributes

    def _visit_namespace(self, module: types.ModuleType) -> None:
        """A module of Python."""
        own = module.__name__.partition(".")[0] == "flambeau"
        if type(module) is not types.ModuleType and not own:
            raise Refusal(f"the module {module.__name__} is of a class of its own")
        if not own:
            self._look_up_in(module.__dict__, "__getattr__")
        self._own(lambda name: self._look_up_in(module.__dict__, name))

    def _look_up_in(self, attributes: dict[str, Any], name: str) -> None:
        if name in attributes:
            self.step(f"{self.guards.name(attributes)}[{name!r}]", attributes[name])

    def _visit_class(self, cls: type) -> None:
        if cls.__module__.startswith("flambeau"):
            if not cls.__module__.startswith(TRUSTED_CLASSES) or issubclass(cls, random.Generator):
                raise Refusal(f"a {cls.__name__} is made")
        elif cls.__module__ == "builtins" or cls in (OrderedDict, functools.partial):
            if id(cls) not in PURE_BUILTINS and not issubclass(cls, BaseException) and cls is not OrderedDict:
                raise Refusal(f"{cls.__name__}() is called")
        elif id(cls) in DYNAMIC:
            raise Refusal(f"{_qualified(cls)}() is called")
        elif cls.__module__ not in [m.__name__ for m in PURE_MODULES]:
            self._visit_user_class(cls, instantiated=True)

    def _visit_user_class(self, cls: type, instantiated: bool = False) -> None:
        """A class and what it inherits: every special method may be called, others if their names occur."""
        if type(cls) is not type:
            raise Refusal(f"the class {cls.__name__} has a metaclass of its own")
        for part in cls.__mro__:
            if part is object or part.__module__.startswith("flambeau."):
                continue
            if part.__module__ == "builtins":
                raise Refusal(f"the class {cls.__name__} extends {part.__name__}")
            if part not in self._classes:
                self._classes.add(part)
                self._guard_class(part)
            if instantiated:
                for name in ("__init__", "__new__", "__post_init__"):
                    if name in part.__dict__:
                        self.visit(part.__dict__[name])

    def _guard_class(self, cls: type) -> None:
        members = cls.__dict__
        name = self.guards.name(members)
        self.guards.require(f"len({name}) == {len(members)}")
        for member, value in list(members.items()):
            special = member.startswith("__") and member.endswith("__")
            if special and member not in NEVER_CALLED and isinstance(value, types.FunctionType | property):
                self.step(f"{name}[{member!r}]", value)
        self._own(lambda member: self._look_up_in_class(cls, member))

    def _look_up_in_class(self, cls: type, member: str) -> None:
        members = cls.__dict__
        special = member.startswith("__") and member.endswith("__")
        if member in members and not special:
            self.step(f"{self.guards.name(members)}[{member!r}]", members[member])

    def _visit_instance(self, thing: Any) -> None:
        """An object of the user's own class."""
        cls = type(thing)
        if not cls.__flags__ & (1 << 9):  # not made by a class statement
            raise Refusal(f"a {cls.__name__} is used")
        self.containers.add(id(thing))
        self._visit_user_class(cls)
        self.guards.require(f"type({self.guards.name(thing)}) is {self.guards.name(cls)}")
        self._own_attributes(thing, frozenset())

    def _own_attributes(self, thing: Any, always: frozenset[str]) -> None:
        attributes = getattr(thing, "__dict__", None)
        if attributes is None:
            raise Refusal(f"a {type(thing).__name__} is used, which has no attributes that can be guarded")
        name = self.guards.name(attributes)
        self.guards.require(f"len({name}) == {len(attributes)}")
        for attribute in sorted(always):
            self.step(f"{name}[{attribute!r}]", attributes[attribute])

        def look_up(attribute: str) -> None:
            if attribute in attributes and attribute not in always:
                self.step(f"{name}[{attribute!r}]", attributes[attribute])
            elif attribute not in attributes and hasattr(type(thing), attribute):  # it would hide that of the class
                self.guards.require(f"{attribute!r} not in {name}")

        self._own(look_up)

    def _visit_module(self, module: Module) -> None:
        """A layer or model."""
        cls = type(module)
        self.containers.add(id(module))
        own = module.__dict__
        if any(own[table] for table in HOOKS):
            raise Refusal(f"the {cls.__name__} has hooks")
        name = self.guards.name(own)
        self.guards.require(" or ".join(f"{name}[{table!r}]" for table in HOOKS).join(("not (", ")")))
        always = MODULE_ATTRIBUTES
        if any(part.__module__.startswith("flambeau.") for part in cls.__mro__[: cls.__mro__.index(Module)]):
            always = frozenset(own) - UNREAD - frozenset(HOOKS)  # what the package's own forward may read
        self._learn({"forward": 0}, None)
        self.guards.require(f"type({self.guards.name(module)}) is {self.guards.name(cls)}")
        self._visit_user_class(cls)
        self._require_class_methods(cls)
        self._own_attributes(module, always)

    def _require_class_methods(self, cls: type) -> None:
        if cls in self._classes:
            return
        self._classes.add(cls)
        for method in ("forward", "__call__"):
            self.guards.require_same(f"{self.guards.name(cls)}.{method}", getattr(cls, method))

    def _visit_optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer of the package: `steps` guards its groups and state."""
        self.containers.add(id(optimizer))
        self.optimizers.append(optimizer)
        cls = type(optimizer)
        self.guards.require_same(f"{self.guards.name(cls)}.step", cls.step)
        for groups in optimizer.param_groups:
            for param in groups["params"]:
                self.visit(param)
        self._own(self._refuse_optimizer_attribute)

    def _refuse_optimizer_attribute(self, name: str) -> None:
        if name in ("param_groups", "state", "defaults", "state_dict", "add_param_group", "load_state_dict"):
            raise Refusal(f"the optimizer's '{name}' is used")

    def _visit_tensor(self, t: Any) -> None:
        self._check_tensor(t)
        self.constants[id(t)] = t

    def _look_up_in_tensors(self, name: str) -> None:
        """A method that all tensors have."""
        method = getattr(torch.Tensor, name, None)
        if isinstance(method, types.FunctionType):
            self.step(f"{self.guards.name(torch.Tensor)}.{name}", method)

    def _visit_generator(self, generator: random.Generator) -> None:
        self.generators[id(generator)] = generator

    def _visit_wrapper(self, wrapper: Wrapper) -> None:
        self.visit(wrapper.function)

    def _visit_immutable(self, thing: Any) -> None:
        pass


_KINDS: tuple[tuple[Any, Callable], ...] = (
    (TensorBase, Reach._visit_tensor),
    (Module, Reach._visit_module),
    (Optimizer, Reach._visit_optimizer),
    (IMMUTABLE, Reach._visit_immutable),
    (types.FunctionType, Reach._visit_function),
    (types.MethodType, Reach._visit_method),
    ((types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType), Reach._visit_builtin),
    (functools.partial, Reach._visit_partial),
    (Wrapper, Reach._visit_wrapper),
    (Opaque, Reach._visit_immutable),
    (types.ModuleType, Reach._visit_namespace),
    (type, Reach._visit_class),
    (property, Reach._visit_property),
    ((staticmethod, classmethod), Reach._visit_wrapped),
    (tuple, Reach._visit_tuple),
    (list, Reach._visit_list),
    (dict, Reach._visit_dict),
    (frozenset, Reach._visit_frozenset),
    ((range, slice), Reach._visit_immutable),
    (random.Generator, Reach._visit_generator),
)


_CALLABLE = types.FunctionType | types.MethodType | functools.partial | Module | Wrapper


def _qualified(function: Any) -> str:
    module = getattr(function, "__module__", None)
    owner = getattr(function, "__self__", None)
    if module is None and owner is not None and not isinstance(owner, types.ModuleType):
        module = type(owner).__name__
    name = getattr(function, "__qualname__", type(function).__name__)
    return name if module in (None, "builtins") else f"{module}.{name}"
