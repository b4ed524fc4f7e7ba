"""Keywords that name no parameter: the error names the one that was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module

difflib = lazy_module("difflib")
inspect = lazy_module("inspect")

LISTED = 8  # how many parameters a message lists at most


def unexpected(function: str, keyword: str, parameters: Iterable[str]) -> TypeError:
    """The error for a keyword that `function` does not take.

    Example::

        >>> print(unexpected("sum", "dims", ["input", "dim", "keepdim"]))
        sum() got an unexpected keyword argument 'dims'
          hint: did you mean 'dim'?
    """
    names = [p for p in parameters if not p.startswith("_") and p != "self"]
    nearest = _nearest(keyword, names)
    if nearest is not None:
        hint = f"did you mean '{nearest}'?"
    else:
        hint = f"it takes {', '.join(names)}" if 0 < len(names) <= LISTED else ""
    return TypeError(explain(f"{function}() got an unexpected keyword argument '{keyword}'", hint=hint))


def check(function: str, given: Iterable[str], parameters: Collection[str]) -> None:
    """TypeError for the first keyword that is no parameter."""
    for keyword in given:
        if keyword not in parameters:
            raise unexpected(function, keyword, parameters)


def explained(error: Exception, function: Callable, name: str, given: Iterable[str]) -> TypeError | None:
    """What Python said of a keyword in a call of `function` (the body of the function `name`), with the one that was
    meant; None for any other error."""
    said, _, _ = str(error).partition(". Did you mean")  # what Python 3.13 takes for meant
    for keyword in given:
        if said.endswith(f"{function.__name__}() got an unexpected keyword argument '{keyword}'"):
            return unexpected(name, keyword, inspect.signature(function).parameters)
    return None


class CheckedKeywords:
    """Base of classes whose constructor says which keyword was probably meant."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            code = getattr(cls.__init__, "__code__", None)
            if code is not None and not code.co_flags & inspect.CO_VARKEYWORDS:
                named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
                check(f"{cls.__name__}.__init__", kwargs, named)
        make = super().__new__
        return make(cls) if make is object.__new__ else make(cls, *args, **kwargs)


def _nearest(keyword: str, names: list[str]) -> str | None:
    """The name meant by `keyword`: one spelt nearly like it, one that it holds or begins (`use_bias`, `out`), or its
    initials (`learning_rate`)."""
    close = difflib.get_close_matches(keyword.lower(), names, 1, 0.7)
    if close:
        return close[0]
    words = keyword.lower().split("_")
    initials = "".join([w[:1] for w in words])
    for fits in (
        lambda name: name in words,
        lambda name: len(words) > 1 and name == initials,
        lambda name: name.startswith(keyword.lower()) or keyword.lower().startswith(name),
        lambda name: difflib.SequenceMatcher(None, keyword.lower(), name).ratio() > 0.55,
    ):
        found = next((name for name in names if fits(name)), None)
        if found is not None:
            return found
    return None
