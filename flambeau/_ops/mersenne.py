"""The Mersenne Twister, as the random generator of the CPU (Matsumoto and Nishimura, 1998).

M. Matsumoto, T. Nishimura: Mersenne Twister: a 623-dimensionally equidistributed uniform pseudo-random number
generator. ACM Transactions on Modeling and Computer Simulation 8 (1998). The seeding is their `init_genrand` of 2002.

NumPy's MT19937 does the twisting. What this class adds is what makes a seed reproduce PyTorch's numbers: its seeding,
the order in which 64-bit draws use 32-bit ones, the second value of a pair of normal draws kept for later, and its
state's bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

N = 624  # words of state
# Native code that draws the very same numbers: `fill(kind, bits, out, a, b)` and `shuffle(bits, out)` say whether they
# did. `_tensor.random` installs the CPU backend's; without it NumPy draws.
native: Any = None
WORTH_A_CALL = 512  # numbers; fewer are drawn as quickly by NumPy
# It draws until NumPy has taken as long as loading and compiling it takes: most programs draw their first weights and
# few numbers more, and should not wait for a compiler. Nanoseconds: of a number by NumPy, by kind, and of the compiler.
BY_NUMPY = {"uniform": 10, "bernoulli": 20, "normal": 70, "integers": 10, "permutation": 110}
WORTH_A_KERNEL = 100_000_000
DEFAULT_SEED = 67280421310721  # the seed of a generator nobody seeded; PyTorch's choice
# The seed, how many draws are left before the next twist plus one, whether it is seeded, the next word, the words (64
# bits each), three doubles of which the middle one is the kept normal value, whether it is valid, a kept float32 and
# whether that is valid.
LAYOUT = struct.Struct(f"<QiiQ{N}Qdddi4xf?3x")


class _Spent:
    """Nanoseconds that NumPy has taken in this process for what a kernel could have drawn."""

    def __init__(self) -> None:
        self._by_kind = dict.fromkeys(BY_NUMPY, 0)

    def kernel_is_due(self, kind: str, count: int) -> bool:
        """Is a kernel worth its while for `count` more numbers?"""
        if self._by_kind[kind] <= WORTH_A_KERNEL:
            self._by_kind[kind] += BY_NUMPY[kind] * count
        return self._by_kind[kind] > WORTH_A_KERNEL


_spent = _Spent()


class MersenneTwister:
    """A stream of random bits with PyTorch's seeding, consumption and state.

    `seed` takes -2**63 ... 2**64 - 1 (ValueError outside; negative seeds count from 2**64 downwards). The low 32 bits
    alone choose the stream; `initial_seed` returns all 64. The words are made at the first draw, so that a generator
    costs nothing (not even NumPy's import) until it is used. One generator is not for several threads at once: who
    shares it, locks it.

    Attributes: `next_double_normal`, `next_float_normal`: the normal value left over from the last pair drawn, or None.

    Example::

        >>> g = MersenneTwister(5489)
        >>> g.random32(3).tolist()                      # the first numbers of mt19937ar.c
        [3499211612, 581869302, 3890346734]
        >>> g.initial_seed
        5489
    """

    __slots__ = ("_bits", "_seed", "_untouched", "next_double_normal", "next_float_normal")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the stream of `seed` afresh, forgetting kept normal values."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"Overflow when unpacking long long: a seed lies in -2**63 ... 2**64 - 1, got {seed}")
        self._seed = seed % 2**64
        self._bits: Any = None  # np.random.MT19937, made at the first use
        self._untouched = True
        self.next_double_normal: float | None = None
        self.next_float_normal: float | None = None

    @property
    def initial_seed(self) -> int:
        """The 64-bit seed this stream started from."""
        return self._seed

    def clone(self) -> MersenneTwister:
        """An independent generator in the same state."""
        twin = MersenneTwister(self._seed)
        if self._bits is not None:
            twin._bits = np.random.MT19937(0)
            twin._bits.state = self._bits.state
        twin._untouched = self._untouched
        twin.next_double_normal, twin.next_float_normal = self.next_double_normal, self.next_float_normal
        return twin

    # ------------------------------------------------------------------------------------------------ drawing

    def random32(self, n: int) -> np.ndarray:
        """The next `n` words of 32 bits (uint32)."""
        return self._draw(n).astype(np.uint32)

    def random64(self, n: int) -> np.ndarray:
        """`n` words of 64 bits (uint64), each from two of the stream's words, the high half first."""
        words = self._draw(2 * n)
        return words[0::2] << np.uint64(32) | words[1::2]

    def skip(self, n: int) -> None:
        """Pass over `n` words of 32 bits."""
        if n:
            self._untouched = False
            self._engine().random_raw(n, output=False)

    def fill(self, kind: str, out: np.ndarray, a: float, b: float) -> bool:
        """Fill a contiguous array natively, with numbers of a kind of `native.fill`; False if that is not to be had."""
        if native is None or out.size < WORTH_A_CALL or not _spent.kernel_is_due(kind, out.size):
            return False
        self._untouched = False
        return native.fill(kind, self._engine(), out, a, b)

    def shuffle(self, out: np.ndarray) -> bool:
        """Shuffle an int64 array natively; False if that is not to be had."""
        if native is None or out.size < WORTH_A_CALL or not _spent.kernel_is_due("permutation", out.size):
            return False
        self._untouched = False
        return native.shuffle(self._engine(), out)

    def _draw(self, n: int) -> np.ndarray:
        if n:
            self._untouched = False
        return self._engine().random_raw(n)

    def _engine(self) -> Any:
        if self._bits is None:
            self._load(_initial_words(self._seed), N)
        return self._bits

    def _load(self, words: Any, position: int) -> None:
        self._bits = np.random.MT19937(0)
        key = np.array(words, dtype=np.uint32)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}

    # ------------------------------------------------------------------------------------------------ state

    def get_state(self) -> bytes:
        """The whole state in the 5056 bytes of `torch.get_rng_state()`.

        Example::

            >>> g = MersenneTwister(0); state = g.get_state(); first = g.random32(2)
            >>> g.set_state(state); bool((g.random32(2) == first).all()), len(state)
            (True, 5056)
        """
        inner = self._engine().state["state"]
        used = 0 if self._untouched else inner["pos"]
        left = 1 if self._untouched else N + 1 - inner["pos"]
        kept, kept_float = self.next_double_normal, self.next_float_normal
        return LAYOUT.pack(
            self._seed, left, 1, used, *inner["key"].tolist(),
            0.0, kept or 0.0, 0.0, kept is not None, kept_float or 0.0, kept_float is not None,
        )  # fmt: skip

    def set_state(self, state: bytes | bytearray | memoryview | np.ndarray) -> None:
        """Continue from a state of `get_state` (any buffer of bytes); RuntimeError if it is none."""
        raw = bytes(state)
        if len(raw) != LAYOUT.size:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {LAYOUT.size} but found the input RNG state size to be "
                f"{len(raw)}"
            )
        seed, left, seeded, used, *rest = LAYOUT.unpack(raw)
        if not seeded or not 0 < left <= N or used > N:
            raise RuntimeError(
                f"Invalid mt19937 state: left={left} (1 ... {N}), next={used} (0 ... {N}), seeded={seeded}"
            )
        words, (_, kept, _, has_kept, kept_float, has_kept_float) = rest[:N], rest[N:]
        self._load([word & 0xFFFFFFFF for word in words], N + 1 - left)
        self._seed = seed
        self._untouched = left == 1 and used == 0
        self.next_double_normal = kept if has_kept else None
        self.next_float_normal = kept_float if has_kept_float else None


def _initial_words(seed: int) -> list[int]:
    """A linear recurrence spreads the low 32 bits of a seed (its multiplier: Knuth, TAOCP vol. 2, 3rd ed., p. 106)."""
    words = [seed & 0xFFFFFFFF]
    for i in range(1, N):
        last = words[-1]
        words.append((1812433253 * (last ^ last >> 30) + i) & 0xFFFFFFFF)
    return words
