"""Trees of containers: taking apart, putting together, paths, text."""

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau.utils import _pytree as pytree

Point = namedtuple("Point", "x y")

TREES = st.recursive(
    st.integers() | st.none() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3)
    | st.lists(inner, max_size=3).map(tuple)
    | st.lists(inner, max_size=3).map(deque)
    | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(OrderedDict)
    | st.tuples(inner, inner).map(lambda pair: Point(*pair)),
    max_leaves=12,
)


@given(TREES)
def test_what_was_taken_apart_can_be_put_together(tree):
    leaves, spec = pytree.tree_flatten(tree)
    assert spec.unflatten(leaves) == tree and type(spec.unflatten(leaves)) is type(tree)
    assert spec.num_leaves == len(leaves) and pytree.tree_structure(spec.unflatten(range(len(leaves)))) == spec
    assert [pytree.key_get(tree, path) for path, _ in pytree.tree_leaves_with_path(tree)] == leaves
    assert spec.flatten_up_to(tree) == leaves


@given(TREES)
def test_text(tree):
    spec = pytree.tree_structure(tree)
    if "Point" not in repr(spec):  # has no name to be written down by
        assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec


def test_kinds_are_kept():
    tree = [defaultdict(list, a=1), Point(2, (3,)), deque([4], maxlen=3)]
    made = pytree.tree_map(lambda x: x + 1, tree)
    assert made == [{"a": 2}, Point(3, (4,)), deque([5])]
    assert made[0].default_factory is list and made[2].maxlen == 3 and type(made[1]) is Point


def test_subclasses_are_leaves_until_registered():
    class Own(dict):
        pass

    assert len(pytree.tree_leaves(Own(a=1, b=2))) == 1
    pytree.register_pytree_node(Own, lambda d: (list(d.values()), list(d)), lambda v, k: Own(zip(k, v, strict=True)))
    assert pytree.tree_leaves([Own(a=1, b=2)]) == [1, 2]
    assert type(pytree.tree_map(str, Own(a=1))) is Own
    with pytest.raises(ValueError, match="already registered"):
        pytree.register_pytree_node(Own, None, None)
    with pytest.raises(ValueError, match="without a function for the paths"):
        pytree.tree_flatten_with_path(Own(a=1))


def test_functions_of_functions_know_registered_containers():
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
    gradient = torch.func.grad(lambda pair: (pair.a * pair.b).sum())(Pair(torch.ones(2), torch.full((2,), 3.0)))
    assert gradient.a.tolist() == [3, 3] and gradient.b.tolist() == [1, 1]


def test_other_forms_are_refused():
    with pytest.raises(ValueError, match="length 1 but the spec"):
        pytree.tree_unflatten([1], pytree.tree_structure([1, 2]))
    with pytest.raises(TypeError, match="Expected `treespec` to be instance of TreeSpec"):
        pytree.tree_unflatten([1], None)
    with pytest.raises(ValueError, match="Type mismatch"):
        pytree.tree_map(lambda a, b: a, [1], (1,))
    with pytest.raises(ValueError, match="arity mismatch"):
        pytree.tree_map(lambda a, b: a, [1], [1, 2])
    with pytest.raises(ValueError, match="keys mismatch"):
        pytree.tree_map(lambda a, b: a, {"a": 1}, {"b": 1})


def test_only_some_leaves():
    tree = {"a": 1, "b": [2.5, "c"]}
    assert pytree.tree_map_only((int, float), lambda x: -x, tree) == {"a": -1, "b": [-2.5, "c"]}
    assert pytree.tree_all_only(int, lambda x: x == 1, tree) and not pytree.tree_any_only(str, str.isupper, tree)
    assert pytree.tree_leaves(tree, is_leaf=lambda x: isinstance(x, list)) == [1, [2.5, "c"]]


def test_pytorchs_text_of_a_structure():
    spec = pytree.tree_structure({"b": [1, (2, None)], "a": OrderedDict(x=3)})
    assert repr(spec) == (
        "TreeSpec(dict, ['b', 'a'], [TreeSpec(list, None, [*,\n    TreeSpec(tuple, None, [*,\n      *])]),\n"
        "  TreeSpec(OrderedDict, ['x'], [*])])"
    )
    assert (spec.num_leaves, spec.num_nodes, spec.num_children, spec.type) == (4, 8, 2, dict)
