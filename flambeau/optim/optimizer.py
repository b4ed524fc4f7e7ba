"""The base of all optimizers: parameter groups, the course of a step, hooks, saving and loading.

An optimizer is its constructor, the state a parameter starts with (`init_state`) and a formula for one parameter
(`update`). Everything around the formula (closures, `maximize`, weight decay, complex and sparse gradients, counting
steps) is here.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeAlias

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.hooks import RemovableHandle
from flambeau._core.keywords import CheckedKeywords
from flambeau._engine import window
from flambeau.optim import _groups, _saving
from flambeau.optim._course import Course
from flambeau.optim._state import ParameterState, RealView, RowView

Group: TypeAlias = dict[str, Any]
ParamsT: TypeAlias = "Iterable[Any]"


class _RequiredParameter:
    """Stands in `defaults` for an option that each group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks",
)  # fmt: skip
_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


def _register(table: OrderedDict[int, Callable], hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before the step of every optimizer; it may return new `(args, kwargs)`."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after the step of every optimizer."""
    return _register(_global_post_hooks, hook)


def _hooked(function: Callable) -> Callable:
    """A `step` with hooks before and after, which runs what the window holds at its end."""

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        if not args:
            hint = "call it on an optimizer: optimizer = SGD(model.parameters(), ...), then optimizer.step()"
            raise TypeError(explain(f"{function.__qualname__}() missing 1 required argument: 'self'", hint=hint))
        self = args[0]
        if getattr(type(self), "step", None) is not step:  # called as super().step(...): the outer one has the hooks
            return function(*args, **kwargs)
        if "_optimizer_step_pre_hooks" not in vars(self):  # a proxy that never called __init__: the inner one has them
            return function(*args, **kwargs)
        for hook in chain(_global_pre_hooks.values(), self._optimizer_step_pre_hooks.values()):
            changed = hook(self, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    f"{function} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                )
            args, kwargs = changed
        self._opt_called = True  # what the order-of-calls warning of the schedulers looks at
        result = function(*args, **kwargs)
        for hook in chain(self._optimizer_step_post_hooks.values(), _global_post_hooks.values()):
            hook(self, args, kwargs)
        window.flush()
        return result

    return step


class Optimizer(CheckedKeywords):
    """Base class for all optimizers.

    Args:
        params: tensors, or `(name, tensor)` pairs as of `model.named_parameters()`, or dicts, each a group of
            parameters under `"params"` with options of its own.
        defaults: the options of groups that do not give them.

    Raises:
        TypeError: for a single tensor or a module in place of an iterable of tensors, and for anything in it that is no
            tensor.
        ValueError: for an empty list, a tensor that is a result and no leaf, a parameter in two groups.

    A new optimizer needs a formula only::

        >>> import flambeau as torch
        >>> class SignDescent(torch.optim.Optimizer):
        ...     def __init__(self, params, lr=0.1):
        ...         super().__init__(params, {"lr": lr})
        ...     def update(self, param, grad, state, group):
        ...         param.sub_(group["lr"] * grad.sign())
        >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SignDescent([w])
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    _opt_called = False  # whether a step was taken since the last scheduler was made
    numbers: tuple[str, ...] = ("step",)  # what of a parameter's state is kept in Python; "step" counts by itself
    accepts_sparse = False  # whether `update` may be given the touched rows of a sparse gradient
    accepts_dense = True
    elementwise = False  # whether `update` does the same to every element of every parameter, whatever the shape
    _courses: Sequence[Course] = ()  # of the groups at the last step
    complex_as_real = True  # whether `update` is to see complex tensors as pairs of real numbers

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(ParameterState)
        self.param_groups: list[Group] = []
        self._make_hook_tables()
        for group in _groups.groups_from(params, type(self).__name__):
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    # ---- one step ----

    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what `closure`, which computes the loss, did."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(self.defaults.get("differentiable", False)):
            update = getattr(self.update, "__func__", None)
            for course in self._courses_of_groups():
                course.begin(update)
                if not course.all_again(self):
                    self._step_one_by_one(course)
        window.state.window.stepped(self, None, None)
        return loss

    def _start(self, state: ParameterState, param: Any, group: Group) -> None:
        if "step" in self.numbers:
            state.set_number("step", 0.0)
        self.init_state(state, param, group)

    def init_state(self, state: ParameterState, param: Any, group: Group) -> None:
        """Fill the state of a parameter that has its first gradient."""

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        """The formula: change `param` and the tensors in `state` in place. Options in `group` are plain numbers."""
        raise NotImplementedError(
            f"{type(self).__name__} has neither an `update` (one parameter's formula) nor a `step`"
        )

    def decay(self, param: Any, grad: Any, group: Group) -> Any:
        """Weight decay: part of the gradient (an L2 penalty), or straight on the parameter if decoupled."""
        weight_decay = group.get("weight_decay", 0)
        if isinstance(weight_decay, (int, float)) and weight_decay == 0:
            return grad
        if not group.get("decoupled_weight_decay", False):
            return grad + weight_decay * param
        param.mul_(1 - group["lr"] * weight_decay)
        return grad

    def _courses_of_groups(self) -> Sequence[Course]:
        """The course of each group: that from the last step if it is the same group."""
        groups, known = self.param_groups, self._courses
        if len(known) != len(groups) or not all([c.group is group for c, group in zip(known, groups, strict=True)]):
            lasting = type(self).__module__.startswith("flambeau.optim.")
            self._courses = known = [Course(group, lasting) for group in groups]
        return known

    def _step_one_by_one(self, course: Course) -> None:
        for param in course.group["params"]:
            grad = param.grad
            if grad is not None:
                window.state.window.stepped(self, course.group, param)
                self._step_parameter(param, grad, course)
        course.end()

    def _step_parameter(self, param: Any, grad: Any, course: Course) -> None:
        group = course.options
        self._check_layout(grad, group)
        state = self._state_of(param)
        if not state:
            self._start(state, param, group)
        if "step" in self.numbers:
            state.set_number("step", state.number("step") + 1.0)
        if grad.is_sparse:
            return self.update_rows(param, grad, state, group)
        if not self.elementwise or group.get("differentiable", False) or state.is_shown():
            return self._update_parameter(param, grad, state, group)
        if not course.again(self, param, grad, state):
            with course.recording(param, grad, state):
                self._update_parameter(param, grad, state, group)

    def _update_parameter(self, param: Any, grad: Any, state: ParameterState, group: Group) -> None:
        if group.get("maximize", False):
            grad = -grad
        if group.get("differentiable", False):
            state.detach_from_past()
        grad = self.decay(param, grad, group)
        if self.complex_as_real and param.is_complex():
            self.update(torch.view_as_real(param), torch.view_as_real(grad), RealView(state), group)
        else:
            self.update(param, grad, state, group)

    def _check_layout(self, grad: Any, group: Group) -> None:
        name = type(self).__name__
        if not grad.is_sparse:
            if not self.accepts_dense:
                raise RuntimeError(f"{name} does not support dense gradients, please consider Adam instead")
        elif not self.accepts_sparse:
            raise RuntimeError(explain(f"{name} does not support sparse gradients", hint=self._for_sparse))
        elif group.get("weight_decay", 0) != 0:
            fact = "weight_decay option is not compatible with sparse gradients"
            raise RuntimeError(explain(fact, hint="weight decay would change the rows without a gradient too"))

    def update_rows(self, param: Any, grad: Any, state: ParameterState, group: Group) -> None:
        """The same formula for the rows that a sparse gradient touches; all others stay as they are."""
        grad = grad.coalesce()  # formulas are not linear: each row must occur once
        values = grad._values()
        if values.numel() == 0:
            return
        rows = tuple(grad._indices())
        touched, view = param[rows], RowView(state, rows)
        self.update(touched, -values if group.get("maximize", False) else values, view, group)
        param[rows] = touched
        view.put_back()

    _for_sparse = "use SparseAdam, SGD or Adagrad, or make the gradient dense (Embedding(..., sparse=False))"

    def _state_of(self, param: Any) -> ParameterState:
        state = self.state[param]
        if type(state) is not ParameterState:  # a user has put a dict of his own there
            state = self.state[param] = ParameterState(state)
        return state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with `set_to_none=False`, keep the tensors and fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    grad.detach_() if grad.grad_fn is not None else grad.requires_grad_(False)
                    grad.zero_()

    # ---- parameter groups ----

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dict with `"params"` and the options in which it differs from the defaults.

        Example::

            >>> import flambeau as torch
            >>> a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
            >>> optimizer = torch.optim.SGD(a.parameters(), lr=0.1)
            >>> optimizer.add_param_group({"params": b.parameters(), "lr": 0.01})
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _groups.list_params(param_group)
        for param in param_group["params"]:
            _groups.check_param(param, results_too=bool(self.defaults.get("differentiable")))
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        _groups.check_against_others(param_group, self.param_groups)
        self.param_groups.append(param_group)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join(lines) + "\n)"

    # ---- saving and loading ----

    def state_dict(self) -> dict[str, Any]:
        """The state, in PyTorch's form: `{"state": {index: {name: value}}, "param_groups": [...]}`.

        Parameters are numbered through all groups and not saved themselves.

        Example::

            >>> import flambeau as torch
            >>> w = torch.ones(2, requires_grad=True)
            >>> optimizer = torch.optim.Adagrad([w], lr=0.5)
            >>> w.sum().backward()
            >>> optimizer.step()
            >>> optimizer.state_dict()["state"]
            {0: {'step': tensor(1.), 'sum': tensor([1., 1.])}}
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state_dict = _saving.pack(self.state, self.param_groups)
        for after in self._optimizer_state_dict_post_hooks.values():
            state_dict = after(self, state_dict) or state_dict
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch. State gets the dtype and device of its
        parameter.

        Raises:
            ValueError: if the groups differ in number or in size.
        """
        state_dict = state_dict.copy()
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict
        numbers = self.numbers if type(self).step is Optimizer.step else ()
        state, groups = _saving.unpack(state_dict, self.param_groups, numbers)
        self.__setstate__({"state": state, "param_groups": groups})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hook_tables()
        for group in self.param_groups:
            for name, default in self.defaults.items():
                # A switch that an older checkpoint does not know was off when it was written.
                group.setdefault(name, False if isinstance(default, bool) else default)

    # ---- hooks ----

    def _make_hook_tables(self) -> None:
        for table in _HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new `(args, kwargs)`."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict` collected; what it returns replaces the result."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns, if anything, is loaded."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    _optimizer_step_pre_hooks: OrderedDict[int, Callable]
    _optimizer_step_post_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable]
