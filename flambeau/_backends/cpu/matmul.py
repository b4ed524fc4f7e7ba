"""Matrix products: which kernels do the work, and how it is split into tasks.

C [*B, m, n] = A [*B, m, k] B [*B, k, n] (+ bias). Everything here follows from shapes and strides, never from the
number of threads. How k is cut depends on k alone and every stretch of it is summed by itself, so an element of C has
the same bits whatever rows and columns are computed with it, in one task or in several; the exception are products of
few rows with columns of B (`matmul_dot`), which add in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau._backends.cpu import (
    matmul_blocks,
    matmul_dot,
    matmul_pack,
    matmul_parts,
    matmul_stream,
    matmul_tile,
    nest_lower,
)
from flambeau._backends.cpu.casts import MEMORY
from flambeau._backends.cpu.kernel import Address, Entry, Kernel, Launch, Scratch, Step, Word, Words
from flambeau._backends.cpu.matmul_problem import Problem, Strided, problem
from flambeau._backends.cpu.target import Target
from flambeau._compiler.loops import Expr, Loops, Nest, Operand
from flambeau._ir.meta import Meta

Epilogue = tuple[Kernel, str, tuple[Word, ...]] | None

DIRECT_PANELS = 6  # of A, up to which rows of B are read as they lie; twice as many for tiles of twice the height
DIRECT_BYTES = 40 << 10  # of B: about what a first-level cache holds; read as it lies for few rows, too
FAR_BYTES = 1 << 20  # of A or C, from which on they are sent for while what is there is multiplied
NOTHING_AHEAD: dict[str, Word] = {"ahead_tiles": 1, "ahead_tile": 0, "ahead_k": 0}
COPY_FROM = 3  # panels of B that a panel of A must meet to be copied
CACHE_WAYS = 8  # rows that collide in the first-level cache, but fit it; they need not be copied
STREAM_COLUMNS = 512  # from which on a single row is worth a buffer of sums
STREAM_ACROSS = 512  # columns of a task, at least: longer runs of B go by faster
BLOCK_BYTES = matmul_blocks.LOCAL_BYTES  # of B in one stretch of a block: what stays in the second-level cache
DEPTH_BYTES = 512 << 10  # of B in all stretches of a block for which rows of A go by
SHARED_BYTES = 4 << 20  # of B that is packed at a time for all tasks
PARTS_BYTES = 8 << 20  # for the parts of k, at most
TASK = 1 << 18  # multiplications in a task, at least; some microseconds
LONG_TASK = 1 << 21  # and if there are many
FEW_TASKS, MANY_TASKS = 8, 64
READ_AS_ROWS = 4  # reading B once takes as long as multiplying it with so many rows
BLOCK_ROWS, BLOCK_COLUMNS = 96, 256  # of C in a block if there are many, at least
FEW_ROWS = 128  # of which B is packed by tasks
FINISHED = 4  # panels of C that an epilogue gets at a time
LONG_K = 8  # stretches from which on parts of k may be tasks


def lower(target: Target, params: tuple, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """The launches of a product; operands are A, B, perhaps a bias that broadcasts to C, and C.

    params = (epilogue,): None, or (kernel, entry, words) of a function `entry(words, row_lo, row_hi, column_lo,
    column_hi)` that is called for every finished block of C, with the rows of all matrices counted on.
    """
    (epilogue,) = params
    out, k = outputs[0], inputs[0].shape[-1]
    if out.numel == 0:
        return Step(())
    if not has_blocks(inputs, out):
        return None if epilogue else _as_nest(target, inputs, out)
    p = problem(inputs, out)
    bytes = (inputs[0].numel + inputs[1].numel + out.numel) * p.itemsize
    few = p.m <= matmul_dot.ROWS and 1 in (p.a.column, k) and p.b.row == 1 and p.b.column != 1
    if few:
        launches, scratch = _dots(target, p, epilogue)
    elif p.m == 1 and p.b.column == 1 and p.n >= STREAM_COLUMNS:
        launches, scratch = _stream(target, p, epilogue)
    else:
        launches, scratch = _Blocks(target, p, epilogue).launches()
    return Step(launches, scratch, bytes, 2 * p.work)


def has_blocks(inputs: Sequence[Meta], out: Meta) -> bool:
    """Is a product done in blocks, which an epilogue can finish? (Else it is a nest.)"""
    return out.dtype.name in ("float32", "float64") and inputs[0].shape[-1] > 0 and out.numel > 1


def lower_finished(target: Target, nest: Nest, inputs: tuple[Meta, ...], outputs: tuple[Meta, ...]) -> Step | None:
    """The launches of a product whose blocks a map over rows and columns finishes; its operands follow the product's,
    of which C is one, too."""
    if not nest_lower.is_supported(nest.loops):
        return None
    step = lower(target, (nest_lower.epilogue(target, nest, len(inputs) + 1),), inputs, outputs)
    return step and step._replace(bytes=step.bytes + nest_lower.least_bytes(nest) - 2 * outputs[0].nbytes)


def wanted_tasks(work: int) -> int:
    """How many tasks so much work is worth."""
    return max(1, min(work // TASK, FEW_TASKS), min(work // LONG_TASK, MANY_TASKS))


def _chunk(work: int, tasks: int) -> int:
    """How many of the tasks a thread takes at a time."""
    return -(-tasks // min(tasks, max(1, min(work // TASK, 4 * MANY_TASKS))))


def _epilogue_words(epilogue: Epilogue, flipped: bool) -> dict[str, Word]:
    if epilogue is None:
        return {"epilogue_at": 0, "epilogue_words_at": 0, "flipped": 0}
    kernel, entry, words = epilogue
    return {"epilogue_at": Entry(kernel, entry), "epilogue_words_at": Words(words), "flipped": int(flipped)}


def _as_nest(target: Target, inputs: Sequence[Meta], out: Meta) -> Step | None:
    """The product as sums over k: for integers, for single dot products, and for k = 0."""
    sizes = (*out.shape, inputs[0].shape[-1])
    a, b = inputs[0], inputs[1]
    spread = [(*a.strides[:-1], 0, a.strides[-1]), (*b.strides[:-2], 0, b.strides[-1], b.strides[-2])]
    spread += [(*bias.strides, 0) for bias in inputs[2:]]
    spread.append((*out.strides, 0))
    kept = [i for i, size in enumerate(sizes[:-1]) if size != 1]
    strides = [tuple([s[i] for i in kept] + [s[-1]]) for s in spread]
    d = out.dtype.name
    body = [Expr("load", (), d, 0), Expr("load", (), d, 1), Expr("mul", (0, 1), d), Expr("reduce", (2,), d, "sum")]
    if len(inputs) > 2:
        body += [Expr("load", (), d, 2), Expr("add", (3, 4), d)]
    body.append(Expr("store", (len(body) - 1,), d, len(inputs)))
    operands = tuple([
        Operand(d, tuple([x if x in (0, 1) else None for x in s]), i == len(inputs)) for i, s in enumerate(strides)
    ])  # fmt: skip
    loops = Loops(len(kept), 1, operands, (), tuple(body))
    offsets = tuple([x.offset for x in inputs] + [0])
    nest = Nest(loops, tuple([sizes[i] for i in kept] + [sizes[-1]]), tuple(strides), offsets, (None,) * len(operands))
    return nest_lower.lower(target, nest)


def _dots(target: Target, p: Problem, epilogue: Epilogue) -> tuple[tuple[Launch, ...], int]:
    """Few rows, as dot products."""
    rows = matmul_dot.rows_at_once(p.m, p.k * p.n * p.itemsize)
    at_once = matmul_dot.columns_at_once(target, rows)
    groups = -(-p.n // at_once)
    work = p.matrices * max(p.m, READ_AS_ROWS) * p.n * p.k
    across = -(-groups // max(1, min(groups, wanted_tasks(work) // p.matrices))) * at_once
    blocks = -(-p.n // across)
    words = matmul_dot.FIELDS.words(
        a_at=p.a.at, b_at=p.b.at, c_at=p.c, bias_at=p.bias.at, m=p.m, n=p.n, k=p.k, a_row=p.a.row, b_n=p.b.column,
        bias_row=p.bias.row, bias_n=p.bias.column, across=across, column_blocks=blocks,
        **p.batch_words(), **_epilogue_words(epilogue, p.flipped),
    )  # fmt: skip
    kernel = matmul_dot.dot_kernel(MEMORY[p.dtype], rows)
    tasks = p.matrices * blocks
    return (Launch(kernel, "dots", words, tasks, _chunk(work, tasks)),), 0


def _stream(target: Target, p: Problem, epilogue: Epilogue) -> tuple[tuple[Launch, ...], int]:
    """One row, with rows of B."""
    blocks = max(-(-p.n // matmul_stream.COLUMNS), min(wanted_tasks(p.work), p.n // STREAM_ACROSS))
    across = -(-p.n // (64 * blocks)) * 64
    blocks = -(-p.n // across)
    stretch = stretch_of(target, MEMORY[p.dtype], p.itemsize, p.k)
    words = matmul_stream.FIELDS.words(
        a_at=p.a.at, b_at=p.b.at, c_at=p.c, bias_at=p.bias.at, m=1, n=p.n, k=p.k, a_k=p.a.column, b_k=p.b.row,
        bias_n=p.bias.column, stretch=stretch, across=across, column_blocks=blocks,
        **p.batch_words(), **_epilogue_words(epilogue, p.flipped),
    )  # fmt: skip
    kernel = matmul_stream.stream_kernel(MEMORY[p.dtype], p.bias.at != 0)
    tasks = p.matrices * blocks
    return (Launch(kernel, "stream", words, tasks, _chunk(p.work, tasks)),), 0


def stretch_of(target: Target, element: str, itemsize: int, k: int) -> int:
    """The elements of k between two visits of C: even shares, in whole vectors."""
    lanes = target.lanes(itemsize)
    share = -(-k // -(-k // matmul_pack.stretch_limit(element)))
    return min(k, -(-share // lanes) * lanes)


class _Blocks:
    """The plan of one product on tiles."""

    def __init__(self, target: Target, p: Problem, epilogue: Epilogue) -> None:
        self.target, self.p, self.epilogue = target, p, epilogue
        self.element = MEMORY[p.dtype]
        self.tile = matmul_tile.choose(target, self.element, p.m, p.n)
        self.panels = -(-p.m // self.tile.rows)
        self.columns = -(-p.n // self.tile.width)
        self.stretch = stretch_of(target, self.element, p.itemsize, p.k)
        self.order = "rows" if p.b.column == 1 else "columns" if p.b.row == 1 else "any"
        self.scratch = 0
        self._cut()

    def _cut(self) -> None:
        """Into blocks, as square as may be, and k into parts if there are few of them."""
        p, wanted = self.p, wanted_tasks(self.p.work)
        panel_bytes = self.stretch * self.tile.width * p.itemsize
        self.rows, self.across = self.panels, min(self.columns, max(1, BLOCK_BYTES // panel_bytes))
        self.parts = self._parts(wanted)
        while self.parts == 1 and self._tasks() < wanted and (halves := self._halves()):
            self.rows, self.across = halves
        self.row_blocks, self.column_blocks = -(-self.panels // self.rows), -(-self.columns // self.across)

    def _halves(self) -> tuple[int, int] | None:
        """The block cut in two: its columns if tasks pack B, as all would have to if rows were cut, or else its longer
        side, where columns count double as A is copied for them. None if it is small enough."""
        high, wide = self.rows * self.tile.rows, self.across * self.tile.width
        small = self._tasks() >= FEW_TASKS
        low, narrow = (BLOCK_ROWS, BLOCK_COLUMNS) if small else (2 * self.tile.rows, 2 * self.tile.width)
        if wide >= 2 * narrow and (self.p.m <= FEW_ROWS or wide > 2 * high or high < 2 * low):
            return self.rows, -(-self.across // 2)
        return (-(-self.rows // 2), self.across) if high >= 2 * low else None

    def _tasks(self) -> int:
        return self.p.matrices * -(-self.panels // self.rows) * -(-self.columns // self.across) * self.parts

    def _parts(self, wanted: int) -> int:
        """Stretches, if they are to be tasks."""
        p = self.p
        stretches = -(-p.k // self.stretch)
        few = p.matrices * self.panels * self.columns < min(wanted, FEW_TASKS)
        fits = stretches * p.matrices * p.m * p.n * p.itemsize <= PARTS_BYTES
        return stretches if few and fits and stretches >= LONG_K else 1

    def _depth(self, k: int, own: bool) -> int:
        """The steps of k for which the rows of A go by once. Where they are far, and panels of B are not the task's
        `own`, it is as many stretches as the second-level cache holds of the block's panels of B."""
        if own or not self._far():
            return self.stretch
        most = DEPTH_BYTES // (self.across * self.tile.width * self.p.itemsize)
        return min(k, max(self.stretch, most // self.stretch * self.stretch))

    def _reserve(self, elements: int) -> Scratch:
        place = Scratch(self.scratch)
        self.scratch += -(-elements * self.p.itemsize // 64) * 64
        return place

    def launches(self) -> tuple[tuple[Launch, ...], int]:
        p = self.p
        most = DIRECT_PANELS * (2 if self.target.registers >= 32 else 1)
        small = p.m <= FEW_ROWS and p.k * p.n * p.itemsize <= DIRECT_BYTES
        direct = self.order == "rows" and (small or self.panels <= most)
        if self.parts > 1:
            return self._in_parts(direct), self.scratch
        if direct or p.m <= FEW_ROWS:
            return (self._blocks(p, self._local(direct)),), self.scratch
        return self._shared(), self.scratch

    def _local(self, direct: bool) -> dict[str, Word]:
        """The fields about B if tasks read it as it lies, all but a last panel that is not whole, or pack it."""
        whole = self.p.n // self.tile.width
        return {"packed_from": whole if direct else 0, "b_panel": self.tile.width}

    def _shared(self) -> tuple[Launch, ...]:
        """B is packed for all tasks, as many stretches of k at a time as fit the memory for that."""
        p, width = self.p, self.tile.width
        varies = any(b for _, _, b, _ in p.batch)
        count = p.matrices if varies else 1
        step_elements = count * self.columns * width
        steps = max(1, SHARED_BYTES // (step_elements * p.itemsize * self.stretch)) * self.stretch
        steps = min(steps, p.k)
        place = self._reserve(step_elements * steps)
        launches: list[Launch] = []
        for k in range(0, p.k, steps):
            length = min(steps, p.k - k)
            part = p._replace(k=length, a=_along(p, p.a, k * p.a.column), b=_along(p, p.b, k * p.b.row))
            launches.append(self._pack(part, place, count))
            part = part._replace(b=Strided(place, width, 1), batch=self._packed_batch(length if varies else 0))
            fields: dict[str, Word] = {"packed_from": self.columns, "b_panel": width * length}
            launches.append(self._blocks(part, fields, k == 0, k + length == p.k))
        return tuple(launches)

    def _packed_batch(self, k: int) -> tuple[tuple[int, int, int, int], ...]:
        """The batch with strides of B that are those of packed matrices of k steps."""
        stride, dims = self.columns * self.tile.width * k, []
        for size, a, _, bias in reversed(self.p.batch):
            dims.append((size, a, stride, bias))
            stride *= size
        return tuple(reversed(dims))

    def _pack(self, p: Problem, place: Scratch, count: int) -> Launch:
        batch = p.batch_words() if count > 1 else {"dims": 0, "batch_at": 0}
        words = matmul_pack.PANELS.words(
            b_at=p.b.at, to_at=place, b_k=p.b.row, b_n=p.b.column, k=p.k, n=p.n, width=self.tile.width,
            panels=self.columns, pack_at=self._packing(), **batch,
        )  # fmt: skip
        tasks = count * self.columns
        kernel = matmul_pack.panels_kernel(self.element)
        return Launch(kernel, "panels", words, tasks, _chunk(8 * tasks * p.k * self.tile.width, tasks))

    def _packing(self) -> Entry:
        """What packs one panel of B."""
        return Entry(matmul_pack.pack_kernel(self.element, self.order, self.tile.vectors), "pack")

    def _in_parts(self, direct: bool) -> tuple[Launch, ...]:
        p, e = self.p, self.element
        place = self._reserve(self.parts * p.matrices * p.m * p.n)
        partial = p._replace(bias=Strided(0, 0, 0))
        blocks = self._blocks(partial, self._local(direct), last=False, c=place)
        words = matmul_parts.FIELDS.words(
            parts_at=place, c_at=p.c, bias_at=p.bias.at, parts=self.parts, m=p.m, n=p.n, bias_row=p.bias.row,
            bias_n=p.bias.column, **p.batch_words(), **_epilogue_words(self.epilogue, p.flipped),
        )  # fmt: skip
        tasks = p.matrices * p.m
        kernel = matmul_parts.parts_kernel(e, p.bias.at != 0)
        return blocks, Launch(kernel, "sum", words, tasks, _chunk(self.parts * tasks * p.n, tasks))

    def _blocks(
        self, p: Problem, b_fields: dict[str, Word], first: bool = True, last: bool = True, c: Word | None = None
    ) -> Launch:
        packs = b_fields["packed_from"] != self.columns
        depth = self._depth(p.k, own=packs)
        words = matmul_blocks.FIELDS.words(
            a_at=p.a.at, b_at=p.b.at, c_at=p.c if c is None else c, bias_at=p.bias.at, fresh=int(first),
            m=p.m, n=p.n, k=p.k, a_row=p.a.row, a_k=p.a.column, b_k=p.b.row, b_n=p.b.column,
            bias_row=p.bias.row, bias_n=p.bias.column, panels=self.panels, columns=self.columns, rows=self.rows,
            across=self.across, row_blocks=self.row_blocks, column_blocks=self.column_blocks, parts=self.parts,
            part=self.stretch if self.parts > 1 else p.k, depth=depth, stretch=self.stretch, width=self.tile.width,
            pack_at=self._packing() if packs else 0, finished=FINISHED,
            **b_fields, **self._left(depth), **self._tiles(), **p.batch_words(),
            **_epilogue_words(self.epilogue if last else None, p.flipped),
        )  # fmt: skip
        tasks = self._tasks()
        return Launch(matmul_blocks.blocks_kernel(self.element), "blocks", words, tasks, _chunk(p.work, tasks))

    def _left(self, depth: int) -> dict[str, Word]:
        """The fields about A: copied if it meets enough panels of B, otherwise read as it lies."""
        p = self.p
        fits = p.a.column == 1 and self.tile.rows <= CACHE_WAYS
        if self.across < COPY_FROM or fits or 1 not in (p.a.row, p.a.column):
            return {"group": 1, "copy_at": 0, "copied_row": 0, "copied_k": 0, **NOTHING_AHEAD}
        if p.a.column == 1:
            copy, group = matmul_pack.copy_rows_kernel(self.element), 1
            strides = matmul_pack.row_pitch(self.element), 1
        else:
            copy, group = (
                matmul_pack.copy_columns_kernel(self.element, self.tile.rows),
                matmul_pack.columns_group(self.tile.rows),
            )
            strides = 1, matmul_pack.column_pitch(self.target, self.element, self.tile.rows)
        copied: dict[str, Word] = {
            "group": group, "copy_at": Entry(copy, "copy"), "copied_row": strides[0], "copied_k": strides[1],
        }  # fmt: skip
        return copied | (self._ahead(group, depth) if self._far() else NOTHING_AHEAD)

    def _far(self) -> bool:
        """Are A or C so large that they are in no cache?"""
        return self.p.m * max(self.p.k, self.p.n) * self.p.itemsize > FAR_BYTES

    def _ahead(self, group: int, depth: int) -> dict[str, Word]:
        """The fields about what is copied later: a tile sends for a row, or for some lines of every column."""
        p, line = self.p, matmul_tile.LINE // self.p.itemsize
        if p.a.column == 1:
            stretches = -(-depth // self.stretch)
            return {"ahead_tiles": self.tile.rows, "ahead_tile": p.a.row, "ahead_k": stretches}
        return {"ahead_tiles": -(-group * self.tile.rows // line) + 1, "ahead_tile": line, "ahead_k": p.a.column}

    def _tiles(self) -> dict[str, Word]:
        """The kernel of a whole tile, and of one that reaches beyond the last column."""
        tile, rest = self.tile, self.p.n % self.tile.width
        masked, far = matmul_tile.stores_masked(self.target), self._far()
        whole = edge = Entry(matmul_tile.tile_kernel(self.element, tile.rows, tile.vectors, False, far), "tile")
        if rest:
            needed = -(-rest // tile.lanes)
            vectors = min(tile.vectors, 1 << (needed - 1).bit_length())
            edge = Entry(matmul_tile.tile_kernel(self.element, tile.rows, vectors, masked, far), "tile")
        return {"tile_at": whole if self.p.n >= tile.width else edge, "edge_at": edge}


def _along(p: Problem, x: Strided, elements: int) -> Strided:
    """The matrix from some elements on."""
    assert isinstance(x.at, Address)
    return x._replace(at=Address(x.at.operand, x.at.offset + elements * p.itemsize))
