"""Where tensors stand among the objects of a checkpoint."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch

PLAIN = (str, bytes, bytearray, int, float, complex, type(None), torch.Size)


def names_of(objects: Any, storage: Any) -> list[str]:
    """The keys that lead to the tensors over `storage`, joined by dots: `"model.layer1.weight"`; "" for the object
    itself.

    Example::

        >>> import flambeau as torch
        >>> weight = torch.ones(2)
        >>> names_of({"layer": [weight]}, weight._storage)
        ['layer.0']
    """
    found, seen, todo = [], set[int](), [("", objects)]
    while todo:
        name, value = todo.pop()
        if isinstance(value, PLAIN) or id(value) in seen:
            continue
        seen.add(id(value))
        if getattr(value, "_storage", None) is storage:
            found.append(name)
        todo.extend((f"{name}.{key}" if name else str(key), item) for key, item in _items(value))
    return sorted(found)


def damaged(file: str, objects: Any, storages: dict[str, Any], damage: dict[str, str]) -> RuntimeError:
    """The error that says which tensors' data are damaged, of the storages in `damage`."""
    lines = []
    for key, what in damage.items():
        places = names_of(objects, storages[key]._storage) if key in storages else []
        names = " and ".join(f'"{name}"' for name in places if name)
        lines.append(f"the data of {names or f'storage {key}'} is damaged: {what}")
    return RuntimeError(f"{file}: " + "\n  ".join(lines) + "\n  hint: copy or save the file again")


def _items(value: Any) -> list[tuple[Any, Any]]:
    """What stands in a container or an object, with its keys; keys that are no plain ones are left out."""
    if isinstance(value, dict):
        return [(key if isinstance(key, str | int) else "?", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(enumerate(value))
    return list(getattr(value, "__dict__", {}).items())
