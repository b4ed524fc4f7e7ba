"""Constraints (`torch.distributions.constraints`): sets that parameters and samples lie in.

`check(value)` says, for each element (or each vector or matrix, by `event_dim`), whether it lies in the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _api as torch
from flambeau import linalg
from flambeau._core.homes import absent

__all__ = [
    "Constraint", "MixtureSameFamilyConstraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property",
    "greater_than", "greater_than_eq", "half_open_interval", "independent", "integer_interval", "interval",
    "is_dependent", "less_than", "lower_cholesky", "lower_triangular", "multinomial", "nonnegative",
    "nonnegative_integer", "one_hot", "positive", "positive_definite", "positive_integer", "positive_semidefinite",
    "real", "real_vector", "simplex", "square", "stack", "symmetric", "unit_interval",
]  # fmt: skip


class Constraint:
    """A set. `is_discrete`: of isolated points; `event_dim`: how many dimensions make one element."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Any:
        """Which elements of `value` lie in the set?"""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__.lstrip("_") + "()"


class _Dependent(Constraint):
    """A set that depends on other parameters."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def check(self, value: Any) -> Any:
        """ValueError: the set is known to instances only."""
        raise ValueError("Cannot determine validity of dependent constraint")

    def __call__(self, function: Callable | None = None, **options: Any) -> Any:
        return _Dependent(**options) if function is None else dependent_property(function)


class dependent_property(property, _Dependent):  # noqa: N801 (PyTorch's name)
    """A property that gives the set, of an instance; of the class it is a dependent constraint."""

    def __init__(self, function: Callable | None = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        property.__init__(self, function)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, function: Any = None, **options: Any) -> Any:
        return dependent_property(function, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Constraint) -> bool:
    """Does the set depend on other parameters?

    Example::

        >>> is_dependent(positive)
        False
    """
    return isinstance(constraint, _Dependent)


class _Bounded(Constraint):
    """Numbers between bounds."""

    def __init__(self, lower_bound: Any = None, upper_bound: Any = None) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def __repr__(self) -> str:
        bounds = [f"{n}={getattr(self, n)}" for n in ("lower_bound", "upper_bound") if getattr(self, n) is not None]
        return f"{type(self).__name__}({', '.join(bounds)})"


class integer_interval(_Bounded):  # noqa: N801
    """Integers from lower_bound to upper_bound, both included."""

    is_discrete = True

    def check(self, value: Any) -> Any:
        """Integer, and between?"""
        return (value % 1 == 0) & (self.lower_bound <= value) & (value <= self.upper_bound)


class greater_than(_Bounded):  # noqa: N801
    """Numbers above a bound."""

    def check(self, value: Any) -> Any:
        """Above?"""
        return self.lower_bound < value


class greater_than_eq(_Bounded):  # noqa: N801
    """Numbers from a bound on."""

    def check(self, value: Any) -> Any:
        """At or above?"""
        return self.lower_bound <= value


class integer_greater_than(greater_than_eq):  # noqa: N801
    """Integers from a bound on."""

    is_discrete = True

    def check(self, value: Any) -> Any:
        """Integer, and at or above?"""
        return (value % 1 == 0) & (value >= self.lower_bound)


class less_than(_Bounded):  # noqa: N801
    """Numbers below a bound."""

    def __init__(self, upper_bound: Any) -> None:
        super().__init__(None, upper_bound)

    def check(self, value: Any) -> Any:
        """Below?"""
        return value < self.upper_bound


class interval(_Bounded):  # noqa: N801
    """Numbers from lower_bound to upper_bound, both included."""

    def check(self, value: Any) -> Any:
        """Between?"""
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class half_open_interval(_Bounded):  # noqa: N801
    """Numbers from lower_bound on and below upper_bound."""

    def check(self, value: Any) -> Any:
        """Between?"""
        return (self.lower_bound <= value) & (value < self.upper_bound)


class multinomial(Constraint):  # noqa: N801
    """Vectors of counts that add up to at most upper_bound."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: int) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        """Counts, and few enough?"""
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class independent(Constraint):  # noqa: N801
    """Tensors whose elements all lie in another set: the last dimensions make one element."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Is the set of elements?"""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """Those of the elements and the last dimensions."""
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        """Do all elements?"""
        found = self.base_constraint.check(value)
        if found.dim() < self.reinterpreted_batch_ndims:
            raise ValueError(f"expected at least {self.reinterpreted_batch_ndims} dimensions, got {found.dim()}")
        lead = found.dim() - self.reinterpreted_batch_ndims
        return found.reshape((*found.shape[:lead], -1)).all(-1)

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint}, {self.reinterpreted_batch_ndims})"


class cat(Constraint):  # noqa: N801
    """Tensors whose parts along `dim`, of these lengths, lie in these sets."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Is any of the sets?"""
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The most of the sets."""
        return max(c.event_dim for c in self.cseq)

    def check(self, value: Any) -> Any:
        """Each part by its own set."""
        parts = value.split(self.lengths, self.dim)
        return torch.cat([c.check(p) for c, p in zip(self.cseq, parts, strict=True)], self.dim)


class stack(Constraint):  # noqa: N801
    """Tensors whose slices along `dim` lie in these sets."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Is any of the sets?"""
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The most of the sets, and one more if the slices are inside."""
        most = max(c.event_dim for c in self.cseq)
        return most + 1 if self.dim + most < 0 else most

    def check(self, value: Any) -> Any:
        """Each slice by its own set."""
        slices = value.unbind(self.dim)
        return torch.stack([c.check(s) for c, s in zip(self.cseq, slices, strict=True)], self.dim)


class MixtureSameFamilyConstraint(Constraint):
    """What a mixture may draw: elements that lie in the sets of all its components, which are the rightmost batch
    dimension of `base_constraint`.

    Example::

        >>> MixtureSameFamilyConstraint(greater_than(torch.tensor([0.0, 1.0]))).check(torch.tensor([0.5, 1.5]))
        tensor([False,  True])
    """

    def __init__(self, base_constraint: Constraint) -> None:
        if not isinstance(base_constraint, Constraint):
            raise AssertionError(f"base_constraint must be a Constraint, got {type(base_constraint).__name__}")
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """As of the components."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """As of the components."""
        return self.base_constraint.event_dim

    def check(self, value: Any) -> Any:
        """Does each element lie in the sets of all components? ValueError if `value` is less than one element."""
        if value.dim() < self.event_dim:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        found = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return found.flatten(value.dim() - self.event_dim).all(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint!r})"


class _Boolean(Constraint):
    """0 and 1."""

    is_discrete = True

    def check(self, value: Any) -> Any:
        """One of the two?"""
        return (value == 0) | (value == 1)


class _OneHot(Constraint):
    """Vectors of one 1, and 0 else."""

    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Any:
        """Only 0 and 1, and one of these?"""
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _Real(Constraint):
    """All numbers."""

    def check(self, value: Any) -> Any:
        """A number, and not NaN?"""
        return value == value


class _Simplex(Constraint):
    """Vectors of numbers from 0 on that add up to 1."""

    event_dim = 1

    def check(self, value: Any) -> Any:
        """None below 0, and is the sum 1 to 1e-6?"""
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _LowerTriangular(Constraint):
    """Square matrices with nothing above the diagonal."""

    event_dim = 2

    def check(self, value: Any) -> Any:
        """Nothing above the diagonal?"""
        return (value.tril() == value).flatten(-2).all(-1)


class _LowerCholesky(_LowerTriangular):
    """Those with a positive diagonal: factors of positive definite matrices."""

    def check(self, value: Any) -> Any:
        """Nothing above the diagonal, and is that positive?"""
        return super().check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    """Factors of matrices of correlations: their rows have length 1."""

    def check(self, value: Any) -> Any:
        """A factor, and are its rows of length 1, to ten roundings an element?"""
        tolerance = torch.finfo(value.dtype).eps * value.shape[-1] * 10
        return super().check(value) & ((value.norm(dim=-1) - 1).abs() < tolerance).all(-1)


class _Square(Constraint):
    """Square matrices."""

    event_dim = 2

    def check(self, value: Any) -> Any:
        """As many rows as columns?"""
        return torch.full(value.shape[:-2], value.shape[-2] == value.shape[-1])


class _Symmetric(_Square):
    """Matrices that are their own transposes."""

    def check(self, value: Any) -> Any:
        """Is each the transpose of itself, to 1e-6 and 1e-5 of an element?"""
        return ((value - value.mT).abs() <= 1e-6 + 1e-5 * value.mT.abs()).flatten(-2).all(-1)


class _PositiveSemidefinite(_Symmetric):
    """Symmetric matrices without negative eigenvalues."""

    def check(self, value: Any) -> Any:
        """Symmetric, and is no eigenvalue negative?"""
        return super().check(value) & (linalg.eigvalsh(value) >= 0).all(-1)


class _PositiveDefinite(_Symmetric):
    """Symmetric matrices of positive eigenvalues."""

    def check(self, value: Any) -> Any:
        """Symmetric, and are all eigenvalues positive?"""
        return super().check(value) & (linalg.eigvalsh(value) > 0).all(-1)


dependent = _Dependent()
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = integer_greater_than(0)
positive_integer = integer_greater_than(1)
real = _Real()
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()

__getattr__ = absent("torch.distributions.constraints")
