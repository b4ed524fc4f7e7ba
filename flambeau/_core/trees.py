"""Nested containers: tuples, lists, dictionaries and whatever else was registered, with anything else as leaves.

A tree is taken apart into its leaves, in order, and a `TreeSpec`, which says how they were held together. The kinds of
containers are those of PyTorch's `torch.utils._pytree`: a class is one of them itself, its subclasses are leaves unless
they are registered, too; named tuples always are.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


class MappingKey(NamedTuple):
    """A step of a path into a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        return mapping[self.key]


class SequenceKey(NamedTuple):
    """A step of a path into a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        return sequence[self.idx]


class GetAttrKey(NamedTuple):
    """A step of a path to an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        return getattr(obj, self.name)


class Container(NamedTuple):
    """A kind of container: `flatten` gives its children and what else it takes to make it again, `unflatten` makes it
    of these; `keys` are the steps to the children."""

    flatten: Callable[[Any], tuple[Any, Any]]
    unflatten: Callable[[Any, Any], Any]
    keys: Callable[[Any], list[Any]] | None = None


def _values(mapping: Any) -> tuple[list[Any], list[Any]]:
    return list(mapping.values()), list(mapping)


def _mapping_keys(mapping: Any) -> list[Any]:
    return [MappingKey(key) for key in mapping]


def _sequence_keys(sequence: Any) -> list[Any]:
    return [SequenceKey(i) for i in range(len(sequence))]


def _default_values(mapping: Any) -> tuple[list[Any], Any]:
    return list(mapping.values()), [mapping.default_factory, list(mapping)]


def _attribute_keys(value: Any) -> list[Any]:
    return [GetAttrKey(name) for name in _fields(type(value)) or ()]


CONTAINERS: dict[type, Container] = {
    tuple: Container(lambda x: (list(x), None), lambda children, _: tuple(children), _sequence_keys),
    list: Container(lambda x: (x, None), lambda children, _: list(children), _sequence_keys),
    dict: Container(_values, lambda children, keys: dict(zip(keys, children, strict=True)), _mapping_keys),
    OrderedDict: Container(
        _values, lambda children, keys: OrderedDict(zip(keys, children, strict=True)), _mapping_keys
    ),
    defaultdict: Container(
        _default_values,
        lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
        _mapping_keys,
    ),
    deque: Container(
        lambda x: (list(x), x.maxlen), lambda children, maxlen: deque(children, maxlen=maxlen), _sequence_keys
    ),
}
# Classes with names for the places of a tuple: the class itself is what it takes to make one again.
_named_tuple = Container(lambda x: (list(x), type(x)), lambda children, kind: kind(*children), _attribute_keys)


def _fields(kind: type) -> tuple[str, ...] | None:
    """The names of a named tuple's places; None for another class."""
    names = getattr(kind, "_fields", None)
    named = issubclass(kind, tuple) and isinstance(names, tuple) and all([isinstance(n, str) for n in names])
    return names if named else None


def is_named_tuple(kind: type) -> bool:
    """Is that a class of named tuples?

    Example::

        >>> is_named_tuple(SequenceKey), is_named_tuple(tuple)
        (True, False)
    """
    return _fields(kind) is not None


def container_of(tree: Any) -> Container | None:
    """How to take `tree` apart; None for a leaf."""
    kind = type(tree)
    known = CONTAINERS.get(kind)
    return _named_tuple if known is None and issubclass(kind, tuple) and _fields(kind) is not None else known


def register(kind: type, container: Container) -> None:
    """Make `kind` a kind of container; ValueError if it is one already."""
    if kind in CONTAINERS:
        raise ValueError(f"{kind} is already registered as pytree node.")
    CONTAINERS[kind] = container


class TreeSpec:
    """How leaves are held together: by a container of class `type`, made with `context`, of these children; for a leaf
    the class is None.

    `num_leaves`, `num_nodes` and `num_children` count the leaves below, all nodes with this one, and the children.
    """

    __slots__ = ("type", "context", "_children", "num_leaves", "num_nodes")

    num_leaves: int
    num_nodes: int

    def __init__(self, type: type | None, context: Any, children: Iterable[TreeSpec] = ()) -> None:  # noqa: A002
        self.type = type
        self.context = context
        self._children = tuple(children)
        self.num_leaves = sum([c.num_leaves for c in self._children]) if type is not None else 1
        self.num_nodes = sum([c.num_nodes for c in self._children]) + 1

    @property
    def num_children(self) -> int:
        return len(self._children)

    @property
    def children_specs(self) -> list[TreeSpec]:
        return list(self._children)

    def is_leaf(self) -> bool:
        """Is this a leaf?"""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """How the children are held together."""
        return list(self._children)

    def child(self, index: int) -> TreeSpec:
        """The same of one child."""
        return self._children[index]

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves; ValueError if there are not as many as it has places."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._rebuild(iter(leaves))

    def _rebuild(self, leaves: Iterator[Any]) -> Any:
        if self.type is None:
            return next(leaves)
        children = [child._rebuild(leaves) for child in self._children]
        return (CONTAINERS.get(self.type) or _named_tuple).unflatten(children, self.context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What `tree`, which may go deeper, has in the places of the leaves; ValueError if it differs above them."""
        if self.type is None:
            return [tree]
        container = container_of(tree)
        if container is None or type(tree) is not self.type:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        children, context = container.flatten(tree)
        if self.type in (dict, OrderedDict):
            if set(context) != set(self.context):
                raise ValueError(f"Node keys mismatch; expected {self.context!r}, but got {context!r}.")
            by_key = dict(zip(context, children, strict=True))
            children = [by_key[key] for key in self.context]
        elif len(children) != len(self._children):
            raise ValueError(f"Node arity mismatch; expected {len(self._children)}, but got {len(children)}.")
        pairs = zip(self._children, children, strict=True)
        return [leaf for spec, child in pairs for leaf in spec.flatten_up_to(child)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        mine, theirs = self.type, other.type
        return mine is theirs and bool(self.context == other.context) and self._children == other._children

    def __hash__(self) -> int:
        return hash((self.type, self._children))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        inner = ",\n  ".join([repr(child).replace("\n", "\n  ") for child in self._children])
        return f"TreeSpec({self.type.__name__}, {self.context!r}, [{inner}])"


LEAF = TreeSpec(None, None)


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """(the leaves in order, how they are held together); `is_leaf` may declare containers to be leaves.

    Example::

        >>> leaves, spec = flatten({"a": 1, "b": (2, 3)})
        >>> leaves, spec.unflatten([10, 20, 30])
        ([1, 2, 3], {'a': 10, 'b': (20, 30)})
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> TreeSpec:
    container = container_of(tree)
    if container is None or is_leaf is not None and is_leaf(tree):
        leaves.append(tree)
        return LEAF
    children, context = container.flatten(tree)
    return TreeSpec(type(tree), context, [_flatten(child, leaves, is_leaf) for child in children])


def unflatten(leaves: Iterable[Any], spec: TreeSpec) -> Any:
    """The tree with other leaves.

    Example::

        >>> unflatten([10, 20], flatten([1, 2])[1])
        [10, 20]
    """
    return spec.unflatten(leaves)


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None, above: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """(the steps to it, the leaf) for each leaf; ValueError for a container whose steps are not known.

    Example::

        >>> [("".join(map(str, path)), leaf) for path, leaf in paths({"a": [1, 2]})]
        [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    container = container_of(tree)
    if container is None or is_leaf is not None and is_leaf(tree):
        yield above, tree
        return
    if container.keys is None:
        raise ValueError(f"{type(tree)} was registered without a function for the paths to its children")
    children, _ = container.flatten(tree)
    for key, child in zip(container.keys(tree), children, strict=True):
        yield from paths(child, is_leaf, (*above, key))


def mapped(function: Callable, tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """`function` of every leaf, and of what further trees have in its place, in a tree of the same form.

    Example::

        >>> mapped(str, {"a": (1, 2)}), mapped(max, [1, 2], [3, 0])
        ({'a': ('1', '2')}, [3, 2])
    """
    leaves, spec = flatten(tree, is_leaf)
    return spec.unflatten([function(*items) for items in zip(leaves, *map(spec.flatten_up_to, rests), strict=True)])


def broadcast(prefix: Any, tree: Any) -> list[Any] | None:
    """One entry of `prefix` for each leaf of `tree`: where a leaf of the prefix stands for a whole branch it is
    repeated. None if their forms do not fit.

    Example::

        >>> broadcast((0, None), ([1, 2], 3))
        [0, 0, None]
    """
    held = container_of(prefix)
    if held is None:
        return [prefix] * len(flatten(tree)[0])
    container = container_of(tree)
    if container is None or isinstance(prefix, dict) != isinstance(tree, dict):
        return None
    entries, keys = held.flatten(prefix)
    children, names = container.flatten(tree)
    if len(entries) != len(children) or isinstance(prefix, dict) and set(keys) != set(names):
        return None
    if isinstance(prefix, dict):
        entries = [prefix[name] for name in names]
    parts = [broadcast(entry, child) for entry, child in zip(entries, children, strict=True)]
    return None if any(p is None for p in parts) else [x for p in parts for x in p or ()]
