"""Records that are sorted as integers: an element's place in the order, then its position in the row.

An element becomes a signed key in the same order (floats by flipping the bits of negative ones; NaN is the greatest, -0
equals 0; complemented for descending order). Keys of up to 32 bits share a word with the position, others have a word
of their own. No two records are equal, so any way of sorting is stable.
"""

from __future__ import annotations

from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.emit import BYTES, Function, Val, like, vector
from flambeau._backends.cpu.vectormath import any_lane

SUPPORTED = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8")
LAST = 2**63 - 1  # in every word of a record that sorts behind all others


class Keys:
    """Records of one dtype and direction: `words` words of 64 bits each."""

    def __init__(self, dtype: str, descending: bool) -> None:
        self.dtype, self.descending = dtype, descending
        self.element = MEMORY[dtype]
        self.is_float = dtype.startswith("float")
        self.words = 2 if BYTES[self.element] == 8 else 1
        self.key = "i64" if self.words == 2 else "i32"
        self.greatest = 2 ** (8 * BYTES[self.key] - 1) - 1

    def load(self, f: Function, row: Val, position: Val, lanes: int) -> list[Val]:
        """The records of a row's elements from a position on."""
        x = f.load(vector(self.element, lanes), f.offset(row, position, self.element))
        key = self._key(f, x)
        number = f.splat(position, lanes) if lanes else position
        if lanes:
            number = f.add(number, f.lane_numbers(number.type))
        if self.words == 2:
            return [key, number]
        shifted = f.binary("shl", f.cast("sext", key, "i64"), f.int(32, like(key.type, "i64")))
        return [f.binary("or", shifted, number)]

    def _key(self, f: Function, x: Val) -> Val:
        if self.is_float:
            key = self._flipped(f, f.bitcast(x, self.key))
            key = f.select(f.fcompare("oeq", x, f.float(0.0, x.type)), f.int(0, key.type), key)
            key = f.select(f.fcompare("uno", x, x), f.int(self.greatest, key.type), key)
        elif x.element == self.key:
            key = x
        else:
            key = f.cast("zext" if self.dtype == "uint8" else "sext", x, self.key)
        return f.binary("xor", key, f.int(-1, key.type)) if self.descending else key

    def _flipped(self, f: Function, bits: Val) -> Val:
        """All bits of a negative number but the sign; its own inverse."""
        sign = f.binary("ashr", bits, f.int(8 * BYTES[self.key] - 1, bits.type))
        return f.binary("xor", bits, f.binary("and", sign, f.int(self.greatest, bits.type)))

    def store(self, f: Function, record: list[Val], row: Val, values: Val, positions: Val) -> None:
        """The elements and the positions of records."""
        if self.words == 2:
            key, number = record
        else:
            high = f.binary("ashr", record[0], f.int(32, record[0].type))
            key = f.cast("trunc", high, "i32")
            number = f.binary("and", record[0], f.int(2**32 - 1, record[0].type))
        if self.descending:
            key = f.binary("xor", key, f.int(-1, key.type))
        f.store(number, positions)
        if not self.is_float:
            narrow = key if key.element == self.element else f.cast("trunc", key, self.element)
            f.store(narrow, values)
            return
        f.store(f.bitcast(self._flipped(f, key), self.element), values)
        # The key does not tell zeros from each other, nor one NaN from another.
        zero, nan = f.compare("eq", key, f.int(0, key.type)), f.compare("eq", key, f.int(self.greatest, key.type))
        with f.when(any_lane(f, f.binary("or", zero, nan))):
            for i in range(max(1, number.lanes)):
                place = f.extract(number, i) if number.lanes else number
                f.store(f.load(self.element, f.offset(row, place, self.element)), f.offset(values, i, self.element))

    def after(self, f: Function, a: list[Val], b: list[Val]) -> Val:
        """Does record a come after b?"""
        if self.words == 1:
            return f.compare("sgt", a[0], b[0])
        later = f.binary("and", f.compare("eq", a[0], b[0]), f.compare("sgt", a[1], b[1]))
        return f.binary("or", f.compare("sgt", a[0], b[0]), later)

    def may_reach(self, f: Function, x: Val, bound: Val) -> Val:
        """May an element come before another one in the order, or be equal? True where it does, and perhaps where one
        of them is NaN."""
        if self.is_float:
            return f.fcompare("uge" if self.descending else "ule", x, bound)
        sign = "u" if self.dtype == "uint8" else "s"
        return f.compare(sign + ("ge" if self.descending else "le"), x, bound)
