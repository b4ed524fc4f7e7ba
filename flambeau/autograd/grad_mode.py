"""Whether operations build a graph: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

Each works as a context manager and as a decorator (of functions and of generator functions), and holds for its thread
only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau._core.lazy import lazy_module
from flambeau._engine.window import state

inspect = lazy_module("inspect")

_IS_GENERATOR = 0x20  # inspect.CO_GENERATOR


class GradMode:
    """A context manager that sets the gradient mode and restores it; also a decorator."""

    mode = True

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Any:
        self._before.append(state.grad_enabled)
        state.grad_enabled = self.mode
        return self

    def __exit__(self, *_: object) -> None:
        state.grad_enabled = self._before.pop()

    def clone(self) -> GradMode:
        return type(self)()

    def __call__(self, function: Callable) -> Callable:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _IS_GENERATOR:
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def _wrap_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            sent = None
            while True:
                with self.clone():
                    try:
                        item = generator.send(sent)
                    except StopIteration as stop:
                        return stop.value
                sent = yield item

        return wrapped


class no_grad(GradMode):  # noqa: N801 (PyTorch's name)
    """Operations inside build no graph; `with no_grad():` or `@no_grad()`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    mode = False

    def __new__(cls, function: Callable | None = None) -> Any:
        mode = object.__new__(cls)
        if function is None:
            return mode
        mode.__init__()  # type: ignore[misc]
        return mode(function)  # `@no_grad` without parentheses

    def __init__(self, function: Callable | None = None) -> None:
        super().__init__()


class enable_grad(no_grad):  # noqa: N801
    """Operations inside build a graph, also within `no_grad`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.no_grad(), torch.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        True
    """

    mode = True


class set_grad_enabled(GradMode):  # noqa: N801
    """Switch the gradient mode at once; as a context manager, for the block only.

    Example::

        >>> import flambeau as torch
        >>> with torch.set_grad_enabled(False):
        ...     torch.is_grad_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        self._before = [state.grad_enabled]
        self.mode = bool(mode)
        state.grad_enabled = self.mode

    def __enter__(self) -> Any:
        state.grad_enabled = self.mode
        return self

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __call__(self, function: Callable) -> Callable:
        state.grad_enabled = self._before.pop()  # a decorator changes nothing until the function runs
        return super().__call__(function)


class inference_mode(GradMode):  # noqa: N801
    """Like `no_grad`, and tensors made inside say `is_inference()`: RuntimeError for changing them in place outside,
    and for computing with gradients what backward needs them for. `inference_mode(False)` ends the mode for its block.

    Example::

        >>> import flambeau as torch
        >>> with torch.inference_mode():
        ...     torch.is_inference_mode_enabled()
        True
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if callable(mode):
            self.__init__()  # type: ignore[misc]
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.enabled = bool(mode)
        self._was: list[bool] = []

    def __enter__(self) -> Any:
        self.mode = not self.enabled and state.grad_enabled
        self._was.append(state.inference)
        state.inference = self.enabled
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        state.inference = self._was.pop()

    def clone(self) -> inference_mode:
        return inference_mode(self.enabled)


def is_grad_enabled() -> bool:
    """Do operations of this thread build a graph now?

    Example::

        >>> is_grad_enabled()
        True
    """
    return state.grad_enabled


def is_inference_mode_enabled() -> bool:
    """Is this thread inside `inference_mode`?

    Example::

        >>> is_inference_mode_enabled()
        False
    """
    return state.inference


class Indifferent:
    """A switch of PyTorch's that has nothing to change here, as a context manager that remembers how it is set."""

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)

    def __enter__(self) -> Indifferent:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class set_multithreading_enabled(Indifferent):  # noqa: N801
    """Says whether backward may use several threads for several devices. It runs in the thread that calls it: the order
    of its operations is always the same.

    Example::

        >>> import flambeau as torch
        >>> with torch.autograd.set_multithreading_enabled(False):
        ...     torch.ones(1, requires_grad=True).backward()
    """


class enforce_grad_layout_policy(Indifferent):  # noqa: N801
    """Says whether gradients of leaves take the leaves' memory layout. They do where that costs no copy.

    Example::

        >>> import flambeau as torch
        >>> with torch.autograd.enforce_grad_layout_policy(True):
        ...     torch.ones(1, requires_grad=True).backward()
    """
