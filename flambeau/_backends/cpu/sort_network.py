"""Short rows: a bitonic network on vectors of records (Batcher 1968, "Sorting networks and their applications").

Sorted stretches are merged into stretches of twice the length: the second one is met in reverse, which leaves two
halves, each of which is bitonic and lies on one side of the other, and so on down to single records.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau._backends.cpu.emit import Function, Module, Val, vector
from flambeau._backends.cpu.sort_keys import Keys

Record = list[Val]


class Network:
    """The module's function `network(words..., levels)`: sorts lanes << levels records in place."""

    def __init__(self, module: Module, keys: Keys) -> None:
        self.keys = keys
        self.lanes = module.target.lanes(8)
        self.type = vector("i64", self.lanes)
        places = [(f"words{i}", "ptr") for i in range(keys.words)]
        f = module.function("network", "void", [*places, ("levels", "i64")], internal=True)
        self._write(f)

    def call(self, f: Function, words: Sequence[Val], levels: Val) -> None:
        f.call("void", "network", [*words, levels], declare=False)

    def _write(self, f: Function) -> None:
        *words, levels = f.parameters
        size = f.binary("shl", f.int(self.lanes), levels)
        with f.loop(0, size, self.lanes) as i:
            self._store(f, words, i.index, self._sorted(f, self._load(f, words, i.index)))
        with f.loop(0, levels) as level:
            length = f.binary("shl", f.int(self.lanes), level.index)
            self._meet_reversed(f, words, length, size)
            # two distances at a time, so that records are loaded and stored half as often
            with f.loop(1, level.index, 2) as d:
                self._halve_twice(f, words, f.binary("lshr", length, f.add(d.index, 1)), size)
            self._halve(f, words, f.binary("and", level.index, 1), size)
        f.ret()
        f.close()

    def _load(self, f: Function, words: Sequence[Val], i: Val) -> Record:
        return [f.load(self.type, f.offset(w, i, "i64")) for w in words]

    def _store(self, f: Function, words: Sequence[Val], i: Val, record: Record) -> None:
        for w, x in zip(words, record, strict=True):
            f.store(x, f.offset(w, i, "i64"))

    # ------------------------------------------------------------------------------------------ between vectors

    def _exchanged(self, f: Function, a: Record, b: Record) -> tuple[Record, Record]:
        """Lane by lane the earlier and the later record."""
        after = self.keys.after(f, a, b)
        pairs = list(zip(a, b, strict=True))
        return [f.select(after, y, x) for x, y in pairs], [f.select(after, x, y) for x, y in pairs]

    def _reversed(self, f: Function, a: Record) -> Record:
        return [f.shuffle(x, x, range(self.lanes - 1, -1, -1)) for x in a]

    def _meet_reversed(self, f: Function, words: Sequence[Val], length: Val, size: Val) -> None:
        """Every second sorted stretch of `length` meets its predecessor."""
        with f.loop(0, f.binary("lshr", size, 1), self.lanes) as t:
            block = f.binary("and", t.index, f.sub(f.int(0), length))
            low = f.add(t.index, block)
            high = f.sub(f.add(f.mul(block, 3), f.mul(length, 2)), f.add(t.index, self.lanes))
            a, b = self._exchanged(f, self._load(f, words, low), self._reversed(f, self._load(f, words, high)))
            self._store(f, words, low, a)
            self._store(f, words, high, self._reversed(f, b))

    def _halve_twice(self, f: Function, words: Sequence[Val], distance: Val, size: Val) -> None:
        """Exchanges over twice the distance, then over the distance."""
        with f.loop(0, f.binary("lshr", size, 2), self.lanes) as t:
            first = f.add(t.index, f.mul(f.binary("and", t.index, f.sub(f.int(0), distance)), 3))
            places = [f.add(first, f.mul(distance, i)) for i in range(4)]
            a, b, c, d = (self._load(f, words, p) for p in places)
            a, c = self._exchanged(f, a, c)
            b, d = self._exchanged(f, b, d)
            a, b = self._exchanged(f, a, b)
            c, d = self._exchanged(f, c, d)
            for place, x in zip(places, (a, b, c, d), strict=True):
                self._store(f, words, place, x)

    def _halve(self, f: Function, words: Sequence[Val], between: Val, size: Val) -> None:
        """The exchanges that are left: between neighbouring vectors if there are, and inside vectors."""
        with f.when(f.compare("ne", between, 0)):
            with f.loop(0, size, 2 * self.lanes) as i:
                places = i.index, f.add(i.index, self.lanes)
                pair = self._exchanged(f, *(self._load(f, words, p) for p in places))
                for place, x in zip(places, pair, strict=True):
                    self._store(f, words, place, self._halved(f, x))
        with f.when(f.compare("eq", between, 0)), f.loop(0, size, self.lanes) as i:
            self._store(f, words, i.index, self._halved(f, self._load(f, words, i.index)))

    # ------------------------------------------------------------------------------------------ inside vectors

    def _inside(self, f: Function, a: Record, partners: Sequence[int]) -> Record:
        """Every lane meets its partner."""
        b = [f.shuffle(x, x, partners) for x in a]
        lanes = ", ".join(f"i1 {'true' if p < i else 'false'}" for i, p in enumerate(partners))
        upper = Val(f"<{lanes}>", vector("i1", self.lanes))
        takes = f.binary("xor", self.keys.after(f, a, b), upper)
        return [f.select(takes, y, x) for x, y in zip(a, b, strict=True)]

    def _halved(self, f: Function, a: Record) -> Record:
        distance = self.lanes // 2
        while distance:
            a = self._inside(f, a, [i ^ distance for i in range(self.lanes)])
            distance //= 2
        return a

    def _sorted(self, f: Function, a: Record) -> Record:
        length = 2
        while length <= self.lanes:
            a = self._inside(f, a, [i ^ (length - 1) for i in range(self.lanes)])
            distance = length // 4
            while distance:
                a = self._inside(f, a, [i ^ distance for i in range(self.lanes)])
                distance //= 2
            length *= 2
        return a
