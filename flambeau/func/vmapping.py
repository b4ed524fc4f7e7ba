"""`vmap`: a function of single tensors made into one of batches, without a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau._core.trees import broadcast, flatten, unflatten
from flambeau._tensor import batched_functions as batched_functions
from flambeau._tensor import batching_rules as batching_rules
from flambeau._tensor.batched import BatchedTensor, Level, levels, spread

RANDOMNESS = ("error", "same", "different")


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """`func` carried out for every element of a batch at once.

    `in_dims` says along which dimension each argument is batched: an integer, None for an argument that is the same for
    all, or a structure of those like the arguments. `out_dims` says where the batch goes in the results. `randomness`:
    "error" refuses random operations on batched tensors, "same" draws once for all, "different" for each. `chunk_size`
    carries out so many at a time, which bounds memory. `vmap` may be nested, and mixed with `grad`.

    Operations without a batched form are looped over. ValueError for structures or sizes that do not fit, RuntimeError
    for code that looks at values.

    Example::

        >>> dot = vmap(torch.dot)
        >>> dot(torch.tensor([[1., 2.], [3., 4.]]), torch.ones(2, 2))
        tensor([3., 7.])
    """
    if randomness not in RANDOMNESS:
        raise RuntimeError(f"Only allowed values for randomness are {RANDOMNESS}. Got {randomness!r}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves, form, dims, size = _batch_of(func, in_dims, args)
        if chunk_size is None or size <= chunk_size:
            return _run(func, leaves, form, dims, size, kwargs, out_dims, randomness)
        results = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            part = [x if d is None else x.narrow(d, start, count) for x, d in zip(leaves, dims, strict=True)]
            results.append(_run(func, part, form, dims, count, kwargs, out_dims, randomness))
        return _joined(results, out_dims)

    return batched


def _batch_of(func: Callable, in_dims: Any, args: tuple) -> tuple[list[Any], Any, list[int | None], int]:
    """(leaves of the arguments, their form, the batch's dimension in each, the size of the batch)."""
    name = getattr(func, "__name__", type(func).__name__)
    leaves, form = flatten(args)
    if isinstance(in_dims, list):
        in_dims = tuple(in_dims)
    if not isinstance(in_dims, (int, tuple)) or in_dims is True:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...): expected `in_dims` to be int or a (potentially nested) tuple "
            f"matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name}): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function "
            "with no inputs. The latter is unsupported."
        )
    dims = broadcast(in_dims, args)
    if dims is None:
        raise ValueError(f"vmap({name}, in_dims={in_dims}): in_dims is not compatible with the structure of inputs")
    found: list[int | None] = []
    sizes = set()
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is None or (not isinstance(leaf, torch.Tensor) and in_dims == 0 and not leaves_are_tensors(leaf)):
            found.append(None)
            continue
        if not isinstance(leaf, torch.Tensor):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}): Got in_dim={dim} for an input but the input is of type "
                f"{type(leaf)}. We cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}): Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {leaf.dim()} so expected in_dim to satisfy -{leaf.dim()} <= in_dim < {leaf.dim()}."
            )
        found.append(dim % leaf.dim())
        sizes.add(leaf.shape[dim])
    if len(sizes) > 1:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                         f"{sorted(sizes)} for the mapped dimension")  # fmt: skip
    if not sizes:
        raise ValueError(f"vmap({name}, in_dims={in_dims}): at least one tensor must be mapped over")
    return leaves, form, found, sizes.pop()


def leaves_are_tensors(leaf: Any) -> bool:
    """Does a leaf hold something that could be mapped over? None, strings and modules do not."""
    return not (leaf is None or isinstance(leaf, str))


def _run(
    func: Callable, leaves: list, form: Any, dims: list, size: int, kwargs: dict, out_dims: Any, randomness: str
) -> Any:
    """One batch: wrap the arguments, call the function, unwrap the results."""
    levels.append(Level(size, randomness))
    level = len(levels)
    try:
        given = [
            x if d is None else BatchedTensor(x.movedim(d, 0) if d else x, level)
            for x, d in zip(leaves, dims, strict=True)
        ]
        result = func(*unflatten(given, form), **kwargs)
    finally:
        levels.pop()
    return _unwrapped(result, out_dims, level, size, func)


def _unwrapped(result: Any, out_dims: Any, level: int, size: int, func: Callable) -> Any:
    name = getattr(func, "__name__", type(func).__name__)
    outputs, form = flatten(result)
    if form.is_leaf() and isinstance(out_dims, (tuple, list)) and len(out_dims) == 1:
        out_dims = out_dims[0]
    targets = broadcast(out_dims, result)
    if targets is None:
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): out_dims is not compatible with the structure of "
                         "outputs")  # fmt: skip
    return unflatten([_moved(o, d, level, size, name) for o, d in zip(outputs, targets, strict=True)], form)


def _moved(output: Any, dim: int | None, level: int, size: int, name: str) -> Any:
    """One result with its batch in dimension `dim`."""
    if not isinstance(output, torch.Tensor):
        if output is None and dim is None:
            return None
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(output)}. Did you mean to set "
            "out_dims= to None for output?"
        )
    inside = isinstance(output, BatchedTensor) and output.level == level
    if dim is None:
        if inside:
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return output
    values = output.value if inside else spread(output, size)
    return values.movedim(0, dim) if dim else values


def _joined(results: list[Any], out_dims: Any) -> Any:
    """The results of chunks, one after the other."""
    form = flatten(results[0])[1]
    targets = broadcast(out_dims, results[0]) or [0]
    columns = zip(*[flatten(r)[0] for r in results], strict=True)
    return unflatten(
        [column[0] if d is None else torch.cat(list(column), d) for column, d in zip(columns, targets, strict=True)],
        form,
    )
