"""The dtypes, and PyTorch's rules of type promotion.

A dtype knows its NumPy name but not NumPy: `numpy_dtype()` looks it up at the first use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau._core import errors
from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import ml_dtypes
    import numpy as np
else:
    np = lazy_module("numpy")
    ml_dtypes = lazy_module("ml_dtypes")

BOOL, INTEGER, FLOAT, COMPLEX = range(4)  # the categories of promotion, weakest first


class dtype:  # noqa: N801 (PyTorch's name)
    """The type of a tensor's elements. There is one object per dtype, so `is` compares.

    Attributes: `name`, `itemsize` (bytes), `is_floating_point`, `is_complex`, `is_signed`, `category`.

    Example::

        >>> float32.itemsize, float32.is_floating_point, int64.category == INTEGER
        (4, True, True)
    """

    __slots__ = (
        "name",
        "itemsize",
        "category",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "differentiable",
        "numpy",
    )

    numpy: np.dtype  # with the same bits: ml_dtypes' for bfloat16 and floats of 8 bits; of `BITS` the bytes

    def __init__(self, name: str, itemsize: int, category: int, is_signed: bool = True) -> None:
        self.name = name
        self.itemsize = itemsize
        self.category = category
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.is_signed = is_signed
        self.differentiable = category >= FLOAT

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self) -> Any:
        if self.name in BITS:
            return named_bits, (self.name,)
        return "bool_" if self.name == "bool" else self.name

    def __getattr__(self, name: str) -> Any:
        """`numpy` when it is asked for the first time, as the slot is still empty: NumPy is imported late."""
        if name != "numpy":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        refuse_quantized(self)
        if BITS.get(self.name) is self:
            self.numpy = np.dtype(f"uint{8 * self.itemsize}")
        else:
            self.numpy = np.dtype(getattr(ml_dtypes, self.name) if self in FOREIGN else self.name)
        return self.numpy

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this dtype's precision."""
        return complex128 if self in (float64, complex128) else complex64

    def to_real(self) -> dtype:
        """The dtype of the real part: float32 for complex64; a real dtype is itself."""
        return {complex64: float32, complex128: float64}.get(self, self)


bool_ = dtype("bool", 1, BOOL, False)
uint8 = dtype("uint8", 1, INTEGER, False)
int8 = dtype("int8", 1, INTEGER)
int16 = dtype("int16", 2, INTEGER)
int32 = dtype("int32", 4, INTEGER)
int64 = dtype("int64", 8, INTEGER)
uint16 = dtype("uint16", 2, INTEGER, False)
uint32 = dtype("uint32", 4, INTEGER, False)
uint64 = dtype("uint64", 8, INTEGER, False)
float16 = dtype("float16", 2, FLOAT)
bfloat16 = dtype("bfloat16", 2, FLOAT)
float32 = dtype("float32", 4, FLOAT)
float64 = dtype("float64", 8, FLOAT)
complex64 = dtype("complex64", 8, COMPLEX)
complex128 = dtype("complex128", 16, COMPLEX)

# Floats of 8 bits, named by the bits of exponent and mantissa: kept, moved and converted, not computed with. "fn" has
# no infinities, "uz" no negative zero, "e8m0" nothing but powers of two.
float8_e4m3fn = dtype("float8_e4m3fn", 1, FLOAT)
float8_e5m2 = dtype("float8_e5m2", 1, FLOAT)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", 1, FLOAT)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", 1, FLOAT)
float8_e8m0fnu = dtype("float8_e8m0fnu", 1, FLOAT)
FLOAT8 = (float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float8_e8m0fnu)

ALL = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
    *FLOAT8,
)
FOREIGN = frozenset({bfloat16, *FLOAT8})  # those that NumPy has from ml_dtypes

# Names for bytes whose meaning is the program's, as in PyTorch: tensors are seen as them by `view`, moved and copied.
BITS = {
    d.name: d
    for d in (
        *[dtype(f"uint{bits}", 1, INTEGER, False) for bits in range(1, 8)],
        *[dtype(f"int{bits}", 1, INTEGER) for bits in range(1, 8)],
        *[dtype(name, 1, INTEGER, False) for name in ("bits1x8", "bits2x4", "bits4x2", "bits8")],
        dtype("bits16", 2, INTEGER, False),
        dtype("float4_e2m1fn_x2", 1, FLOAT),
    )
}


def named_bits(name: str) -> dtype:
    """One of `BITS`, as pickle asks for it."""
    return BITS[name]


complex32 = dtype("complex32", 4, COMPLEX)  # a name that programs compare others with: there are no such tensors

STORED = frozenset({*FLOAT8, *BITS.values(), complex32})  # what only a few operations know

# Dtypes of quantized tensors alone, and how their integers are kept.
qint8 = dtype("qint8", 1, INTEGER)
quint8 = dtype("quint8", 1, INTEGER, False)
qint32 = dtype("qint32", 4, INTEGER)
QUANTIZED = {qint8: int8, quint8: uint8, qint32: int32}

BY_NAME = {d.name: d for d in ALL}
HALVES = (float16, bfloat16)

# Names under which PyTorch also exports a dtype.
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "char": int8,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
    "bit": BITS["uint1"],
}

_by_name = {d.name: d for d in ALL}
_by_numpy: dict[Any, dtype] = {}


def refuse_quantized(dtype: dtype) -> None:
    """RuntimeError for a dtype that only quantized tensors have, which keep their numbers in a plain one."""
    if dtype in QUANTIZED:
        raise RuntimeError(f"a plain tensor cannot have the dtype {dtype!r}; use torch.quantize_per_tensor")


def from_numpy(numpy_dtype: Any) -> dtype:
    """The dtype of a NumPy dtype; TypeError for those PyTorch cannot hold (strings, objects, float128...)."""
    found = _by_numpy.get(numpy_dtype)
    if found is None:
        found = _by_name.get(np.dtype(numpy_dtype).name)  # by name: for this ml_dtypes need not be imported
        if found is None:
            names = ", ".join(d.name for d in ALL)
            raise TypeError(f"can't convert np.ndarray of type {numpy_dtype}. The only supported types are: {names}.")
        _by_numpy[numpy_dtype] = found
    return found


OF_PYTHON = {float: float64, int: int64, bool: bool_, complex: complex128}


def checked(d: Any, function: str) -> dtype | None:
    """The dtype meant by an argument `dtype` of `function`: a dtype, one of Python's types, or None for none given;
    TypeError for anything else, such as a name or one of NumPy's types.

    Example::

        >>> checked(float, "zeros")
        torch.float64
    """
    if d is None or isinstance(d, dtype):
        return d
    found = OF_PYTHON.get(d) if isinstance(d, type) else None
    if found is None:
        raise TypeError(
            errors.explain(
                f"{function}(): argument 'dtype' must be torch.dtype, not {type(d).__name__}", hint=_meant(d)
            )
        )
    return found


def _meant(d: Any) -> str:
    """The dtype that somebody wrote in another way, as a hint."""
    name = d if isinstance(d, str) else getattr(d, "__name__", None) or str(d)
    name = name.rpartition(".")[2]
    meant = BY_NAME.get(name) or ALIASES.get(name)
    return "dtypes are torch.float32, torch.int64..." if meant is None else f"write torch.{meant.name}"


# ---------------------------------------------------------------------------------------------- the default dtype

_default = float32
followers: list[Callable[[], None]] = []  # called when the default has become another one


def get_default_dtype() -> dtype:
    """The dtype of floating-point tensors made from Python numbers; float32 unless changed.

    Example::

        >>> get_default_dtype()
        torch.float32
    """
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d` (a floating-point dtype) the default; TypeError otherwise.

    Example::

        >>> set_default_dtype(float32)
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point or d in STORED:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    if d is not _default:
        _default = d
        for tell in followers:
            tell()


def of_scalar(value: bool | int | float | complex) -> dtype:
    """The dtype a tensor made from a Python number gets."""
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    if isinstance(value, float):
        return _default
    return _default.to_complex()


# ---------------------------------------------------------------------------------------------- promotion

_SIGNED = (int8, int16, int32, int64)


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both can be cast to, by PyTorch's table.

    Example::

        >>> promote_types(uint8, int8), promote_types(int64, float16), promote_types(float16, bfloat16)
        (torch.int16, torch.float16, torch.float32)
    """
    if a is b:
        return a
    if a in STORED or b in STORED:
        kind = "Float8" if a in FLOAT8 or b in FLOAT8 else "Bits"
        a_name, b_name = errors.type_name(a), errors.type_name(b)
        raise RuntimeError(
            errors.explain(
                f"Promotion for {kind} Types is not supported, attempted to promote {a_name} and {b_name}",
                hint="convert first, by .to(dtype) or .float()",
            )
        )
    if a.category != b.category:
        low, high = (a, b) if a.category < b.category else (b, a)
        if high is complex64 and low is float64:
            return complex128
        return high
    if a.category == INTEGER:
        return _promote_integers(a, b)
    if a.category == FLOAT and a.itemsize == b.itemsize == 2:
        return float32
    return a if a.itemsize > b.itemsize else b


def _promote_integers(a: dtype, b: dtype) -> dtype:
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    signed, unsigned = (a, b) if a.is_signed else (b, a)
    if unsigned is not uint8:
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a!r} and {b!r}"
        )
    return int16 if signed is int8 else signed


def can_cast(from_: dtype, to: dtype) -> bool:
    """May an in-place result of dtype `from_` be stored in a tensor of dtype `to`? Only to a category at least as high
    (and never from signed to bool and the like).

    Example::

        >>> can_cast(float64, float32), can_cast(float32, int64)
        (True, False)
    """
    return from_.category <= to.category


class Promotion:
    """Collects the operands of an operation and answers their common dtype.

    PyTorch's rule: tensors with dimensions win over 0-dim tensors, which win over Python numbers, unless the weaker
    ones are of a higher category (bool < integer < floating < complex).
    """

    __slots__ = ("dims", "zero_dims", "numbers")

    def __init__(self) -> None:
        self.dims: dtype | None = None
        self.zero_dims: dtype | None = None
        self.numbers: dtype | None = None

    def tensor(self, d: dtype, ndim: int) -> None:
        if ndim:
            self.dims = d if self.dims is None else promote_types(self.dims, d)
        else:
            self.zero_dims = d if self.zero_dims is None else promote_types(self.zero_dims, d)

    def number(self, kind: type) -> None:
        d = {bool: bool_, int: int64, float: _default, complex: _default.to_complex()}[kind]
        self.numbers = d if self.numbers is None else promote_types(self.numbers, d)

    def result(self) -> dtype:
        result = self.dims
        for weaker in (self.zero_dims, self.numbers):
            if weaker is None:
                continue
            if result is None:
                result = weaker
            elif weaker.category > result.category:
                result = _raise_category(result, weaker)
        assert result is not None
        return result


def _raise_category(strong: dtype, weak: dtype) -> dtype:
    """The dtype when a weaker operand has the higher category: its category, but the default width for numbers."""
    if weak.is_complex and strong.is_floating_point:
        return complex128 if strong is float64 else complex64
    return weak


def result_type_of(operands: list[tuple[dtype, int] | type]) -> dtype:
    """The promoted dtype of tensors, given as (dtype, number of dimensions), and Python number types.

    Example::

        >>> result_type_of([(int64, 1), float]), result_type_of([(float16, 1), (float64, 0)])
        (torch.float32, torch.float16)
    """
    promotion = Promotion()
    for operand in operands:
        if isinstance(operand, tuple):
            promotion.tensor(*operand)
        else:
            promotion.number(operand)
    return promotion.result()


def extreme(d: dtype, largest: bool) -> Any:
    """The greatest or the least number of a real dtype, infinite for floats: what takes no part in a search for the
    other.

    Example::

        >>> extreme(uint8, True), extreme(int8, False), extreme(float32, False)
        (255, -128, -inf)
    """
    if d.category == FLOAT:
        return math.inf if largest else -math.inf
    if d.category == BOOL:
        return largest
    bits = 8 * d.itemsize - d.is_signed
    return (1 << bits) - 1 if largest else -(1 << bits) if d.is_signed else 0
