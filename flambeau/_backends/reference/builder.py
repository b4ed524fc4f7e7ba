"""The scalar primitives in NumPy: what pointwise bodies are written in.

Arithmetic and comparisons (`+ - * / == < ...`) are Python operators on the operands; the rest are methods here. A body never sees
shapes or dtypes, only values of one dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class NumpyBuilder:
    """`k` of the reference backend."""

    def __getattr__(self, name: str) -> Any:
        """A primitive that is one NumPy function under another name."""
        function = getattr(np, _NUMPY.get(name, name))
        setattr(self, name, function)
        return function

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), without overflow on either side."""
        if np.asarray(x).dtype.kind == "c":
            return 1 / (1 + np.exp(-x))
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + small), small / (1 + small))

    def sgn(self, x: Any) -> Any:
        """The sign; of complex numbers the number over its modulus."""
        if np.asarray(x).dtype.kind != "c":
            return np.sign(x)
        modulus = np.abs(x)
        return np.where(modulus == 0, 0, x / np.where(modulus == 0, 1, modulus))

    def is_float(self, x: Any) -> bool:
        """Is the body computing in a floating-point dtype?"""
        return np.asarray(x).dtype.kind == "f"


_NUMPY = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "atan2": "arctan2", "pow": "power", "shift_left": "left_shift", "shift_right": "right_shift", "round": "rint",
    "maximum": "maximum", "minimum": "minimum",
}
