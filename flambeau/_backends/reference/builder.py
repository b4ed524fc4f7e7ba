"""The scalar primitives in NumPy: what pointwise bodies are written in.

Arithmetic and comparisons (`+ - * / == < ...`) are Python operators on the operands; the rest are methods here. A body
never sees shapes or dtypes, only values of one dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

special = lazy_module("flambeau._backends.reference.special")
gamma = lazy_module("flambeau._backends.reference.gamma")
bessel = lazy_module("flambeau._backends.reference.bessel")
polynomials = lazy_module("flambeau._backends.reference.polynomials")

# Primitives that are one NumPy function under another name; any other name is NumPy's own.
RENAMED = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "atan2": "arctan2",
    "shift_left": "left_shift",
    "round": "rint",
}
# Primitives that the files beside this one have.
ELSEWHERE = dict.fromkeys(("erf", "erfc", "erfcx", "erfinv", "ndtri", "log_ndtr"), special)
ELSEWHERE |= dict.fromkeys(("lgamma", "digamma", "zeta", "igamma", "igammac"), gamma)
ELSEWHERE |= {"polynomial": polynomials, "airy_ai": bessel}
ELSEWHERE |= {f"bessel_{kind}{order}": bessel for kind in "jyik" for order in "01"}
ELSEWHERE |= {f"bessel_{kind}{order}e": bessel for kind in "ik" for order in "01"}


class NumpyBuilder:
    """`k` of the reference backend."""

    def __getattr__(self, name: str) -> Any:
        """A primitive that NumPy has, or one of the files beside this one."""
        module = ELSEWHERE.get(name)
        function = getattr(np, RENAMED.get(name, name)) if module is None else getattr(module, name)
        setattr(self, name, function)
        return function

    # ------------------------------------------------------------------------------------ questions about the dtype

    def is_float(self, x: Any) -> bool:
        """Is the body computing in a floating-point dtype?"""
        return np.asarray(x).dtype.kind == "f"

    def is_complex(self, x: Any) -> bool:
        """Is the body computing in a complex dtype?"""
        return np.asarray(x).dtype.kind == "c"

    # ------------------------------------------------------------------------------------ division

    def floor_divide(self, x: Any, y: Any) -> Any:
        """The quotient rounded down; by zero an error for integers, infinite or NaN for floats."""
        if self.is_float(x):
            quotient = np.floor_divide(x, y)
            return np.where(y == 0, x / y, quotient)  # NumPy gives NaN for inf // y too
        return np.floor_divide(x, self._divisor(y))

    def trunc_divide(self, x: Any, y: Any) -> Any:
        """The quotient rounded towards zero."""
        if self.is_float(x):
            return np.trunc(x / y)
        y = self._divisor(y)
        quotient = np.floor_divide(x, y)
        return quotient + ((quotient < 0) & (quotient * y != x))

    def remainder(self, x: Any, y: Any) -> Any:
        """x - y * floor(x / y)."""
        if not self.is_float(x):
            return np.remainder(x, self._divisor(y))
        rest = np.fmod(x, y)
        return np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)

    def fmod(self, x: Any, y: Any) -> Any:
        """x - y * trunc(x / y)."""
        return np.fmod(x, y if self.is_float(x) else self._divisor(y))

    def _divisor(self, y: Any) -> Any:
        if np.any(np.asarray(y) == 0):
            raise RuntimeError("ZeroDivisionError: integer division or remainder by zero")
        return y

    def pow(self, x: Any, y: Any) -> Any:
        """x to the power of y; integers wrap around, and negative powers of integers truncate."""
        if isinstance(y, np.generic) and y.item() in SHORTCUTS and y.dtype.kind != "b":
            shortcut = SHORTCUTS[y.item()](x)
            if shortcut is not None:
                return shortcut
        x, y = np.asarray(x), np.asarray(y)
        if x.dtype.kind == "b":
            return x | ~y
        if x.dtype.kind not in "iu" or not (y < 0).any():
            return np.power(x, y)
        sign = np.where(y % 2 == 0, 1, x)
        small = np.where(x == 1, 1, np.where(x == -1, sign, 0))
        return np.where(y < 0, small, np.power(x, np.maximum(y, 0)))

    def shift_right(self, x: Any, y: Any) -> Any:
        """The bits moved right; further than there are bits, or by a negative number, leaves the sign alone."""
        kept = np.asarray(x).dtype.itemsize * 8 - (np.asarray(x).dtype.kind == "i")
        return np.right_shift(x, np.where(np.less(y, 0) | np.greater(y, kept), kept, y))

    # ------------------------------------------------------------------------------------ bounds

    def maximum(self, x: Any, y: Any) -> Any:
        """The larger; NaN if either is NaN. Of 0 and -0, which are equal, NumPy takes the second and PyTorch does, too,
        unless that is a number: relu(-0.0) is -0.0."""
        return np.maximum(x, y) if isinstance(y, np.ndarray) else np.maximum(y, x)

    def minimum(self, x: Any, y: Any) -> Any:
        """The smaller; NaN if either is NaN."""
        return np.minimum(x, y) if isinstance(y, np.ndarray) else np.minimum(y, x)

    def fmax(self, x: Any, y: Any) -> Any:
        """The larger; of a number and NaN the number, and the first of equals."""
        return np.where((x >= y) | np.isnan(y), x, y) if self.is_float(x) else np.maximum(x, y)

    def fmin(self, x: Any, y: Any) -> Any:
        """The smaller; of a number and NaN the number, and the first of equals."""
        return np.where((x <= y) | np.isnan(y), x, y) if self.is_float(x) else np.minimum(x, y)

    # ------------------------------------------------------------------------------------ functions

    def log10(self, x: Any) -> Any:
        """The logarithm of base 10; NumPy's in float32 misses powers of ten by a bit."""
        x = np.asarray(x)
        return np.log10(x.astype(np.float64)).astype(x.dtype) if x.dtype == np.float32 else np.log10(x)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)); where exp overflows that is the 0 it should be."""
        t = np.exp(np.negative(x))
        t += 1
        return np.divide(1, t, out=t if isinstance(t, np.ndarray) else None)

    def sgn(self, x: Any) -> Any:
        """The sign, 0 of NaN; of complex numbers the number over its modulus."""
        x = np.asarray(x)
        if x.dtype.kind != "c":
            return x if x.dtype.kind == "b" else (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)
        modulus = np.abs(x)
        return np.where(modulus == 0, 0, x / np.where(modulus == 0, 1, modulus))

    def complex(self, re: Any, im: Any) -> Any:
        """The complex numbers with these parts (not by products, in which infinity would become NaN)."""
        z = np.empty(np.broadcast(re, im).shape, np.result_type(re, im, np.complex64))
        z.real, z.imag = re, im
        return z

    def logaddexp(self, x: Any, y: Any) -> Any:
        """log(exp(x) + exp(y)); NumPy has no complex form."""
        if np.asarray(x).dtype.kind != "c":
            return np.logaddexp(x, y)
        high, low = np.where(x.real >= y.real, x, y), np.where(x.real >= y.real, y, x)
        return high + np.log1p(np.exp(low - high))


def _inverse_power(x: Any, power: Any) -> Any:
    """1 / x**n of floats and complex numbers; integers have another meaning."""
    return 1 / power if np.asarray(x).dtype.kind in "fc" else None


# Exponents for which there is something faster than a power, and no less exact.
SHORTCUTS: dict[Any, Any] = {
    0.5: lambda x: np.sqrt(x),
    1: lambda x: +x,
    2: lambda x: x * x,
    3: lambda x: x * x * x,
    -1: lambda x: _inverse_power(x, x),
    -2: lambda x: _inverse_power(x, x * x),
}
