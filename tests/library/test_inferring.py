"""`infer_schema`: from annotations to a schema. What PyTorch says of the same functions is in tests/oracle."""

from collections.abc import Callable, Sequence
from typing import List, Optional, Tuple, Union  # noqa: UP035 (programs write them)

import pytest

import flambeau as torch
from flambeau.library import infer_schema

Tensor = torch.Tensor
Number = Union[int, float, bool]  # noqa: UP007


def everything(
    x: Tensor, y: Optional[Tensor], z: List[Tensor], w: Sequence[Optional[Tensor]], n: int = 3, f: float = 2.0,  # noqa: UP006, UP045
    b: bool = True, s: str = "q", d: torch.dtype = torch.float32, dev: torch.device = "cpu", u: Number = 1.5, *,
    li: list[int], ol: list[float] | None = None, os: str | None = None, us: Optional[Number] = None,  # noqa: UP045
) -> Tensor: ...  # fmt: skip


def several(x: Tensor) -> Tuple[Tensor, int, List[Tensor], float, bool]: ...  # noqa: UP006


def in_words(x: "Tensor", q: "list[Tensor]") -> "Tensor": ...


def nothing(x: Tensor, y: list[Tensor], n: int) -> None: ...


def with_out(x: Tensor, *, out: Tensor) -> Tensor: ...


def test_types_and_defaults() -> None:
    assert infer_schema(everything, mutates_args=("x", "z"), op_name="f") == (
        "f(Tensor(a0!) x, Tensor? y, Tensor(a2!)[] z, Tensor?[] w, SymInt n=3, float f=2.0, bool b=True, "
        'str s="q", ScalarType d=float32, Device dev="cpu", Scalar u=1.5, *, SymInt[] li, float[]? ol=None, '
        "str? os=None, Scalar? us=None) -> Tensor"
    )
    assert infer_schema(several, mutates_args=()) == "(Tensor x) -> (Tensor, SymInt, Tensor[], float, bool)"
    assert infer_schema(in_words, mutates_args=()) == "(Tensor x, Tensor[] q) -> Tensor"
    assert infer_schema(nothing, mutates_args="unknown") == "(Tensor(a0!) x, Tensor(a1!)[] y, SymInt n) -> ()"


def test_what_is_returned_is_what_was_changed() -> None:
    tag = torch.Tag
    assert infer_schema(with_out, mutates_args=("out",), tags=tag.out) == (
        "(Tensor x, *, Tensor(a1!) out) -> Tensor(a1!)"
    )
    assert infer_schema(with_out, mutates_args=("x",), tags=[tag.inplace]) == (
        "(Tensor(a0!) x, *, Tensor out) -> Tensor(a0!)"
    )
    with pytest.raises(ValueError, match="exactly the first positional argument"):
        infer_schema(in_words, mutates_args=("q",), tags=tag.inplace)
    with pytest.raises(ValueError, match="mutable arguments to be keyword-only"):
        infer_schema(with_out, mutates_args=("x",), tags=tag.out)
    with pytest.raises(TypeError, match="expected torch.Tag, got str"):
        infer_schema(with_out, mutates_args=(), tags=["out"])


def no_annotation(x): ...  # type: ignore[no-untyped-def]


def no_return(x: Tensor): ...  # type: ignore[no-untyped-def]


def a_tuple(x: tuple[int, int]) -> Tensor: ...


def strings(x: list[str]) -> Tensor: ...


def a_dict(x: dict) -> Tensor: ...


def any_number(*x: Tensor) -> Tensor: ...


def gives_dict(x: Tensor) -> dict: ...


def list_default(x: Tensor, y: list[int] = [1]) -> Tensor: ...  # noqa: B006


def unknown(x: "Nope") -> Tensor: ...  # type: ignore[name-defined]  # noqa: F821


def perhaps(x: Tensor) -> Tensor | None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (no_annotation, "Parameter x must have a type annotation"),
        (no_return, "No return type annotation"),
        (a_tuple, "We do not support Tuple inputs"),
        (strings, "unsupported type"),
        (a_dict, "unsupported type"),
        (any_number, "positional-only args, varargs"),
        (gives_dict, "Return has unsupported type"),
        (list_default, "unsupported default value type"),
        (unknown, "name 'Nope' is not defined"),
        (perhaps, "Return has unsupported type"),
    ],
)
def test_what_no_schema_can_say(function: Callable, said: str) -> None:
    with pytest.raises(ValueError, match=rf"infer_schema\(func\): .*{said}.*Got func with signature"):
        infer_schema(function, mutates_args=())


@pytest.mark.parametrize(("names", "said"), [(("n",), "only Tensors"), (("zz",), "not found"), ("x", "sequence of")])
def test_names_that_cannot_change(names: tuple | str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        infer_schema(nothing, mutates_args=names)
