"""Tags: what an operator says about itself beside its schema."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto


class Tag(Enum):
    """`torch.Tag`: a property of an operator. `inplace` and `out` have consequences: such an operator returns what it
    changes; the others are kept and can be asked for.

    Example::

        >>> Tag.inplace
        <Tag.inplace: 6>
    """

    core = 0
    cudagraph_unsafe = auto()
    data_dependent_output = auto()
    dynamic_output_shape = auto()
    flexible_layout = auto()
    generated = auto()
    inplace = auto()
    inplace_view = auto()
    maybe_aliasing_or_mutating = auto()
    needs_contiguous_strides = auto()
    needs_exact_strides = auto()
    needs_fixed_stride_order = auto()
    nondeterministic_bitwise = auto()
    nondeterministic_seeded = auto()
    out = auto()
    out_variant = auto()
    pointwise = auto()
    pt2_compliant_tag = auto()
    reduction = auto()
    view_copy = auto()


Tags = Tag | Iterable[Tag] | None


def as_tags(tags: Tags) -> tuple[Tag, ...]:
    """One tag, several or none, as a tuple. TypeError for anything else."""
    found = () if tags is None else (tags,) if isinstance(tags, Tag) else tuple(tags)
    for tag in found:
        if not isinstance(tag, Tag):
            raise TypeError(f"expected torch.Tag, got {type(tag).__name__}; tags are members such as torch.Tag.inplace")
    return found
