"""Writing LLVM text: a module, functions in it, and values with their types.

A thin layer: one method an instruction, names made up as one goes, loops and conditions as `with` blocks. Vectors are
explicit (`<16 x float>`), so that what is written is what runs and the expensive optimisation passes can be left out.
"""

from __future__ import annotations

import builtins
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from flambeau._backends.cpu.target import Target

MANGLED = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
BYTES = {"float": 4, "double": 8, "half": 2, "bfloat": 2, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}


class Val(NamedTuple):
    """A value: its name (or literal) and its LLVM type."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    @property
    def lanes(self) -> int:
        """The number of lanes of a vector; 0 for a scalar."""
        return int(self.type[1:].split(" x ")[0]) if self.type[0] == "<" else 0

    @property
    def element(self) -> str:
        """The type of one lane."""
        return element_of(self.type)


def element_of(type: str) -> str:
    """`<16 x float>` -> `float`."""
    return type[1:-1].split(" x ")[1] if type[0] == "<" else type


def vector(element: str, lanes: int) -> str:
    """The type of a vector; lanes 0 gives the scalar type."""
    return f"<{lanes} x {element}>" if lanes else element


def like(type: str, element: str) -> str:
    """The type with as many lanes as `type` and other elements."""
    return vector(element, int(type[1:].split(" x ")[0])) if type[0] == "<" else element


def mangled(type: str) -> str:
    """The suffix of an intrinsic's name: `<16 x float>` -> `v16f32`."""
    if type[0] == "<":
        lanes, element = type[1:-1].split(" x ")
        return f"v{lanes}{mangled(element)}"
    return MANGLED.get(type, type)


def float_literal(x: float, type: str) -> str:
    """A floating-point literal, exact: LLVM writes floats as doubles, halves in a notation of their own."""
    if type == "half":
        return "0xH" + struct.pack(">e", x).hex().upper()
    if type == "bfloat":
        return f"0xR{struct.unpack('<I', struct.pack('<f', x))[0] >> 16:04X}"
    if type == "float":
        x = struct.unpack("<f", struct.pack("<f", x))[0]
    return "0x" + struct.pack(">d", x).hex().upper()


class Module:
    """One LLVM module: functions, constants, declarations of what they call."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declarations: dict[str, str] = {}
        self.globals: list[str] = []
        self.functions: list[str] = []

    def declare(self, name: str, signature: str) -> None:
        """Declare an external function or intrinsic, once: `signature` is `type @name(types)`."""
        self.declarations[name] = signature

    def function(self, name: str, result: str, parameters: Sequence[tuple[str, str]], internal: bool = False,
                 inline: bool = False) -> Function:  # fmt: skip
        """Begin a function; parameters are (name, type). Its text is added by `close`."""
        return Function(self, name, result, parameters, internal, inline)

    def entry(self, name: str) -> tuple[Function, Val, Val, Val]:
        """Begin a kernel's entry; returns it with its parameters args, lo, hi."""
        f = self.function(name, "void", (("args", "ptr"), ("lo", "i64"), ("hi", "i64")))
        args, lo, hi = f.parameters
        return f, args, lo, hi

    def constant(self, name: str, type: str, literals: Sequence[str], align: int = 64) -> Val:
        """A constant array; returns its address."""
        body = ", ".join(f"{type} {x}" for x in literals)
        self.globals.append(
            f"@{name} = internal unnamed_addr constant [{len(literals)} x {type}] [{body}], align {align}"
        )
        return Val(f"@{name}", "ptr")

    def text(self) -> str:
        t = self.target
        features = f' "target-features"="{t.features}"' if t.features else ""
        attributes = (
            f'attributes #0 = {{ nounwind "no-trapping-math"="true" "frame-pointer"="none" "target-cpu"="{t.cpu}"'
            f'{features} "prefer-vector-width"="{8 * t.vector_bytes}" }}'
        )
        parts = [f'target triple = "{t.triple}"', *self.globals]
        parts += [f"declare {d}" for d in self.declarations.values()]
        return "\n".join([*parts, *self.functions, attributes, ""])


class Loop:
    """The inside of a `with f.loop(...)`: `index`, the carried values, and after it `results`.

    Set `next` to the carried values of the next round."""

    def __init__(self, index: Val, carried: list[Val]) -> None:
        self.index = index
        self.carried = carried
        self.next: list[Val] = []
        self.results: list[Val] = []


Number = Val | int


class Function:
    """A function being written. Integer operands may be Python ints."""

    def __init__(self, module: Module, name: str, result: str, parameters: Sequence[tuple[str, str]], internal: bool,
                 inline: bool) -> None:  # fmt: skip
        self.module = module
        self.target = module.target
        self.name = name
        self.parameters = [Val(f"%{n}", t) for n, t in parameters]
        listed = ", ".join(str(p) for p in self.parameters)
        kind = "internal " if internal else ""
        self.head = f"define {kind}{result} @{name}({listed}) #0{' alwaysinline' if inline else ''} {{"
        self.lines: list[str | None] = []
        self.values = 0
        self.blocks = 0
        self.label("entry")

    def close(self) -> None:
        """Add the function's text to its module."""
        self.module.functions.append("\n".join([self.head, *[line for line in self.lines if line is not None], "}"]))

    # ------------------------------------------------------------------------------------------ the raw layer

    def raw(self, text: str) -> None:
        self.lines.append("  " + text)

    def op(self, type: str, text: str) -> Val:
        """An instruction that gives a value."""
        self.values += 1
        name = f"%v{self.values}"
        self.lines.append(f"  {name} = {text}")
        return Val(name, type)

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def fresh_label(self, what: str) -> str:
        self.blocks += 1
        return f"{what}{self.blocks}"

    def jump(self, label: str) -> None:
        self.raw(f"br label %{label}")

    def branch(self, condition: Val, then: str, otherwise: str) -> None:
        self.raw(f"br {condition}, label %{then}, label %{otherwise}")

    def ret(self, value: Val | None = None) -> None:
        self.raw("ret void" if value is None else f"ret {value}")

    def call(self, result: str, name: str, args: Sequence[Val], declare: bool = True) -> Val:
        """Call a function or intrinsic; `declare` for what is not defined in this module."""
        if declare:
            self.module.declare(name, f"{result} @{name}({', '.join(a.type for a in args)})")
        text = f"call {result} @{name}({', '.join(map(str, args))})"
        if result == "void":
            self.raw(text)
            return Val("", "void")
        return self.op(result, text)

    def call_address(self, address: Val, args: Sequence[Val], result: str = "void") -> Val:
        """Call a function by its address."""
        text = f"call {result} {address.name}({', '.join(map(str, args))})"
        if result == "void":
            self.raw(text)
            return Val("", "void")
        return self.op(result, text)

    def phi(self, type: str, *incoming: tuple[Val, str]) -> Val:
        return self.op(type, f"phi {type} " + ", ".join(f"[ {v.name}, %{b} ]" for v, b in incoming))

    # ------------------------------------------------------------------------------------------ constants

    def int(self, x: int, type: str = "i64") -> Val:
        """An integer constant; of a vector type, in every lane."""
        return Val(f"splat ({element_of(type)} {x})" if type[0] == "<" else str(x), type)

    def float(self, x: float, type: str) -> Val:
        """A floating-point constant; of a vector type, in every lane."""
        element = element_of(type)
        literal = float_literal(x, element)
        return Val(f"splat ({element} {literal})" if type[0] == "<" else literal, type)

    def lane_numbers(self, type: str) -> Val:
        """0, 1, 2... in the lanes of an integer vector type."""
        lanes, element = type[1:-1].split(" x ")
        return Val("<" + ", ".join(f"{element} {i}" for i in range(int(lanes))) + ">", type)

    # ------------------------------------------------------------------------------------------ integers

    def _pair(self, a: Number, b: Number) -> tuple[Val, Val]:
        if not isinstance(a, Val):
            a = self.int(a, b.type if isinstance(b, Val) else "i64")
        if not isinstance(b, Val):
            b = self.int(b, a.type)
        return a, b

    def binary(self, instruction: str, a: Number, b: Number) -> Val:
        """Any instruction of two operands of the same type: `binary("xor", a, b)`."""
        a, b = self._pair(a, b)
        return self.op(a.type, f"{instruction} {a.type} {a.name}, {b.name}")

    def add(self, a: Number, b: Number) -> Val:
        if b == 0 and isinstance(a, Val) and not isinstance(b, Val):
            return a
        return self.binary("add", a, b)

    def sub(self, a: Number, b: Number) -> Val:
        return self.binary("sub", a, b)

    def mul(self, a: Number, b: Number) -> Val:
        if b == 1 and isinstance(a, Val) and not isinstance(b, Val):
            return a
        return self.binary("mul", a, b)

    def udiv(self, a: Number, b: Number) -> Val:
        return self.binary("udiv", a, b)

    def urem(self, a: Number, b: Number) -> Val:
        return self.binary("urem", a, b)

    def compare(self, predicate: str, a: Number, b: Number) -> Val:
        """Compare integers or addresses: "eq", "ne", "slt", "sle", "sgt", "sge", "ult", ..."""
        a, b = self._pair(a, b)
        return self.op(like(a.type, "i1"), f"icmp {predicate} {a.type} {a.name}, {b.name}")

    def min(self, a: Number, b: Number) -> Val:
        a, b = self._pair(a, b)
        return self.select(self.compare("slt", a, b), a, b)

    def max(self, a: Number, b: Number) -> Val:
        a, b = self._pair(a, b)
        return self.select(self.compare("sgt", a, b), a, b)

    def select(self, condition: Val, a: Val, b: Val) -> Val:
        return self.op(a.type, f"select {condition}, {a}, {b}")

    def cast(self, instruction: str, a: Val, element: str) -> Val:
        """`cast("sitofp", a, "float")`: the element type, lanes stay."""
        type = like(a.type, element)
        return self.op(type, f"{instruction} {a} to {type}")

    def bitcast(self, a: Val, element: str) -> Val:
        return self.cast("bitcast", a, element)

    # ------------------------------------------------------------------------------------------ floats

    def fadd(self, a: Val, b: Val) -> Val:
        return self.binary("fadd", a, b)

    def fsub(self, a: Val, b: Val) -> Val:
        return self.binary("fsub", a, b)

    def fmul(self, a: Val, b: Val) -> Val:
        return self.binary("fmul", a, b)

    def fdiv(self, a: Val, b: Val) -> Val:
        return self.binary("fdiv", a, b)

    def fneg(self, a: Val) -> Val:
        return self.op(a.type, f"fneg {a}")

    def fcompare(self, predicate: str, a: Val, b: Val) -> Val:
        """Compare floats: "oeq", "olt", "une", "uno" (either is NaN)..."""
        return self.op(like(a.type, "i1"), f"fcmp {predicate} {a.type} {a.name}, {b.name}")

    def intrinsic(self, name: str, *args: Val) -> Val:
        """An LLVM intrinsic over operands and result of one type: `intrinsic("sqrt", x)`."""
        return self.call(args[0].type, f"llvm.{name}.{mangled(args[0].type)}", args)

    def fma(self, a: Val, b: Val, c: Val) -> Val:
        """a * b + c, rounded once where the target has the instruction (otherwise it would be a call)."""
        if self.target.fma:
            return self.intrinsic("fma", a, b, c)
        return self.fadd(self.fmul(a, b), c)

    def copysign(self, magnitude: Val, sign: Val) -> Val:
        """The magnitude with another sign, by its bits: LLVM's own form looks for the sign in what that was converted
        from, and calls a library to make a half of a double."""
        integer = "i32" if magnitude.element == "float" else "i64"
        bits, other = self.bitcast(magnitude, integer), self.bitcast(sign, integer)
        top = -(1 << int(integer[1:]) - 1)
        joined = self.binary("or", self.binary("and", bits, ~top), self.binary("and", other, top))
        return self.bitcast(joined, magnitude.element)

    # ------------------------------------------------------------------------------------------ vectors

    def splat(self, x: Val, lanes: builtins.int) -> Val:
        """A scalar in every lane."""
        type = vector(x.type, lanes)
        one = self.op(type, f"insertelement {type} poison, {x}, i32 0")
        return self.op(type, f"shufflevector {type} {one.name}, {type} poison, <{lanes} x i32> zeroinitializer")

    def extract(self, v: Val, lane: builtins.int) -> Val:
        return self.op(v.element, f"extractelement {v}, i32 {lane}")

    def insert(self, v: Val, x: Val, lane: builtins.int) -> Val:
        return self.op(v.type, f"insertelement {v}, {x}, i32 {lane}")

    def shuffle(self, a: Val, b: Val, order: Sequence[builtins.int]) -> Val:
        """Lanes of a and b (numbered on) in a new order."""
        listed = ", ".join(f"i32 {i}" for i in order)
        return self.op(vector(a.element, len(order)), f"shufflevector {a}, {b}, <{len(order)} x i32> <{listed}>")

    def mask_below(self, count: Val, lanes: builtins.int) -> Val:
        """i1 lanes: lane < count (an i64, which may be any size)."""
        bounded = self.min(self.max(count, 0), lanes)
        narrow = self.op("i32", f"trunc {bounded} to i32")
        type = f"<{lanes} x i32>"
        return self.compare("slt", self.lane_numbers(type), self.splat(narrow, lanes))

    # ------------------------------------------------------------------------------------------ memory

    def offset(self, pointer: Val, index: Number, element: str = "i8") -> Val:
        """The address `index` elements further on."""
        index = index if isinstance(index, Val) else self.int(index)
        return self.op("ptr", f"getelementptr {element}, ptr {pointer.name}, {index}")

    def load(self, type: str, pointer: Val, align: builtins.int | None = None) -> Val:
        return self.op(type, f"load {type}, ptr {pointer.name}, align {align or BYTES[element_of(type)]}")

    def store(self, value: Val, pointer: Val, align: builtins.int | None = None) -> None:
        self.raw(f"store {value}, ptr {pointer.name}, align {align or BYTES[value.element]}")

    def load_masked(self, type: str, pointer: Val, mask: Val, otherwise: Val | None = None) -> Val:
        """The lanes of `mask` from memory; the others zero (or `otherwise`), their memory is not touched."""
        name = f"llvm.masked.load.{mangled(type)}.p0"
        self.module.declare(name, f"{type} @{name}(ptr, {mask.type}, {type})")
        rest = otherwise.name if otherwise else "zeroinitializer"
        return self.op(type, f"call {type} @{name}(ptr align {BYTES[element_of(type)]} {pointer.name}, {mask}, "
                             f"{type} {rest})")  # fmt: skip

    def store_masked(self, value: Val, pointer: Val, mask: Val) -> None:
        """Store the lanes of `mask`; the memory of the others is not touched."""
        name = f"llvm.masked.store.{mangled(value.type)}.p0"
        self.module.declare(name, f"void @{name}({value.type}, ptr, {mask.type})")
        self.raw(f"call void @{name}({value}, ptr align {BYTES[value.element]} {pointer.name}, {mask})")

    def load_each(self, type: str, pointers: Val, place: Val) -> Val:
        """Each lane from its own address, by loads of their own: processors that have an instruction for it are no
        quicker with it, and wait for one cache line after the other. `place` is memory for the addresses, which come
        from there sooner than out of a vector."""
        self.raw(f"store volatile {pointers}, ptr {place.name}, align 8")  # volatile, or it would stay in the vector
        result = Val("poison", type)
        for lane in range(pointers.lanes):
            address = self.load("ptr", self.offset(place, lane, "ptr"))
            result = self.insert(result, self.load(element_of(type), address), lane)
        return result

    def load_gathered(self, type: str, pointers: Val, mask: Val) -> Val:
        """Each lane of `mask` from its own address; the others zero."""
        name = f"llvm.masked.gather.{mangled(type)}.{mangled(pointers.type)}"
        self.module.declare(name, f"{type} @{name}({pointers.type}, {mask.type}, {type})")
        aligned = f"{pointers.type} align {BYTES[element_of(type)]} {pointers.name}"
        return self.op(type, f"call {type} @{name}({aligned}, {mask}, {type} zeroinitializer)")

    def store_scattered(self, value: Val, pointers: Val, mask: Val) -> None:
        """Store each lane of `mask` to its own address, in the order of the lanes."""
        name = f"llvm.masked.scatter.{mangled(value.type)}.{mangled(pointers.type)}"
        self.module.declare(name, f"void @{name}({value.type}, {pointers.type}, {mask.type})")
        aligned = f"{pointers.type} align {BYTES[value.element]} {pointers.name}"
        self.raw(f"call void @{name}({value}, {aligned}, {mask})")

    def prefetch(self, pointer: Val, level: builtins.int = 2) -> None:
        """Have the line at that address, which may be any, brought into the cache of that level."""
        self.module.declare("llvm.prefetch.p0", "void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.raw(f"call void @llvm.prefetch.p0({pointer}, i32 0, i32 {4 - level}, i32 1)")

    def stack(self, type: str, count: builtins.int, align: builtins.int = 64) -> Val:
        """`count` elements of memory on the stack; to be called at the function's beginning."""
        return self.op("ptr", f"alloca [{count} x {type}], align {align}")

    def word(self, args: Val, i: builtins.int, type: str = "i64") -> Val:
        """Word number `i` of a kernel's block of arguments, as an integer, an address ("ptr") or a "double"."""
        return self.load(type, self.offset(args, i, "i64"), 8)

    # ------------------------------------------------------------------------------------------ control

    @contextmanager
    def loop(self, lo: Number, hi: Number, step: Number = 1, carried: Sequence[Val] = (), guard: bool = True
             ) -> Iterator[Loop]:  # fmt: skip
        """for index in range(lo, hi, step), with values carried from round to round; without `guard` there is at
        least one round."""
        lo, hi = (x if isinstance(x, Val) else self.int(x) for x in (lo, hi))
        head, exit, before = self.fresh_label("loop"), self.fresh_label("exit"), self.block
        if guard:
            self.branch(self.compare("slt", lo, hi), head, exit)
        else:
            self.jump(head)
        self.label(head)
        place = len(self.lines)
        self.lines += [None] * (1 + len(carried))
        self.values += 1 + len(carried)
        first = self.values - len(carried)
        index = Val(f"%v{first}", lo.type)
        loop = Loop(index, [Val(f"%v{first + 1 + i}", c.type) for i, c in enumerate(carried)])
        yield loop
        following = self.add(index, step)
        again, last = self.compare("slt", following, hi), self.block
        self.branch(again, head, exit)
        assert len(loop.next) == len(carried), "every carried value needs its next"
        rounds = [(index, lo, following), *zip(loop.carried, carried, loop.next, strict=True)]
        for i, (inside, start, next) in enumerate(rounds):
            self.lines[place + i] = (
                f"  {inside.name} = phi {inside.type} [ {start.name}, %{before} ], [ {next.name}, %{last} ]"
            )
        self.label(exit)
        for start, next in zip(carried, loop.next, strict=True):
            loop.results.append(self.phi(start.type, (start, before), (next, last)) if guard else next)

    @contextmanager
    def when(self, condition: Val, otherwise: Callable[[], None] | None = None) -> Iterator[None]:
        """The block runs only if the condition holds; what `otherwise` writes, if not."""
        then, after = self.fresh_label("then"), self.fresh_label("after")
        other = after if otherwise is None else self.fresh_label("otherwise")
        self.branch(condition, then, other)
        self.label(then)
        yield
        self.jump(after)
        if otherwise is not None:
            self.label(other)
            otherwise()
            self.jump(after)
        self.label(after)
