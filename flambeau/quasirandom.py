"""Sobol sequences (`torch.quasirandom`): points that fill a cube more evenly than random ones.

The direction numbers are those of Joe and Kuo (2008), "Constructing Sobol sequences with better two-dimensional
projections", for up to 21201 dimensions, and are taken from SciPy (`pip install 'flambeau[sobol]'`).
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core import errors
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

__all__ = ["SobolEngine"]

BITS = 30  # of a coordinate
DIMENSIONS = 21201  # that there are direction numbers for


class SobolEngine:
    """Draws the points of a Sobol sequence in [0, 1) of `dimension` coordinates, one after the other.

    With `scramble` the sequence is that of Owen's scrambling by random triangular matrices and a random shift (Matousek
    1998), which keeps it as even; the random bits come from the global generator, or one seeded with `seed`. Points are
    PyTorch's, scrambled ones too.

    Raises:
        ValueError: for a dimension that is not in [1, 21201].
        ModuleNotFoundError: if SciPy is not installed.

    Example::

        torch.quasirandom.SobolEngine(2).draw(4)
        # tensor([[0.0000, 0.0000], [0.5000, 0.5000], [0.7500, 0.2500], [0.2500, 0.7500]])
    """

    MAXBIT = BITS
    MAXDIM = DIMENSIONS

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= DIMENSIONS:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {DIMENSIONS}], got {dimension}")
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self._directions = _directions(dimension)
        shift = np.zeros(dimension, np.int64)
        if scramble:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            bits = torch.randint(2, (dimension, BITS), generator=generator).numpy()
            shift = bits @ (1 << np.arange(BITS, dtype=np.int64))
            below = torch.randint(2, (dimension, BITS, BITS), generator=generator).tril().numpy()
            self._directions = _scrambled(self._directions, below)
        self.sobolstate, self.shift = torch.from_numpy(self._directions), torch.from_numpy(shift)
        self.quasi = self.shift.clone()
        self._first = self.quasi / 2**BITS
        self.num_generated = 0

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """The next `n` points, of shape (n, dimension) and of the default dtype if `dtype` is None; into `out`, which
        is resized, if there is one."""
        dtype = dtype or torch.get_default_dtype()
        points = torch.from_numpy(self._next(n)).to(dtype) * 2.0**-BITS
        if self.num_generated == 0 and n:  # a fraction of the default dtype, whatever the dtype of the result
            points[0] = self._first
        self.num_generated += n
        if out is None:
            return points
        return out.resize_as_(points).copy_(points)

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """The next 2**m points; ValueError unless they and those before are a power of two, as balance needs."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}="
                f"{total}. If you still want to do this, please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n, out, dtype)

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out `n` points; returns the engine."""
        self._next(n)
        self.num_generated += n
        return self

    def reset(self) -> SobolEngine:
        """Begin anew; returns the engine."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def _next(self, n: int) -> Any:
        """The next `n` points as integers. A point differs from the one before, number k, by the direction of the
        lowest bit of k that is 0 (Antonov and Saleev 1979); `quasi` is the latest point."""
        first = self.num_generated == 0
        numbers = np.arange(n - first, dtype=np.int64) + (0 if first else self.num_generated - 1)
        lowest = np.log2(~numbers & (numbers + 1)).astype(np.int64)
        steps = np.concatenate((self.quasi.numpy()[None], self._directions[:, lowest].T))
        points = np.bitwise_xor.accumulate(steps)
        self.quasi = torch.from_numpy(points[-1].copy())
        return points[:n] if first else points[1:]

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        parts += ["scramble=True"] if self.scramble else []
        parts += [] if self.seed is None else [f"seed={self.seed}"]
        return f"{type(self).__name__}({', '.join(parts)})"


def _directions(dimension: int) -> Any:
    """The direction numbers of each coordinate, as integers of `BITS` bits, the highest bit first.

    From the first ones, m_1 to m_s, the others follow by a primitive polynomial over GF(2) of degree s, whose
    coefficients are the bits of a number: Bratley and Fox (1988), "Algorithm 659".
    """
    polynomials, initial = _tables()
    found = np.zeros((dimension, BITS), np.int64)
    found[0] = 1
    for d in range(1, dimension):
        polynomial = int(polynomials[d])
        degree = polynomial.bit_length() - 1
        row = [int(m) for m in initial[d][:degree]]
        terms = [k for k in range(1, degree + 1) if polynomial >> (degree - k) & 1]
        for j in range(degree, BITS):
            number = row[j - degree]
            for k in terms:
                number ^= row[j - k] << k
            row.append(number)
        found[d] = row[:BITS]
    return found << np.arange(BITS - 1, -1, -1)


@cache
def _tables() -> tuple[Any, Any]:
    """The polynomials and first direction numbers, from SciPy's files."""
    try:
        import scipy
    except ModuleNotFoundError as error:
        hint = "pip install 'flambeau[sobol]'"
        fact = "torch.quasirandom.SobolEngine takes its direction numbers from SciPy, which is not installed"
        raise ModuleNotFoundError(errors.explain(fact, hint=hint), name="scipy") from error
    with np.load(os.path.join(os.path.dirname(scipy.__file__), "stats", "_sobol_direction_numbers.npz")) as file:
        return file["poly"], file["vinit"]


def _scrambled(directions: Any, below: Any) -> Any:
    """Direction numbers multiplied, over GF(2), by triangular matrices of random bits whose diagonals are 1."""
    ones = np.arange(BITS)
    below[:, ones, ones] = 1
    bits = directions[:, :, None] >> ones & 1  # of each number, the lowest first
    # row p of a matrix has its bits from the highest down, and gives bit BITS - 1 - p
    products = (bits @ below[:, ::-1, ::-1].swapaxes(-1, -2)) & 1
    return (products << ones).sum(-1)
