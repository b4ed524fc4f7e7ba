"""Regions of interest: boxes in pictures, and what regular bins in them average.

Averaging samples of a bilinear interpolation over a rectangle is linear in the picture and the same along both axes: a
region's bins are R X C^T, where R (bins, height) and C (bins, width) say how much each row and each column counts. So
one matrix for each axis does it, and the gradient is made of products of matrices, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.nn.modules.utils import _pair

Tensor = torch.Tensor
Boxes = Tensor | Sequence[Tensor]


def regions(input: Tensor, boxes: Boxes) -> tuple[Tensor, Tensor]:
    """Which picture each region lies in, (K,) of int64, and its corners, (K, 4) of float64 if the input is, else of
    float32: of boxes (K, 5) whose first column has the picture, or of a list of boxes (L, 4), one for each picture. No
    gradient goes to them.

    Raises:
        AssertionError: for boxes of another shape.
        RuntimeError: for an input that is not (N, C, H, W).
    """
    if input.dim() != 4:
        raise RuntimeError(f"expected pictures (N, C, H, W), got {input.dim()} dimensions")
    if isinstance(boxes, torch.Tensor):
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            hint = "the columns are the index of the picture, x1, y1, x2, y2; or give a list of (L, 4), one a picture"
            fact = f"The boxes tensor shape is not correct as Tensor[K, 5]: got {tuple(boxes.shape)}"
            raise AssertionError(explain(fact, hint=hint))
        images, corners = boxes[:, 0].long(), boxes[:, 1:]
    else:
        for of_one in boxes:
            if of_one.dim() != 2 or of_one.shape[1] != 4:
                fact = "The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]"
                raise AssertionError(f"{fact}: got {tuple(of_one.shape)}")
        counts = torch.tensor([len(of_one) for of_one in boxes])
        images, corners = torch.arange(len(boxes)).repeat_interleave(counts), torch.cat(list(boxes))
    return images.detach(), corners.detach().to(torch.promote_types(input.dtype, torch.float32))


def bin_counts(output_size: int | Sequence[int]) -> tuple[int, int]:
    """The number of bins along the height and the width."""
    rows, columns = _pair(output_size)
    return int(rows), int(columns)


def rounded(values: Tensor) -> Tensor:
    """To whole numbers, halves away from zero."""
    return torch.trunc(values + 0.5 * torch.sign(values))


def sampled(start: Tensor, length: Tensor, bins: int, size: int, samples: int) -> Tensor:
    """How much each of `size` pixels counts in each bin, (K, bins, size), if `length` (K,) from `start` on is cut into
    bins and the values at `samples` points of each, or one a pixel where that is not positive, are averaged. Points
    more than a pixel outside count as zeros."""
    width = length / bins
    counts = torch.full_like(width, samples) if samples > 0 else torch.ceil(width)
    steps = torch.arange(samples if samples > 0 else most(counts), dtype=start.dtype)
    numbers = torch.arange(bins, dtype=start.dtype)[:, None]
    at = _each(start) + numbers * _each(width) + (steps + 0.5) * _each(width / counts)
    inside = (steps < _each(counts)) & (at >= -1) & (at <= size)
    at = torch.where(inside, at, 0.0).clamp(0, size - 1)
    low = at.floor()
    share = torch.where(inside, at - low, 0.0)
    weights = torch.zeros(len(start), bins, size, dtype=start.dtype)
    weights = weights.scatter_add(2, low.long(), inside.to(share.dtype) - share)
    weights = weights.scatter_add(2, (low + 1).clamp(max=size - 1).long(), share)
    return weights / _each(counts.clamp(min=1))


def bounds(start: Tensor, length: Tensor, bins: int, size: int) -> tuple[Tensor, Tensor]:
    """The first pixel of each bin, and the first after it, (K, bins) of int64, if `length` (K,) from the whole number
    `start` on is cut into bins, which may share a pixel at their ends."""
    numbers, width = torch.arange(bins, dtype=start.dtype), (length / bins)[:, None]
    first, last = torch.floor(numbers * width), torch.ceil((numbers + 1) * width)
    return tuple((start[:, None] + end).clamp(0, size).long() for end in (first, last))


def by_picture(
    input: Tensor, images: Tensor, rows: Tensor, columns: Tensor, of_one: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """`of_one` of each picture (C, H, W) and the weights of its regions, in the order of the regions. If there are no
    regions, the first picture has them, so that the gradient is zero and not absent."""
    pictures, order = input.to(rows.dtype).unbind(0), torch.argsort(images, stable=True)
    parts = []
    for image in images.unique().tolist() or [0]:
        mine = torch.where(images == image)[0]
        parts.append(of_one(pictures[image], rows[mine], columns[mine]))
    return torch.cat(parts)[torch.argsort(order)].to(input.dtype)


def pooled(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The bins (K, C, P, Q) of a picture (C, H, W), by weights (K, P, H) and (K, Q, W)."""
    return torch.einsum("kph,chw->kcpw", rows, picture) @ columns[:, None].mT


def pooled_by_position(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The same where each bin has channels of its own: (K, C / (P * Q), P, Q)."""
    bins = (rows.shape[1], columns.shape[1])
    picture = picture.unflatten(0, (-1, *bins))
    return (torch.einsum("kph,cpqhw->kcpqw", rows, picture) * columns[:, None, None]).sum(-1)


def check_positions(input: Tensor, bins: tuple[int, int]) -> None:
    if input.shape[1] % (bins[0] * bins[1]):
        fact = f"input channels must be a multiple of pooling height * pooling width: {input.shape[1]} of {bins}"
        raise RuntimeError(fact)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None]


def most(counts: Tensor) -> int:
    """The greatest of the counts, at least 1."""
    return max(1, int(counts.max())) if len(counts) else 1
