"""Errors in three parts: what was expected and what came, where, and a hint; always PyTorch's exception type."""

from __future__ import annotations

from flambeau._core import sites


def explain(expected: str, *, hint: str = "", site: sites.Site | None = None) -> str:
    """The text of an error: the fact first, then the user's line, then what to do.

    Example::

        >>> explain("expected 2 dimensions, got 3", hint="use .squeeze()")
        'expected 2 dimensions, got 3\\n  hint: use .squeeze()'
    """
    lines = [expected]
    if site is not None:
        lines.append(f"  at {sites.describe(site)}")
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)


def not_implemented(op: str, dtype: object, hint: str = "") -> RuntimeError:
    """What PyTorch raises for an operation that has no meaning, or no kernel, for a dtype."""
    name = type_name(dtype)
    return NotImplementedError(
        explain(f"\"{op}\" not implemented for '{name}'", hint=hint, site=sites.user_site(2) if hint else None)
    )


def cannot_cast(result: str, wanted: str, hint: str) -> str:
    """The message about a result that would lose its kind in a tensor of another dtype; both by their names."""
    return explain(
        f"result type {type_name(result)} can't be cast to the desired output type {type_name(wanted)}",
        hint=hint,
        site=sites.user_site(2),
    )


def conversion(name: str) -> str:
    """The method that converts to a dtype, as a hint writes it.

    Example::

        >>> conversion("float64")
        '.double()'
    """
    methods = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat16", "int64": "long"}
    return f".{methods[name]}()" if name in methods else f".to(torch.{name})"


def type_name(dtype: object) -> str:
    """The name that PyTorch's messages have for a dtype.

    Example::

        >>> type_name("torch.int64"), type_name("torch.float8_e5m2")
        ('Long', 'Float8_e5m2')
    """
    name = str(dtype).removeprefix("torch.")
    return TYPE_NAMES.get(name) or name.replace("uint", "UInt")[:1].upper() + name.replace("uint", "UInt")[1:]


TYPE_NAMES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int8": "Char",
    "uint8": "Byte",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "complex32": "ComplexHalf",
}


class AcceleratorError(RuntimeError):
    """What an accelerator reports; none does here."""


class OutOfMemoryError(RuntimeError):
    """An accelerator's memory is full; the CPU's is when Python raises MemoryError."""


class FatalError(RuntimeError):
    """What PyTorch cannot go on after; nothing here raises it."""


class JITException(RuntimeError):
    """An error in a program of TorchScript; here errors are Python's."""
