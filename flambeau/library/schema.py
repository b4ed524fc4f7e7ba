"""Schemas: what an operator takes and gives, as `mylib::scale(Tensor x, float by=2.0) -> Tensor` says it.

`parse` reads one, `str` writes it. A schema binds the arguments of a call, and checks what a kernel returns.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NoReturn

from flambeau import _api as torch
from flambeau.library.values import BASES, Unfit, cast, label

NOTHING: Any = object()  # in the place of a default that is not there
TOKEN = re.compile(
    r"\s*(?:(->|\.\.\.|::|[A-Za-z_]\w*|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\"[^\"]*\"|'[^']*'|[^\s])|$)"
)


class AliasInfo(NamedTuple):
    """What `(a!)` after a type says: the sets of memory it belongs to, and whether that is written."""

    before_set: frozenset[str]
    is_write: bool
    text: str

    def __str__(self) -> str:
        return self.text


class Type(NamedTuple):
    """A type of a schema: `base`, perhaps `optional`, perhaps in a list (`listed`, of `size` if that is fixed), whose
    items may be optional (`optional_items`)."""

    base: str
    listed: bool = False
    size: int | None = None
    optional: bool = False
    optional_items: bool = False

    def spelled(self, alias: AliasInfo | None = None) -> str:
        """How a schema writes it."""
        text = self.base if alias is None else f"{self.base}({alias})"
        if self.listed:
            text += f"{'?' if self.optional_items else ''}[{'' if self.size is None else self.size}]"
        return text + ("?" if self.optional else "")

    def __str__(self) -> str:
        return label(self)


class Argument(NamedTuple):
    """A parameter or a result of an operator."""

    name: str
    type: Type
    alias_info: AliasInfo | None = None
    default: Any = NOTHING
    kwarg_only: bool = False

    @property
    def default_value(self) -> Any:
        """Its default, None if there is none."""
        return None if self.default is NOTHING else self.default

    def has_default_value(self) -> bool:
        """Can it be left out?"""
        return self.default is not NOTHING

    @property
    def is_write(self) -> bool:
        """Is it changed in place?"""
        return self.alias_info is not None and self.alias_info.is_write

    def __str__(self) -> str:
        text = self.type.spelled(self.alias_info) + (f" {self.name}" if self.name else "")
        return text if self.default is NOTHING else f"{text}={_written(self.default)}"


class Schema:
    """An operator's name, parameters and results."""

    def __init__(self, name: str, overload: str, arguments: list[Argument], returns: list[Argument]) -> None:
        self.name = name
        self.overload_name = overload
        self.arguments = arguments
        self.returns = returns
        self.positional = [a for a in arguments if not a.kwarg_only]
        self.keywords = [a for a in arguments if a.kwarg_only]
        self.is_mutable = any(a.is_write for a in arguments)
        self.takes_tensors = any(a.type.base == "Tensor" for a in arguments)

    def __str__(self) -> str:
        given = [str(a) for a in self.positional]
        if self.keywords:
            given += ["*", *map(str, self.keywords)]
        returns = ", ".join(map(str, self.returns))
        if len(self.returns) != 1:
            returns = f"({returns})"
        overload = self.overload_name and f".{self.overload_name}"
        return f"{self.name}{overload}({', '.join(given)}) -> {returns}"

    __repr__ = __str__

    # ------------------------------------------------------------------------------------------ calls

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call, converted and with their defaults: (positional ones, keyword-only ones).
        RuntimeError if they do not fit."""
        if len(args) > len(self.positional):
            raise self._misfit(
                f"expected at most {len(self.positional)} argument(s) but received {len(args)} argument(s)."
            )
        for name in kwargs:
            known = next((i for i, a in enumerate(self.arguments) if a.name == name), None)
            if known is None:
                raise self._misfit(f"got an unknown keyword argument '{name}'.")
            if known < len(args):
                raise self._misfit(f"got multiple values for argument '{name}'.")
        values = [
            self._value(a, args[i] if i < len(args) else kwargs.get(a.name, a.default), i)
            for i, a in enumerate(self.positional)
        ]
        named = {
            a.name: self._value(a, kwargs.get(a.name, a.default), len(values) + i) for i, a in enumerate(self.keywords)
        }
        return values, named

    def _value(self, argument: Argument, value: Any, position: int) -> Any:
        if value is NOTHING:
            raise self._misfit(f"is missing value for argument '{argument.name}'.")
        if value is None and argument.default is None:
            return None
        try:
            return cast(argument.type, value)
        except Unfit:
            raise self._misfit(
                f"Expected a value of type '{argument.type}' for argument '{argument.name}' but instead found type "
                f"'{type(value).__name__}'.\nPosition: {position}\nValue: {value!r}\n"
            ) from None

    def _misfit(self, what: str) -> RuntimeError:
        gap = "" if what.endswith("\n") else " "
        return RuntimeError(f"{self.name}() {what}{gap}Declaration: {self}")

    def trimmed(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments without those that equal their defaults and can be left out: what kernels are called with, so
        that they need not have a parameter for what nobody gave."""
        count = len(args)
        while count and _is_default(self.positional[count - 1], args[count - 1]):
            count -= 1
        return args[:count], {a.name: kwargs[a.name] for a in self.keywords if not _is_default(a, kwargs[a.name])}

    def returned(self, result: Any) -> Any:
        """What a kernel returned, as it is; RuntimeError, or TypeError in the place of several results, if the schema
        says otherwise."""
        count = len(self.returns)
        if not count:
            if result is not None:
                raise RuntimeError(
                    f"Expected the kernel of {self.name} to return None but it returned {type(result).__name__}. "
                    f"Declaration: {self}"
                )
            return None
        if count == 1:
            self._check_result(self.returns[0], result)
            return result
        if not isinstance(result, (tuple, list)):
            raise TypeError(
                f"the kernel of {self.name} returned a {type(result).__name__}, expected a tuple of {count}. "
                f"Declaration: {self}"
            )
        if len(result) != count:
            raise RuntimeError(
                f"the kernel of {self.name} returned {len(result)} values, expected {count}. Declaration: {self}"
            )
        for returned, value in zip(self.returns, result, strict=True):
            self._check_result(returned, value)
        return tuple(result)

    def _check_result(self, returned: Argument, value: Any) -> None:
        try:
            cast(returned.type, value)
        except Unfit:
            raise RuntimeError(
                f"Unable to cast {value!r} to {returned.type}, which the kernel of {self.name} should return. "
                f"Declaration: {self}"
            ) from None


def _is_default(argument: Argument, value: Any) -> bool:
    default = argument.default
    if default is NOTHING or isinstance(value, torch.Tensor):
        return False
    if isinstance(value, list) and not isinstance(default, list):
        return all(_is_default(argument, v) for v in value)  # one number stands for all
    return value is default or (type(value) is type(default) and value == default)


def _written(default: Any) -> str:
    """A default as schemas write it: numbers with all digits, 1.0 as `1.`."""
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, list):
        return f"[{', '.join(map(_written, default))}]"
    if isinstance(default, float):
        digits = f"{default:.17g}"
        return digits if re.search(r"[.einf]", digits) else digits + "."
    return str(default).removeprefix("torch.")


# ---------------------------------------------------------------------------------------------- reading


def parse(text: str) -> Schema:
    """The schema that a text says, with or without an operator's name.

    Raises:
        RuntimeError: what was expected, what came, and where.

    Example::

        >>> schema = parse("mylib::scale_(Tensor(a!) x, float by, *, int[]? dims=None) -> ()")
        >>> [a.name for a in schema.arguments], schema.is_mutable
        (['x', 'by', 'dims'], True)
        >>> str(parse("(Tensor x, float by=1) -> (Tensor)"))
        '(Tensor x, float by=1.) -> Tensor'
    """
    return _Parser(text).schema()


class _Parser:
    """Reads a schema from the left to the right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(m.group(1), m.start(1)) for m in TOKEN.finditer(text) if m.group(1)]
        self.at = 0
        self.unnamed = 0  # how many sets of memory got a name here

    # ------------------------------------------------------------------------------------------ tokens

    @property
    def token(self) -> str:
        """The next token; "" at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.token
        self.at += 1
        return token

    def skip(self, token: str) -> bool:
        """Take the token if it is the next one."""
        found = self.token == token
        self.at += found
        return found

    def expect(self, token: str) -> None:
        if not self.skip(token):
            self.fail(f"expected {token} but found '{self.token or 'eof'}' here:")

    def identifier(self) -> str:
        if not self.token.isidentifier():
            kind = "eof" if not self.token else self.token
            self.fail(f"expected ident but found '{kind}' here:")
        return self.take()

    def fail(self, what: str) -> NoReturn:
        """RuntimeError that points at the next token."""
        token, start = self.tokens[self.at] if self.at < len(self.tokens) else ("", len(self.text))
        raise RuntimeError(f"{what}\n{self.text}\n{' ' * start}{'~' * max(len(token), 1)} <--- HERE")

    # ------------------------------------------------------------------------------------------ grammar

    def schema(self) -> Schema:
        name = overload = ""
        if self.token != "(":
            name = self.identifier()
            if self.skip("::"):
                name += "::" + self.identifier()
            if self.skip("."):
                overload = self.identifier()
        self.expect("(")
        arguments = self.arguments()
        self.expect("->")
        returns = self.returns()
        if self.token:
            self.fail(f"expected the end but found '{self.token}' here:")
        return Schema(name, overload, arguments, returns)

    def arguments(self) -> list[Argument]:
        """Up to the closing parenthesis."""
        found: list[Argument] = []
        keywords = False
        while not self.skip(")"):
            if self.token == "*" and not keywords:
                self.at += 1
                keywords = True
            else:
                found.append(self.argument(keywords, found))
            if self.token != ")":
                self.expect(",")
                if self.token == ")":
                    self.identifier()
        return found

    def argument(self, keyword: bool, before: list[Argument]) -> Argument:
        kind, alias = self.type()
        name = self.identifier()
        default = NOTHING
        if self.skip("="):
            default = self.default(kind)
        elif not keyword and before and before[-1].has_default_value():
            self.at -= 1
            self.fail("expected a default, since the argument before this one has one, here:")
        return Argument(name, kind, alias, default, keyword)

    def returns(self) -> list[Argument]:
        if not self.skip("("):
            return [self.result()]
        found: list[Argument] = []
        while not self.skip(")"):
            found.append(self.result())
            if self.token != ")":
                self.expect(",")
        return found

    def result(self) -> Argument:
        kind, alias = self.type()
        return Argument(self.take() if self.token.isidentifier() else "", kind, alias)

    def type(self) -> tuple[Type, AliasInfo | None]:
        if self.token not in BASES:
            if not self.token.isidentifier():
                self.identifier()
            self.fail(f"unknown type specifier '{self.token}'. The types are {', '.join(BASES)}; here:")
        base = self.take()
        alias = self.alias() if self.token == "(" else self.fresh() if self.skip("!") else None
        optional = self.skip("?")
        listed, size, inside = False, None, False
        if self.skip("["):
            listed, inside, optional = True, optional, False
            if self.token.isdigit():
                size = int(self.take())
            self.expect("]")
            optional = self.skip("?")
        return Type(base, listed, size, optional, inside), alias

    def alias(self) -> AliasInfo:
        """`(a)`, `(a!)`, `(a|b)`, `(a -> *)`."""
        start = self.tokens[self.at][1] + 1
        self.expect("(")
        names = {self.identifier()}
        while self.skip("|"):
            names.add(self.identifier())
        is_write = self.skip("!")
        if self.skip("->"):
            while self.token not in (")", ""):
                self.at += 1
        end = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text)
        self.expect(")")
        return AliasInfo(frozenset(names), is_write, self.text[start:end].strip())

    def fresh(self) -> AliasInfo:
        """What `Tensor!` says: memory that is written and belongs to no set with a name, so that it gets one."""
        name = f"${self.unnamed}"
        self.unnamed += 1
        return AliasInfo(frozenset({name}), True, f"{name}! -> ")

    def default(self, kind: Type) -> Any:
        if self.skip("None"):
            if not kind.optional and kind.base != "Tensor":
                self.at -= 1
                self.fail(f"expected {'[' if kind.listed else f'a value of type {kind}'} but found 'None' here:")
            return None
        if kind.listed and self.skip("["):
            items = []
            while not self.skip("]"):
                items.append(self.constant(kind.base))
                if self.token != "]":
                    self.expect(",")
            return items
        return self.constant(kind.base)

    def constant(self, base: str) -> Any:
        start = self.at
        token = self.take()
        try:
            return BASES[base].constant(token)
        except (ValueError, LookupError, AttributeError):
            self.at = start
            self.fail(f"expected a value of type {base} but found '{token or 'eof'}' here:")
