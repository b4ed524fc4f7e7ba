"""`torch.utils._pytree`: nested containers under PyTorch's names, which many libraries use though they are private.

How trees are taken apart stands in `_core.trees`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flambeau._core import trees
from flambeau._core.trees import (
    CONTAINERS as SUPPORTED_NODES,
)
from flambeau._core.trees import (
    Container,
    GetAttrKey,
    MappingKey,
    SequenceKey,
    TreeSpec,
    is_named_tuple,
    register,
)

__all__ = [
    "GetAttrKey", "LeafSpec", "MappingKey", "PyTree", "SequenceKey", "SUPPORTED_NODES", "TreeSpec", "key_get",
    "is_namedtuple", "is_namedtuple_class", "is_namedtuple_instance", "keystr", "register_pytree_node", "tree_all",
    "tree_all_only", "tree_any", "tree_any_only", "tree_flatten", "tree_flatten_with_path", "tree_is_leaf", "tree_iter",
    "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_", "tree_map_only", "tree_map_only_",
    "tree_map_with_path", "tree_structure", "tree_unflatten", "treespec_dumps", "treespec_loads", "treespec_pprint",
]  # fmt: skip

PyTree = Any
PyTreeSpec = TreeSpec
IsLeaf = Callable[[Any], bool] | None


def LeafSpec() -> TreeSpec:  # noqa: N802 (a class in PyTorch)
    """How a tree that is a leaf is held together.

    Example::

        >>> LeafSpec()
        *
    """
    return trees.LEAF


# ---------------------------------------------------------------------------------------------- kinds of containers

# Of registered classes: the name in JSON -> the class, and what turns the context into JSON and back.
_names: dict[str, type] = {}
_dumps: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable[[Any], Any] | None = None,
    from_dumpable_context: Callable[[Any], Any] | None = None,
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Make `cls` a kind of container: `flatten_fn(tree)` gives (children, context), `unflatten_fn(children, context)`
    the tree. `flatten_with_keys_fn` gives pairs of the step to a child and the child. The further arguments are for
    `treespec_dumps`: a name, and the context as JSON and back.

    Raises:
        ValueError: `cls` is registered already.

    Example::

        >>> class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        >>> register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
        >>> tree_leaves([Pair(1, 2), 3])
        [1, 2, 3]
    """
    keys = None if flatten_with_keys_fn is None else lambda tree: [key for key, _ in flatten_with_keys_fn(tree)[0]]
    register(cls, Container(flatten_fn, unflatten_fn, keys))
    if serialized_type_name is not None:
        _names[serialized_type_name] = cls
    if to_dumpable_context is not None and from_dumpable_context is not None:
        _dumps[cls] = to_dumpable_context, from_dumpable_context


def _register_pytree_node(cls: type, *args: Any, **kwargs: Any) -> None:
    """`register_pytree_node` by its former name, which lets a class be registered again."""
    if cls not in SUPPORTED_NODES:
        register_pytree_node(cls, *args, **kwargs)


def is_namedtuple_class(cls: type) -> bool:
    """Is that a class of named tuples?"""
    return isinstance(cls, type) and is_named_tuple(cls)


def is_namedtuple_instance(obj: object) -> bool:
    """Is that a named tuple?"""
    return is_named_tuple(type(obj))


def is_namedtuple(obj: object) -> bool:
    """Is that a named tuple, or a class of them?

    Example::

        >>> is_namedtuple(SequenceKey(0)), is_namedtuple((0,))
        (True, False)
    """
    return is_namedtuple_class(obj) if isinstance(obj, type) else is_namedtuple_instance(obj)


def _get_node_type(tree: Any) -> Any:
    """The class that tells how `tree` is taken apart."""
    kind = type(tree)
    return tuple if kind not in SUPPORTED_NODES and is_named_tuple(kind) else kind


def _dict_flatten(d: dict) -> tuple[list[Any], list[Any]]:
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d: dict) -> tuple[list[tuple[Any, Any]], list[Any]]:
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


def _dict_unflatten(values: Iterable[Any], context: list[Any]) -> dict:
    return dict(zip(context, values, strict=True))


# ---------------------------------------------------------------------------------------------- taking apart


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Is that no container, or one that `is_leaf` declares to be a leaf?

    Example::

        >>> tree_is_leaf(1), tree_is_leaf([1])
        (True, False)
    """
    return trees.container_of(tree) is None or is_leaf is not None and is_leaf(tree)


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """(the leaves in order, how they are held together).

    Example::

        >>> tree_flatten({"a": 1, "b": (2, 3)})
        ([1, 2, 3], TreeSpec(dict, ['a', 'b'], [*,
          TreeSpec(tuple, None, [*,
            *])]))
    """
    return trees.flatten(tree, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of these leaves; TypeError for something else than a TreeSpec, ValueError for another number of leaves.

    Example::

        >>> tree_unflatten([10, 20], tree_structure((1, 2)))
        (10, 20)
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves in order.

    Example::

        >>> tree_leaves({"a": 1, "b": (2, None)})
        [1, 2, None]
    """
    return trees.flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """The leaves, one by one.

    Example::

        >>> list(tree_iter([1, [2]]))
        [1, 2]
    """
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeSpec:
    """How the leaves are held together.

    Example::

        >>> tree_structure([1, 2]).num_leaves
        2
    """
    return trees.flatten(tree, is_leaf)[1]


def tree_flatten_with_path(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[tuple[tuple, Any]], TreeSpec]:
    """(pairs of the path to a leaf and the leaf, how they are held together).

    Example::

        >>> [(keystr(path), leaf) for path, leaf in tree_flatten_with_path({"a": [1, 2]})[0]]
        [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return list(trees.paths(tree, is_leaf)), tree_structure(tree, is_leaf)


def tree_leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[tuple, Any]]:
    """Pairs of the path to a leaf and the leaf."""
    return list(trees.paths(tree, is_leaf))


def keystr(kp: tuple) -> str:
    """A path as one writes it.

    Example::

        >>> keystr((MappingKey("a"), SequenceKey(0), GetAttrKey("b")))
        "['a'][0].b"
    """
    return "".join([str(key) for key in kp])


def key_get(obj: Any, kp: tuple) -> Any:
    """What stands at the end of a path.

    Example::

        >>> key_get({"a": [1, 2]}, (MappingKey("a"), SequenceKey(1)))
        2
    """
    for key in kp:
        obj = key.get(obj)
    return obj


# ---------------------------------------------------------------------------------------------- functions of leaves


def tree_map(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """`func` of every leaf, and of what further trees have in its place, in a tree of the same form.

    Example::

        >>> tree_map(lambda a, b: a + b, {"x": 1}, {"x": 10})
        {'x': 11}
    """
    return trees.mapped(func, tree, *rests, is_leaf=is_leaf)


def tree_map_(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Call `func` of every leaf, for what it does; the tree itself is returned."""
    trees.mapped(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_with_path(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """`tree_map` of a function that gets the path to the leaf first.

    Example::

        >>> tree_map_with_path(lambda path, leaf: keystr(path), [1, [2]])
        ['[0]', ['[1][0]']]
    """
    leaves, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    columns = zip(leaves, *others, strict=True)
    return spec.unflatten([func(path, leaf, *rest) for (path, leaf), *rest in columns])


def _chosen(kinds: Any) -> Callable[[Any], bool]:
    """A test for leaves of these classes; a function is one itself."""
    if isinstance(kinds, type) or isinstance(kinds, tuple):
        return lambda leaf: isinstance(leaf, kinds)
    return kinds


def tree_map_only(type_or_types_or_pred: Any, /, func: Callable, tree: Any, is_leaf: IsLeaf = None) -> Any:
    """`func` of the leaves of a class (of several, or that a function chooses); the others stay.

    Example::

        >>> tree_map_only(int, lambda x: -x, [1, "a", (2,)])
        [-1, 'a', (-2,)]
    """
    is_chosen = _chosen(type_or_types_or_pred)
    return tree_map(lambda leaf: func(leaf) if is_chosen(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, /, func: Callable, tree: Any, is_leaf: IsLeaf = None) -> Any:
    """Call `func` of the leaves of a class; the tree itself is returned."""
    tree_map_only(type_or_types_or_pred, func, tree, is_leaf=is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Does `pred` hold of all leaves?

    Example::

        >>> tree_all(bool, [1, (2,)]), tree_any(bool, [0, (0,)])
        (True, False)
    """
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Does `pred` hold of any leaf?"""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Does `pred` hold of all leaves of a class?"""
    return all([pred(leaf) for leaf in tree_leaves(tree, is_leaf) if isinstance(leaf, type_or_types)])


def tree_any_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Does `pred` hold of any leaf of a class?"""
    return any([pred(leaf) for leaf in tree_leaves(tree, is_leaf) if isinstance(leaf, type_or_types)])


def _broadcast_to_and_flatten(tree: Any, treespec: TreeSpec, is_leaf: IsLeaf = None) -> list[Any] | None:
    """One entry of `tree` for each leaf of the spec; None if they do not fit."""
    return trees.broadcast(tree, treespec.unflatten([None] * treespec.num_leaves))


# ---------------------------------------------------------------------------------------------- as text

PROTOCOL = 1  # PyTorch's number for this format of JSON


def treespec_dumps(treespec: TreeSpec, protocol: int | None = None) -> str:
    """The spec as JSON, in PyTorch's format; NotImplementedError for a class that was registered without a name.

    Example::

        >>> treespec_loads(treespec_dumps(tree_structure({"a": [1, 2]}))) == tree_structure({"a": [1, 2]})
        True
    """
    if protocol not in (None, PROTOCOL):
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{PROTOCOL}]")
    return json.dumps([PROTOCOL, _as_json(treespec)])


def treespec_loads(serialized: str) -> TreeSpec:
    """The spec that `treespec_dumps` wrote; ValueError for another format."""
    protocol, spec = json.loads(serialized)
    if protocol != PROTOCOL:
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{PROTOCOL}]")
    return _from_json(spec)


def _as_json(spec: TreeSpec) -> dict[str, Any]:
    if spec.type is None:
        return {"type": None, "context": None, "children_spec": []}
    name = next((n for n, kind in _json_names().items() if kind is spec.type), None)
    if name is None:
        raise NotImplementedError(
            f"No registered serialization name for {spec.type} found. Please use the `serialized_type_name` argument "
            "of register_pytree_node."
        )
    write = _dumps[spec.type][0] if spec.type in _dumps else json.dumps
    return {"type": name, "context": write(spec.context), "children_spec": [_as_json(c) for c in spec.children()]}


def _from_json(spec: dict[str, Any]) -> TreeSpec:
    if spec["type"] is None:
        return trees.LEAF
    kind = _json_names().get(spec["type"])
    if kind is None:
        raise NotImplementedError(f"No registered container has the serialized name {spec['type']!r}.")
    read = _dumps[kind][1] if kind in _dumps else json.loads
    return TreeSpec(kind, read(spec["context"]), [_from_json(c) for c in spec["children_spec"]])


def _json_names() -> dict[str, type]:
    own = [kind for kind in SUPPORTED_NODES if kind.__module__ in ("builtins", "collections")]
    return {f"{kind.__module__}.{kind.__name__}": kind for kind in own} | _names


def treespec_pprint(treespec: TreeSpec) -> str:
    """The spec as one reads it: the tree with stars for leaves.

    Example::

        >>> treespec_pprint(tree_structure({"a": [1, 2]}))
        "{'a': [*, *]}"
    """

    class Star:
        def __repr__(self) -> str:
            return "*"

    return repr(treespec.unflatten([Star() for _ in range(treespec.num_leaves)]))
