"""Random numbers: the Mersenne Twister's stream (Matsumoto & Nishimura 1998) and what draws make of its words.

The same bits as `_ops/draws.py` and `_ops/draws_normal.py`, whose formulas are explained there. The state is that of
NumPy's MT19937: 624 words of 32 bits, then the number of words used as an int32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scalar, Step
from flambeau._backends.cpu.target import Target

N, M = 624, 397  # words of state; how far apart those are that are combined
UPPER, LOWER, MATRIX = 0x80000000, 0x7FFFFFFF, 0x9908B0DF
CHUNK = 1024  # words that are drawn before they are converted
GROUP = 16  # normal numbers that are made together

# Words an element, and the type of elements, of every kind of draw.
KINDS = {
    "uniform": (1, "float"),  # low + span * (24 bits); a, b: low, span
    "bernoulli": (2, "float"),  # b where 53 bits are below the integer a, else 0
    "normal": (1, "float"),  # a + b * normal number; whole groups
    "integers": (1, "i64"),  # a + a word modulo b, which is below 2^31
    "permutation": (1, "i64"),  # every element but the last changes places with one from there to the end
}

FIELDS = Fields("state_at out_at count a b")


def fill_step(target: Target, kind: str) -> Step | None:
    """The step that draws numbers: operands are the state, which it moves on, and the output; scalars are the count, a
    and b. None where the target would round differently."""
    if kind in ("uniform", "normal") and not target.fma:
        return None
    words = FIELDS.words(state_at=Address(0), out_at=Address(1), count=Scalar(0), a=Scalar(1), b=Scalar(2))
    return Step((Launch(Kernel(generate_fill, (kind,), ("fill",)), "fill", words, 1, 1),))


def generate_fill(target: Target, kind: str) -> str:
    """`fill`: with FIELDS, a single task."""
    m = Module(target)
    _twist(m)
    _words(m)
    _Fill(m, kind).write()
    return m.text()


# ---------------------------------------------------------------------------------------------- the stream


def _twist(m: Module) -> None:
    """`twist(state)`: the next 624 words of state, in place."""
    f = m.function("twist", "void", (("state", "ptr"),), internal=True)
    (state,) = f.parameters
    lanes = m.target.lanes(4)
    for lo, hi, distance in ((0, N - M, M), (N - M, N - 1, M - N)):
        whole = lo + (hi - lo) // lanes * lanes
        for first, end, width in ((lo, whole, lanes), (whole, hi, 0)):
            with f.loop(first, end, max(1, width)) as i:
                _twisted(f, state, i.index, f.add(i.index, 1), f.add(i.index, distance), width)
    _twisted(f, state, f.int(N - 1), f.int(0), f.int(M - 1), 0)
    f.ret()
    f.close()


def _twisted(f: Function, state: Val, place: Val, after: Val, other: Val, lanes: int) -> None:
    type = vector("i32", lanes)
    own, following, third = (f.load(type, f.offset(state, i, "i32")) for i in (place, after, other))
    y = f.binary("or", f.binary("and", own, f.int(UPPER, type)), f.binary("and", following, f.int(LOWER, type)))
    odd = f.sub(f.int(0, type), f.binary("and", y, f.int(1, type)))
    mixed = f.binary("xor", third, f.binary("lshr", y, f.int(1, type)))
    f.store(f.binary("xor", mixed, f.binary("and", odd, f.int(MATRIX, type))), f.offset(state, place, "i32"))


def _tempered(f: Function, y: Val) -> Val:
    """A word of state as a word of the stream."""
    for shift, amount, mask in (("lshr", 11, -1), ("shl", 7, 0x9D2C5680), ("shl", 15, 0xEFC60000), ("lshr", 18, -1)):
        moved = f.binary(shift, y, f.int(amount, y.type))
        y = f.binary("xor", y, f.binary("and", moved, f.int(mask, y.type)))
    return y


def _words(m: Module) -> None:
    """`words(state, to, count)`: the next words of the stream, no more than CHUNK."""
    f = m.function("words", "void", (("state", "ptr"), ("to", "ptr"), ("count", "i64")), internal=True)
    state, to, count = f.parameters
    lanes = m.target.lanes(4)
    used_at = f.offset(state, N, "i32")
    with f.loop(0, CHUNK // N + 2, 1, [f.int(0)]) as round:
        done = round.carried[0]
        exhausted = f.compare("eq", f.load("i32", used_at), N)
        with f.when(f.binary("and", exhausted, f.compare("slt", done, count))):
            f.call("void", "twist", [state], declare=False)
            f.store(f.int(0, "i32"), used_at)
        used = f.cast("zext", f.load("i32", used_at), "i64")
        taken = f.min(f.sub(N, used), f.sub(count, done))
        source, target = f.offset(state, used, "i32"), f.offset(to, done, "i32")
        whole = f.binary("and", taken, -lanes)
        for lo, hi, width in ((f.int(0), whole, lanes), (whole, taken, 0)):
            with f.loop(lo, hi, max(1, width)) as i:
                y = f.load(vector("i32", width), f.offset(source, i.index, "i32"))
                f.store(_tempered(f, y), f.offset(target, i.index, "i32"))
        f.store(f.cast("trunc", f.add(used, taken), "i32"), used_at)
        round.next = [f.add(done, taken)]
    f.ret()
    f.close()


# ---------------------------------------------------------------------------------------------- what words become


class _Fill:
    """The entry being written."""

    def __init__(self, module: Module, kind: str) -> None:
        self.kind = kind
        self.words, self.element = KINDS[kind]
        lanes = module.target.lanes(8 if self.element == "i64" else 4)
        self.lanes = {"normal": GROUP, "permutation": 1}.get(kind, lanes)
        self.f, args, _, _ = module.entry("fill")
        f = self.f
        self.drawn = f.stack("i32", CHUNK)
        self.spare = f.stack(self.element, self.lanes)
        self.state, self.out, self.count = FIELDS.read(f, args, "state_at out_at count")
        self.a, self.b = (self._parameter(args, name) for name in "ab")

    def _parameter(self, args: Val, name: str) -> Val:
        f, i = self.f, FIELDS.index[name]
        whole = self.kind == "integers" and name == "a" or self.kind == "bernoulli" and name == "a"
        if whole:
            return f.word(args, i)
        value = f.word(args, i, "double")
        return value if self.kind == "integers" else f.cast("fptrunc", value, "float")

    def write(self) -> None:
        f, each = self.f, CHUNK // self.words
        with f.loop(0, self.count, each) as chunk:
            here = f.min(f.sub(self.count, chunk.index), each)
            f.call("void", "words", [self.state, self.drawn, f.mul(here, self.words)], declare=False)
            out = f.offset(self.out, chunk.index, self.element)
            if self.kind == "permutation":
                self._shuffle(out, here, f.sub(self.count, chunk.index))
            else:
                self._convert_all(out, here)
        f.ret()
        f.close()

    def _shuffle(self, out: Val, here: Val, left: Val) -> None:
        """Exchanges for `here` elements; behind the first of them there are `left`."""
        f = self.f
        with f.loop(0, here) as i:
            word = f.load("i32", f.offset(self.drawn, i.index, "i32"))
            choices = f.cast("trunc", f.add(f.sub(left, i.index), 1), "i32")
            far = f.add(i.index, f.cast("zext", f.urem(word, choices), "i64"))
            places = f.offset(out, i.index, "i64"), f.offset(out, far, "i64")
            a, b = (f.load("i64", p) for p in places)
            f.store(b, places[0])
            f.store(a, places[1])

    def _convert_all(self, out: Val, here: Val) -> None:
        """Whole vectors, then what is left of one."""
        f = self.f
        whole = f.binary("and", here, -self.lanes)
        with f.loop(0, whole, self.lanes) as i:
            self._convert(i.index, f.offset(out, i.index, self.element))
        with f.when(f.compare("slt", whole, here)):
            self._convert(whole, self.spare)
            with f.loop(whole, here) as i:
                x = f.load(self.element, f.offset(self.spare, f.sub(i.index, whole), self.element))
                f.store(x, f.offset(out, i.index, self.element))

    def _convert(self, i: Val, to: Val) -> None:
        """A vector of elements, from element i of those drawn on."""
        f = self.f
        drawn = f.load(vector("i32", self.lanes * self.words), f.offset(self.drawn, f.mul(i, self.words), "i32"))
        if self.kind == "normal":
            low, high = (f.shuffle(drawn, drawn, range(k, k + GROUP // 2)) for k in (0, GROUP // 2))
            for k, x in enumerate(self._normal(self._unit(low), self._unit(high))):
                f.store(x, f.offset(to, k * GROUP // 2, self.element))
        else:
            convert = {"uniform": self._uniform, "bernoulli": self._bernoulli, "integers": self._integer}[self.kind]
            f.store(convert(drawn), to)

    def _unit(self, words: Val) -> Val:
        """24 bits as a float in [0, 1)."""
        f = self.f
        x = f.cast("sitofp", f.binary("and", words, f.int(2**24 - 1, words.type)), "float")
        return f.fmul(x, f.float(2.0**-24, x.type))

    def _uniform(self, words: Val) -> Val:
        """Rounding may reach the end of the range, which is excluded: that is its beginning."""
        f = self.f
        low, span = (f.splat(x, self.lanes) for x in (self.a, self.b))
        x = f.fma(self._unit(words), span, low)
        return f.select(f.fcompare("oeq", x, f.fadd(low, span)), low, x)

    def _bernoulli(self, words: Val) -> Val:
        f = self.f
        high, low = (f.shuffle(words, words, range(k, 2 * self.lanes, 2)) for k in (0, 1))
        high = f.binary("and", high, f.int(2**21 - 1, high.type))
        shifted = f.binary("shl", f.cast("zext", high, "i64"), f.int(32, vector("i64", self.lanes)))
        bits = f.binary("or", shifted, f.cast("zext", low, "i64"))
        kept = f.compare("slt", bits, f.splat(self.a, self.lanes))
        one = f.splat(self.b, self.lanes)
        return f.select(kept, one, f.float(0.0, one.type))

    def _integer(self, words: Val) -> Val:
        """The quotient of doubles, rounded down, is that of the integers: they are small enough."""
        f = self.f
        x, divisor = f.cast("uitofp", words, "double"), f.splat(self.b, self.lanes)
        quotient = f.intrinsic("trunc", f.fdiv(x, divisor))
        rest = f.cast("fptosi", f.fsub(x, f.fmul(quotient, divisor)), "i32")
        return f.add(f.cast("zext", rest, "i64"), f.splat(self.a, self.lanes))

    # ------------------------------------------------------------------------------------------ normal numbers

    def _normal(self, u: Val, v: Val) -> tuple[Val, Val]:
        """Two normal numbers from two even ones (Box & Muller 1958)."""
        f = self.f
        logarithm = self._log(f.fsub(f.float(1.0, u.type), u))
        radius = f.intrinsic("sqrt", f.fmul(logarithm, f.float(-2.0, u.type)))
        sine, cosine = self._sincos(f.fmul(v, f.float(2 * math.pi, v.type)))
        mean, std = (f.splat(x, u.lanes) for x in (self.a, self.b))
        first, second = (f.fma(f.fmul(x, radius), std, mean) for x in (cosine, sine))
        return first, second

    def _polynomial(self, x: Val, coefficients: Sequence[float]) -> Val:
        """Horner's rule, the highest power first."""
        f = self.f
        y = f.float(coefficients[0], x.type)
        for c in coefficients[1:]:
            y = f.fma(y, x, f.float(c, x.type))
        return y

    def _log(self, u: Val) -> Val:
        f = self.f
        bits = f.bitcast(u, "i32")
        significand = f.binary("and", bits, f.int(0x7FFFFF, bits.type))
        m = f.bitcast(f.binary("or", significand, f.int(0x3F000000, bits.type)), "float")
        below = f.fcompare("olt", m, f.float(math.sqrt(0.5), m.type))
        exponent = f.sub(f.binary("lshr", bits, f.int(23, bits.type)), f.int(126, bits.type))
        e = f.cast("sitofp", f.add(exponent, f.cast("sext", below, "i32")), "float")
        x = f.fsub(f.select(below, f.fadd(m, m), m), f.float(1.0, m.type))
        z = f.fmul(x, x)
        y = f.fmul(self._polynomial(x, LOG), x)
        y = f.fma(y, z, f.fmul(e, f.float(LN2_LOW, e.type)))
        y = f.fma(z, f.float(-0.5, z.type), y)
        return f.fma(e, f.float(LN2_HIGH, e.type), f.fadd(x, y))

    def _sincos(self, theta: Val) -> tuple[Val, Val]:
        f = self.f
        eighths = f.cast("fptosi", f.fmul(theta, f.float(4 / math.pi, theta.type)), "i32")
        octant = f.binary("and", f.add(eighths, f.int(1, eighths.type)), f.int(-2, eighths.type))
        y, x = f.fneg(f.cast("sitofp", octant, "float")), theta
        for part in QUARTER_PI:
            x = f.fma(y, f.float(part, x.type), x)
        z = f.fmul(x, x)
        c = f.fmul(self._polynomial(z, COSINE), z)
        c = f.fadd(f.fma(c, z, f.fmul(z, f.float(-0.5, z.type))), f.float(1.0, z.type))
        s = f.fmul(self._polynomial(z, SINE), z)
        s = f.fma(s, x, x)
        swapped = self._has(octant, 2)
        sine, cosine = f.select(swapped, c, s), f.select(swapped, s, c)
        shifted = f.add(octant, f.int(2, octant.type))
        return (f.select(self._has(octant, 4), f.fneg(sine), sine),
                f.select(self._has(shifted, 4), f.fneg(cosine), cosine))  # fmt: skip

    def _has(self, x: Val, bit: int) -> Val:
        f = self.f
        return f.compare("ne", f.binary("and", x, f.int(bit, x.type)), f.int(0, x.type))


def _singles(*numbers: float) -> tuple[float, ...]:
    """The numbers rounded to float32."""
    return struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}f", *numbers))


# The polynomials of Cephes (logf.c, sinf.c), as in `_ops/draws_normal.py`.
LOG = _singles(
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LN2_LOW, LN2_HIGH = _singles(-2.12194440e-4, 0.693359375)
SINE = _singles(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = _singles(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
QUARTER_PI = _singles(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
