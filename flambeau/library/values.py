"""The values that operators take and give: the base types of schemas, and what counts as a value of each."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau import _api as torch

if TYPE_CHECKING:
    from flambeau.library.schema import Type


class Unfit(Exception):
    """A value is not of the type."""


class Base(NamedTuple):
    """A base type: what Python calls it in error messages, how a value is converted (Unfit if it is none), and how the
    text of a default is read."""

    label: str
    convert: Callable[[Any], Any]
    constant: Callable[[str], Any]


def _instance(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise Unfit
        return value

    return convert


def _integer(value: Any) -> int:
    try:
        return operator.index(value)
    except (TypeError, RuntimeError, ValueError):
        raise Unfit from None


def _real(value: Any) -> float:
    if not isinstance(value, (numbers.Real, torch.Tensor)):
        raise Unfit
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, (bool, numbers.Integral)) and type(value).__name__ not in ("bool_", "bool"):
        raise Unfit
    return bool(value)


def _complex(value: Any) -> complex:
    if not isinstance(value, (numbers.Complex, torch.Tensor)):
        raise Unfit
    return complex(value)


def _number(value: Any) -> Any:
    if type(value) in (bool, int, float, complex):
        return value
    if isinstance(value, torch.Tensor) and not value.dim():
        return value.item()
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return _complex(value)


def _device(value: Any) -> Any:
    if not isinstance(value, (str, torch.device)):
        raise Unfit
    return torch.device(value)


def _named(kind: type) -> Callable[[str], Any]:
    """The constant of the package with that name."""

    def constant(token: str) -> Any:
        found = getattr(torch, token)
        if not isinstance(found, kind):
            raise ValueError(token)
        return found

    return constant


def _quoted(token: str) -> str:
    if token[:1] not in ("'", '"'):
        raise ValueError(token)
    return token[1:-1]


def _truth(token: str) -> bool:
    return {"True": True, "False": False, "true": True, "false": False, "1": True, "0": False}[token]


def _numeral(token: str) -> Any:
    if token.lower() in ("true", "false"):
        return _truth(token)
    return float(token) if any(c in token.lower() for c in ".einf") else int(token)


def _none(token: str) -> Any:
    raise ValueError(token)


BASES = {
    "Tensor": Base("Tensor", _instance(torch.Tensor), _none),
    "int": Base("int", _integer, int),
    "SymInt": Base("int", _integer, int),
    "float": Base("float", _real, float),
    "bool": Base("bool", _boolean, _truth),
    "SymBool": Base("bool", _boolean, _truth),
    "complex": Base("complex", _complex, complex),
    "str": Base("str", _instance(str), _quoted),
    "Scalar": Base("number", _number, _numeral),
    "ScalarType": Base("dtype", _instance(torch.dtype), _named(torch.dtype)),
    "Device": Base("Device", _device, lambda token: torch.device(_quoted(token))),
    "Layout": Base("Layout", _instance(torch.layout), _named(torch.layout)),
    "MemoryFormat": Base("MemoryFormat", _instance(torch.memory_format), _named(torch.memory_format)),
    "Generator": Base("Generator", _instance(torch.Generator), _none),
}


def label(kind: Type) -> str:
    """A type as error messages name it.

    Example::

        >>> from flambeau.library.schema import parse
        >>> label(parse("(int[]? sizes) -> ()").arguments[0].type)
        'Optional[List[int]]'
    """
    text = BASES[kind.base].label
    if kind.listed:
        text = f"List[Optional[{text}]]" if kind.optional_items else f"List[{text}]"
    return f"Optional[{text}]" if kind.optional else text


def cast(kind: Type, value: Any) -> Any:
    """`value` as an operator gets it: integers where floats are wanted become floats, tuples lists, names devices.
    Unfit if it is not of that type."""
    if value is None and kind.optional:
        return None
    convert = BASES[kind.base].convert
    if not kind.listed:
        return convert(value)
    if kind.size is not None and not isinstance(value, Iterable):
        return [convert(value)] * kind.size
    if isinstance(value, (str, torch.Tensor)) or not isinstance(value, Iterable):
        raise Unfit
    return [None if v is None and kind.optional_items else convert(v) for v in value]
