"""A graph computed by NumPy, node by node: what passes of the compiler and expansions of operations are tested against.

Slow and plain. Kernel templates are computed by the bodies of the operations they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flambeau._backends.reference.builder import NumpyBuilder
from flambeau._core import dtypes
from flambeau._core.dtypes import dtype
from flambeau._core.lazy import lazy_module
from flambeau._ir.graph import Array, Graph, Node
from flambeau._ir.meta import Meta
from flambeau._ops.registry import OPS

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Results = dict[Node, tuple["np.ndarray", ...]]


def evaluate(graph: Graph, inputs: Mapping[int, np.ndarray], scalars: Mapping[int, Any] | None = None) -> Results:
    """The results of every node, flat. `inputs` has the memory of each slot, `scalars` the run-time numbers.

    IndexError for an index out of range; host nodes have no meaning here.
    """
    results: Results = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node.kind == "input":
                found: Any = inputs[node.params[0]]
            elif node.kind == "scalar":
                found = np.asarray((scalars or {})[node.params[0]], node.outputs[0].dtype.numpy)
            else:
                found = EVALUATORS[node.kind](node, *[seen(results, a) for a in node.inputs])
            found = found if isinstance(found, tuple) else (found,)
            results[node] = tuple([_flat(x, m) for x, m in zip(found, node.outputs, strict=True)])
    return results


def seen(results: Results, a: Array) -> np.ndarray:
    """The elements of a result through the layout of an Array."""
    flat, m = results[a.node][a.output], a.meta
    if m.numel == 0:
        return np.empty(m.shape, m.dtype.numpy)
    return _window(flat, m)


def _window(flat: np.ndarray, m: Meta) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(flat[m.offset :], m.shape, [s * flat.itemsize for s in m.strides])


def _flat(x: Any, m: Meta) -> np.ndarray:
    """A node's result as dense memory; AssertionError unless it has the shape and dtype that the graph says."""
    x = np.asarray(x)
    if x.shape != tuple(m.shape) or x.dtype != m.dtype.numpy:
        raise AssertionError(f"{x.dtype}{list(x.shape)} where the graph says {m}")
    return x.copy().reshape(-1)


# ---------------------------------------------------------------------------------------------- kinds of nodes


def _const(node: Node) -> np.ndarray:
    value = node.params[0]
    d = node.outputs[0].dtype.numpy
    return np.asarray(float(value) if isinstance(value, str) else value, d)


def _empty(node: Node) -> np.ndarray:
    """Something nobody should ever see."""
    m = node.outputs[0]
    return np.full(m.shape, np.nan if m.dtype.category == dtypes.FLOAT else 77, m.dtype.numpy)


def _map(node: Node, *args: np.ndarray) -> Any:
    m = node.outputs[0]
    if node.name == "cast":
        return cast(args[0], m.dtype)
    result = (PRIMITIVES.get(node.name) or getattr(_k, node.name))(*args)
    return np.asarray(result).astype(m.dtype.numpy)


def cast(x: np.ndarray, d: dtype) -> np.ndarray:
    """Elements converted; floats become small integers by way of int64, so that they wrap around."""
    if d.category == dtypes.BOOL:
        return x != 0
    if d.category == dtypes.INTEGER and x.dtype.kind not in "biu":
        return x.astype(np.int64).astype(d.numpy)
    return x.astype(d.numpy)


def _checked(index: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Integers from 0 up to `size`, which is left out."""
    wrong = (index < 0) | (index >= size)
    if wrong.any():
        raise IndexError(f"index {np.extract(wrong, index)[0]} is out of range")
    return index


def _gather(node: Node, source: np.ndarray, index: np.ndarray) -> np.ndarray:
    dim, check = node.params
    if check:
        _checked(index, np.asarray(source.shape[dim]))
    return np.take(source, index, dim, mode="clip")


def _reduce(node: Node, x: np.ndarray) -> np.ndarray:
    (dims,) = node.params
    if node.name.startswith("arg"):
        return getattr(np, node.name)(x, axis=dims[0], keepdims=True)
    if node.name in ("sum", "prod"):
        return getattr(np, node.name)(x, axis=dims, keepdims=True, dtype=x.dtype)
    return getattr(np, node.name)(x, axis=dims, keepdims=True)


def _write(node: Node, old: np.ndarray, source: np.ndarray) -> np.ndarray:
    (into,) = node.params
    flat = old.copy()
    if into.numel:
        _window(flat, into)[...] = source
    return flat


def _call(node: Node, *args: np.ndarray) -> Any:
    """Bodies may return another dtype than was inferred, to which the engine then converts."""
    found = TEMPLATES[node.name](node, *args)
    found = found if isinstance(found, tuple) else (found,)
    return tuple([x.astype(m.dtype.numpy) for x, m in zip(found, node.outputs, strict=True)])


_k = NumpyBuilder()

EVALUATORS: dict[str, Callable[..., Any]] = {
    "const": _const,
    "empty": _empty,
    "index": lambda node: np.arange(node.outputs[0].numel),
    "map": _map,
    "gather": _gather,
    "reduce": _reduce,
    "write": _write,
    "call": _call,
}

# Primitives that are Python operators in bodies, and those that only graphs have.
PRIMITIVES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": lambda a: abs(a),
    "invert": lambda a: ~a,
    "and_": lambda a, b: a & b,
    "or_": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "copy": lambda a: a,
    "checked": _checked,
}


# ---------------------------------------------------------------------------------------------- kernel templates


def _matmul(node: Node, a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """a [*batch, m, k] @ b [*batch, k, n], plus a bias that has the shape of the product."""
    product = np.matmul(a, b)
    return product if bias is None else product + bias


def _conv(node: Node, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    stride, padding, dilation, groups = node.params
    return OPS["convolution"].body(x, weight, bias, stride, padding, dilation, False, (0,) * len(stride), groups)


def _conv_transposed(node: Node, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    stride, padding, dilation, output_padding, groups = node.params
    return OPS["convolution"].body(x, weight, bias, stride, padding, dilation, True, output_padding, groups)


def _conv_weight(node: Node, g: np.ndarray, x: np.ndarray) -> np.ndarray:
    shape = tuple(node.outputs[0].shape)
    return OPS["internal.convolution_weight_grad"].body(g, x, shape, *node.params)


def _index_add(node: Node, base: np.ndarray, index: np.ndarray, source: np.ndarray) -> np.ndarray:
    dim, alpha = node.params
    return OPS["index_add"].body(base, dim, index, source, alpha)


def _without(i: int, results: tuple) -> tuple:
    return results[:i] + results[i + 1 :]


def _attention(node: Node, q: np.ndarray, k: np.ndarray, v: np.ndarray, *mask: np.ndarray) -> Any:
    causal, scale, _, inside = node.params
    out, sums = OPS["attended"].body(q, k, v, *(mask or (None,)), causal, scale)
    return out.swapaxes(-3, -2) if inside else out, sums


def _attention_backward(node: Node, *args: np.ndarray) -> Any:
    causal, scale, _, inside = node.params
    gradients = OPS["attended_grad"].body(*args[:6], *(args[6:] or (None,)), causal, scale)
    return tuple([x.swapaxes(-3, -2) for x in gradients]) if inside else gradients


def _scatter_reduce(node: Node, base: np.ndarray, index: np.ndarray, source: np.ndarray) -> np.ndarray:
    dim, combiner = node.params
    return OPS["internal.scatter_reduce"].body(base, dim, index, source, combiner, True)


def _scan(node: Node, x: np.ndarray) -> np.ndarray:
    combiner, dim = node.params
    ufunc = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[combiner]
    return ufunc.accumulate(x, dim, x.dtype)


def _sort(node: Node, x: np.ndarray) -> Any:
    dim, descending, _ = node.params
    return OPS["sorted_along"].body(x, dim, descending)


def _of(name: str) -> Callable[..., Any]:
    """The body of an operation, whose tensors come first and whose other arguments are the template's parameters."""
    return lambda node, *args: OPS[name].body(*args, *node.params)


TEMPLATES: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "conv": _conv,
    "conv_transposed": _conv_transposed,
    "conv_weight": _conv_weight,
    "max_pool": _of("internal.max_pool"),
    "max_pool_place": _of("internal.max_pool_place"),
    "avg_pool": _of("internal.avg_pool"),
    "avg_pool_backward": _of("internal.avg_pool_backward"),
    "index_add": _index_add,
    "scatter_add": lambda node, base, index, source: OPS["scatter_add"].body(base, *node.params, index, source),
    "scatter": lambda node, base, index, source: OPS["internal.scatter"].body(base, *node.params, index, source),
    "scatter_reduce": _scatter_reduce,
    "scan": _scan,
    "lstm": lambda node, *args: _without(1, OPS["lstm_layer"].body(*args)),
    "lstm_backward": lambda node, *args: OPS["lstm_layer_grad"].body(*args),
    "attention": _attention,
    "attention_backward": _attention_backward,
    "sort": _sort,
    "topk": _of("top"),
}
