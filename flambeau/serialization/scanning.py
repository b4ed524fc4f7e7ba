"""What names a checkpoint uses, found without making its objects."""

from __future__ import annotations

import io
import os
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module
from flambeau.serialization import archive
from flambeau.serialization.loading import opened
from flambeau.serialization.names import Allowed

if TYPE_CHECKING:
    import pickletools
else:
    pickletools = lazy_module("pickletools")

KEEP = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})  # what is on top of the stack, in the memo
FETCH = frozenset({"BINGET", "LONG_BINGET", "GET"})


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | IO[bytes]) -> list[str]:
    """The names of functions and classes that a checkpoint uses and `load` would refuse, sorted.

    ValueError if `f` is no checkpoint in the zip format; RuntimeError if it is damaged; `pickle.UnpicklingError` if its
    pickle makes no sense.

    Example::

        >>> import io, flambeau as torch
        >>> torch.save(torch.nn.ReLU(), file := io.BytesIO())
        >>> get_unsafe_globals_in_checkpoint(file)
        ['torch.nn.modules.activation.ReLU']
    """
    with opened(f) as (file, name):
        file.seek(0)
        if file.read(len(archive.SIGNATURE)) != archive.SIGNATURE:
            raise ValueError(f"{name}: only checkpoints in the zip format can be looked through")
        pickled = archive.Reader(file, name).read("data.pkl")
    allowed, refused = Allowed(weights_only=True), set()
    for module, last in _names(pickled):
        try:
            allowed.find(module, last)
        except UnpicklingError:
            refused.add(f"{module}.{last}")
    return sorted(refused)


def _names(pickled: bytes) -> list[tuple[str, str]]:
    """The names in a pickle. Those that it puts together on the stack are the last two texts pushed, or got from the
    memo."""
    found, memo = [], dict[int, Any]()
    pushed: list[Any] = [None, None]
    try:
        argument: Any
        for opcode, argument, _ in pickletools.genops(io.BytesIO(pickled)):
            if opcode.name == "GLOBAL":
                module, _, last = argument.partition(" ")
                found.append((module, last))
            elif opcode.name == "STACK_GLOBAL" and all(isinstance(text, str) for text in pushed[-2:]):
                found.append((pushed[-2], pushed[-1]))
            if opcode.name in KEEP:
                memo[len(memo) if argument is None else argument] = pushed[-1]
            elif opcode.name in FETCH:
                pushed = [pushed[-1], memo.get(argument)]
            elif opcode.name not in ("PROTO", "FRAME"):
                pushed = [pushed[-1], argument if isinstance(argument, str) and opcode.name != "GLOBAL" else None]
    except ValueError as error:
        raise UnpicklingError(f"the pickle makes no sense: {error}") from error
    return found
