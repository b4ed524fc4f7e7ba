"""Schemas: read, written, and bound to the arguments of calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.library.schema import parse

x = torch.ones(2)


@pytest.mark.parametrize(
    "text",
    [
        "g(Tensor x) -> ()",
        "h(Tensor[] xs, Tensor(a!)[] ys) -> Tensor[]",
        'i(float a=-2.5, int d=-1, str s="x", bool? e=None, Scalar? q=2.5) -> Scalar',
        "j(Tensor(a) x) -> Tensor(a)",
        "k(Tensor(a -> *) x) -> Tensor(a)[]",
        "m.ov(Tensor self) -> (Tensor a, Tensor b)",
        "n(Tensor x, int[] a=[], float[] b=[1.5], int[3] c=0) -> Tensor",
        "ns::f.ov(Tensor(a!) x, *, Tensor(b!)? y=None, float[]? z=None, ScalarType? d=None, MemoryFormat? mf=None, "
        "Generator? g=None, SymInt[] si, Tensor?[] tl) -> (Tensor(a!), Tensor[] out, int)",
        "o(SymInt n, SymInt? m, SymInt[2]? k=None) -> (int, float)",
        "p(Tensor x, Device d=cpu, Layout l=strided) -> Tensor".replace("=cpu", '="cpu"'),
    ],
)
def test_what_is_written_is_what_was_read(text: str) -> None:
    assert str(parse(text)) == text.replace('"cpu"', "cpu")


def test_ways_to_write_the_same() -> None:
    assert str(parse("t (Tensor x ) -> (Tensor)")) == "t(Tensor x) -> Tensor"
    assert str(parse("f(float a=1e-05, float b=1, bool c=1)->()")) == (
        "f(float a=1.0000000000000001e-05, float b=1., bool c=True) -> ()"
    )
    assert str(parse("r(Tensor x, *) -> Tensor")) == "r(Tensor x) -> Tensor"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("f(Tensor x, int n=2", "found 'eof'"),
        ("f(Tenso x) -> Tensor", "unknown type specifier 'Tenso'.*\nf.Tenso x.*\n  ~~~~~ <--- HERE"),
        ("f(Tensor x,) -> Tensor", "expected ident"),
        ("f(Tensor x) Tensor", "expected -> but found 'Tensor'"),
        ("f(Tensor x) -> Tensor Tensor a", "expected the end"),
        ("f(int x=a) -> Tensor", "expected a value of type int but found 'a'"),
        ("f(int[] x=None) -> ()", r"expected \[ but found 'None'"),
        ("f(Tensor x, int n=1, int m) -> ()", "expected a default"),
        ("f(Device e=cpu) -> Tensor", "expected a value of type Device"),
    ],
)
def test_what_is_no_schema(text: str, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        parse(text)


SCHEMA = parse(
    "m::f(Tensor x, SymInt n, float f=2.5, bool b=False, str s='a', ScalarType d=float32, SymInt[]? l=None, "
    "int[2] two=0, *, SymInt k=3) -> Tensor"
)


@pytest.mark.parametrize(
    ("args", "name", "value"),
    [
        ((x, True), "n", 1),
        ((x, torch.tensor(3)), "n", 3),
        ((x, np.int64(2)), "n", 2),
        ((x, 2, 3), "f", 3.0),
        ((x, 2, np.float32(0.5)), "f", 0.5),
        ((x, 2, 3.0, 1), "b", True),
        ((x, 2, 3.0, True, "a", torch.int8, (1, 2)), "l", [1, 2]),
        ((x, 2), "two", [0, 0]),
        ((x, 2, 3.0, True, "a", torch.int8, None, 7), "two", [7, 7]),
    ],
)
def test_arguments_are_converted(args: tuple, name: str, value: Any) -> None:
    found, named = SCHEMA.bind(args, {})
    bound = dict(zip([a.name for a in SCHEMA.positional], found, strict=True))
    assert bound[name] == value and type(bound[name]) is type(value) and named == {"k": 3}


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "is missing value for argument 'x'"),
        ((x,), {}, "is missing value for argument 'n'"),
        ((x, 1, 1.0, True, "a", torch.int8, [1], [1, 2], 3), {}, "expected at most 8 argument"),
        ((x, 1), {"z": 3}, "unknown keyword argument 'z'"),
        ((x, 1), {"n": 3}, "multiple values for argument 'n'"),
        ((3, 1), {}, "type 'Tensor' for argument 'x' but instead found type 'int'.\nPosition: 0\nValue: 3\n"),
        ((x, 2.5), {}, "type 'int' for argument 'n' but instead found type 'float'"),
        ((x, 2, "a"), {}, "type 'float' for argument 'f'"),
        ((x, 2, 1.0, True, 1), {}, "type 'str' for argument 's'"),
        ((x, 2), {"d": 6}, "type 'dtype' for argument 'd'"),
        ((x, 2), {"l": 3}, r"type 'Optional\[List\[int\]\]' for argument 'l'"),
        ((x, 2), {"l": [1.0]}, r"type 'Optional\[List\[int\]\]' for argument 'l'"),
        ((x, 2), {"k": "a"}, "type 'int' for argument 'k' but instead found type 'str'.\nPosition: 8\n"),
    ],
)
def test_arguments_that_do_not_fit(args: tuple, kwargs: dict, said: str) -> None:
    with pytest.raises(RuntimeError, match=f"m::f.. .*{said}") as error:
        SCHEMA.bind(args, kwargs)
    assert "Declaration: m::f(Tensor x, SymInt n" in str(error.value)


def test_defaults_are_not_shared() -> None:
    schema = parse("f(int[] a=[1]) -> ()")
    schema.bind((), {})[0][0].append(2)
    assert schema.bind((), {})[0] == [[1]]


def test_what_equals_its_default_is_left_out() -> None:
    args, kwargs = SCHEMA.trimmed(*SCHEMA.bind((x, 2, 2.5, False, "b"), {"k": 3}))
    assert args[1:] == [2, 2.5, False, "b"] and kwargs == {}
    args, kwargs = SCHEMA.trimmed(*SCHEMA.bind((x, 2, 2.5), {"k": 4}))
    assert args[1:] == [2] and kwargs == {"k": 4}
    assert SCHEMA.trimmed(*SCHEMA.bind((x, True), {}))[0][1] is not True  # converted first


@pytest.mark.parametrize(
    ("text", "result", "kind"),
    [
        ("f() -> Tensor", 3, RuntimeError),
        ("f() -> Tensor", (x, x), RuntimeError),
        ("f() -> ()", 3, RuntimeError),
        ("f() -> (Tensor, Tensor)", x, TypeError),
        ("f() -> (Tensor, Tensor)", (x,), RuntimeError),
        ("f() -> int", 2.5, RuntimeError),
        ("f() -> Tensor[]", [x, 3], RuntimeError),
    ],
)
def test_results_that_do_not_fit(text: str, result: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="Declaration: f"):
        parse(text).returned(result)


def test_results_that_fit() -> None:
    assert parse("f() -> (Tensor, int)").returned([x, 3]) == (x, 3)
    assert parse("f() -> Tensor[]").returned([x, x]) == [x, x]
    assert parse("f() -> ()").returned(None) is None


def test_memory_that_is_written_and_has_no_name():
    schema = parse("f.out(Tensor A, Tensor! out, Tensor! more) -> ()")
    assert [a.is_write for a in schema.arguments] == [False, True, True] and schema.is_mutable
    assert str(schema) == "f.out(Tensor A, Tensor($0! -> ) out, Tensor($1! -> ) more) -> ()"
