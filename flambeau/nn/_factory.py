"""The keyword arguments that say where and of which type a module creates its tensors."""

from __future__ import annotations

from typing import Any

_KNOWN = ("device", "dtype", "memory_format")


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """`device`, `dtype` and `memory_format` from keyword arguments, where they may also be nested in "factory_kwargs".

    Raises:
        TypeError: another keyword, or one that is given twice.

    Example:
        >>> factory_kwargs({"dtype": 1, "factory_kwargs": {"device": 2}})
        {'device': 2, 'dtype': 1}
    """
    given = dict(kwargs or {})
    found = dict(given.pop("factory_kwargs", {}))
    unknown = given.keys() - set(_KNOWN)
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    for name in _KNOWN:
        if name in given:
            if name in found:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            found[name] = given[name]
    return found
