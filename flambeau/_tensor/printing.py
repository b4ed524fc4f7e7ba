"""The text of a tensor: `repr(tensor)` and its options, character for character as PyTorch prints it.

Arrays come in and strings go out; what a Tensor is, is not known here. The text is made in three steps: a `_Notation`
is chosen that suits all elements that will be shown, the elements are laid out in nested brackets, and what
the elements cannot tell (`dtype=`, `grad_fn=`...) follows as suffixes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class PrintOptions:
    """How tensors are printed; see `set_printoptions` for the meaning of each field."""

    __slots__ = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")

    def __init__(
        self,
        precision: int = 4,
        threshold: float = 1000,
        edgeitems: int = 3,
        linewidth: int = 80,
        sci_mode: bool | None = None,
    ) -> None:
        self.precision = precision
        self.threshold = threshold
        self.edgeitems = edgeitems
        self.linewidth = linewidth
        self.sci_mode = sci_mode

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


OPTIONS = PrintOptions()  # those in force

_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed. What is not given stays as it is, except `sci_mode`.

    Args:
        precision: digits after the decimal point (at first 4).
        threshold: a tensor of more elements than this is shown in summary (at first 1000).
        edgeitems: how many items a summary shows at each end of a dimension (at first 3).
        linewidth: where lines are broken, in characters (at first 80).
        profile: "default", "short" (2 digits, 2 edge items) or "full" (never in summary); set before the others.
        sci_mode: True or False to force or forbid scientific notation; None (what leaving it out means too) to choose
            by the elements: their magnitudes differ by more than 1000, or pass 1e8, or fall below 1e-4.

    Raises:
        ValueError: the profile is not one of the three.

    Example::

        >>> torch.set_printoptions(precision=2)
        >>> torch.tensor([1.2345])
        tensor([1.23])
        >>> torch.set_printoptions(profile="default")
        >>> torch.tensor([1.2345])
        tensor([1.2345])
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions(): no profile {profile!r}; expected one of {', '.join(_PROFILES)}")
        for name, setting in _PROFILES[profile].items():
            setattr(OPTIONS, name, setting)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(OPTIONS, name, value)
    OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments for `set_printoptions`.

    Example::

        >>> get_printoptions()["linewidth"]
        80
    """
    return OPTIONS.as_dict()


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Within the `with` block, print with these options of `set_printoptions`; afterwards as before.

    Example::

        >>> with printoptions(precision=1):
        ...     print(torch.tensor([0.25, 0.5]))
        tensor([0.2, 0.5])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    data: np.ndarray | None,
    *,
    dtype_name: str,
    size: tuple[int, ...] | None = None,
    default_dtype: str = "float32",
    device: str | None = None,
    grad_fn: str | None = None,
    requires_grad: bool = False,
    class_name: str = "tensor",
    options: PrintOptions | None = None,
) -> str:
    """The `repr` of a dense tensor.

    Args:
        data: the elements; None for a tensor that has none (on the meta device), shown as `...`.
        dtype_name: the dtype's name, such as "bfloat16"; shown unless a reader can tell it from the elements.
        size: the shape; the data's if not given.
        default_dtype: the name of the dtype that floating-point elements are taken to be of.
        device: shown if given, so leave it out for the default device.
        grad_fn: the name of the tensor's node in the graph, "AddBackward0"; shown instead of `requires_grad`.
        class_name: what stands before the bracket: "tensor", or the name of a subclass.
        options: those in force if not given.

    Example::

        >>> format_tensor(np.array([[1.0, 2.0]]), dtype_name="float64", requires_grad=True)
        'tensor([[1., 2.]], dtype=torch.float64, requires_grad=True)'
    """
    options = options or OPTIONS
    if size is None:
        size = () if data is None else data.shape
    without_elements = data is None or data.size == 0
    suffixes = [f"device='{device}'"] if device else []
    if data is None or (data.size == 0 and len(size) != 1) or (data.size and not options.edgeitems):
        suffixes.append(f"size={tuple(size)}")
    if dtype_name != default_dtype if without_elements else not _is_told_by_elements(dtype_name, default_dtype):
        suffixes.append(f"dtype=torch.{dtype_name}")
    suffixes += _graph_suffix(grad_fn, requires_grad)
    prefix = f"{class_name}("
    contents = "..." if data is None else write_elements(data, len(prefix), options)
    return add_suffixes(prefix + contents, suffixes, len(prefix), options)


def format_sparse_tensor(
    places: dict[str, np.ndarray],
    values: np.ndarray,
    *,
    dtype_name: str,
    size: tuple[int, ...],
    default_dtype: str = "float32",
    device: str | None = None,
    grad_fn: str | None = None,
    requires_grad: bool = False,
    layout: str = "sparse_coo",
    options: PrintOptions | None = None,
) -> str:
    """The `repr` of a sparse tensor: `places` are its arrays of indices by name, `values` of shape (nnz, ...).

    Example::

        >>> places = {"indices": np.array([[0, 2]])}
        >>> print(format_sparse_tensor(places, np.array([1.0, 2.0]), dtype_name="float32", size=(3,)))
        tensor(indices=tensor([[0, 2]]),
               values=tensor([1., 2.]),
               size=(3,), nnz=2, layout=torch.sparse_coo)
    """
    options = options or OPTIONS
    prefix = "tensor("
    parts = []
    for name, part in (*places.items(), ("values", values)):
        head = f"{name}=tensor("
        tail = f", size={tuple(part.shape)}" if part.size == 0 else ""
        parts.append(f"{head}{write_elements(part, len(prefix) + len(head), options)}{tail})")
    suffixes = [f"device='{device}'"] if device else []
    suffixes += [f"size={tuple(size)}", f"nnz={values.shape[0]}"]
    if not _is_told_by_elements(dtype_name, default_dtype):
        suffixes.append(f"dtype=torch.{dtype_name}")
    suffixes += [f"layout=torch.{layout}", *_graph_suffix(grad_fn, requires_grad)]
    body = prefix + (",\n" + " " * len(prefix)).join(parts)
    return add_suffixes(body, suffixes, len(prefix), options, new_line=True)


def format_quantized_tensor(
    data: np.ndarray,
    *,
    dtype_name: str,
    scheme: str,
    scale: float | np.ndarray,
    zero_point: int | np.ndarray,
    axis: int | None = None,
    options: PrintOptions | None = None,
) -> str:
    """The `repr` of a quantized tensor that stands for the numbers `data`.

    Example::

        >>> numbers = np.array([0.5, 1.0], np.float32)
        >>> how = {"dtype_name": "qint8", "scheme": "per_tensor_affine", "scale": 1, "zero_point": 0}
        >>> print(format_quantized_tensor(numbers, **how))
        tensor([0.5000, 1.0000], size=(2,), dtype=torch.qint8,
               quantization_scheme=torch.per_tensor_affine, scale=1, zero_point=0)
    """
    options = options or OPTIONS
    prefix = "tensor("
    suffixes = [f"size={tuple(data.shape)}", f"dtype=torch.{dtype_name}", f"quantization_scheme=torch.{scheme}"]
    for name, value in (("scale", scale), ("zero_point", zero_point)):
        if isinstance(value, np.ndarray):
            suffixes.append(f"{name}={format_tensor(value, dtype_name=value.dtype.name, options=options)}")
        else:
            suffixes.append(f"{name}={value}")
    if axis is not None:
        suffixes.append(f"axis={axis}")
    return add_suffixes(prefix + write_elements(data, len(prefix), options), suffixes, len(prefix), options)


def _is_told_by_elements(dtype_name: str, default_dtype: str) -> bool:
    """Whether `torch.tensor` of the printed elements would choose this dtype by itself."""
    default_complex = "complex128" if default_dtype == "float64" else "complex64"
    return dtype_name in (default_dtype, default_complex, "int64", "bool")


def _graph_suffix(grad_fn: str | None, requires_grad: bool) -> list[str]:
    if grad_fn is not None:
        return [f"grad_fn=<{grad_fn}>"]
    return ["requires_grad=True"] if requires_grad else []


def add_suffixes(text: str, suffixes: list[str], indent: int, options: PrintOptions, new_line: bool = False) -> str:
    """Append the suffixes and the closing bracket, breaking lines before what would pass `linewidth`."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if new_line or column + len(suffix) + 2 > options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
            new_line = False
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def write_elements(data: np.ndarray, indent: int, options: PrintOptions) -> str:
    """The elements in nested brackets, for a text whose first character stands in column `indent`."""
    if data.size == 0:
        return "[]"
    if data.dtype.kind not in "biufc":  # bfloat16 and its like, which NumPy itself does not know
        data = data.astype(np.float64)
    summarize = data.size > options.threshold
    shown = _edges(data, options.edgeitems) if summarize else data
    if data.dtype.kind == "c":
        text, width = _complex_notation(shown, options)
    else:
        notation = _Notation(shown, options)
        text, width = notation.text, notation.width
    if data.ndim == 0:
        return text(data.item())
    return _brackets(data, indent, summarize, text, width, options)


def _edges(data: np.ndarray, edgeitems: int) -> np.ndarray:
    """The elements that a summary shows."""
    for axis, length in enumerate(data.shape):
        if length > 2 * edgeitems:
            ends = [*range(edgeitems), *range(length - edgeitems, length)]
            data = data.take(np.array(ends, dtype=np.intp), axis)
    return data


class _Notation:
    """How the elements of an array are written: `text` writes one of them, right-aligned to `width` characters.

    Floating-point elements are written as whole numbers with a point (`1.`), with a fixed number of decimals, or in
    scientific notation, whichever suits all of them. Infinities, nan and zeros have no say, and may be wider.
    """

    def __init__(self, data: np.ndarray, options: PrintOptions) -> None:
        if data.dtype.kind in "biu":
            self._write: Callable[[Any], str] = str
            self.width = max((len(str(value)) for value in data.ravel().tolist()), default=1)
            return
        values = data.astype(np.float64).ravel()
        values = values[np.isfinite(values) & (values != 0)]
        self._write = _write_whole
        self.width = 1
        if values.size == 0:
            return
        smallest, largest = float(np.abs(values).min()), float(np.abs(values).max())
        scientific = options.sci_mode
        if scientific is None:
            scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
        if scientific:
            self._write = f"{{:.{options.precision}e}}".format
        elif (values != np.ceil(values)).any():
            self._write = f"{{:.{options.precision}f}}".format
        self.width = max(len(self._write(value)) for value in values.tolist())

    def text(self, value: Any) -> str:
        return self._write(value).rjust(self.width)


def _write_whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _complex_notation(data: np.ndarray, options: PrintOptions) -> tuple[Callable[[Any], str], int]:
    """Writes a complex element, and the width to reckon with; real and imaginary parts have notations of their own."""
    real, imag = _Notation(data.real, options), _Notation(data.imag, options)

    def text(value: complex) -> str:
        second = imag.text(value.imag).lstrip()
        sign = "" if second[0] in "+-" else "+"
        return f"{real.text(value.real)}{sign}{second}j"

    return text, real.width + imag.width + 1


def _brackets(
    data: np.ndarray, indent: int, summarize: bool, text: Callable[[Any], str], width: int, options: PrintOptions
) -> str:
    edge = options.edgeitems
    cut = summarize and len(data) > 2 * edge
    first, last = (data[:edge], data[len(data) - edge :]) if cut else (data, data[:0])
    if data.ndim > 1:
        items = [_brackets(row, indent + 1, summarize, text, width, options) for row in first]
        items += ["..."] if cut else []
        items += [_brackets(row, indent + 1, summarize, text, width, options) for row in last]
        return "[" + ("," + "\n" * (data.ndim - 1) + " " * (indent + 1)).join(items) + "]"
    if summarize and not edge:
        return "[...]"
    items = [text(value) for value in first.tolist()]
    items += [" ..."] if cut else []
    items += [text(value) for value in last.tolist()]
    per_line = max(1, (options.linewidth - indent) // (width + 2))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
