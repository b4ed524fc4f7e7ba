"""Devices: where a tensor's numbers live."""

from __future__ import annotations

from typing import Any

KINDS = ("cpu", "cuda", "meta", "mps", "xpu")


class device:  # noqa: N801 (PyTorch's name)
    """A place for tensors: `device("cpu")`, `device("cuda", 0)`, `device("cuda:0")`.

    Equal when type and index are equal. As a context it says where tensors are made inside. Raises RuntimeError for a
    string that names no device.

    Example::

        >>> device("cuda:1").index
        1
    """

    __slots__ = ("type", "index")

    index: int | None
    type: str

    def __new__(cls, spec: str | int | device = "cpu", index: int | None = None) -> device:
        if isinstance(spec, device):
            return spec
        kind, number = _parse(spec, index)
        known = _known.get((kind, number))
        if known is None:
            known = object.__new__(cls)
            object.__setattr__(known, "type", kind)
            object.__setattr__(known, "index", number)
            _known[kind, number] = known
        return known

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a device cannot be changed (tried to set {name!r})")

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        resolve(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        pass


_known: dict[tuple[str, int | None], device] = {}


def _parse(spec: str | int, index: int | None) -> tuple[str, int | None]:
    if isinstance(spec, int):
        return "cuda", spec
    if not isinstance(spec, str):
        raise TypeError(f"device(): expected a string, an int or a device, got {type(spec).__name__}")
    kind, colon, number = spec.partition(":")
    if kind not in KINDS or (colon and not number.isdigit()) or (colon and index is not None):
        expected = f"Invalid device string: '{spec}'; expected one of {', '.join(KINDS)}, with an optional ':index'"
        raise RuntimeError(expected + _meant(kind))
    return kind, int(number) if colon else index


def _meant(kind: str) -> str:
    """What somebody meant who wrote `kind`, as a hint."""
    if kind.lower() == "gpu":
        return "\n  hint: PyTorch's name for a GPU of NVIDIA is 'cuda'; 'cpu' is always there"
    if kind.lower() in KINDS and kind not in KINDS:
        return f"\n  hint: write '{kind.lower()}'"
    if kind.rstrip("0123456789") in ("float", "int", "uint", "bfloat", "double", "half", "long", "bool", "complex"):
        return f"\n  hint: a dtype is no text: write torch.{kind}"
    return ""


cpu = device("cpu")


def resolve(where: str | int | device | None) -> device:
    """The device asked for, `cpu` by default; RuntimeError if this build has nothing to run there.

    Example::

        >>> resolve(None)
        device(type='cpu')
    """
    if where is None:
        return cpu
    found = device(where)
    if found.type != "cpu":
        raise RuntimeError(
            f"device '{found}' is not available: Flambeau has no {found.type} backend yet; use device='cpu', "
            "or choose with `'cuda' if torch.cuda.is_available() else 'cpu'`"
        )
    return cpu
