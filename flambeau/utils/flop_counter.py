"""How many floating-point operations a program asks for (`torch.utils.flop_counter`).

Counted are products of matrices, convolutions, attention and recurrent layers, forward and backward: where the work of
a network is. A multiplication and the addition that follows it are two operations. What is counted is what was
recorded, not what kernels did in the end: see `torch.explain` and `torch.profiler` for that.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

from flambeau._core.homes import absent
from flambeau._tensor.dispatch import watching
from flambeau.nn.modules.module import Module, register_module_forward_hook, register_module_forward_pre_hook
from flambeau.overrides import BaseTorchFunctionMode

__all__ = ["FlopCounterMode"]

SUFFIXES = ("", "K", "M", "B", "T")


# ---------------------------------------------------------------------------------------------- formulas


def _matmul(result: Any, input: Any, other: Any) -> tuple[str, int]:
    return "mm" if other.dim() <= 2 else "bmm", 2 * result.numel() * input.shape[-1]


def _linear(result: Any, input: Any, weight: Any, bias: Any = None) -> tuple[str, int]:
    return "mm" if bias is None else "addmm", 2 * result.numel() * weight.shape[-1]


def _linear_grads(result: Any, grad: Any, input: Any, weight: Any, bias: bool) -> tuple[str, int]:
    return "mm", sum([2 * grad.numel() * x.shape[-1] for x in (input, weight) if x is not None])


def _convolution(result: Any, input: Any, weight: Any, *geometry: Any) -> tuple[str, int]:
    transposed = geometry[4]
    return "convolution", 2 * (input if transposed else result).numel() * prod(weight.shape[1:])


def _convolution_weight_grad(result: Any, grad: Any, input: Any, *geometry: Any) -> tuple[str, int]:
    return "convolution_backward", 2 * grad.numel() * prod(result.shape[1:])


def _attended(result: Any, query: Any, key: Any, value: Any, *options: Any) -> tuple[str, int]:
    scores = 2 * query.numel() * key.shape[-2]
    return "_scaled_dot_product_flash_attention", scores + 2 * result[0].numel() * value.shape[-2]


def _attended_grad(result: Any, grad: Any, query: Any, key: Any, value: Any, *saved: Any) -> tuple[str, int]:
    """The scores again, and two products for each of the two that were made forward."""
    by_keys, by_values = query.numel() * key.shape[-2], grad.numel() * value.shape[-2]
    return "_scaled_dot_product_flash_attention_backward", 2 * (3 * by_keys + 2 * by_values)


def _lstm_layer(result: Any, gates: Any, *state: Any) -> tuple[str, int]:
    return "lstm", 2 * gates.numel() * state[-1].shape[-1]


def _lstm_layer_grad(result: Any, *given: Any) -> tuple[str, int]:
    return "lstm_backward", 2 * result[0].numel() * given[-1].shape[-1]


# By the names of operations in the op table: what PyTorch calls it, and how many operations it takes.
FORMULAS: dict[str, Callable[..., tuple[str, int]]] = {
    "matmul": _matmul,
    "linear": _linear,
    "linear_grads": _linear_grads,
    "convolution": _convolution,
    "convolution_weight_grad": _convolution_weight_grad,
    "attended": _attended,
    "attended_grad": _attended_grad,
    "lstm_layer": _lstm_layer,
    "lstm_layer_grad": _lstm_layer_grad,
}


# ---------------------------------------------------------------------------------------------- counting


class FlopCounterMode:
    """A context that counts the floating-point operations that its thread asks for, in all and for each module.

    - `depth` (2): how deep in a module `get_table` looks; None for all the way. `display` (True): print it at the end.
    - `mods` and `custom_mapping` are PyTorch's; `mods` is ignored there and here, and a `custom_mapping` that holds
      formulas is NotImplementedError.

    Modules are named by the class of the outermost and their path in it. Operations of `backward()` count for "Global"
    only. Unlike PyTorch, products with vectors count, attention counts on the CPU, and the groups of a convolution do
    not make its weight's gradient dearer.

    Example::

        >>> import flambeau as torch
        >>> with FlopCounterMode(display=False) as counter:
        ...     y = torch.nn.Linear(4, 5)(torch.ones(3, 4))
        >>> counter.get_total_flops()
        120
        >>> counter.get_flop_counts()["Linear"]
        {'aten.addmm': 120}
    """

    def __init__(
        self, mods: Any = None, depth: int | None = 2, display: bool = True, custom_mapping: dict | None = None
    ) -> None:
        if custom_mapping:
            raise NotImplementedError("custom_mapping: operations are counted by formulas that are built in")
        self.depth = depth
        self.display = display
        self.flop_counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._names: WeakKeyDictionary[Module, str] = WeakKeyDictionary()
        self._inside: list[str] = []  # the modules that are being called, the outermost first
        self._thread = 0
        self._contexts = ExitStack()

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self._inside = ["Global"]
        self._thread = threading.get_ident()
        self._contexts.enter_context(register_module_forward_pre_hook(self._enter_module))
        self._contexts.enter_context(register_module_forward_hook(self._leave_module, always_call=True))
        self._contexts.enter_context(watching(self._count))
        self._contexts.enter_context(BaseTorchFunctionMode())  # while there is a mode nothing is replayed unseen
        return self

    def __exit__(self, *error: object) -> None:
        self._contexts.close()
        if self.display:
            print(self.get_table())

    def _count(self, op: Any, args: tuple, result: Any) -> None:
        formula = FORMULAS.get(op.name)
        if formula is None or threading.get_ident() != self._thread:
            return
        name, count = formula(result, *args)
        for module in set(self._inside):
            self.flop_counts[module][f"aten.{name}"] += count

    def _enter_module(self, module: Module, args: tuple) -> None:
        if threading.get_ident() == self._thread:
            name = self._names.setdefault(module, type(module).__name__)
            self._names.update({child: f"{name}.{part}" for part, child in module.named_children()})
            self._inside.append(name)

    def _leave_module(self, module: Module, args: tuple, output: Any) -> None:
        if threading.get_ident() == self._thread:
            self._inside.pop()

    # ------------------------------------------------------------------------------------------ results

    def get_total_flops(self) -> int:
        """The operations of all modules, and outside of modules."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """For each module, and "Global", the counts by the names of operations."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as a table, down to modules of `depth` (that of the counter)."""
        depth = self.depth if depth is None else depth
        total = self.get_total_flops()
        modules = sorted(m for m in self.flop_counts if m != "Global" and (depth is None or m.count(".") < depth))
        if not any(sum(self.flop_counts[m].values()) >= total for m in modules) and total:
            modules.insert(0, "Global")
        rows = [row for module in modules for row in self._rows(module, total)]
        return _table(["Module", "FLOP", "% Total"], rows or [["Global", "0", "0%"]])

    def _rows(self, module: str, total: int) -> Iterable[list[str]]:
        counts = self.flop_counts[module]
        for name, count in {module: sum(counts.values()), **{f"- {name}": n for name, n in counts.items()}}.items():
            yield [name, _written(count, total), f"{count / total:.2%}" if total else "0%"]


def _written(count: int, total: int) -> str:
    """A count in the unit of the total: thousands from five digits on, millions from eight on."""
    unit = max(0, min(len(SUFFIXES) - 1, (len(str(total)) - 2) // 3))
    return f"{count / 1000**unit:.3f}{SUFFIXES[unit]}" if unit else str(count)


def _table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(title) + 2, *[len(row[i]) for row in rows]) for i, title in enumerate(header)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *[cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]])
        for line in lines
    )


__getattr__ = absent("torch.utils.flop_counter")
