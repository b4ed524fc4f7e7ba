"""Checkpointing (`torch.utils.checkpoint`): what a part of a network saves for backward is computed again when backward
comes to it, which takes time and spares memory (Chen et al. 2016).

The part runs with hooks that put placeholders in the place of saved tensors. The first of them that backward asks for
runs the part again, with the same random numbers and precision, until everything is there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from flambeau import _api as torch
from flambeau import amp, autograd, random
from flambeau._core.homes import absent
from flambeau.autograd.graph import saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "DefaultDeviceType",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function saved other tensors than the first."""


class _AllThere(Exception):
    """The second run has saved all that backward can ask for."""


class _Settings:
    early_stop: bool | None = None
    debug: bool | None = None


class set_checkpoint_early_stop:  # noqa: N801 (PyTorch's name)
    """A context that says, for checkpoints made inside, whether the second run stops as soon as everything is there.

    Example::

        >>> with set_checkpoint_early_stop(False):
        ...     y = checkpoint(torch.exp, torch.ones(1, requires_grad=True), use_reentrant=False)
    """

    setting = "early_stop"

    def __init__(self, enable: bool | None) -> None:
        self.enable = enable

    def __enter__(self) -> None:
        self.before = getattr(_Settings, self.setting)
        setattr(_Settings, self.setting, self.enable)

    def __exit__(self, *exception: Any) -> None:
        setattr(_Settings, self.setting, self.before)


class set_checkpoint_debug_enabled(set_checkpoint_early_stop):  # noqa: N801 (PyTorch's name)
    """A context that says, for checkpoints made inside, whether an error about the second run lists all saved tensors.

    Example::

        >>> with set_checkpoint_debug_enabled(True):
        ...     y = checkpoint(torch.exp, torch.ones(1, requires_grad=True), use_reentrant=False)
    """

    setting = "debug"


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: the default for the first and the second run.

    Example::

        >>> len(noop_context_fn())
        2
    """
    return nullcontext(), nullcontext()


class _State:
    """What a second run must find as the first found it: random numbers and precision."""

    def __init__(self, preserve_random: bool) -> None:
        self.random = random.get_rng_state() if preserve_random else None
        self.precision = (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))

    def run(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call a function in this state, leaving the present one as it is."""
        enabled, dtype = self.precision
        with random.fork_rng(enabled=self.random is not None), amp.autocast("cpu", dtype, enabled), torch.enable_grad():
            if self.random is not None:
                random.set_rng_state(self.random)
            return function(*args, **kwargs)


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, which runs again in backward instead of keeping what it saved.

    With `use_reentrant=False` (recommended) everything works inside that works outside. `use_reentrant=True`, which
    without the argument is what PyTorch's default means (with a warning), keeps only the tensors among `args` and needs
    one of them to require gradients. `context_fn` returns a context for the first and one for the second run;
    `determinism_check="none"` allows the second run to save other shapes.

    CheckpointError, in backward, if the second run saves something else than the first.

    Example::

        >>> x = torch.zeros(2, requires_grad=True)
        >>> checkpoint(lambda t: t.exp().sin(), x, use_reentrant=False).sum().backward()
        >>> x.grad
        tensor([0.5403, 0.5403])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is "
            "recommended, use_reentrant=True is what the default means",
            UserWarning,
            stacklevel=2,
        )
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], got {determinism_check!r}")
    first, second = context_fn()
    stop = early_stop if _Settings.early_stop is None else _Settings.early_stop
    verbose = debug if _Settings.debug is None else _Settings.debug
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    state = _State(preserve_rng_state)

    def again() -> Any:
        with second:
            return state.run(function, *args, **kwargs)

    record = _Record(again, determinism_check == "default", stop, verbose)
    with saved_tensors_hooks(record.pack, record.unpack), first:
        result = function(*args, **kwargs)
    record.complete = True
    return result


class _Record:
    """The tensors that a function saved: what they look like, and, once backward has asked for one, what they are."""

    def __init__(self, again: Callable, check: bool, early_stop: bool, debug: bool) -> None:
        self.again, self.check, self.early_stop, self.debug = again, check, early_stop, debug
        self.looks: list[tuple] = []
        self.tensors: dict[int, Any] = {}
        self.complete = False

    def pack(self, t: Any) -> int:
        """A number in the place of the tensor."""
        self.looks.append(_look(t))
        return len(self.looks) - 1

    def unpack(self, number: int) -> Any:
        """The tensor; it is handed out once, and computed again if it is asked for again."""
        if number not in self.tensors:
            self._run_again()
        return self.tensors.pop(number)

    def _run_again(self) -> None:
        count = 0
        self.tensors = {}

        def keep(t: Any) -> Any:
            nonlocal count
            if count < len(self.looks):
                self._compare(count, t)
                self.tensors[count] = t.detach()
            count += 1
            if self.early_stop and self.complete and count == len(self.looks):
                raise _AllThere
            return t.detach()

        try:
            with saved_tensors_hooks(keep, lambda t: t):
                self.again()
        except _AllThere:
            pass
        if count < len(self.looks) or (self.check and count > len(self.looks)):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self.looks)}\nNumber of tensors saved "
                f"during recomputation: {count}."
            )

    def _compare(self, number: int, t: Any) -> None:
        if self.check and _look(t) != self.looks[number]:
            listed = f"\nsaved in forward: {self.looks}" if self.debug else ""
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                f"during the forward pass.\ntensor at position {number}:\nsaved metadata: {self.looks[number]}\n"
                f"recomputed metadata: {_look(t)}{listed}"
            )


def _look(t: Any) -> tuple:
    return tuple(t.shape), t.dtype, t.device


class CheckpointFunction(torch.autograd.Function):
    """The reentrant form: forward keeps the arguments alone, backward runs the function again and backward through
    it."""

    @staticmethod
    def forward(ctx: Any, function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        """Run the function without a graph."""
        ctx.function, ctx.state = function, _State(preserve_rng_state)
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, torch.Tensor)]
        ctx.others = [None if isinstance(a, torch.Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Run it with a graph, and backward through that."""
        args = list(ctx.others)
        for i, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = t.detach().requires_grad_(t.requires_grad) if t.dtype.differentiable else t
        outputs = ctx.state.run(ctx.function, *args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, torch.Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        found = [a.grad if isinstance(a, torch.Tensor) and a.requires_grad else None for a in args]
        return (None, None, *found)


# ------------------------------------------------------------------- what functions like these are made of


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs cut off from the graph: leaves that require gradients where the inputs do; what is no tensor as it is.

    RuntimeError for what is no tuple.

    Example::

        >>> x = torch.ones(1, requires_grad=True)
        >>> detach_variable((x * 2, "text"))
        (tensor([2.], requires_grad=True), 'text')
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple([t.detach().requires_grad_(t.requires_grad) if isinstance(t, torch.Tensor) else t for t in inputs])


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if none of the inputs requires gradients, so that there would be none.

    Example::

        >>> check_backward_validity([torch.ones(1, requires_grad=True)])
    """
    if not any(t.requires_grad for t in inputs if isinstance(t, torch.Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The numbers of the devices, apart from the CPU, that the tensors among `args` are on, and the states of their
    generators: there are no such devices.

    Example::

        >>> get_device_states(torch.ones(1))
        ([], [])
    """
    return [], []


def set_device_states(devices: Sequence[int], states: Sequence[Any], *, device_type: str | None = None) -> None:
    """Set the states of devices' generators, as `get_device_states` gave them. NotImplementedError for a device.

    Example::

        >>> set_device_states(*get_device_states(torch.ones(1)))
    """
    if len(devices):
        kind = device_type or DefaultDeviceType.get_device_type()
        raise NotImplementedError(f"set_device_states: there are no devices of the kind {kind!r}, got {list(devices)}")


class DefaultDeviceType:
    """The kind of device whose random numbers checkpoints preserve, beside the CPU's: "cpu", there is no other.

    Example::

        >>> DefaultDeviceType.get_device_type()
        'cpu'
    """

    _chosen = "cpu"

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Choose a kind of device. It is remembered, and has no generators."""
        DefaultDeviceType._chosen = device

    @staticmethod
    def get_device_type() -> str:
        """The kind of device."""
        return DefaultDeviceType._chosen


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """`input` through a sequence of modules or functions, checkpointed in `segments` parts; the last part is kept as it
    is.

    Example::

        >>> layers = [torch.sin, torch.exp, torch.cos]
        >>> checkpoint_sequential(layers, 2, torch.zeros(1, requires_grad=True), use_reentrant=False)
        tensor([0.5403], grad_fn=<CosBackward0>)
    """
    layers: Sequence[Callable] = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def part(start: int, end: int) -> Callable:
        def run(x: Any) -> Any:
            for layer in layers[start:end]:
                x = layer(x)
            return x

        return run

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(part(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return part(end, len(layers))(input)


__getattr__ = absent("torch.utils.checkpoint")
