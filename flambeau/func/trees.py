"""Nested containers of arguments: tuples, lists and dictionaries, with anything else as leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """(the leaves in order, a description that `unflatten` rebuilds the tree from).

    Example::

        >>> flatten({"a": 1, "b": (2, 3)})[0]
        [1, 2, 3]
    """
    leaves: list[Any] = []
    return leaves, _describe(tree, leaves)


def _describe(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        return type(tree), list(tree), [_describe(tree[key], leaves) for key in tree]
    if isinstance(tree, (tuple, list)):
        return type(tree), None, [_describe(item, leaves) for item in tree]
    leaves.append(tree)
    return None


def unflatten(leaves: Any, description: Any) -> Any:
    """The tree with other leaves.

    Example::

        >>> unflatten([10, 20], flatten([1, 2])[1])
        [10, 20]
    """
    return _rebuild(iter(leaves), description)


def _rebuild(leaves: Any, description: Any) -> Any:
    if description is None:
        return next(leaves)
    kind, keys, children = description
    items = [_rebuild(leaves, child) for child in children]
    if keys is not None:
        made = kind() if kind is not dict else {}
        made.update(zip(keys, items, strict=True))
        return made
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def mapped(function: Callable, tree: Any) -> Any:
    """`function` of every leaf, in a tree of the same form.

    Example::

        >>> mapped(str, {"a": (1, 2)})
        {'a': ('1', '2')}
    """
    leaves, description = flatten(tree)
    return unflatten([function(leaf) for leaf in leaves], description)


def broadcast(prefix: Any, tree: Any) -> list[Any] | None:
    """One entry of `prefix` for each leaf of `tree`: where a leaf of the prefix stands for a whole branch it is
    repeated. None if their forms do not fit.

    Example::

        >>> broadcast((0, None), ([1, 2], 3))
        [0, 0, None]
    """
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * len(flatten(tree)[0])
    if not isinstance(tree, (dict if isinstance(prefix, dict) else (tuple, list))) or len(prefix) != len(tree):
        return None
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    if isinstance(prefix, dict) and prefix.keys() != set(keys):
        return None
    parts = [broadcast(prefix[key], tree[key]) for key in keys]
    return None if any(p is None for p in parts) else [x for p in parts for x in p or ()]
