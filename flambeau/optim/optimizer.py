"""The base of all optimizers: parameter groups, the course of a step, hooks, saving and loading.

An optimizer is its constructor, the state a parameter starts with (`init_state`) and a formula for one parameter
(`update`). Everything around the formula (closures, `maximize`, weight decay, complex and sparse gradients, counting
steps) is here.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeAlias

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._engine import window
from flambeau.nn.modules.module import RemovableHandle
from flambeau.optim import _saving
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
        self = args[0]
        if getattr(type(self), "step", None) is not step:  # called as super().step(...): the outer one has the hooks
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


class Optimizer:
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
    complex_as_real = True  # whether `update` is to see complex tensors as pairs of real numbers

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(ParameterState)
        self.param_groups: list[Group] = []
        self._make_hook_tables()
        for group in self._groups_from(params):
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
            for group in self.param_groups:
                options = {name: _plain(value) for name, value in group.items() if name != "params"}
                for param in group["params"]:
                    if param.grad is not None:
                        self._step_parameter(param, param.grad, options)
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

    def _step_parameter(self, param: Any, grad: Any, group: Group) -> None:
        state = self._state_of(param)
        if not state:
            self._start(state, param, group)
        if "step" in self.numbers:
            state.set_number("step", state.number("step") + 1.0)
        if grad.is_sparse:
            return self.update_rows(param, grad, state, group)
        if not self.accepts_dense:
            raise RuntimeError(f"{type(self).__name__} does not support dense gradients, please consider Adam instead")
        if group.get("maximize", False):
            grad = -grad
        if group.get("differentiable", False):
            state.detach_from_past()
        grad = self.decay(param, grad, group)
        if self.complex_as_real and param.is_complex():
            self.update(torch.view_as_real(param), torch.view_as_real(grad), RealView(state), group)
        else:
            self.update(param, grad, state, group)

    def update_rows(self, param: Any, grad: Any, state: ParameterState, group: Group) -> None:
        """The same formula for the rows that a sparse gradient touches; all others stay as they are."""
        name = type(self).__name__
        if not self.accepts_sparse:
            raise RuntimeError(explain(f"{name} does not support sparse gradients", hint=self._for_sparse))
        if group.get("weight_decay", 0) != 0:
            raise RuntimeError(
                explain(
                    "weight_decay option is not compatible with sparse gradients",
                    hint="weight decay would change the rows without a gradient too",
                )
            )
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

    def _groups_from(self, params: ParamsT) -> list[Group]:
        hint = f"pass the parameters of a module: {type(self).__name__}(model.parameters(), ...)"
        if isinstance(params, torch.Tensor):
            raise TypeError(
                explain(
                    "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                    f"but got {_type_name(params)}",
                    hint="a single tensor goes into a list: [tensor]",
                )
            )
        if callable(getattr(params, "parameters", None)):
            raise TypeError(
                explain(
                    "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                    f"but got the module {type(params).__name__}",
                    hint=hint,
                )
            )
        groups = list(params)
        if not groups:
            raise ValueError(
                explain(
                    "optimizer got an empty parameter list",
                    hint=hint + "; a generator that was "
                    "consumed once is empty, and so is a module whose layers are kept in a plain list",
                )
            )
        return groups if isinstance(groups[0], dict) else [{"params": groups}]

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
        self._list_params(param_group)
        for param in param_group["params"]:
            self._check_param(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        self._check_against_others(param_group)
        self.param_groups.append(param_group)

    @staticmethod
    def _list_params(group: Group) -> None:
        """Make `group["params"]` a list of tensors, and `group["param_names"]` that of their names, if any."""
        params = group["params"]
        if isinstance(params, set):
            raise TypeError(
                explain(
                    "optimizer parameters need to be organized in ordered collections, but a set has no order",
                    hint="use a list: saved state finds its parameter by position",
                )
            )
        params = [params] if isinstance(params, torch.Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        group["params"] = [p[1] for p in params] if names else params
        if names:
            group["param_names"] = names

    def _check_param(self, param: Any) -> None:
        if not isinstance(param, torch.Tensor):
            raise TypeError(
                explain(
                    "optimizer can only optimize Tensors, but one of the params is " + _type_name(param),
                    hint="of a module, pass module.parameters()",
                )
            )
        if not (self.defaults.get("differentiable") or param.is_leaf or param.retains_grad):
            raise ValueError(
                explain(
                    "can't optimize a non-leaf Tensor",
                    hint="the tensor is the result of an operation, so its gradient is not "
                    "kept; create it with requires_grad=True last, e.g. x.detach().requires_grad_()",
                )
            )

    def _check_against_others(self, group: Group) -> None:
        params = set(group["params"])
        if len(params) != len(group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                stacklevel=4,
            )
        for i, other in enumerate(self.param_groups):
            if ("param_names" in group) != ("param_names" in other):
                which = "with names" if "param_names" in group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {which} to the optimizer"
                )
            if not params.isdisjoint(other["params"]):
                shape = next(tuple(p.shape) for p in other["params"] if p in params)
                raise ValueError(
                    explain(
                        "some parameters appear in more than one parameter group",
                        hint=f"a parameter of shape {shape} is in group {i} already",
                    )
                )

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


def _plain(option: Any) -> Any:
    """An option as a Python number; a tensor that wants a gradient stays one."""
    if isinstance(option, torch.Tensor):
        return option.squeeze() if option.requires_grad else option.item()
    if type(option) is tuple:
        return tuple(map(_plain, option))
    return option


def _type_name(value: Any) -> str:
    return "torch.Tensor" if isinstance(value, torch.Tensor) else type(value).__name__
