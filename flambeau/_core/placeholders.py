"""Classes and functions that libraries import without needing them: to ask `isinstance`, to write annotations.

Such a name must be there for the library to be imported. Of the classes there are no objects: making one, and calling
one of the functions, is a NotImplementedError that says what comes nearest.
"""

from __future__ import annotations

from typing import Any

from flambeau._core.errors import explain


def placeholders(namespace: str, missing: str, nearest: str, classes: str = "", functions: str = "") -> dict[str, Any]:
    """Name -> class or function, of the names given in two strings; `missing` and `nearest` as in `_core.unsupported`.

    Example::

        >>> made = placeholders("torch.fx", "programs are not traced", "torch.compile", classes="Graph")
        >>> isinstance(3, made["Graph"])
        False
    """

    def refuse(name: str) -> NotImplementedError:
        fact = f"{namespace}.{name} is not implemented: {missing}"
        return NotImplementedError(explain(fact, hint=f"nearest is {nearest}"))

    def made(name: str) -> Any:
        def refused(*args: Any, **kwargs: Any) -> Any:
            raise refuse(name)

        refused.__name__ = refused.__qualname__ = name
        refused.__module__ = namespace.replace("torch", "flambeau", 1)
        refused.__doc__ = f"NotImplementedError: {missing}."
        return refused

    def of_class(name: str) -> type:
        body = {"__new__": made(name), "__doc__": f"There are no objects of this class: {missing}."}
        return type(name, (), body | {"__module__": namespace.replace("torch", "flambeau", 1)})

    return {name: of_class(name) for name in classes.split()} | {name: made(name) for name in functions.split()}
