"""`infer_schema`: the schema that a function's annotations say."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from flambeau import _api as torch
from flambeau.library.tags import Tag, Tags, as_tags

NUMBER = frozenset({int, float, bool})
# annotation -> (type, may there be lists of it, of perhaps nothing, perhaps no list?)
PARAMETERS: dict[Any, tuple[str, bool, bool, bool]] = {
    torch.Tensor: ("Tensor", True, True, False),
    int: ("SymInt", True, False, True),
    float: ("float", True, False, True),
    bool: ("bool", True, False, True),
    str: ("str", False, False, False),
    NUMBER: ("Scalar", True, False, False),
    torch.dtype: ("ScalarType", False, False, False),
    torch.device: ("Device", False, False, False),
}
RETURNS = {torch.Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", NUMBER: "Scalar"}
VALID = "torch.Tensor, int, float, bool, str, int | float | bool, torch.dtype, torch.device"


class Misfit(Exception):
    """What a signature has that no schema can say."""


def infer_schema(
    prototype_function: Callable,
    /,
    *,
    mutates_args: str | Iterable[str],
    op_name: str | None = None,
    tags: Tags = (),
) -> str:
    """The schema of an operator that the function implements, read from its annotations.

    Args:
        prototype_function: every parameter is annotated by `torch.Tensor`, int, float, bool, str, `torch.dtype`,
            `torch.device` or a number (`int | float | bool`), perhaps optional, perhaps in a list; the result by a
            tensor, a list of them, a number, a tuple of those, or None.
        mutates_args: the names of the parameters that are changed in place, or "unknown": all tensors may be.
        op_name: the operator's name, by which the schema then begins. Default: None, without.
        tags: `torch.Tag.inplace` or `torch.Tag.out` for an operator that returns what it changes.

    Raises:
        ValueError: for what a schema cannot say.

    Example::

        >>> import flambeau as torch
        >>> def scale(x: torch.Tensor, by: float = 2.0, *, dims: list[int] | None = None) -> torch.Tensor: ...
        >>> infer_schema(scale, mutates_args=(), op_name="scale")
        'scale(Tensor x, float by=2.0, *, SymInt[]? dims=None) -> Tensor'
    """
    signature = inspect.signature(prototype_function)
    try:
        return _Signature(prototype_function, signature, mutates_args, as_tags(tags)).schema(op_name)
    except Misfit as misfit:
        raise ValueError(f"infer_schema(func): {misfit} Got func with signature {signature})") from None


class _Signature:
    """A function's signature, becoming a schema."""

    def __init__(
        self, function: Callable, signature: inspect.Signature, mutates: str | Iterable[str], tags: tuple[Tag, ...]
    ) -> None:
        if isinstance(mutates, str) and mutates != "unknown":
            raise ValueError(
                "mutates_args must either be a sequence of the names of the arguments that are mutated or the string "
                "'unknown'."
            )
        self.parameters = list(signature.parameters.values())
        self.hints = _hints(function, signature)
        self.returns = self.hints.get("return", signature.return_annotation)
        self.all_written = isinstance(mutates, str)
        self.mutates: tuple[str, ...] = () if isinstance(mutates, str) else tuple(mutates)
        self.inplace, self.out = Tag.inplace in tags, Tag.out in tags
        if self.inplace and self.out:
            raise AssertionError("torch.Tag.inplace and torch.Tag.out are mutually exclusive")
        self.written: list[tuple[inspect.Parameter, str]] = []  # with the names of their memory

    def schema(self, name: str | None) -> str:
        given: list[str] = []
        for i, parameter in enumerate(self.parameters):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise Misfit("We do not support positional-only args, varargs, or varkwargs.")
            if parameter.kind == parameter.KEYWORD_ONLY and "*" not in given:
                given.append("*")
            given.append(self._parameter(i, parameter))
        unseen = set(self.mutates) - {p.name for p in self.parameters}
        if unseen:
            raise Misfit(
                f"{unseen} in mutates_args were not found in the custom op's signature. mutates_args should contain "
                "the names of all args that the custom op mutates, or just the string 'unknown' if you don't know."
            )
        return f"{name or ''}({', '.join(given)}) -> {self._result()}"

    def _parameter(self, i: int, parameter: inspect.Parameter) -> str:
        name = parameter.name
        if parameter.annotation is parameter.empty:
            raise Misfit(f"Parameter {name} must have a type annotation.")
        text = _parameter_type(name, self.hints[name])
        if name in self.mutates or (self.all_written and text.startswith("Tensor")):
            if not text.startswith("Tensor"):
                raise Misfit(
                    f"Parameter {name} is in mutable_args but only Tensors or collections of Tensors can be mutated"
                )
            if self.out:
                self._check_out(parameter, text)
            self.written.append((parameter, f"a{i}"))
            text = f"Tensor(a{i}!){text.removeprefix('Tensor')}"
        if parameter.default is parameter.empty:
            return f"{text} {name}"
        return f"{text} {name}={_default(name, parameter.default)}"

    def _check_out(self, parameter: inspect.Parameter, text: str) -> None:
        if parameter.kind != parameter.KEYWORD_ONLY:
            raise Misfit("torch.Tag.out requires mutable arguments to be keyword-only.")
        if text != "Tensor":
            raise Misfit("torch.Tag.out only supports mutable keyword-only Tensor arguments.")

    def _result(self) -> str:
        if self.out:
            return self._returned_outs()
        text = _return_type(self.returns)
        if not self.inplace:
            return text
        first = self.parameters[0] if self.parameters else None
        if first is None or first.kind == first.KEYWORD_ONLY:
            raise Misfit("torch.Tag.inplace requires a positional Tensor argument.")
        if self.hints[first.name] is not torch.Tensor:
            raise Misfit("torch.Tag.inplace requires the first positional argument to be a Tensor.")
        if set(self.mutates) != {first.name}:
            raise Misfit(
                "torch.Tag.inplace requires mutates_args to contain exactly the first positional argument, got "
                f"{'unknown' if self.all_written else self.mutates}."
            )
        if text != "Tensor":
            raise Misfit("torch.Tag.inplace requires the return annotation to be torch.Tensor.")
        return "Tensor(a0!)"

    def _returned_outs(self) -> str:
        count = len(self.written)
        if not count:
            raise Misfit("torch.Tag.out requires at least one mutable keyword-only Tensor argument.")
        wanted = torch.Tensor if count == 1 else (torch.Tensor,) * count
        found = typing.get_args(self.returns) if typing.get_origin(self.returns) is tuple else self.returns
        if found != wanted:
            raise Misfit(
                "torch.Tag.out requires the return annotation to match the mutable keyword-only Tensor arguments "
                f"{tuple(p.name for p, _ in self.written)}."
            )
        outs = ", ".join(f"Tensor({memory}!)" for _, memory in self.written)
        return outs if count == 1 else f"({outs})"


def _hints(function: Callable, signature: inspect.Signature) -> dict[str, Any]:
    """The annotations, those that are strings evaluated where the function was defined."""
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise Misfit(
            f"Unsupported type annotation: it is not a type ({error}). With 'from __future__ import annotations' the "
            "types in annotations must be importable at module scope, not only inside a local function."
        ) from None
    except Exception as error:
        named = [p.annotation for p in signature.parameters.values() if isinstance(p.annotation, str)]
        raise Misfit(f"Unsupported type annotation {', '.join(named)}. It is not a type. ({error})") from None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """(the annotation, or for a union without None the set of its members; may it be None?)"""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation, False
    members = typing.get_args(annotation)
    rest = [m for m in members if m is not type(None)]
    return rest[0] if len(rest) == 1 else frozenset(rest), len(rest) < len(members)


def _item_of(annotation: Any) -> Any:
    """What a list annotation says of its items; None for what is no list."""
    if typing.get_origin(annotation) in (list, collections.abc.Sequence):
        return typing.get_args(annotation)[0]
    return None


def _parameter_type(name: str, annotation: Any) -> str:
    kind, optional = _without_none(annotation)
    item = _item_of(kind)
    inner, inner_optional = (kind, False) if item is None else _without_none(item)
    known = _known(PARAMETERS, inner)
    if known is None:
        _refuse(name, annotation)
    base, lists, optional_items, optional_lists = known
    if item is None:
        return base + ("?" if optional else "")
    if not (optional_items if inner_optional else lists) or (optional and not optional_lists):
        _refuse(name, annotation)
    return f"{base}{'?' if inner_optional else ''}[]{'?' if optional else ''}"


def _known(table: dict[Any, Any], annotation: Any) -> Any:
    try:
        return table.get(annotation)
    except TypeError:  # what cannot be a key is no type
        return None


def _refuse(name: str, annotation: Any) -> NoReturn:
    advice = ""
    if typing.get_origin(annotation) is tuple or annotation is tuple:
        advice = "We do not support Tuple inputs in schema. As a workaround, please try to use List instead. "
    raise Misfit(
        f"Parameter {name} has unsupported type {annotation}. {advice}The valid types are: {VALID}, and lists."
    )


def _default(name: str, value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, (str, torch.device)):
        return f'"{value}"'
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    raise Misfit(f"Parameter {name} has an unsupported default value type {type(value)}.")


def _return_type(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "()"
    if annotation is inspect.Parameter.empty:
        raise Misfit("No return type annotation was provided. Please add one.")
    if typing.get_origin(annotation) is tuple:
        items = ", ".join([_one_return(a, annotation) for a in typing.get_args(annotation)])
        return f"(({items}))" if len(typing.get_args(annotation)) == 1 else f"({items})"
    return _one_return(annotation, annotation)


def _one_return(annotation: Any, whole: Any) -> str:
    kind, optional = _without_none(annotation)
    if typing.get_origin(kind) is list and typing.get_args(kind) == (torch.Tensor,) and not optional:
        return "Tensor[]"
    known = _known(RETURNS, kind)
    if known is None or optional:
        raise Misfit(
            f"Return has unsupported type {whole}. The valid types are: torch.Tensor, list[torch.Tensor], int, float, "
            "bool, int | float | bool, tuples of them, None."
        )
    return known
