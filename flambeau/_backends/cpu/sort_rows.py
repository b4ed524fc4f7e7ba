"""Kernels that sort rows, or pick what stands first in them: by a network, by radix, by keeping the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields
from flambeau._backends.cpu.kernel import Kernel
from flambeau._backends.cpu.sort_keys import LAST, Keys
from flambeau._backends.cpu.sort_network import Network, Record
from flambeau._backends.cpu.target import Target
from flambeau._backends.cpu.vectormath import any_lane

LIMIT = 4096  # records of a network, at most
WITNESSES = 32  # the best of so many parts of a row; no more than half as many are wanted

# Rows of `steps` elements, of which `kept` are wanted. A network has lanes << `levels` places.
NETWORK = Fields("x_at values_at positions_at steps kept levels")
# `first` is the number of the first row; buffers at `buffers_at` for the records of a row, twice.
RADIX = Fields("x_at values_at positions_at steps kept first buffers_at")


def network_kernel(dtype: str, descending: bool) -> Kernel:
    return Kernel(generate_network, (dtype, descending), ("sort", "top", "few"))


def radix_kernel(dtype: str, descending: bool, bits: int) -> Kernel:
    return Kernel(generate_radix, (dtype, descending, bits), ("sort",))


def generate_network(target: Target, dtype: str, descending: bool) -> str:
    """`sort`: with NETWORK, a task is a row that fits the network. `top`: a row of any length, the `kept` best of which
    fit several times. `few`: the same for up to WITNESSES / 2, of a row of at least WITNESSES."""
    m = Module(target)
    keys = Keys(dtype, descending)
    network = Network(m, keys)
    for name in ("sort", "top", "few"):
        _Rows(m, keys, network, name).write()
    return m.text()


class _Rows:
    """An entry of the network kernel being written."""

    def __init__(self, module: Module, keys: Keys, network: Network, name: str) -> None:
        self.keys, self.network, self.name = keys, network, name
        self.lanes = network.lanes
        self.f, args, self.lo, self.hi = module.entry(name)
        self.words = [self.f.stack("i64", LIMIT) for _ in range(keys.words)]
        self.best = self.f.stack(keys.element, WITNESSES)
        self.w = dict(zip(NETWORK.names, NETWORK.read(self.f, args, " ".join(NETWORK.names)), strict=True))
        self.size = self.f.binary("shl", self.f.int(self.lanes), self.w["levels"])

    def write(self) -> None:
        f, w = self.f, self.w
        with f.loop(self.lo, self.hi) as task:
            row, values, positions = row_of(f, self.keys, w, task.index)
            if self.name == "few":
                self._rest(row, f.int(0), self._witnesses(row), f.int(0))
            else:
                count = f.min(w["steps"], self.size)
                load_records(f, self.keys, row, count, self.words)
                self._sort(count)
                if self.name == "top":
                    self._rest(row, count, self._bound(row), w["kept"])
            store_records(f, self.keys, self.words, row, values, positions, w["kept"])
        f.ret()
        f.close()

    def _sort(self, count: Val) -> None:
        """What is behind `count` records is filled up with ones that sort last."""
        f = self.f
        with f.loop(count, self.size) as i:
            for words in self.words:
                f.store(f.int(LAST), f.offset(words, i.index, "i64"))
        self.network.call(f, self.words, self.w["levels"])

    def _witnesses(self, row: Val) -> list[Val]:
        """A bound that at least `kept` elements reach: of the best of WITNESSES parts of a row that in this place."""
        f, element = self.f, self.keys.element
        type = vector(element, WITNESSES)
        whole = f.binary("and", self.w["steps"], -WITNESSES)
        with f.loop(WITNESSES, whole, WITNESSES, [f.load(type, row)]) as i:
            x = f.load(type, f.offset(row, i.index, element))
            i.next = [f.select(self.keys.may_reach(f, x, i.carried[0]), x, i.carried[0])]
        f.store(i.results[0], self.best)
        load_records(f, self.keys, self.best, f.int(WITNESSES), self.words)
        self.network.call(f, self.words, f.int((WITNESSES // self.lanes).bit_length() - 1))
        bound, x = self._bound(self.best)
        return [bound if self.keys.words == 2 else f.binary("or", bound, 2**32 - 1), x]

    def _rest(self, row: Val, first: Val, bound: list[Val], held: Val) -> None:
        """Elements from number `first` on that reach the bound are put behind the records held until the buffer is
        full. It is then sorted, which gives a better bound."""
        f, w = self.f, self.w
        block = 2 * f.target.lanes(BYTES[self.keys.element])
        whole = f.sub(w["steps"], f.urem(f.sub(w["steps"], first), block))
        with f.loop(first, whole, block, [*bound, held]) as i:
            x = f.load(vector(self.keys.element, block), f.offset(row, i.index, self.keys.element))
            possible = any_lane(f, self.keys.may_reach(f, x, f.splat(i.carried[1], block)))
            before = f.block
            with f.when(possible):
                found = self._looked_through(row, i.index, f.add(i.index, block), self.lanes, i.carried)
                inside = f.block
            i.next = [f.phi(x.type, (x, before), (y, inside)) for x, y in zip(i.carried, found, strict=True)]
        *_, held = self._looked_through(row, whole, w["steps"], 0, i.results)
        self._sort(held)

    def _looked_through(self, row: Val, lo: Val, hi: Val, lanes: int, state: list[Val]) -> list[Val]:
        """The bound and the number of records held after some elements have been looked at one by one."""
        f = self.f
        with f.loop(lo, hi, max(1, lanes), state) as i:
            record = self.keys.load(f, row, i.index, lanes)
            bound = i.carried[0]
            reaching = f.compare("sle", record[0], f.splat(bound, lanes) if lanes else bound)
            i.next = self._taken(row, record, reaching, i.carried)
        return i.results

    def _bound(self, row: Val) -> list[Val]:
        """The key of the last record kept, and its element."""
        f, last = self.f, self.f.sub(self.w["kept"], 1)
        key, number = (f.load("i64", f.offset(words, last, "i64")) for words in (self.words[0], self.words[-1]))
        position = number if self.keys.words == 2 else f.binary("and", number, 2**32 - 1)
        return [key, f.load(self.keys.element, f.offset(row, position, self.keys.element))]

    def _taken(self, row: Val, record: Record, reaching: Val, state: list[Val]) -> list[Val]:
        """The state after those records that reach the bound have been put into the buffer."""
        f, before = self.f, self.f.block
        with f.when(any_lane(f, reaching)):
            number = state[2]
            for i in range(max(1, reaching.lanes)):
                for words, x in zip(self.words, record, strict=True):
                    f.store(f.extract(x, i) if x.lanes else x, f.offset(words, number, "i64"))
                taken = f.extract(reaching, i) if reaching.lanes else reaching
                number = f.add(number, f.cast("zext", taken, "i64"))
            full = f.compare("sgt", number, f.sub(self.size, self.lanes))
            inside, held = f.block, [*state[:2], number]
            with f.when(full):
                self._sort(number)
                fresh = [*self._bound(row), self.w["kept"]]
                sorted_in = f.block
            held = [f.phi(x.type, (x, inside), (y, sorted_in)) for x, y in zip(held, fresh, strict=True)]
            last = f.block
        return [f.phi(x.type, (x, before), (y, last)) for x, y in zip(state, held, strict=True)]


def row_of(f: Function, keys: Keys, w: dict[str, Val], number: Val) -> tuple[Val, Val, Val]:
    """Where a row begins, and where its values and positions go."""
    place = f.mul(number, w["kept"])
    return (f.offset(w["x_at"], f.mul(number, w["steps"]), keys.element),
            f.offset(w["values_at"], place, keys.element), f.offset(w["positions_at"], place, "i64"))  # fmt: skip


def load_records(f: Function, keys: Keys, row: Val, count: Val, words: Sequence[Val]) -> None:
    """The records of a row's first elements."""
    lanes = f.target.lanes(8)
    whole = f.binary("and", count, -lanes)
    for lo, hi, width in ((f.int(0), whole, lanes), (whole, count, 0)):
        with f.loop(lo, hi, max(1, width)) as i:
            for to, x in zip(words, keys.load(f, row, i.index, width), strict=True):
                f.store(x, f.offset(to, i.index, "i64"))


def store_records(
    f: Function, keys: Keys, words: Sequence[Val], row: Val, values: Val, positions: Val, count: Val
) -> None:
    """The values and positions of the first records."""
    lanes = f.target.lanes(8)
    whole = f.binary("and", count, -lanes)
    for lo, hi, width in ((f.int(0), whole, lanes), (whole, count, 0)):
        with f.loop(lo, hi, max(1, width)) as i:
            record = [f.load(vector("i64", width), f.offset(w, i.index, "i64")) for w in words]
            to = f.offset(values, i.index, keys.element), f.offset(positions, i.index, "i64")
            keys.store(f, record, row, *to)


# ---------------------------------------------------------------------------------------------- radix


def generate_radix(target: Target, dtype: str, descending: bool, bits: int) -> str:
    """`sort`: with RADIX, a task is a row, sorted by digits of `bits` bits of the key, the lowest first."""
    m = Module(target)
    _Radix(m, Keys(dtype, descending), bits).write()
    return m.text()


class _Radix:
    """The function being written."""

    def __init__(self, module: Module, keys: Keys, bits: int) -> None:
        self.keys, self.bits = keys, bits
        self.lowest = 0 if keys.words == 2 else 32  # of the key's bits in a record's first word
        self.passes = -(-(64 - self.lowest) // bits)
        self.f, args, self.lo, self.hi = module.entry("sort")
        self.counts = self.f.stack("i64", self.passes << bits)
        self.w = dict(zip(RADIX.names, RADIX.read(self.f, args, " ".join(RADIX.names)), strict=True))

    def write(self) -> None:
        f, w, count = self.f, self.w, self.keys.words
        with f.loop(self.lo, self.hi) as task:
            row, values, positions = row_of(f, self.keys, w, f.add(task.index, w["first"]))
            start = f.mul(task.index, f.mul(w["steps"], 2 * count))
            buffers = [f.offset(w["buffers_at"], f.add(start, f.mul(w["steps"], i)), "i64") for i in range(2 * count)]
            load_records(f, self.keys, row, w["steps"], buffers[:count])
            self._count(buffers[0])
            with f.loop(0, self.passes, 1, buffers) as p:
                p.next = self._pass(p.index, p.carried[:count], p.carried[count:])
            store_records(f, self.keys, p.results[:count], row, values, positions, w["kept"])
        f.ret()
        f.close()

    def _digit(self, x: Val, number: Val) -> Val:
        """A digit of a key whose sign bit has been turned, so that it orders as an unsigned number."""
        f = self.f
        turned = f.binary("xor", x, -(2**63))
        shift = f.add(f.mul(number, self.bits), self.lowest)
        return f.binary("and", f.binary("lshr", turned, shift), (1 << self.bits) - 1)

    def _count(self, words: Val) -> None:
        """How often every digit occurs, in all passes."""
        f = self.f
        with f.loop(0, self.passes << self.bits) as i:
            f.store(f.int(0), f.offset(self.counts, i.index, "i64"))
        with f.loop(0, self.w["steps"]) as i:
            x = f.load("i64", f.offset(words, i.index, "i64"))
            for p in range(self.passes):
                at = f.offset(self.counts, f.add(self._digit(x, f.int(p)), p << self.bits), "i64")
                f.store(f.add(f.load("i64", at), 1), at)

    def _pass(self, number: Val, source: list[Val], to: list[Val]) -> list[Val]:
        """The buffers after a pass, those that hold the records first; nothing is moved where all digits are equal."""
        f, steps = self.f, self.w["steps"]
        counts = f.offset(self.counts, f.binary("shl", number, self.bits), "i64")
        first = self._digit(f.load("i64", source[0]), number)
        needed = f.compare("ne", f.load("i64", f.offset(counts, first, "i64")), steps)
        with f.when(needed):
            with f.loop(0, 1 << self.bits, 1, [f.int(0)]) as i:
                at = f.offset(counts, i.index, "i64")
                before = f.load("i64", at)
                f.store(i.carried[0], at)
                i.next = [f.add(i.carried[0], before)]
            with f.loop(0, steps) as i:
                record = [f.load("i64", f.offset(s, i.index, "i64")) for s in source]
                at = f.offset(counts, self._digit(record[0], number), "i64")
                place = f.load("i64", at)
                f.store(f.add(place, 1), at)
                for t, x in zip(to, record, strict=True):
                    f.store(x, f.offset(t, place, "i64"))
        pairs = list(zip(source, to, strict=True))
        return [f.select(needed, t, s) for s, t in pairs] + [f.select(needed, s, t) for s, t in pairs]
