"""Flambeau beside PyTorch: the same operation there and here, values carried from one to the other.

`OPERATIONS` are the entries of PyTorch's own operation database that Flambeau has, each with the function here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import flambeau

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

MOST_SAMPLES = 12  # of one operation and dtype, spread over what the database gives


class Operation(NamedTuple):
    """An entry of the database, and the function of the same name here."""

    info: Any
    here: Callable

    @property
    def name(self) -> str:
        return self.info.name + (f".{self.info.variant_test_name}" if self.info.variant_test_name else "")


def named(path: str) -> Any:
    """What stands under a dotted name in Flambeau, or None."""
    found: Any = flambeau
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def operations() -> Iterator[Operation]:
    for info in op_db:
        if not info.dtypes or info.name in ELSEWHERE:
            continue
        found = CALLED.get(info.name) or named(info.name)
        if found is None or isinstance(found, flambeau.dtype):
            found = getattr(flambeau.Tensor, info.name, None)
        if isinstance(found, property):
            found = found.fget
        if found is not None:
            yield Operation(info, found)


# Called by the database with the arguments in another order than the function's own.
CALLED: dict[str, Callable] = {
    "einsum": lambda tensors, equation: flambeau.einsum(equation, tensors),
    "where": lambda x, condition, other, **kw: flambeau.where(condition, x, other, **kw),
    "nn.functional.embedding": lambda weight, index, **kw: flambeau.nn.functional.embedding(index, weight, **kw),
    "nn.functional.embedding_bag": lambda w, i, *a, **kw: flambeau.nn.functional.embedding_bag(i, w, *a, **kw),
}
# Sparse results, functions of PyTorch as arguments, and entries that the database wraps in a function of its own.
ELSEWHERE = {
    "sparse.sampled_addmm", "sparse.mm", "to_sparse", "nn.functional.triplet_margin_with_distance_loss",
    "svd_lowrank", "pca_lowrank", "linalg.pinv", "as_strided", "zero_", "resize_", "resize_as_", "normal",
}  # fmt: skip

OPERATIONS = list(operations())


def here(value: Any) -> Any:
    """A value of PyTorch's as one of Flambeau's: tensors with strides and offsets, dtypes, devices."""
    if isinstance(value, torch.Tensor):
        return tensor_here(value)
    if isinstance(value, torch.dtype):
        return getattr(flambeau, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return flambeau.device(str(value))
    if isinstance(value, torch.layout) or isinstance(value, torch.memory_format):
        return getattr(flambeau, str(value).removeprefix("torch."))
    if isinstance(value, torch.Generator):
        return flambeau.Generator()
    if type(value) in (list, tuple):
        return type(value)(map(here, value))
    if isinstance(value, dict):
        return {key: here(item) for key, item in value.items()}
    return value


def tensor_here(tensor: Any) -> Any:
    if tensor.is_sparse or tensor.layout is not torch.strided:
        raise pytest.skip.Exception("sparse")
    plain = tensor.detach().resolve_conj().resolve_neg()
    whole = plain.as_strided((extent(plain),), (1,), plain.storage_offset()) if plain.numel() else plain.reshape(-1)
    made = flambeau.tensor(numbers(whole), dtype=here(tensor.dtype))
    made = made.as_strided(tuple(plain.shape), plain.stride()) if plain.numel() else made.reshape(tuple(plain.shape))
    made = made.detach()
    return made.requires_grad_() if tensor.requires_grad else made


def extent(tensor: Any) -> int:
    return 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))


def numbers(tensor: Any) -> Any:
    """The numbers of a tensor of either side, as a NumPy array that holds them all exactly."""
    tensor = tensor.detach()
    name = str(tensor.dtype).removeprefix("torch.")
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        tensor = tensor.float()
    elif name == "complex32":
        tensor = tensor.to(tensor.dtype.to_complex())
    return tensor.resolve_conj().resolve_neg().numpy()


def attempt(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """The result of a call, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001
            return error


def spread(samples: list, most: int = MOST_SAMPLES) -> list:
    """At most `most` of the samples, first and last among them."""
    if len(samples) <= most:
        return samples
    return [samples[math.floor(i * (len(samples) - 1) / (most - 1))] for i in range(most)]


def tensors_of(value: Any) -> list:
    """The tensors of a nested result, of either side, in order."""
    if isinstance(value, (torch.Tensor, flambeau.Tensor)):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_of(item)]
    return []
