"""Random draws from the generator's stream, in PyTorch's order and rounding: everything but the normal distribution.

Each function draws `n` values into a flat NumPy array of the dtype named, and leaves the generator exactly where
PyTorch's CPU kernels leave theirs. Unless a docstring says otherwise the values are PyTorch's to the bit (as its AVX2
and AVX-512 kernels compute them). A draw of nothing consumes nothing. `draws_normal` and `draws_rejection` hold the
other distributions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core import dtypes, errors
from flambeau._core.lazy import lazy_module
from flambeau._core.quiet import quietly
from flambeau._ops.fma import fma
from flambeau._ops.mersenne import MersenneTwister

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

BLOCK = 1 << 15  # elements worked on at a time, so that temporaries stay in the cache
PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # bits of the significand
PARTS = {"complex64": "float32", "complex128": "float64"}
COUNTING = ("uint8", "int8", "int16", "int32", "int64", *PRECISION)  # what most integer draws come in


def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of a dtype's name."""
    return dtypes.BY_NAME[name].numpy


def require(dtype: str, supported: Iterable[str], kernel: str) -> None:
    """NotImplementedError, naming PyTorch's kernel, unless the dtype is among the supported ones."""
    if dtype not in supported:
        raise errors.not_implemented(kernel, dtype)


def blocks(out: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive views of a flat array, BLOCK elements each but the last."""
    return (out[i : i + BLOCK] for i in range(0, len(out), BLOCK))


def round_to(x: np.ndarray, name: str) -> np.ndarray:
    """Cast; 16-bit floats by way of float32, as C++ converts."""
    d = numpy_dtype(name)
    return x.astype(np.float32).astype(d) if d.itemsize == 2 and name in PRECISION else x.astype(d, copy=False)


def unit_floats(gen: MersenneTwister, n: int) -> np.ndarray:
    """`n` float32 in [0, 1): the low 24 bits of a word each."""
    bits = gen.random32(n)
    bits &= np.uint32(2**24 - 1)
    return bits.view(np.int32).astype(np.float32) * np.float32(2.0**-24)


def unit_doubles(gen: MersenneTwister, n: int) -> np.ndarray:
    """`n` float64 in [0, 1): the low 53 bits of two words each."""
    bits = gen.random64(n)
    bits &= np.uint64(2**53 - 1)
    return bits.view(np.int64).astype(np.float64) * 2.0**-53


def c_function(function: Callable[[float], float], x: np.ndarray, name: str = "float64") -> np.ndarray:
    """A function of `math` on a float64 array, for values that end up in dtype `name`.

    NumPy's vector functions may differ from the C library in the last bit of a float64. That is lost in narrower dtypes
    but visible in float64, for which the C library itself is called (about 50 ns an element).
    """
    if name == "float64":
        try:
            return np.fromiter(map(function, x.tolist()), np.float64, len(x))
        except (ValueError, OverflowError):  # a pole or an overflow: infinities, of which NumPy makes no exceptions
            pass
    return quietly(getattr(np, function.__name__), x)


def _transformed(n: int, name: str, formula: Callable[[int], np.ndarray]) -> np.ndarray:
    out = np.empty(n, numpy_dtype(name))
    for part in blocks(out):
        part[...] = round_to(formula(len(part)), name)
    return out


# ---------------------------------------------------------------------------------------------- real numbers


def check_uniform(low: float, high: float, dtype: str) -> None:
    """RuntimeError unless low <= high and both, and their distance, lie in the range of the (real) dtype."""
    require(dtype, PRECISION, "check_uniform_bounds")
    top = float(np.finfo(numpy_dtype(dtype)).max) if dtype != "bfloat16" else 2.0**128 * (1 - 2.0**-8)
    for value, role in ((low, "from"), (high, "to")):
        if not -top <= value <= top:
            raise RuntimeError(f"{role} is out of bounds for {dtype}: {value} is outside -{top:g} ... {top:g}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if high - low > top:
        raise RuntimeError(f"uniform_ expects to - from <= {top:g} for {dtype}, but found to={high} and from={low}")


def uniform(gen: MersenneTwister, n: int, low: float = 0.0, high: float = 1.0, dtype: str = "float32") -> np.ndarray:
    """Even draws from [low, high) in a floating-point or complex dtype (parts drawn one after the other).

    One word an element, two in float64. RuntimeError as in `check_uniform`.

    Example::

        >>> uniform(MersenneTwister(0), 3).tolist()
        [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]
    """
    if dtype in PARTS:
        return uniform(gen, 2 * n, low, high, PARTS[dtype]).view(dtype)
    check_uniform(low, high, dtype)
    unit, work = (unit_doubles, np.float64) if dtype == "float64" else (unit_floats, np.float32)
    span = float(work(high) - work(low))
    if dtype == "float32" and gen.fill("uniform", out := np.empty(n, np.float32), low, span):
        return out
    standard = low == 0.0 and high == 1.0
    if standard and numpy_dtype(dtype) == work and n <= BLOCK:
        return unit(gen, n)
    start, end = round_to(np.array([low, high]), dtype)
    out = np.empty(n, numpy_dtype(dtype))
    for part in blocks(out):
        x = unit(gen, len(part))
        part[...] = x if standard else fma(x, span, low)
        if not standard or out.dtype != work:  # rounding may reach the end, which is excluded
            part[part == end] = start
    return out


def exponential(gen: MersenneTwister, n: int, rate: float = 1.0, dtype: str = "float32") -> np.ndarray:
    """Draws of density rate * exp(-rate * x), by inversion; two words an element. RuntimeError unless rate > 0.

    Example::

        >>> exponential(MersenneTwister(0), 2).tolist()
        [3.508326292037964, 1.2303847074508667]
    """
    _require_continuous(dtype, "Exponential")
    if not rate > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
    scale = -1.0 / rate
    return _transformed(n, dtype, lambda k: scale * c_function(math.log1p, -unit_doubles(gen, k), dtype))


def cauchy(gen: MersenneTwister, n: int, median: float = 0.0, sigma: float = 1.0, dtype: str = "float32") -> np.ndarray:
    """Draws of the Cauchy distribution, by inversion; two words an element. RuntimeError unless sigma > 0."""
    _require_continuous(dtype, "Cauchy")
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")

    def formula(k: int) -> np.ndarray:
        return fma(c_function(math.tan, math.pi * (unit_doubles(gen, k) - 0.5), dtype), sigma, median)

    return _transformed(n, dtype, formula)


def _require_continuous(dtype: str, name: str) -> None:
    if dtype not in PRECISION:
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {errors.TYPE_NAMES[dtype]}"
        )


def geometric(gen: MersenneTwister, n: int, p: float, dtype: str = "float32") -> np.ndarray:
    """Numbers of trials up to the first success, by inversion, in any real dtype; two words an element.

    RuntimeError unless 0 < p < 1.
    """
    require(dtype, COUNTING, "geometric_cpu")
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    scale = math.log1p(-p)

    def formula(k: int) -> np.ndarray:
        with np.errstate(divide="ignore"):
            trials = np.ceil(np.log(unit_doubles(gen, k)) / scale)
        return trials if dtype in PRECISION else _to_integer(trials)

    return _transformed(n, dtype, formula)


def _to_integer(x: np.ndarray) -> np.ndarray:
    """float64 to int64, what does not fit becoming -2**63, as x86's conversion does."""
    return np.where(x < 2.0**63, x, -(2.0**63)).astype(np.int64)


# ---------------------------------------------------------------------------------------------- integers


def check_integers(low: int, high: int, dtype: str) -> tuple[int, int]:
    """The range [low, high) that dtype can draw from, narrowed for floating-point dtypes to what they hold exactly.

    RuntimeError if it is empty or does not fit the dtype; a warning where a float dtype cannot hold every integer of
    it.
    """
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if dtype in PARTS:
        raise RuntimeError(f"check_random_bounds handles only integral, floating-point and boolean types, got {dtype}")
    bottom, top = _integer_bounds(dtype)
    for value, role in ((low, "from"), (high - 1, "to - 1")):
        if not bottom <= value <= top:
            raise RuntimeError(f"{role} is out of bounds for {dtype}: {value} is outside {bottom} ... {top}")
    if dtype in PRECISION:
        low, high = _inside(low, high, dtype)
    return low, high


def _integer_bounds(dtype: str) -> tuple[int, int]:
    if dtype == "bool":
        return 0, 1
    if dtype in PRECISION:
        top = {"float16": 65504}.get(dtype, 2**63 - 1)
        return max(-top, -(2**63)) - (top == 2**63 - 1), top
    info = np.iinfo(dtype)
    return int(info.min), min(int(info.max), 2**63 - 1)


def _inside(low: int, high: int, dtype: str) -> tuple[int, int]:
    """Move both ends inwards so that rounding to the dtype cannot leave [low, high)."""
    digits = PRECISION[dtype]

    def rounded(value: int) -> int:
        return int(round_to(np.array([value], dtype=np.int64), dtype).astype(np.float64)[0])

    def spacing(value: int) -> int:
        return 1 << max(abs(value).bit_length() - digits, 0)

    if (up := rounded(low + 1)) < low:
        low = up + spacing(low + 1)
    if (down := rounded(high - 1)) >= high:
        high = down - spacing(high - 1)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to' when cast to {dtype}, got {low} >= {high}")
    for value, role in ((low, "from"), (high - 1, "to - 1")):
        if abs(value) > 1 << digits:
            warnings.warn(
                f"{role} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations {dtype} can "
                "support discrete uniform distribution only within this range.",
                stacklevel=4,
            )
    return low, high


def _integers(gen: MersenneTwister, n: int, span: int, base: int, wide: bool, dtype: str) -> np.ndarray:
    """base + (a word of 64 or 32 bits modulo span), in the arithmetic of 64 bits."""
    out = np.empty(n, numpy_dtype(dtype))
    if dtype == "int64" and not wide and span < 1 << 31 and gen.fill("integers", out, base, span):
        return out
    offset = np.uint64(base % 2**64)
    for part in blocks(out):
        words = gen.random64(len(part)) if wide else gen.random32(len(part))
        if span < 2**64:
            words %= words.dtype.type(span)
        part[...] = round_to((words + offset).view(np.int64), dtype)
    return out


def randint(gen: MersenneTwister, n: int, low: int, high: int, dtype: str = "int64") -> np.ndarray:
    """Integers of [low, high) in any real dtype or bool; one word an element, two where high - low >= 2**28.

    The remainder of a word is taken, so that large ranges are slightly uneven (PyTorch's choice). RuntimeError as in
    `check_integers`.

    Example::

        >>> randint(MersenneTwister(0), 5, 0, 10).tolist()
        [4, 9, 3, 0, 3]
    """
    low, high = check_integers(low, high, dtype)
    span = high - low
    return _integers(gen, n, span, low, span >= 2**28, dtype)


def random_(gen: MersenneTwister, n: int, dtype: str = "float32", low: int | None = None) -> np.ndarray:
    """Integers of 0 to the dtype's maximum, in a float dtype to the last exact integer (2**24 in float32).

    With `low`, from there to the maximum; -2**63 as `low` gives all 64 bits. int64 and float64 use two words an
    element.

    Example::

        >>> random_(MersenneTwister(0), 2, "int8").tolist()
        [44, 47]
    """
    if low is None:
        require(dtype, ("bool", *COUNTING), "random_kernel_cpu")
    if low == -(2**63):
        if dtype not in ("int64", "float64", "float32", "bfloat16"):
            raise RuntimeError(f"all 64 bits can be drawn only as int64, float64, float32 or bfloat16, not {dtype}")
        return _integers(gen, n, 2**64, 0, True, dtype)
    top = 1 << PRECISION[dtype] if dtype in PRECISION else _integer_bounds(dtype)[1]
    if low is not None:
        return randint(gen, n, low, top + 1, dtype)
    return _integers(gen, n, top + 1, 0, dtype in ("int64", "float64"), dtype)


FEW = (2**32 - 1) // 20  # below, 32-bit draws shuffle evenly enough


def randperm(gen: MersenneTwister, n: int, dtype: str = "int64") -> np.ndarray:
    """A permutation of 0 ... n - 1 by Fisher and Yates's shuffle; n - 1 words, from 214,748,364 elements on 2 n words.

    RuntimeError if n is negative or too large for the dtype.

    Example::

        >>> randperm(MersenneTwister(0), 5).tolist()
        [4, 0, 1, 3, 2]
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    require(dtype, COUNTING, "randperm")
    most = (1 << PRECISION[dtype]) + 1 if dtype in PRECISION else _integer_bounds(dtype)[1]
    if n > most:
        raise RuntimeError(f"n cannot be greater than {most} for {errors.TYPE_NAMES[dtype]} type, got {n}")
    if n >= FEW:
        return _inside_out(gen, n).astype(numpy_dtype(dtype), copy=False)
    if gen.shuffle(order := np.arange(n)):
        return round_to(order, dtype)
    targets = gen.random32(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint32)
    targets += np.arange(len(targets), dtype=np.uint32)
    done = _swap_in_blocks(order, targets)
    rest = order[done:].tolist()
    for i, j in enumerate((targets[done:] - np.uint32(done)).tolist()):
        rest[i], rest[j] = rest[j], rest[i]
    order[done:] = rest
    return round_to(order, dtype)


def _swap_in_blocks(order: np.ndarray, targets: np.ndarray) -> int:
    """Swap order[i] and order[targets[i]], in order of i, until 2**15 elements are left; how many swaps were done.

    In a block of about the square root of what is left few swaps share a place with another one. The others commute, so
    they are made all at once.
    """
    cells: Any = memoryview(order)  # type: ignore[arg-type]  # NumPy's stubs leave out the buffer protocol
    done = 0
    last = np.empty(len(order), np.int32)  # the last swap of the block that goes to a place
    while (left := len(order) - done) > 1 << 15:
        size = 2 * math.isqrt(left)
        step = np.arange(size)
        place, target = step + done, targets[done : done + size].astype(np.int64)
        last[target] = step
        shared = last[target] != step
        shared[last[target[shared]]] = True
        inside = (target < done + size) & (target != place)
        shared |= inside
        shared[target[inside] - done] = True
        here, there = place[~shared], target[~shared]
        order[here], order[there] = order[there], order[here]
        for i, j in zip(place[shared].tolist(), target[shared].tolist(), strict=True):
            cells[i], cells[j] = cells[j], cells[i]
        done += size
    return done


def _inside_out(gen: MersenneTwister, n: int) -> np.ndarray:
    """The variant of the shuffle that builds the permutation as it goes (Durstenfeld, 1964)."""
    order = np.empty(n, np.int64)
    cells: Any = memoryview(order)  # type: ignore[arg-type]  # NumPy's stubs leave out the buffer protocol
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        targets = gen.random64(stop - start) % np.arange(start + 1, stop + 1, dtype=np.uint64)
        for i, j in enumerate(targets.tolist(), start):
            cells[i] = cells[j] if j < i else i
            cells[j] = i
    return order


# ---------------------------------------------------------------------------------------------- choices


def bernoulli(gen: MersenneTwister, p: np.ndarray, dtype: str | None = None) -> np.ndarray:
    """1 with probability p, for each element of the flat array `p`, in `dtype` (default: p's own), else 0.

    Two words an element where p is float64, else one. RuntimeError if a probability lies outside [0, 1].

    Example::

        >>> bernoulli(MersenneTwister(0), np.array([0.5, 0.5, 0.5], np.float32)).tolist()
        [1.0, 0.0, 1.0]
    """
    require(dtypes.from_numpy(p.dtype).name, PRECISION, "bernoulli_tensor_cpu_p_")
    if not np.all((p >= 0) & (p <= 1)):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false: a probability is outside [0, 1]")
    double = p.dtype == np.float64
    out = np.empty(len(p), numpy_dtype(dtype) if dtype else p.dtype)
    for part, chance in zip(blocks(out), blocks(p), strict=True):
        unit = unit_doubles(gen, len(part)) if double else unit_floats(gen, len(part))
        part[...] = unit < chance.astype(unit.dtype, copy=False)
    return out


def bernoulli_scalar(gen: MersenneTwister, n: int, p: float = 0.5, dtype: str = "float32") -> np.ndarray:
    """`n` draws of 1 with probability p, else 0; always two words an element. RuntimeError unless 0 <= p <= 1.

    The mask of dropout: kept where `bernoulli_scalar(gen, n, 1 - p)` is 1. PyTorch before 2.13 could use a vendor
    library's generator here on Intel CPUs, whose numbers these are not.
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    if dtype == "float32" and gen.fill("bernoulli", out := np.empty(n, np.float32), p, 1.0):
        return out
    return _transformed(n, dtype, lambda k: unit_doubles(gen, k) < p)


def multinomial(gen: MersenneTwister, weights: np.ndarray, samples: int, replacement: bool = False) -> np.ndarray:
    """Indices (int64) drawn with probabilities proportional to `weights`, of shape (categories,) or (rows, categories).

    The result has shape (samples,) or (rows, samples). Without replacement, or for a single sample, the largest weight
    / exponential draw win, two words a category (P. S. Efraimidis, P. G. Spirakis: Weighted random sampling with a
    reservoir, 2006); else two words a sample look up the cumulative sums. RuntimeError for negative, infinite or NaN
    weights, rows that sum to 0, or more samples than categories without replacement.

    Example::

        >>> multinomial(MersenneTwister(0), np.array([0.0, 10, 3, 0], np.float32), 2).tolist()
        [1, 2]
    """
    if (name := dtypes.from_numpy(weights.dtype).name) not in PRECISION:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {errors.TYPE_NAMES[name]}")
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got shape {weights.shape}")
    if samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {samples}")
    if not replacement and samples > weights.shape[-1]:
        raise RuntimeError(
            f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: {samples} > {weights.shape[-1]}"
        )
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if weights.size and not np.all(weights.astype(np.float64).sum(-1) > 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement and samples > 1:
        return _by_cumulative_sums(gen, weights, samples)
    return _by_race(gen, weights, samples)


def _by_race(gen: MersenneTwister, weights: np.ndarray, samples: int) -> np.ndarray:
    name = dtypes.from_numpy(weights.dtype).name
    clocks = exponential(gen, weights.size, 1.0, name).reshape(weights.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = weights / clocks
    if samples == 1:  # of what is no number, none comes first
        return np.argmax(np.where(speed == speed, speed, -1), axis=-1)[..., None]
    return np.argsort(-speed.astype(np.float64), axis=-1, kind="stable")[..., :samples]


def _by_cumulative_sums(gen: MersenneTwister, weights: np.ndarray, samples: int) -> np.ndarray:
    rows = np.atleast_2d(weights)
    sums: Any = np.cumsum(rows, axis=-1, dtype=np.float64 if weights.dtype == np.float64 else np.float32)
    sums /= sums[:, -1:].copy()
    sums[:, -1] = 1
    points = unit_doubles(gen, len(rows) * samples).reshape(-1, samples)
    found = [np.searchsorted(row, point) for row, point in zip(sums.astype(np.float64), points, strict=True)]
    return np.array(found, dtype=np.int64).reshape(*weights.shape[:-1], samples)
