"""Nested tensors: batches of parts that differ in sizes.

In the jagged layout parts differ in one dimension and lie one after the other along it, in `values`: an operation that
keeps rows apart is the same operation on the values. In the strided layout each part has any shape, and all elements
lie in one vector. In both, dimension 0 counts the parts and is missing in the `pieces` that operations are carried out
on: the values as one piece, or each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from flambeau import _api as torch
from flambeau._core.size import RaggedSize, Size
from flambeau._ir.meta import Meta
from flambeau._ops.registry import OPS
from flambeau._tensor.shaped import Shaped
from flambeau.nested.raggedness import Raggedness

# name of an operation -> what it does to nested operands: a function of the operation and all its arguments; filled by
# `rules`
RULES: dict[str, Callable[..., Any]] = {}


class RaggedMeta(Meta):
    """A layout with sizes that are no numbers; `numel` counts the elements that are there."""

    __slots__ = ()

    def __init__(self, values: Meta, shape: Iterable[Any], strides: Iterable[Any], dense: bool) -> None:
        self.dtype, self.offset = values.dtype, values.offset
        self.shape, self.strides = Size(shape), tuple(strides)
        self.ndim, self.numel, self.nbytes = len(self.shape), values.numel, values.nbytes
        self.is_contiguous = dense


class Nested(Shaped):
    """What nested tensors of both layouts have."""

    is_nested = True

    def pieces(self) -> list[Any]:
        """The tensors, without dimension 0, that operations are carried out on."""
        raise NotImplementedError

    def joined(self, pieces: list[Any], ragged_dim: int | None = None) -> Any:
        """A nested tensor of pieces that were computed from this one's; its ragged dimension, if it is not where this
        one's is."""
        raise NotImplementedError

    def parts(self) -> tuple[Any, ...]:
        """The parts, views of the values."""
        raise NotImplementedError

    def viewed(self, shape: Sequence[Any]) -> Any:
        """Other sizes for the same elements."""
        raise NotImplementedError

    def cut_from(self, dense: Any) -> Any:
        """What a dense tensor, such as a padded one, has in the places of the parts."""
        raise NotImplementedError

    def operate(self, op: Any, args: tuple) -> Any:
        """What an operation means for nested operands; NotImplementedError where that is not written down."""
        rule = RULES.get("pointwise" if op.family == "pointwise" else op.name)
        if rule is None:
            raise NotImplementedError(
                f"{op.name}() of a nested tensor is not implemented\n"
                "  hint: pad with to_padded_tensor(), or loop over the parts that unbind() gives"
            )
        return rule(op, *(args if op.family == "pointwise" else op.complete(args)))

    def values(self) -> Any:
        """The elements of all parts, one part after the other."""
        return self.alias()

    def to_padded_tensor(self, padding: float, output_size: Sequence[int] | None = None) -> Any:
        """A dense tensor of all parts, each padded with the number `padding` at the ends of its dimensions to the
        largest of them, or to `output_size` (without the gradient of what it cuts off in the jagged layout).

        RuntimeError for a smaller `output_size` in the strided layout.

        Example::

            >>> import flambeau as torch
            >>> torch.nested.nested_tensor([[1., 2.], [3.]]).to_padded_tensor(0.)
            tensor([[1., 2.],
                    [3., 0.]])
        """
        raise NotImplementedError

    def __getitem__(self, index: Any) -> Any:
        items = index if isinstance(index, tuple) else (index,)
        if items and type(items[0]) is int:
            part = self.select(0, items[0])
            return part[items[1:]] if len(items) > 1 else part
        found, d = self, 0
        for item in items:
            if item is Ellipsis:
                d += self._meta.ndim - sum([i is not None and i is not Ellipsis for i in items])
            elif item is None:
                found, d = found.unsqueeze(d), d + 1
            elif isinstance(item, slice):
                if item != slice(None):
                    found = OPS["internal.slice"].function(found, d, item.start, item.stop, item.step or 1)
                d += 1
            elif type(item) is int:
                found = found.select(d, item)
            else:
                raise NotImplementedError(
                    f"a nested tensor cannot be indexed with a {type(item).__name__}\n"
                    "  hint: index_select takes some indices of a dimension; or index the parts that unbind() gives"
                )
        return found

    def _refused(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("a nested tensor has no rectangular form: take to_padded_tensor(), or unbind() it first")

    tolist = numpy = __array__ = _refused


class NestedTensor(Nested):
    """A nested tensor in the jagged layout; made by the functions of `torch.nested`.

    `values()` [..., rows of all parts, ...] misses dimension 0; the parts follow each other in its dimension
    `ragged_dim - 1`. The size of that dimension shows as a name, such as `j1`, which tensors of one raggedness share.

    Example::

        >>> import flambeau as torch
        >>> x = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
        >>> x.values().shape, x.offsets(), (x * 2).sum(-1).unbind()[1]
        (torch.Size([3, 3]), tensor([0, 2, 3]), tensor([6.]))
    """

    layout = torch.jagged

    def __init__(self, values: Any, ragged: Raggedness, ragged_dim: int = 1) -> None:
        self._value, self.ragged, self.ragged_dim = values, ragged, ragged_dim
        m, r = values._meta, ragged_dim - 1
        shape = (ragged.parts, *m.shape[:r], ragged.size, *m.shape[r + 1 :])
        strides = (ragged.size * m.strides[r], *m.strides)
        self._meta = RaggedMeta(m, shape, strides, m.is_contiguous and ragged.lengths is None)

    def with_values(self, values: Any) -> NestedTensor:
        """Other values with the same raggedness."""
        return NestedTensor(values, self.ragged, self.ragged_dim)

    def check_same_places(self, other: Any) -> None:
        """RuntimeError unless `other` has the same parts."""
        if other.ragged is not self.ragged or other.ragged_dim != self.ragged_dim:
            raise RuntimeError(
                f"nested tensors of different raggedness do not go together: {tuple(self.shape)} and "
                f"{tuple(other.shape)}\n  hint: make both of the same offsets() with nested_tensor_from_jagged"
            )

    # ------------------------------------------------------------------------------------ parts

    def offsets(self) -> Any:
        """Where each part begins among the rows, and where the last ends: int64 [parts + 1]."""
        return self.ragged.offsets

    def lengths(self) -> Any:
        """How many rows each part has, where rows lie between them; else None."""
        return self.ragged.lengths

    @property
    def _min_seqlen(self) -> int:
        return self.ragged.shortest

    @property
    def _max_seqlen(self) -> int:
        return self.ragged.longest

    @property
    def _ragged_idx(self) -> int:
        return self.ragged_dim

    def pieces(self) -> list[Any]:
        """The values."""
        return [self._value]

    def joined(self, pieces: list[Any], ragged_dim: int | None = None) -> Any:
        """Values with the raggedness of this tensor."""
        return NestedTensor(pieces[0], self.ragged, self.ragged_dim if ragged_dim is None else ragged_dim)

    def parts(self) -> tuple[Any, ...]:
        """The parts, views of the values."""
        r, sizes = self.ragged_dim - 1, self.ragged.sizes()
        if self.ragged.lengths is None:
            self.ragged.check(self._value.shape[r])
            return tuple(self._value.split(sizes, r))
        starts = self.ragged.offsets.tolist()
        return tuple([self._value.narrow(r, start, n) for start, n in zip(starts, sizes, strict=False)])

    def packed(self) -> NestedTensor:
        """The same parts without rows between them."""
        if self.ragged.lengths is None:
            return self
        ragged, rows = self.ragged.without_gaps()
        return NestedTensor(self._value.index_select(self.ragged_dim - 1, rows), ragged, self.ragged_dim)

    # ------------------------------------------------------------------------------------ to rectangles and back

    def padded(self, padding: float, length: int | None = None) -> Any:
        """All parts in one dense tensor, padded to the longest, or padded and cut to `length` rows."""
        x = self.packed()
        ragged, longest = x.ragged, x.ragged.longest
        rows = x._value.movedim(self.ragged_dim - 1, 0)
        ragged.check(rows.shape[0])
        frame = rows.new_full((ragged.parts * longest, *rows.shape[1:]), padding)
        filled = frame.index_copy(0, ragged.places(rows.shape[0], longest), rows)
        found = filled.reshape(ragged.parts, longest, *rows.shape[1:])
        if length is not None and length < longest:
            found = found.narrow(1, 0, length).contiguous()
        elif length is not None and length > longest:
            more = found.new_full((ragged.parts, length - longest, *rows.shape[1:]), padding)
            found = torch.cat([found, more], 1)
        return found.movedim(1, self.ragged_dim)

    def cut_from(self, dense: Any) -> NestedTensor:
        """What a dense tensor, such as a padded one, has in the places of the rows; the other way of `padded`."""
        x = self.packed()
        rows = dense.movedim(self.ragged_dim, 1)
        places = x.ragged.places(x._value.shape[self.ragged_dim - 1], rows.shape[1])
        found = rows.flatten(0, 1).index_select(0, places).movedim(0, self.ragged_dim - 1)
        return NestedTensor(found, x.ragged, self.ragged_dim)

    def to_padded_tensor(self, padding: float, output_size: Sequence[int] | None = None) -> Any:
        """A dense tensor of all parts, padded; see `Nested.to_padded_tensor`."""
        if output_size is None:
            return self.padded(padding)
        found = self.padded(padding, output_size[self.ragged_dim])
        return _widened(found, output_size, padding)

    # ------------------------------------------------------------------------------------ sizes, printing, storing

    def viewed(self, shape: Sequence[Any]) -> NestedTensor:
        """Other sizes for dimensions before and after the ragged one, which is given by its size, or by -1."""
        own, r = self._value.shape, self.ragged_dim - 1
        before = math.prod(own[:r])
        for place, n in enumerate(shape[1:]):
            if (n == -1 or n == self.ragged.size) and shape[0] == self.ragged.parts:
                if math.prod(shape[1 : place + 1]) == before:
                    sizes = (*shape[1 : place + 1], own[r], *shape[place + 2 :])
                    return NestedTensor(self._value.reshape(sizes), self.ragged, place + 1)
        raise RuntimeError(
            f"view(): cannot view shape {tuple(self.shape)} as {list(shape)}\n"
            "  hint: the parts and their rows keep their dimensions: nt.view(nt.size(0), -1, ...)"
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        grad_fn = self.grad_fn
        history = f", grad_fn={grad_fn!r}" if grad_fn else ", requires_grad=True" if self.requires_grad else ""
        return (
            f"NestedTensor(size={tuple(self.shape)}, offsets={self.ragged.offsets!r}{history}, "
            f"contiguous={self.is_contiguous()})"
        )

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _jagged_again, (self._value, self.ragged.offsets, self.ragged.lengths, self.ragged_dim)


def _jagged_again(values: Any, offsets: Any, lengths: Any, ragged_dim: int) -> NestedTensor:
    """A nested tensor that was pickled."""
    return NestedTensor(values, Raggedness(offsets, lengths), ragged_dim)


class StridedNestedTensor(Nested):
    """A nested tensor in the strided layout, whose parts have any shapes of one number of dimensions.

    Example::

        >>> import flambeau as torch
        >>> torch.nested.nested_tensor([torch.ones(1, 2), torch.zeros(2, 1)]) + 1
        nested_tensor([
          tensor([[2., 2.]]),
          tensor([[1.],
                  [1.]])
        ])
    """

    layout = torch.strided

    def __init__(self, values: Any, shapes: Sequence[tuple[int, ...]]) -> None:
        self._value, self.shapes = values, tuple(shapes)
        columns = [set(column) for column in zip(*self.shapes, strict=True)]
        sizes = [column.pop() if len(column) == 1 else RaggedSize(0) for column in columns]
        self._meta = RaggedMeta(values._meta, (len(self.shapes), *sizes), (0,) * (len(sizes) + 1), True)

    def with_values(self, values: Any) -> StridedNestedTensor:
        """Other elements for parts of the same shapes."""
        return StridedNestedTensor(values, self.shapes)

    def check_same_places(self, other: Any) -> None:
        """RuntimeError unless the parts of `other` have the same shapes."""
        if other.shapes != self.shapes:
            raise RuntimeError(f"the parts have other shapes: {list(self.shapes)} and {list(other.shapes)}")

    @property
    def shape(self) -> NoReturn:
        """RuntimeError: parts of any shapes have none together."""
        raise RuntimeError(
            "a nested tensor of layout torch.strided has no shape\n"
            "  hint: size(dim) of a dimension in which all parts agree, the shapes of unbind(), or layout=torch.jagged"
        )

    def size(self, dim: int | None = None) -> Any:
        """The size of a dimension; RuntimeError where parts differ."""
        if dim is None:
            return self.shape
        found = self._meta.shape[dim]
        if isinstance(found, RaggedSize):
            raise RuntimeError(f"Given dimension {dim} is irregular and does not have a size.")
        return found

    def pieces(self) -> list[Any]:
        """The parts."""
        return list(self.parts())

    def joined(self, pieces: list[Any], ragged_dim: int | None = None) -> StridedNestedTensor:
        """Parts of whatever shapes."""
        return strided_of(pieces) if pieces else self

    def parts(self) -> tuple[Any, ...]:
        """The parts, views of the values."""
        flat = self._value.split([math.prod(shape) for shape in self.shapes]) if self.shapes else ()
        return tuple([piece.view(shape) for piece, shape in zip(flat, self.shapes, strict=True)])

    def viewed(self, shape: Sequence[Any]) -> StridedNestedTensor:
        """Other sizes for each part; -1 is worked out, or where there are several keeps the size of that dimension."""
        if shape[0] not in (-1, len(self.shapes)):
            raise RuntimeError(f"view(): dimension 0 has the {len(self.shapes)} parts, got the sizes {list(shape)}")
        wanted = [-1 if isinstance(n, RaggedSize) else n for n in shape[1:]]
        if wanted.count(-1) == 1:
            return self.joined([p.reshape(wanted) for p in self.parts()])
        return self.joined([
            p.reshape([p.shape[d] if n == -1 else n for d, n in enumerate(wanted)]) for p in self.parts()
        ])  # fmt: skip

    def cut_from(self, dense: Any) -> StridedNestedTensor:
        """What a dense tensor, such as a padded one, has in the places of the parts; the size of its last dimension may
        be another."""
        cuts = [d[tuple([slice(n) for n in shape[:-1]])] for d, shape in zip(dense.unbind(0), self.shapes, strict=True)]
        return self.joined(cuts)

    def to_padded_tensor(self, padding: float, output_size: Sequence[int] | None = None) -> Any:
        """A dense tensor of all parts, padded; see `Nested.to_padded_tensor`."""
        if not self.shapes:
            return self._value
        largest = [max(column) for column in zip(*self.shapes, strict=True)]
        sizes = largest if output_size is None else list(output_size[1:])
        if any(n < m for n, m in zip(sizes, largest, strict=True)):
            raise RuntimeError(
                "Value in output_size is less than NestedTensor padded size. Truncation is not supported: got "
                f"{list(output_size or ())}, the parts need {largest}"
            )
        return torch.stack([_widened(p, sizes, padding) for p in self.parts()])

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        parts = [p.detach().requires_grad_(self.requires_grad) for p in self.parts()]
        shown = ",\n".join(["  " + repr(p).replace("\n", "\n  ") for p in parts])
        grad_fn = self.grad_fn
        history = f", grad_fn=<{grad_fn.name()}>" if grad_fn else ", requires_grad=True" if self.requires_grad else ""
        return f"nested_tensor([\n{shown}\n]{history})"

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return StridedNestedTensor, (self._value, self.shapes)


def strided_of(parts: Sequence[Any]) -> StridedNestedTensor:
    """A nested tensor of the strided layout of these parts."""
    return StridedNestedTensor(torch.cat([p.reshape(-1) for p in parts]), [tuple(p.shape) for p in parts])


def _widened(dense: Any, sizes: Sequence[int], padding: float) -> Any:
    """A tensor padded at the end of each dimension to these sizes."""
    missing = [n - m for n, m in zip(sizes, dense.shape, strict=True)]
    if not any(missing):
        return dense
    return torch.constant_pad_nd(dense, [x for n in reversed(missing) for x in (0, n)], padding)
