"""Calling a module with other tensors in place of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch

from ..modules.module import Module

__all__ = ["functional_call"]

Tensor = torch.Tensor


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor] | tuple[dict[str, Tensor], ...],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)`, computed with the given tensors; the module is as before afterwards.

    Args:
        parameters_and_buffers: tensors by dotted name (or a tuple of such dictionaries); others stay the module's.
        args: a tuple, or one argument.
        tie_weights: a tensor given for a shared parameter counts for all its names. Default: True.
        strict: every parameter and buffer must be given, and nothing else. Default: False.

    Raises:
        RuntimeError: (strict) missing or unexpected names. ValueError: two tensors for one shared parameter.
        KeyError: a name that is no attribute.

    Example:
        >>> import flambeau as torch
        >>> layer = torch.nn.Linear(1, 1)
        >>> weights = {"weight": torch.tensor([[2.0]]), "bias": torch.tensor([1.0])}
        >>> functional_call(layer, weights, torch.tensor([3.0]))
        tensor([7.])
    """
    given: dict[str, Tensor] = {}
    for dictionary in [parameters_and_buffers] if isinstance(parameters_and_buffers, dict) else parameters_and_buffers:
        if given.keys() & dictionary.keys():
            raise ValueError(f"{sorted(given.keys() & dictionary.keys())} appeared in multiple dictionaries")
        given.update(dictionary)
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict) as changed:
        result = module(*arguments, **(kwargs or {}))
    # What the module assigned to its buffers meanwhile, such as new running statistics, is the caller's.
    if isinstance(parameters_and_buffers, dict):
        parameters_and_buffers.update({name: changed[name] for name in given})
    return result


@contextmanager
def _replaced(module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[dict[str, Tensor]]:
    """Yields a dictionary that holds, once the context is left, the tensors that were in the module's place."""
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    if strict:
        _check_names(module, own, given)
    tensors = _with_ties(own, given) if tie_weights else given
    held: dict[str, Tensor] = {}
    changed: dict[str, Tensor] = {}
    try:
        for name, tensor in tensors.items():
            held[name] = _swap(module, name, tensor)
        yield changed
    finally:
        # In reverse, since a module that occurs twice was swapped twice.
        for name, tensor in reversed(held.items()):
            changed[name] = _swap(module, name, tensor)


def _swap(root: Module, path: str, tensor: Tensor | None) -> Any:
    """Put `tensor` where `path` points, past all checks of Module, and return what was there."""
    parent, _, name = path.rpartition(".")
    module = root.get_submodule(parent)
    registries: tuple[dict[str, Any], ...] = (module._parameters, module._buffers, module.__dict__)
    for registry in registries:
        if name in registry:
            held = registry[name]
            registry[name] = tensor
            return held
    raise KeyError(f"{module._get_name()} has no parameter, buffer or attribute '{path}'")


def _check_names(module: Module, own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    problems = []
    for kind, names in (("Unexpected", given.keys() - own.keys()), ("Missing", own.keys() - given.keys())):
        if names:
            problems.append(f"{kind} key(s): {', '.join(map(repr, sorted(names)))}.")
    if problems:
        listed = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{listed}")


def _with_ties(own: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given` with every name of a shared tensor for which one name was given."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names_of.setdefault(id(tensor), []).append(name)
    tied = dict(given)
    for names in names_of.values():
        tensors = {id(given[name]): given[name] for name in names if name in given}
        if len(tensors) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for tensor in tensors.values():
            tied.update(dict.fromkeys(names, tensor))
    return tied
