"""What follows from a nest's expressions alone: what each depends on, the passes over a row, what a pass must keep."""

from __future__ import annotations

from flambeau._backends.cpu.casts import FLOATS
from flambeau._compiler.loops import Expr, Loops

SIMPLE = frozenset({"load", "store", "const", "scalar", "index", "cast", "where", "checked", "reduce", "neg", "abs",
                    "invert", "add", "sub", "mul", "maximum", "minimum", "fmax", "fmin", "floor", "ceil", "trunc",
                    "round", "copysign", "sgn"})  # fmt: skip
ROOTS = frozenset({"truediv", "sqrt", "rsqrt", "reciprocal"})
WORTH_KEEPING = 6  # what must be spent on a value before memory in cache is cheaper than computing it anew


def cost_of(e: Expr, loops: Loops) -> int:
    """About how many simple operations on a vector an expression takes."""
    if e.op == "load" and loops.operands[e.param].gathered:
        return 4
    if e.op in SIMPLE or e.dtype not in FLOATS:
        return 1
    return 5 if e.op in ROOTS else 15


class Structure:
    """For every expression: `dims`, the dimensions it varies over, and `stage`, how many passes over the row must be
    done before it can be computed. With `keeping`, costly values that a later pass needs too are in `kept`."""

    def __init__(self, loops: Loops, keeping: bool = False) -> None:
        self.loops = loops
        self.reduced = frozenset(range(loops.parallel, loops.parallel + loops.reduced))
        self.dims: list[frozenset[int]] = []
        self.stage: list[int] = []
        self.reductions: list[int] = []
        self.stores: list[int] = []
        for i, e in enumerate(loops.body):
            self._place(i, e)
        last = [self.stage[i] for i in self.stores if self.is_element(i)]
        self.passes = max([self.stage[r] for r in self.reductions] + [stage + 1 for stage in last], default=0)
        self.kept: dict[int, int] = {}  # value -> the pass that computes it
        if keeping:
            self._choose_kept()

    def _place(self, i: int, e: Expr) -> None:
        dims: frozenset[int] = frozenset().union(*[self.dims[a] for a in e.args])
        stage = max([self.stage[a] for a in e.args], default=0)
        if e.op == "reduce":
            self.reductions.append(i)
            dims, stage = dims - self.reduced, stage + 1
        elif e.op == "index":
            dims = frozenset({e.param})
        elif e.op in ("load", "store"):
            dims |= {d for d, s in enumerate(self.loops.operands[e.param].strides) if s != 0}
        if e.op == "store":
            self.stores.append(i)
        self.dims.append(dims)
        self.stage.append(stage)

    def is_element(self, i: int) -> bool:
        """Does an expression vary along a row?"""
        return bool(self.dims[i] & self.reduced)

    def row_stores(self) -> list[int]:
        return [i for i in self.stores if not self.is_element(i)]

    def of_pass(self, number: int) -> tuple[list[int], list[int]]:
        """The reductions and the element stores of a pass."""
        reductions = [i for i in self.reductions if self.stage[i] == number + 1]
        return reductions, [i for i in self.stores if self.is_element(i) and self.stage[i] == number]

    def needed(self, number: int) -> list[int]:
        """The values that vary along a row and that a pass computes or reads, in order."""
        found: set[int] = set()
        reductions, stores = self.of_pass(number)
        pending = [a for i in reductions + stores for a in self.loops.body[i].args]
        while pending:
            i = pending.pop()
            if i not in found and self.is_element(i):
                found.add(i)
                if self.kept.get(i, number) == number:
                    pending += self.loops.body[i].args
        return sorted(found)

    def width_of(self, number: int) -> int:
        """How many vectors a pass over a row has side by side: as many as there are registers for their states, and no
        more than it takes to hide the latency of combining."""
        reductions = len(self.of_pass(number)[0])
        return 1 if reductions > 2 else 2 if reductions == 2 else 4

    def cost_of_pass(self, number: int) -> int:
        """What the values along a row cost that a pass computes."""
        stores = self.of_pass(number)[1]
        return sum(cost_of(self.loops.body[i], self.loops) for i in self.needed(number) + stores)

    def kept_from(self, number: int) -> list[int]:
        """The values that a pass computes for later ones, in order."""
        return [i for i, computed in sorted(self.kept.items()) if computed == number]

    def _choose_kept(self) -> None:
        """Walk down from what a pass must give; stop at costly values that an earlier pass has computed."""
        spent: list[int] = []
        for i, e in enumerate(self.loops.body):
            spent.append(cost_of(e, self.loops) + sum(spent[a] for a in e.args) if self.is_element(i) else 0)
        first: dict[int, int] = {}
        for number in range(self.passes):
            reductions, stores = self.of_pass(number)
            pending = [a for i in reductions + stores for a in self.loops.body[i].args]
            while pending:
                i = pending.pop()
                if not self.is_element(i):
                    continue
                if first.setdefault(i, number) < number and spent[i] >= WORTH_KEEPING:
                    self.kept[i] = first[i]
                    continue
                pending += self.loops.body[i].args
