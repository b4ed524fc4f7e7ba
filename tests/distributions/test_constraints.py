"""Sets of values, and the transforms that lead to them."""

from __future__ import annotations

import copy

import pytest

import flambeau as torch
from flambeau.distributions import biject_to, constraints, kl, transform_to


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("boolean", [1.0], [2.0]),
        ("one_hot", [0.0, 1.0], [1.0, 1.0]),
        ("real", [1.0], [float("nan")]),
        ("simplex", [0.5, 0.5], [0.5, 0.6]),
        ("lower_triangular", [[1.0, 0.0], [2.0, 3.0]], [[1.0, 1.0], [2.0, 3.0]]),
        ("lower_cholesky", [[1.0, 0.0], [2.0, 3.0]], [[1.0, 0.0], [2.0, -3.0]]),
        ("corr_cholesky", [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.7]]),
        ("square", [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]]),
        ("symmetric", [[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [3.0, 1.0]]),
        ("positive_semidefinite", [[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]),
        ("positive_definite", [[2.0, 1.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]]),
    ],
)
def test_what_lies_in_a_set(name, good, bad):
    constraint = getattr(constraints, name)
    assert constraint.check(torch.tensor(good)).all() and not constraint.check(torch.tensor(bad)).all()
    assert repr(constraint).lower() == name.replace("_", "") + "()"


def test_a_library_derives_sets_of_its_own():
    class Soft(type(constraints.positive)):
        def __init__(self):
            super().__init__(lower_bound=0.0)

    class SoftFactor(type(constraints.lower_cholesky)):
        pass

    transform_to.register(Soft, lambda c: "soft")
    transform_to.register(SoftFactor(), lambda c: "soft factor")  # of an object: its class
    assert transform_to(Soft()) == "soft" and transform_to(SoftFactor()) == "soft factor"
    assert transform_to(constraints.positive) != "soft"


def test_a_copy_of_a_set_has_the_same_transform():
    assert type(biject_to(copy.deepcopy(constraints.simplex))) is type(biject_to(constraints.simplex))


def test_what_is_no_set():
    with pytest.raises(
        TypeError, match="Expected constraint to be either a Constraint subclass or instance, but got 3"
    ):
        biject_to.register(3, lambda c: c)
    with pytest.raises(NotImplementedError, match="Cannot transform _Boolean constraints"):
        biject_to(constraints.boolean)


def test_divergences_of_a_librarys_own_base_class():
    class Base:
        pass

    class Delta(Base):
        pass

    @kl.register_kl(Delta, Base)
    def _(p, q):
        return "found"

    assert kl.kl_divergence(Delta(), Base()) == "found"
    with pytest.raises(TypeError, match="to be subclasses of Distribution"):
        kl.register_kl(3, Base)
