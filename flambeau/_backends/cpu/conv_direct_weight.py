"""The gradient of the weight of correlations with few filters and one channel a group: every kernel position is an
inner product of the output's gradient and the padded lines of the input, shifted.

A task adds up some slices for some groups, one slice of all of them after the other, as they lie in memory; a second
launch adds these partial sums in their order.
"""

from __future__ import annotations

from flambeau._backends.cpu import conv_direct
from flambeau._backends.cpu.conv_direct import Block, direct_words, emit_lines
from flambeau._backends.cpu.conv_geometry import LINE_BYTES, Correlation, evenly
from flambeau._backends.cpu.conv_pack import FilterStrides, tap_offsets
from flambeau._backends.cpu.emit import BYTES, Function, Module, Val, vector
from flambeau._backends.cpu.fields import Fields, split_task
from flambeau._backends.cpu.kernel import Address, Kernel, Launch, Scratch, Words
from flambeau._backends.cpu.lines import Lines, buffer
from flambeau._backends.cpu.target import Target

MOST_TAPS = 9  # whose sums stay in registers
TASKS = 32  # at least, where there are as many slices
FIELDS = Fields(
    f"{conv_direct.NAMES} slices partials groups_each sums_at g_at g_image g_channel g_d g_h g_w blocks "
    "width"
)
TOTAL_FIELDS = Fields("sums_at w_at w_group w_filter taps_at taps filters groups partials width")


def direct_weight_launches(
    target: Target, element: str, c: Correlation, b: Block, x: Address, g: Address, w: Address, weight: FilterStrides
) -> tuple[list[Launch], int]:
    """The launches that compute the gradient at `w`, and the bytes of scratch memory they need."""
    blocks = -(-c.taps // MOST_TAPS)
    each = -(-c.taps // blocks)
    slices = c.planes * b.blocks(c)[0] * b.blocks(c)[1]
    partials = min(slices, TASKS)
    groups_each = evenly(c.groups, -(-c.groups * partials // TASKS))
    values = direct_words(element, c, b, x)
    places = values["places_at"]
    assert isinstance(places, Words)
    # The last block of taps is filled up with repetitions, whose sums nobody reads.
    values["places_at"] = Words(places.words + places.words[:1] * (blocks * each - c.taps))
    width = blocks * each
    words = FIELDS.words(
        **values, slices=slices, partials=partials, groups_each=groups_each, sums_at=Scratch(), g_at=g,
        g_image=c.y.image, g_channel=c.y.channel, g_d=c.y.space[0], g_h=c.y.space[1], g_w=c.y.space[2], blocks=blocks,
        width=width,
    )  # fmt: skip
    total = TOTAL_FIELDS.words(
        sums_at=Scratch(), w_at=w, w_group=weight.group, w_filter=weight.filter,
        taps_at=Words(tuple(tap_offsets(c, weight.space))), taps=c.taps, filters=c.filters, groups=c.groups,
        partials=partials, width=width,
    )  # fmt: skip
    kernel = Kernel(generate_direct_weight, (element, b.lanes, each), ("products",))
    rows = c.groups * c.filters
    launches = [
        Launch(kernel, "products", words, partials * -(-c.groups // groups_each), 1),
        Launch(Kernel(generate_total, (element,), ("total",)), "total", total, rows, rows),
    ]
    return launches, partials * rows * width * BYTES[element]


def generate_direct_weight(target: Target, element: str, lanes: int, taps: int) -> str:
    """`products`: one task is a partial sum for some groups; `taps` kernel positions at a time."""
    m = Module(target)
    _emit_add(m, element, lanes, taps)
    f, args, lo, hi = m.entry("products")
    gathered, gradients = buffer(f, element, LINE_BYTES), buffer(f, element, LINE_BYTES)
    groups, partials, slices, count_d, blocks_h, blocks_w, rows, columns, count_h, count_w = FIELDS.read(
        f, args, "groups partials slices count_d blocks_h blocks_w rows columns count_h count_w"
    )
    g, *strides, sums, filters, width = FIELDS.read(f, args, "g_at g_image g_channel g_d g_h g_w sums_at filters width")
    (each,) = FIELDS.read(f, args, "groups_each")
    lines = Lines(f, args)
    with f.loop(lo, hi) as task:
        part, group_block = split_task(f, task.index, partials)
        first = f.mul(group_block, each)
        end = f.min(f.add(first, each), groups)
        size = f.mul(filters, width)
        begin = f.offset(sums, f.mul(f.add(f.mul(part, groups), first), size), element)
        with f.loop(0, f.mul(f.sub(end, first), size)) as i:
            f.store(f.float(0.0, element), f.offset(begin, i.index, element))
        s_lo, s_hi = (f.udiv(f.mul(f.add(part, n), slices), partials) for n in (0, 1))
        with f.loop(s_lo, s_hi) as s, f.loop(first, end, 1, [begin]) as each_group:
            group, sum = each_group.index, each_group.carried[0]
            block_w, block_h, d, image = split_task(f, s.index, blocks_w, blocks_h, count_d)
            h0, w0 = f.mul(block_h, rows), f.mul(block_w, columns)
            rows_here, columns_here = f.min(rows, f.sub(count_h, h0)), f.min(columns, f.sub(count_w, w0))
            emit_lines(f, args, element, image, d, h0, w0, columns_here, group, gathered)
            with f.loop(0, filters, 1, [sum]) as n:
                number = f.add(f.mul(group, filters), n.index)
                index = f.int(0)
                for position, stride in zip((image, number, d, h0, w0), strides, strict=True):
                    index = f.add(index, f.mul(position, stride))
                with f.loop(0, rows_here, 1, [f.offset(g, index, element), gradients]) as r:
                    lines.copy(r.carried[1], r.carried[0], columns_here, strides[4])
                    r.next = [
                        f.offset(r.carried[0], strides[3], element),
                        f.offset(r.carried[1], columns_here, element),
                    ]
                sizes = [rows_here, columns_here]
                f.call("void", "add", [args, gathered, gradients, n.carried[0], *sizes], declare=False)
                n.next = [f.offset(n.carried[0], width, element)]
            each_group.next = [f.offset(sum, size, element)]
    f.ret()
    f.close()
    return m.text()


def _emit_add(m: Module, e: str, lanes: int, taps: int) -> None:
    """`add(args, lines, gradients, sums, rows, columns)`: to the sum of every kernel position, what a block gives."""
    type = vector(e, lanes)
    f = m.function("add", "void", [(n, "ptr") for n in ("args", "lines", "gradients", "sums")]
                   + [("rows", "i64"), ("columns", "i64")], internal=True)  # fmt: skip
    args, lines, gradients, sums, rows, columns = f.parameters
    blocks, places, step_h, step_w, line = FIELDS.read(f, args, "blocks places_at step_h step_w line")
    next_line = f.mul(step_h, f.mul(step_w, line))
    whole = f.binary("and", columns, -lanes)
    tail = f.mask_below(f.sub(columns, whole), lanes)
    zero = f.float(0.0, type)
    with f.loop(0, blocks) as block:
        first = f.mul(block.index, taps)
        shifts = [f.load("i64", f.offset(places, f.add(first, t), "i64")) for t in range(taps)]

        def products(row: Val, gradient: Val, carried: list[Val], i: Val, mask: Val | None = None) -> list[Val]:
            factor = f.load(type, f.offset(gradient, i, e))
            factor = f.select(mask, factor, zero) if mask else factor
            at = f.offset(row, i, e)
            found = []
            for shift, total in zip(shifts, carried, strict=True):
                x = f.load(type, f.offset(at, shift, e))
                found.append(f.fma(factor, f.select(mask, x, zero) if mask else x, total))
            return found

        with f.loop(0, rows, 1, [*[zero] * taps, lines, gradients]) as r:
            *carried, row, gradient = r.carried
            with f.loop(0, whole, lanes, carried) as i:
                i.next = products(row, gradient, i.carried, i.index)
            with f.loop(whole, columns, lanes, i.results) as i:
                i.next = products(row, gradient, i.carried, i.index, tail)
            r.next = [*i.results, f.offset(row, next_line, e), f.offset(gradient, columns, e)]
        for t in range(taps):
            to = f.offset(sums, f.add(first, t), e)
            f.store(f.fadd(f.load(e, to), _across(f, r.results[t])), to)
    f.ret()
    f.close()


def _across(f: Function, x: Val) -> Val:
    """The sum of a vector's lanes, halves first."""
    while x.lanes > 1:
        half = x.lanes // 2
        x = f.fadd(f.shuffle(x, x, range(half)), f.shuffle(x, x, range(half, x.lanes)))
    return f.extract(x, 0)


def generate_total(target: Target, element: str) -> str:
    """`total`: one task adds up the partial sums of one filter."""
    m = Module(target)
    f, args, lo, hi = m.entry("total")
    sums, w, w_group, w_filter, places, taps, filters, groups, partials, width = TOTAL_FIELDS.read(
        f, args, "sums_at w_at w_group w_filter taps_at taps filters groups partials width"
    )
    size = f.mul(f.mul(groups, filters), width)
    with f.loop(lo, hi) as task:
        filter, group = split_task(f, task.index, filters)
        to = f.offset(w, f.add(f.mul(group, w_group), f.mul(filter, w_filter)), element)
        source = f.offset(sums, f.mul(task.index, width), element)
        with f.loop(0, taps) as tap:
            with f.loop(0, partials, 1, [f.float(0.0, element), f.offset(source, tap.index, element)]) as part:
                total, at = part.carried
                part.next = [f.fadd(total, f.load(element, at)), f.offset(at, size, element)]
            place = f.load("i64", f.offset(places, tap.index, "i64"))
            f.store(part.results[0], f.offset(to, place, element))
    f.ret()
    f.close()
    return m.text()
