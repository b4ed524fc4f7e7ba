"""The graph of a compilation: what a window computes, said in a few kinds of nodes.

Nodes are array-valued; each result is dense and row-major in memory of its own. An `Array` is a node's result seen
through a layout, as a tensor sees its storage. Kinds:

* `input`: the memory of a value that was there before; `scalar`: a number that changes from run to run, or a symbol;
  `const`.
* `map`: one scalar primitive applied to operands that broadcast; `index`: 0, 1, 2...; `gather`: elements looked up
  along one dimension.
* `reduce`: a combiner over some dimensions, which stay as size 1.
* `call`: a kernel template of the backend (matrix products, convolutions, pools, scatters, sorts...).
* `empty`: memory to be written; `write`: the old contents of a storage with part of it replaced; `host`: an
  instruction that the reference runs.

Equal nodes are one node (hash consing), so common subexpressions are computed once.

A graph is also the builder `k` in which bodies of pointwise operations are written, and the first argument `c` of the
`expand` functions that say what a library operation means in these terms. Both see `Array`s in place of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._ir.meta import Meta, contiguous, contiguous_strides, meta
from flambeau._ir.symbols import Symbol, settled

# Primitives whose result is bool whatever they compare.
PREDICATES = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "isnan", "isinf", "isfinite", "isposinf", "isneginf",
                        "signbit", "logical_not", "logical_and", "logical_or", "logical_xor"})  # fmt: skip
COMBINERS = frozenset({"sum", "prod", "max", "min", "any", "all", "argmax", "argmin"})

# Primitives that NumPy calls otherwise: what bodies may say.
SYNONYMS = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "true_divide": "truediv",
            "negative": "neg", "power": "pow", "absolute": "abs", "fabs": "abs", "less": "lt", "less_equal": "le",
            "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne", "arcsin": "asin",
            "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh",
            "arctanh": "atanh", "rint": "round", "square": "square"}  # fmt: skip


class Unsupported(Exception):
    """The graph cannot say this; the instruction is left to the reference backend."""


class Node:
    """One step. `outputs` has the Meta (dense, row-major) of each result; `params` are static and hashable."""

    __slots__ = ("kind", "name", "params", "inputs", "outputs", "number")

    def __init__(self, kind: str, name: str, params: tuple, inputs: tuple[Array, ...], outputs: tuple[Meta, ...],
                 number: int) -> None:  # fmt: skip
        self.kind = kind
        self.name = name
        self.params = params
        self.inputs = inputs
        self.outputs = outputs
        self.number = number

    def __repr__(self) -> str:
        operands = ", ".join(map(repr, self.inputs))
        params = f" {self.params}" if self.params else ""
        return f"%{self.number} = {self.kind} {self.name}({operands}){params} -> {', '.join(map(repr, self.outputs))}"


class Array:
    """Result number `output` of `node` seen through `meta`, whose strides and offset count elements of that result."""

    __slots__ = ("graph", "node", "output", "meta")

    def __init__(self, graph: Graph, node: Node, output: int, m: Meta) -> None:
        self.graph = graph
        self.node = node
        self.output = output
        self.meta = m

    def __repr__(self) -> str:
        which = f".{self.output}" if len(self.node.outputs) > 1 else ""
        return f"%{self.node.number}{which}" + ("" if self.is_whole else f"[{self.meta}]")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.meta.shape

    @property
    def dtype(self) -> dtype:
        return self.meta.dtype

    @property
    def ndim(self) -> int:
        return self.meta.ndim

    @property
    def is_whole(self) -> bool:
        """Is this the node's result as it is?"""
        return self.meta is self.node.outputs[self.output]

    @property
    def key(self) -> tuple:
        return self.node, self.output, self.meta

    # ------------------------------------------------------------------------------------------ views

    def _seen(self, shape: Iterable[int], strides: Iterable[int], offset: int | None = None) -> Array:
        m = meta(self.dtype, shape, strides, self.meta.offset if offset is None else offset)
        return Array(self.graph, self.node, self.output, m)

    def permute(self, dims: Sequence[int]) -> Array:
        return self._seen([self.shape[d] for d in dims], [self.meta.strides[d] for d in dims])

    def transpose(self, a: int, b: int) -> Array:
        dims = list(range(self.ndim))
        dims[a], dims[b] = dims[b], dims[a]
        return self.permute(dims)

    def expand(self, shape: Sequence[int]) -> Array:
        """Broadcast to `shape`: strides of 0 where a size of 1 is repeated."""
        lead = len(shape) - self.ndim
        strides = [0] * lead
        for n, have, stride in zip(shape[lead:], self.shape, self.meta.strides, strict=True):
            if have != n and have != 1:
                raise Unsupported(f"{self.shape} does not broadcast to {tuple(shape)}")
            strides.append(stride if have == n else 0)
        return self if tuple(shape) == tuple(self.shape) else self._seen(shape, strides)

    def unsqueeze(self, dim: int) -> Array:
        dim %= self.ndim + 1
        shape, strides = list(self.shape), list(self.meta.strides)
        shape.insert(dim, 1)
        strides.insert(dim, 0)
        return self._seen(shape, strides)

    def squeeze(self, dims: int | Sequence[int]) -> Array:
        """Without these dimensions, which have size 1."""
        gone = {d % self.ndim for d in ((dims,) if isinstance(dims, int) else dims)}
        kept = [d for d in range(self.ndim) if d not in gone]
        return self._seen([self.shape[d] for d in kept], [self.meta.strides[d] for d in kept])

    def slice(self, dim: int, start: int, stop: int, step: int = 1) -> Array:
        dim %= self.ndim
        shape, strides = list(self.shape), list(self.meta.strides)
        shape[dim] = max(0, -(-(stop - start) // step))
        offset = self.meta.offset + start * strides[dim]
        strides[dim] *= step
        return self._seen(shape, strides, offset)

    def reversed(self, dim: int) -> Array:
        """The order along a dimension, which is not empty, reversed: a negative stride, for maps to read."""
        strides = list(self.meta.strides)
        offset = self.meta.offset + (self.shape[dim] - 1) * strides[dim]
        strides[dim] = -strides[dim]
        return self._seen(self.shape, strides, offset)

    def reshape(self, shape: Sequence[int]) -> Array:
        """The same elements in row-major order in another shape: a view where the layout allows, else a copy."""
        strides = reshaped_strides(self.meta, tuple(shape))
        if strides is None:
            return self.graph.copy(self).reshape(shape)
        return self._seen(shape, strides)

    def strided(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Array:
        """Any layout over the node's dense result."""
        return self._seen(shape, strides, offset)

    # ------------------------------------------------------------------------------------------ arithmetic

    def cast(self, d: dtypes.dtype) -> Array:
        return self.graph.cast(self, d)

    def __add__(self, other: Any) -> Array:
        return self.graph.map("add", self, other)

    def __radd__(self, other: Any) -> Array:
        return self.graph.map("add", other, self)

    def __sub__(self, other: Any) -> Array:
        return self.graph.map("sub", self, other)

    def __rsub__(self, other: Any) -> Array:
        return self.graph.map("sub", other, self)

    def __mul__(self, other: Any) -> Array:
        return self.graph.map("mul", self, other)

    def __rmul__(self, other: Any) -> Array:
        return self.graph.map("mul", other, self)

    def __truediv__(self, other: Any) -> Array:
        return self.graph.map("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return self.graph.map("truediv", other, self)

    def __pow__(self, other: Any) -> Array:
        return self.graph.pow(self, other)

    def __rpow__(self, other: Any) -> Array:
        return self.graph.pow(other, self)

    def __neg__(self) -> Array:
        return self.graph.map("neg", self)

    def __pos__(self) -> Array:
        return self

    def __abs__(self) -> Array:
        return self.graph.map("abs", self)

    def __invert__(self) -> Array:
        return self.graph.map("invert", self)

    def __and__(self, other: Any) -> Array:
        return self.graph.map("and_", self, other)

    def __rand__(self, other: Any) -> Array:
        return self.graph.map("and_", other, self)

    def __or__(self, other: Any) -> Array:
        return self.graph.map("or_", self, other)

    def __ror__(self, other: Any) -> Array:
        return self.graph.map("or_", other, self)

    def __xor__(self, other: Any) -> Array:
        return self.graph.map("xor", self, other)

    def __rxor__(self, other: Any) -> Array:
        return self.graph.map("xor", other, self)

    def __lt__(self, other: Any) -> Array:
        return self.graph.map("lt", self, other)

    def __le__(self, other: Any) -> Array:
        return self.graph.map("le", self, other)

    def __gt__(self, other: Any) -> Array:
        return self.graph.map("gt", self, other)

    def __ge__(self, other: Any) -> Array:
        return self.graph.map("ge", self, other)

    def __eq__(self, other: Any) -> Array:  # type: ignore[override]
        return self.graph.map("eq", self, other)

    def __ne__(self, other: Any) -> Array:  # type: ignore[override]
        return self.graph.map("ne", self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise Unsupported("a decision that depends on values")

    def __int__(self) -> int:
        raise Unsupported("a number that is not known yet")

    __index__ = __int__

    def __float__(self) -> float:
        raise Unsupported("a number that is not known yet")


def reshaped_strides(m: Meta, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides that show the elements of `m` in `shape`, or None if no strides do."""
    if m.is_contiguous:
        return contiguous_strides(shape)
    if m.numel == 0:
        return contiguous_strides(shape)
    chunks: list[list[int]] = []  # [size, stride] of the dimensions that lie one behind the other, merged
    for n, s in zip(m.shape, m.strides, strict=True):
        if n == 1:
            continue
        if chunks and chunks[-1][1] == s * n:
            chunks[-1] = [chunks[-1][0] * n, s]
        else:
            chunks.append([n, s])
    strides = [0] * len(shape)
    for i in range(len(shape) - 1, -1, -1):
        n = shape[i]
        if n == 1:
            continue
        if not chunks or chunks[-1][0] % n:
            return None
        size, stride = chunks[-1]
        strides[i] = stride
        if size == n:
            chunks.pop()
        else:
            chunks[-1] = [size // n, stride * n]
    return tuple(strides)


def broadcast(shapes: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The shape that all of these broadcast to."""
    result: list[int] = []
    for shape in shapes:
        shape = list(shape)
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        lead = len(result) - len(shape)
        for i, n in enumerate(shape):
            if n != 1:
                if result[lead + i] not in (1, n):
                    raise Unsupported(f"shapes {result} and {shape} do not broadcast")
                result[lead + i] = n
    return tuple(result)


class Graph:
    """A graph being built. `supports(primitive, dtype)` says what the backend has; anything else is Unsupported."""

    def __init__(self, supports: Callable[[str, dtype], bool] = lambda name, d: True) -> None:
        self.nodes: list[Node] = []
        self.supports = supports
        self._consed: dict[tuple, Node] = {}

    # ------------------------------------------------------------------------------------------ nodes

    def node(self, kind: str, name: str, params: tuple, inputs: Sequence[Array], outputs: Sequence[Meta]) -> Node:
        """The node with these fields, made if there is none yet."""
        key = (kind, name, params, tuple([a.key for a in inputs]), tuple(outputs))
        found = self._consed.get(key)
        if found is None:
            found = self._consed[key] = Node(kind, name, params, tuple(inputs), tuple(outputs), len(self.nodes))
            self.nodes.append(found)
        return found

    def whole(self, node: Node, output: int = 0) -> Array:
        """A node's result as it is."""
        return Array(self, node, output, node.outputs[output])

    def _single(self, kind: str, name: str, params: tuple, inputs: Sequence[Array], m: Meta) -> Array:
        return self.whole(self.node(kind, name, params, inputs, (m,)))

    def input(self, slot: int, d: dtype, numel: int) -> Array:
        """The flat memory of the value in `slot`."""
        return self._single("input", "", (slot,), (), contiguous(d, (numel,)))

    def scalar(self, slot: int, d: dtype) -> Array:
        """Run-time scalar number `slot`, as a 0-dim array of dtype `d`."""
        return self._single("scalar", "", (slot,), (), contiguous(d, ()))

    def empty(self, d: dtype, numel: int) -> Array:
        """Memory whose contents do not matter yet, for writes to fill. Every call makes other memory."""
        return self._single("empty", str(len(self.nodes)), (), (), contiguous(d, (numel,)))

    def const(self, value: Any, d: dtype, shape: Sequence[int] = ()) -> Array:
        """A number, as an array of any shape; a symbol becomes a run-time scalar."""
        if type(value) is Symbol and d.category != dtypes.BOOL:
            return self._symbolic(value, d).expand(tuple(shape))
        value = complex(value) if d.is_complex else float(value) if d.category == dtypes.FLOAT else int(value)
        # told apart by its text too: 0.0 equals -0.0 and NaN does not equal itself
        made = self._single("const", repr(value), (value,) if value == value else ("nan",), (), contiguous(d, ()))
        return made.expand(tuple(shape)) if shape else made

    def _symbolic(self, value: Symbol, d: dtype) -> Array:
        floating = d.category == dtypes.FLOAT
        params = (value * 1.0 if floating else value,)
        return self._single("scalar", "", params, (), contiguous(d if floating else dtypes.int64, ())).cast(d)

    def index(self, shape: Sequence[int], dim: int) -> Array:
        """int64 positions along `dim`: element [..., i, ...] is i."""
        dim %= len(shape)
        line = self._single("index", "", (), (), contiguous(dtypes.int64, (shape[dim],)))
        return line.reshape([n if i == dim else 1 for i, n in enumerate(shape)]).expand(tuple(shape))

    def map(self, name: str, *args: Any) -> Array:
        """A scalar primitive over arrays and numbers, which broadcast; bool arrays among others count as 0 and 1."""
        name = SYNONYMS.get(name, name)
        arrays = [a for a in args if isinstance(a, Array)]
        if not arrays:
            raise Unsupported(f"{name} of numbers alone")
        computed = self._computed(name, args)
        operands = [self._operand(a, computed, name == "where" and i == 0) for i, a in enumerate(args)]
        if not self.supports(name, computed):
            raise Unsupported(f"{name} of {computed.name}")
        shape = broadcast([a.shape for a in operands])
        result = dtypes.bool_ if name in PREDICATES else computed
        return self._single("map", name, (), [a.expand(shape) for a in operands], contiguous(result, shape))

    @staticmethod
    def _computed(name: str, args: Sequence[Any]) -> dtype:
        """The dtype a primitive computes in: the highest of its arrays', a condition apart."""
        best = None
        for i, a in enumerate(args):
            if isinstance(a, Array) and not (name == "where" and i == 0):
                if best is None or (a.dtype.category, a.dtype.itemsize) > (best.category, best.itemsize):
                    best = a.dtype
        if best is None:  # where(condition, number, number)
            best = dtypes.float32 if any(isinstance(a, float) for a in args) else dtypes.int64
        args = [a.value if type(a) is Symbol else a for a in args]
        numbers = [a for a in args if isinstance(a, (int, float, complex)) and not isinstance(a, bool)]
        if best.category == dtypes.BOOL and numbers:
            best = dtypes.int64 if all(isinstance(a, int) for a in numbers) else dtypes.float32
        if best.is_complex or best in dtypes.HALVES:
            raise Unsupported(f"{name} in {best.name}")
        return best

    def _operand(self, a: Any, computed: dtype, condition: bool) -> Array:
        if isinstance(a, Array):
            return self.cast(a, dtypes.bool_) if condition else self.cast(a, computed)
        if isinstance(a, (bool, int, float, Symbol)):
            if computed.category <= dtypes.INTEGER and isinstance(a, float):
                raise Unsupported("a float among integers")
            return self.const(a, dtypes.bool_ if condition else computed)
        raise Unsupported(f"an operand of type {type(a).__name__}")

    def cast(self, a: Array, d: dtype) -> Array:
        """Elements converted to another dtype."""
        if a.dtype is d:
            return a
        if a.dtype.is_complex or d.is_complex:
            raise Unsupported("complex numbers")
        if a.node.kind == "const" and d not in dtypes.HALVES and d.category >= a.dtype.category > dtypes.BOOL:
            return self.const(a.node.params[0], d).expand(a.shape)
        return self._single("map", "cast", (), (a,), contiguous(d, a.shape))

    def copy(self, a: Array) -> Array:
        """The elements in memory of their own, row-major."""
        return self._single("map", "copy", (), (a,), contiguous(a.dtype, a.shape))

    def gather(self, source: Array, dim: int, index: Array, check: bool = True) -> Array:
        """Elements of `source` looked up along `dim` by integers of any shape, which takes the dimension's place:
        result [*source.shape[:dim], *index.shape, *source.shape[dim + 1:]].

        With `check`, an index outside 0..n-1 stops the run and the reference says what was wrong.
        """
        dim %= source.ndim
        shape = (*source.shape[:dim], *index.shape, *source.shape[dim + 1 :])
        index = self.cast(index, dtypes.int64)
        return self._single("gather", "", (dim, check), (source, index), contiguous(source.dtype, shape))

    def reduce(self, combiner: str, a: Array, dims: Sequence[int]) -> Array:
        """Combine over `dims`, which stay as size 1. "sum" and "prod" compute in the operand's dtype (halves must be
        cast before); "max" and "min" propagate NaN; "argmax" and "argmin" give the int64 position of the first
        extremum along the one dimension given."""
        if combiner not in COMBINERS or a.dtype.is_complex or a.dtype in dtypes.HALVES:
            raise Unsupported(f"{combiner} of {a.dtype.name}")
        dims = tuple(sorted({d % a.ndim for d in dims})) if a.ndim else ()
        if combiner in ("any", "all"):
            a = self.cast(a, dtypes.bool_)
        d = dtypes.int64 if combiner.startswith("arg") else a.dtype
        shape = [1 if i in dims else n for i, n in enumerate(a.shape)]
        if all(a.shape[i] == 1 for i in dims):
            return self.const(0, d, shape) if combiner.startswith("arg") else a
        return self._single("reduce", combiner, (dims,), (a,), contiguous(d, shape))

    def call(self, template: str, params: tuple, inputs: Sequence[Array], outputs: Sequence[Meta]) -> tuple[Array, ...]:
        """A kernel template of the backend; `outputs` are dense row-major metas."""
        made = self.node("call", template, params, inputs, outputs)
        return tuple([self.whole(made, i) for i in range(len(made.outputs))])

    def write(self, old: Array, into: Meta, source: Array) -> Array:
        """The flat contents `old` with the elements of layout `into` replaced by `source` (broadcast and cast)."""
        source = self.cast(source, old.dtype).expand(into.shape)
        return self._single("write", "", (into,), (old, source), old.meta)

    # ------------------------------------------------------------------------------------------ as the builder `k`

    def __getattr__(self, name: str) -> Callable[..., Array]:
        """A primitive by its name, for bodies of pointwise operations: `k.exp(x)`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: self.map(name, *args)

    def is_float(self, x: Any) -> bool:
        return x.dtype.category == dtypes.FLOAT if isinstance(x, Array) else isinstance(x, float)

    def is_complex(self, x: Any) -> bool:
        return x.dtype.is_complex if isinstance(x, Array) else isinstance(x, complex)

    def real(self, x: Array) -> Array:
        """The real part: all numbers of a graph are real."""
        return x

    conj = real

    def imag(self, x: Array) -> Array:
        return self.const(0, x.dtype, x.shape)

    def floor_divide(self, x: Array, y: Array) -> Array:
        return self.map("floor_divide", x, self._divisor(y))

    def trunc_divide(self, x: Array, y: Array) -> Array:
        return self.map("trunc_divide", x, self._divisor(y))

    def remainder(self, x: Array, y: Array) -> Array:
        return self.map("remainder", x, self._divisor(y))

    def fmod(self, x: Array, y: Array) -> Array:
        return self.map("fmod", x, self._divisor(y))

    def _divisor(self, y: Any) -> Any:
        """What integers are divided by, checked to be none of them 0 unless it is a number that is not."""
        if not isinstance(y, Array) or y.dtype.category != dtypes.INTEGER:
            return y
        if y.node.kind == "const" and y.node.params[0] != 0:
            return y
        wrong = self.map("checked", self.map("eq", y, 0).cast(dtypes.int64), 1)  # 0; a kernel that meets a 1 says so
        return y + wrong.cast(y.dtype)

    def isnan(self, x: Array) -> Array:
        return self.map("isnan", x) if self.is_float(x) else self.const(False, dtypes.bool_, x.shape)

    def isinf(self, x: Array) -> Array:
        return self.map("isinf", x) if self.is_float(x) else self.const(False, dtypes.bool_, x.shape)

    def isfinite(self, x: Array) -> Array:
        return self.map("isfinite", x) if self.is_float(x) else self.const(True, dtypes.bool_, x.shape)

    def pow(self, x: Any, y: Any) -> Array:
        """x to the power of y, by products and roots where y is a number that allows it."""
        if isinstance(y, Array) and y.node.kind == "scalar" and type(y.node.params[0]) is Symbol:
            y = self.const(settled(y.node.params[0]), y.dtype, y.shape)
        exponent = y.node.params[0] if isinstance(y, Array) and y.node.kind == "const" else y
        floating = isinstance(x, Array) and x.dtype.category == dtypes.FLOAT
        if isinstance(x, Array) and isinstance(exponent, (int, float)) and x.dtype.category != dtypes.BOOL:
            whole = isinstance(y, Array)
            shape = broadcast((x.shape, y.shape)) if whole else x.shape
            x = x.expand(shape)
            if exponent == 2:
                return x * x
            if exponent == 1:
                return self.copy(x)
            if exponent == 3:
                return x * x * x
            if floating and exponent == 0.5:
                return self.map("sqrt", x)
            if floating and exponent == -1:
                return 1.0 / x
            if floating and exponent == -2:
                return 1.0 / (x * x)
        return self.map("pow", x, y)

    def square(self, x: Array) -> Array:
        return x * x


def text_of(graph: Graph) -> str:
    """The graph printed, one node a line."""
    return "\n".join(map(repr, graph.nodes))


def verify(nodes: Sequence[Node]) -> None:
    """AssertionError unless every node comes after its operands and every operand lies inside its memory."""
    seen: set[int] = set()
    for node in nodes:
        for a in node.inputs:
            assert a.node.number in seen, f"{node}: operand %{a.node.number} comes later"
            whole = a.node.outputs[a.output]
            assert a.meta.dtype is whole.dtype, f"{node}: operand {a} read as another dtype"
            assert a.meta.extent <= max(whole.numel, 0), f"{node}: operand {a} reaches beyond its memory"
        for m in node.outputs:
            assert m.is_contiguous and m.offset == 0, f"{node}: results are dense"
        seen.add(node.number)
