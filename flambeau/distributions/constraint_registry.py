"""Which transform leads from all numbers to a set (`torch.distributions.biject_to`, `transform_to`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Functions from constraints to transforms, by the constraint's class."""

    def __init__(self) -> None:
        self._registry: dict[Any, Callable] = {}

    def register(self, constraint: Any, factory: Callable | None = None) -> Any:
        """Say that `factory(constraint)` makes the transform; without `factory` a decorator. `constraint` is a class of
        constraints, or one of its objects; TypeError for anything else."""
        if factory is None:
            return lambda f: self.register(constraint, f)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not (isinstance(constraint, type) and issubclass(constraint, constraints.Constraint)):
            fact = f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}"
            raise TypeError(fact)
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _register(constraint: Any, factory: Callable) -> None:
    biject_to.register(constraint, factory)
    transform_to.register(constraint, factory)


def _interval(c: Any) -> Any:
    if c.lower_bound == 0 and c.upper_bound == 1:
        return transforms.SigmoidTransform()
    affine = transforms.AffineTransform(c.lower_bound, c.upper_bound - c.lower_bound)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), affine])


def _greater(c: Any) -> Any:
    if isinstance(c.lower_bound, (int, float)) and c.lower_bound == 0:
        return transforms.ExpTransform()
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(c.lower_bound, 1)])


def _less(c: Any) -> Any:
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(c.upper_bound, -1)])


def _of_parts(registry: ConstraintRegistry) -> None:
    registry.register(
        constraints.cat, lambda c: transforms.CatTransform([registry(p) for p in c.cseq], c.dim, c.lengths)
    )
    registry.register(constraints.stack, lambda c: transforms.StackTransform([registry(p) for p in c.cseq], c.dim))
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )


_register(constraints.real, lambda c: transforms.identity_transform)
_register(constraints.greater_than, _greater)
_register(constraints.greater_than_eq, _greater)
_register(constraints.less_than, _less)
_register(constraints.interval, _interval)
_register(constraints.half_open_interval, _interval)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
_register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
_register(constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform())
_register(constraints.positive_semidefinite, lambda c: transforms.PositiveDefiniteTransform())
_register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
_of_parts(biject_to)
_of_parts(transform_to)
