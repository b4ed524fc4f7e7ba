"""Where the rows of each part of a nested tensor lie among its values."""

from __future__ import annotations

import weakref
from typing import Any

from flambeau import _api as torch
from flambeau._core.size import RaggedSize


class Raggedness:
    """Rows `offsets[i]` to `offsets[i + 1]` of the values are part `i`; with `lengths`, only the first `lengths[i]` of
    them, and what lies between belongs to no part.

    Nested tensors with the same raggedness go together in operations. `size` is what their shapes show. What is derived
    from the offsets is kept; numbers are looked at when they are needed, not before.
    """

    def __init__(self, offsets: Any, lengths: Any = None, sizes: list[int] | None = None) -> None:
        self.offsets, self.lengths = offsets, lengths
        self.size = RaggedSize()
        self.parts: int = offsets.shape[0] - 1
        self.shortest_known: int | None = None
        self.longest_known: int | None = None
        self._sizes = sizes
        self._owners: dict[int, Any] = {}
        self._places: dict[tuple[int, int], Any] = {}

    def sizes(self) -> list[int]:
        """How many rows each part has."""
        if self._sizes is None:
            counts = self.offsets[1:] - self.offsets[:-1] if self.lengths is None else self.lengths
            self._sizes = counts.tolist()
        return self._sizes

    def check(self, rows: int) -> None:
        """RuntimeError if parts without gaps between them are known to have another number of rows together."""
        if self.lengths is None and self._sizes is not None and sum(self._sizes) != rows:
            raise RuntimeError(
                f"the offsets of a nested tensor count {sum(self._sizes)} rows, but its values have {rows}\n"
                "  hint: offsets are [0, n0, n0 + n1, ...], up to the number of rows; lengths= leaves rows out"
            )

    @property
    def longest(self) -> int:
        """The number of rows of the largest part."""
        if self.longest_known is None:
            self.longest_known = max(self.sizes(), default=0)
        return self.longest_known

    @property
    def shortest(self) -> int:
        """The number of rows of the smallest part."""
        if self.shortest_known is None:
            self.shortest_known = min(self.sizes(), default=0)
        return self.shortest_known

    def counts(self, dtype: Any) -> Any:
        """How many rows each part has, as a tensor [parts]."""
        counts = self.offsets[1:] - self.offsets[:-1] if self.lengths is None else self.lengths
        return counts.to(dtype)

    def owners(self, rows: int) -> Any:
        """The part that each of so many rows belongs to."""
        if rows not in self._owners:
            found = torch.searchsorted(self.offsets[1:].contiguous(), torch.arange(rows), right=True)
            self._owners[rows] = found.clamp(max=max(self.parts - 1, 0))
        return self._owners[rows]

    def places(self, rows: int, length: int) -> Any:
        """Where each of so many rows, without gaps among them, lies when every part is padded to `length` rows."""
        if (rows, length) not in self._places:
            owners = self.owners(rows)
            starts = self.offsets.index_select(0, owners)
            self._places[rows, length] = owners * length + torch.arange(rows) - starts
        return self._places[rows, length]

    def without_gaps(self) -> tuple[Raggedness, Any]:
        """(the raggedness of the rows that belong to parts, the numbers of these rows)."""
        sizes = self.sizes()
        rows = [row for start, n in zip(self.offsets.tolist(), sizes, strict=False) for row in range(start, start + n)]
        return raggedness_of(sizes), torch.tensor(rows, dtype=torch.int64)


def raggedness_of(sizes: list[int]) -> Raggedness:
    """Parts of these numbers of rows, one after the other."""
    offsets = [0]
    for n in sizes:
        offsets.append(offsets[-1] + n)
    return known(torch.tensor(offsets, dtype=torch.int64), sizes=sizes)


def known(offsets: Any, lengths: Any = None, sizes: list[int] | None = None) -> Raggedness:
    """The raggedness of these offsets and lengths: the one that was made of the same tensors before, so that nested
    tensors of the same offsets go together."""
    key = offsets if lengths is None else lengths
    reference = key.__dict__.get("_raggedness")  # a weak one, since it refers to the key
    found = None if reference is None else reference()
    if found is None or found.offsets is not offsets or found.lengths is not lengths:
        found = Raggedness(offsets, lengths, sizes)
        key._raggedness = weakref.ref(found)
    return found
