"""Factorisations in LAPACK's packed forms: LU with pivots, Householder reflections, LDL^H, and solving with them.

Pivots are 1-based and count row exchanges in the order they were made, as LAPACK's are.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes
from flambeau._core.lazy import lazy_module
from flambeau._ir.meta import contiguous
from flambeau._ops.registry import library

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

lu_factor_result = namedtuple("lu_factor", ["LU", "pivots"])
lu_factor_ex_result = namedtuple("lu_factor_ex", ["LU", "pivots", "info"])
lu_unpack_result = namedtuple("lu_unpack", ["P", "L", "U"])
ldl_factor_result = namedtuple("ldl_factor", ["LD", "pivots"])
ldl_factor_ex_result = namedtuple("ldl_factor_ex", ["LD", "pivots", "info"])
geqrf_result = namedtuple("geqrf", ["a", "tau"])
triangular_solve_result = namedtuple("triangular_solve", ["solution", "cloned_coefficient"])


# ---------------------------------------------------------------------------------------------- LU


@library(category="linalg", method=False, function=False, infer=lambda p: contiguous(dtypes.int32, p.shape[:-1]))
def pivots_of(input: Any) -> Any:
    """The exchanges of rows that lead to the order of rows `input`, [..., n, 2]: column 0 the order, its first k entries wanted."""
    raise NotImplementedError
