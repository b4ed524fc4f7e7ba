"""What both directions of attention share: rows of scores. A block is up to ROWS queries by KEYS keys."""

from __future__ import annotations

import math

from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.primitives import primitive
from flambeau._backends.cpu.products import PITCH, Products, Tile

ROWS, KEYS = 64, PITCH
WIDTHS = (1024, 4096)  # bytes of a query, key or value that there are kernels for, at most: what their stacks hold
NAMES = {"float": "float32", "double": "float64"}


class Blocks(Products):
    """Products, and what becomes of those that are scores."""

    def __init__(self, module: Module, element: str, tile: Tile, most: int) -> None:
        super().__init__(module, element, tile)
        self.limit = most // BYTES[element]

    def masked(self, f: Function, mask: Val, stride: Val, kind: str, count: Val, to: Val) -> None:
        """What a mask adds to a row of scores: itself, or 0 and -inf where it is of booleans."""
        memory = "i8" if kind == "bool" else self.element

        def additive(x: Val) -> Val:
            if kind != "bool":
                return x
            type = vector(self.element, x.lanes)
            taken = f.compare("ne", x, f.int(0, x.type))
            return f.select(taken, f.float(0.0, type), f.float(-math.inf, type))

        whole = f.select(f.compare("eq", stride, 1), f.binary("and", count, -self.lanes), f.int(0))
        with f.loop(0, whole, self.lanes) as i:
            x = f.load(vector(memory, self.lanes), f.offset(mask, i.index, memory))
            f.store(additive(x), f.offset(to, i.index, self.element))
        with f.loop(whole, count) as i:
            x = f.load(memory, f.offset(mask, f.mul(i.index, stride), memory))
            f.store(additive(x), f.offset(to, i.index, self.element))

    def reach(self, f: Function, row: Val, diagonal: Val, count: Val) -> Val:
        """How many scores of a row are needed under a causal mask, where those up to `row` + `diagonal` take part: so
        many that products find all that they read."""
        return f.min(f.max(f.add(f.add(row, diagonal), self.tile.height), 0), count)

    def score(self, f: Function, scores: Val, i: Val, scale: Val, mask: Val | None, limit: Val) -> Val:
        """A vector of a row of products as scores; those from number `limit` on are -inf."""
        x = f.fmul(f.load(self.vector, f.offset(scores, i, self.element)), f.splat(scale, self.lanes))
        if mask is not None:
            x = f.fadd(x, f.load(self.vector, f.offset(mask, i, self.element)))
        return f.select(f.mask_below(f.sub(limit, i), self.lanes), x, f.float(-math.inf, self.vector))

    def primitive(self, f: Function, name: str, *args: Val) -> Val:
        return primitive(f, name, NAMES[self.element], args)


def across(f: Function, x: Val, combine: str) -> Val:
    """All lanes combined, in a fixed order: "fadd" or "maximum"."""
    while x.lanes > 1:
        half = x.lanes // 2
        low, high = f.shuffle(x, x, range(half)), f.shuffle(x, x, range(half, 2 * half))
        x = f.fadd(low, high) if combine == "fadd" else f.select(f.fcompare("ogt", low, high), low, high)
    return f.extract(x, 0)
