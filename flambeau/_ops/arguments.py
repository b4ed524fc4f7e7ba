"""What is said of an argument that is no tensor, though the operation uses it as one.

Nothing is checked beforehand: bodies are written as if tensors had come, and what goes wrong is looked at here. Lists
and words that an operation would keep, to fail when it runs, are found when its result is inferred.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flambeau._core import errors
from flambeau._core.sites import user_site
from flambeau._ir.recording import TensorBase

NO_TENSORS = (list, tuple, str, type(None), bool, int, float, complex)


def refuse_others(
    name: str, parameters: Sequence[str], args: Sequence[Any], named: Mapping[str, Any], error: Exception
) -> None:
    """TypeError if `error` came from an argument that is no tensor; returns if it is about something else.

    The culprit is the object whose attribute was missed, an argument or an element of one; of errors that do not name
    it the first argument, where that is an `input`.
    """
    if "argument '" in str(error) or isinstance(error, AttributeError) and not error.name:  # raised by hand
        return
    given = [*zip(parameters, args, strict=False), *named.items()]
    missed = error.obj if isinstance(error, AttributeError) else error
    first = [(p, x) for p, x in given[:1] if p.startswith("input") and isinstance(x, NO_TENSORS)]
    for parameter, value in [*[(p, x) for p, x in given if x is missed], *first]:
        if not isinstance(value, TensorBase):
            position = parameters.index(parameter) + 1 if parameter not in named else 0
            raise not_a_tensor(name, parameter, position, value) from None
    _refuse_elements(name, [*given, ("tensors", args[len(parameters) :])], missed)


def _refuse_elements(name: str, given: Sequence[tuple[str, Any]], missed: Any) -> None:
    """TypeError if one of several tensors, in a list or given one by one, is none."""
    for parameter, values in given:
        for i, value in enumerate(values) if isinstance(values, (tuple, list)) else ():
            if value is missed and not isinstance(value, TensorBase):
                kind = type(value).__name__
                raise TypeError(
                    errors.explain(
                        f"{name}(): expected Tensor as element {i} in argument '{parameter}', but got {kind}",
                        site=user_site(4),
                    )
                ) from None


def refuse_collections(op: Any, places: Iterable[int], args: Sequence[Any]) -> None:
    """TypeError for a word or a list without a tensor in one of the `places` where tensors are expected; other places
    than the first may hold None."""
    for i in places:
        value = args[i] if i < len(args) else None
        if isinstance(value, (list, tuple)) and value:
            wrong = not any(isinstance(x, (TensorBase, list, tuple)) for x in value)
        else:
            wrong = isinstance(value, str) or (value is None and i == 0)
        if wrong:
            raise not_a_tensor(op.name, op.parameters[i], i + 1, value)


def check_tensor(input: Any, op: str, name: str = "input", position: int = 1) -> None:
    """TypeError unless `input` is a tensor."""
    if not isinstance(input, TensorBase):
        raise not_a_tensor(op, name, position, input)


def not_a_tensor(name: str, parameter: str, position: int, value: Any, wanted: str = "Tensor") -> TypeError:
    """The error for an argument that should have been a tensor: the `position`-th, or 0 if it was given by its name."""
    place = f" (position {position})" if position else ""
    return TypeError(
        errors.explain(
            f"{name}(): argument '{parameter}'{place} must be {wanted}, not {type(value).__name__}",
            hint=_remedy(name, value),
            site=user_site(3),
        )
    )


def _remedy(name: str, value: Any) -> str:
    if name == "matmul" and isinstance(value, (int, float)):
        return "with a number multiply by *"
    if isinstance(value, tuple) and any(isinstance(x, TensorBase) for x in value):
        return "this is a tuple of tensors: take one of them, as in output, state = lstm(x)"
    if isinstance(value, (list, tuple, int, float)) or hasattr(value, "__array__"):
        return "torch.tensor(...) makes a tensor of numbers, lists and arrays"
    return ""


def tensor_first(function: Callable) -> Callable:
    """A function of a tensor that is no operation, with the same errors."""

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AttributeError as error:
            refuse_others(function.__name__, ("input",), args, kwargs, error)
            raise

    return checked
