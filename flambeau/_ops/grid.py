"""Sampling images at arbitrary points (`grid_sample`), and grids of points under affine maps (`affine_grid`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from flambeau._core import errors
from flambeau._core.dtypes import HALVES, float32, int64
from flambeau._core.sites import user_site
from flambeau._ops._spatial import check_dtype
from flambeau._ops.arguments import check_tensor
from flambeau._ops.registry import composite

_MODES = ("bilinear", "nearest", "bicubic")  # in the order of PyTorch's numbers
_PADDINGS = ("zeros", "border", "reflection")


def _fail(message: str, hint: str = "") -> None:
    raise RuntimeError(errors.explain(message, hint=hint, site=user_site(3)))


# ---------------------------------------------------------------------------------------------- coordinates


def _in_pixels(x: Any, size: int, align: bool) -> Any:
    """From [-1, 1] to pixels: -1 is the centre of the first one if `align`, else its outer edge."""
    return (x + 1) * ((size - 1) / 2) if align else (x + 1) * (size / 2) - 0.5


def _reflected(x: Any, low: float, span: float) -> Any:
    """`x` mirrored at `low` and `low + span` until it lies between."""
    if span <= 0:
        return x * 0
    distance = (x - low).abs()
    extra = distance.fmod(span)
    odd = (distance.detach() / span).floor().fmod(2) != 0
    return extra.where(~odd, span - extra) + low


def _clipped(x: Any, size: int) -> Any:
    """`x` within the image; nothing flows back from the border or beyond, nor from NaN, which becomes 0."""
    inside = (x > 0) & (x < size - 1)
    border = x.detach().clamp(0, size - 1)
    return x.where(inside, border.masked_fill(border != border, 0))


def _bounded(x: Any, size: int, padding: str, align: bool) -> Any:
    """Pixel coordinates brought into the image in the way of the padding mode; 'zeros' leaves them outside."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        x = _reflected(x, 0.0, size - 1.0) if align else _reflected(x, -0.5, float(size))
    return _clipped(x, size)


# ---------------------------------------------------------------------------------------------- taking pixels


class _Image:
    """An image batch (N, C, *space) from which pixels are taken at whole coordinates; outside lies 0."""

    def __init__(self, input: Any, positions: Sequence[int]) -> None:
        self.size = tuple(input.shape[2:])
        self.flat = input.flatten(2)
        self.positions = tuple(positions)

    def at(self, coordinates: Sequence[Any]) -> Any:
        """(N, C, *positions) from one (N, *positions) of whole numbers a dimension."""
        flat: Any = 0
        inside: Any = None
        for x, size in zip(coordinates, self.size, strict=True):
            x = x.detach()
            within = (x >= 0) & (x <= size - 1)
            inside = within if inside is None else inside & within
            flat = flat * size + x.masked_fill(~within, 0).to(int64)
        n, channels = self.flat.shape[:2]
        index = flat.reshape(n, 1, -1).expand(n, channels, -1)
        taken = self.flat.gather(2, index).reshape(n, channels, *self.positions)
        return taken.masked_fill(~inside.unsqueeze(1), 0)


def _linear(image: _Image, points: Sequence[Any]) -> Any:
    """The mean of the 2^n pixels around each point, weighted by nearness."""
    total: Any = None
    lower = [x.detach().floor() for x in points]
    for corner in itertools.product((0, 1), repeat=len(points)):
        weight: Any = None
        for x, base, upper in zip(points, lower, corner, strict=True):
            near = x - base if upper else base + 1 - x
            weight = near if weight is None else weight * near
        part = image.at([base + upper for base, upper in zip(lower, corner, strict=True)]) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _cubic_weights(t: Any) -> list[Any]:
    """Weights of the four neighbours of a point at `t` behind the second: Keys 1981 with a = -0.75."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(image: _Image, points: Sequence[Any], padding: str, align: bool) -> Any:
    """Bicubic interpolation; padding acts on each of the 4 x 4 pixels."""
    lower = [x.detach().floor() for x in points]
    weights = [_cubic_weights(x - base) for x, base in zip(points, lower, strict=True)]
    pixels = [
        [_bounded(base + offset, size, padding, align) for offset in range(-1, 3)]
        for base, size in zip(lower, image.size, strict=True)
    ]
    total: Any = None
    for i in range(4):
        row: Any = None
        for j in range(4):
            part = image.at([pixels[0][i], pixels[1][j]]) * weights[1][j].unsqueeze(1)
            row = part if row is None else row + part
        row = row * weights[0][i].unsqueeze(1)
        total = row if total is None else total + row
    return total


# ---------------------------------------------------------------------------------------------- the public functions


def _check_grid(input: Any, grid: Any, mode: str) -> None:
    check_tensor(input, "grid_sample")
    check_tensor(grid, "grid_sample", "grid", 2)
    shapes = f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    if input.dim() not in (4, 5) or grid.dim() != input.dim():
        _fail(f"grid_sampler(): expected 4D or 5D input and grid with the same number of dimensions, but got {shapes}")
    if input.shape[0] != grid.shape[0]:
        _fail(f"grid_sampler(): expected grid and input to have same batch size, but got {shapes}")
    if grid.shape[-1] != input.dim() - 2:
        _fail(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, but got grid with "
            f"sizes {list(grid.shape)}"
        )
    if 0 in input.shape[2:]:
        _fail(
            f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
            f"{list(input.shape)}"
        )
    if mode == "bicubic" and input.dim() == 5:
        _fail("grid_sampler(): bicubic interpolation only supports 4D input")
    check_dtype(input.dtype, "grid_sampler")
    if input.dtype is not grid.dtype:
        names = [errors.TYPE_NAMES[t.dtype.name] for t in (input, grid)]
        _fail(
            f"expected scalar type {names[0]} but found {names[1]}",
            hint="convert one of them, e.g. grid.to(input.dtype)",
        )


def _sample(input: Any, grid: Any, mode: str, padding: str, align: bool) -> Any:
    _check_grid(input, grid, mode)
    d = input.dtype
    if d in HALVES:
        input, grid = input.to(float32), grid.to(float32)
    image = _Image(input, grid.shape[1:-1])
    n = len(image.size)
    # The grid's last dimension starts with x, which runs along the image's last dimension.
    points = [_in_pixels(grid.select(-1, n - 1 - i), image.size[i], align) for i in range(n)]
    if mode == "bicubic":
        return _cubic(image, points, padding, align).to(d)
    points = [_bounded(x, size, padding, align) for x, size in zip(points, image.size, strict=True)]
    if mode == "nearest":
        return image.at([x.round() for x in points]).to(d)
    return _linear(image, points).to(d)


@composite(
    node_name=lambda input, *_, **named: f"GridSampler{input.dim() - 2}DBackward0",
    shows=("input", "grid"),
    namespace="nn.functional",
    method=False,
    saves=("input", "grid"),
)
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """`input` sampled at the points of `grid`.

    Shapes: input (N, C, H, W) with grid (N, oH, oW, 2) gives (N, C, oH, oW); input (N, C, D, H, W) with grid (N, oD,
    oH, oW, 3). The points are (x, y[, z]) with the image in [-1, 1]: its corner pixels' centres at +-1 with
    `align_corners`, their outer edges without (the default). Modes: 'bilinear', 'nearest', 'bicubic' (images only).
    Outside lie 'zeros', the 'border' pixel, or the 'reflection'. ValueError for other modes, RuntimeError for shapes
    that do not fit.

    Example::

        >>> import flambeau as torch
        >>> image = torch.tensor([[[[1., 2.], [3., 4.]]]])
        >>> centre = torch.zeros(1, 1, 1, 2)
        >>> torch.nn.functional.grid_sample(image, centre, align_corners=False)
        tensor([[[[2.5000]]]])
    """
    if mode not in _MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    return _sample(input, grid, mode, padding_mode, bool(align_corners))


@composite(method=False, aliases=("grid_sampler_2d", "grid_sampler_3d"), saves=("input", "grid"))
def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`nn.functional.grid_sample` with modes as numbers: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border, 2
    reflection.

    Example::

        >>> import flambeau as torch
        >>> torch.grid_sampler(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), 0, 0, False)
        tensor([[[[1.]]]])
    """
    return _sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], bool(align_corners))


def _base(theta: Any, n: int, align: bool) -> Any:
    """The `n` coordinates of pixels in [-1, 1]."""
    if n == 1:
        positions = [0.0]
    else:
        positions = [(2 * i / (n - 1) - 1) * (1.0 if align else (n - 1) / n) for i in range(n)]
    return theta.new_tensor(positions)


@composite(node_name="AffineGridGeneratorBackward0", shows=("theta",), namespace="nn.functional", method=False)
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The grid for `grid_sample` that maps each output pixel by an affine matrix.

    Shapes: `theta` (N, 2, 3) with `size` (N, C, H, W) gives (N, H, W, 2); `theta` (N, 3, 4) with (N, C, D, H, W) gives
    (N, D, H, W, 3). ValueError for matrices that do not fit, NotImplementedError for other numbers of dimensions.

    Example::

        >>> import flambeau as torch
        >>> identity = torch.eye(2, 3).unsqueeze(0)
        >>> torch.nn.functional.affine_grid(identity, (1, 1, 1, 2), align_corners=False)
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    check_tensor(theta, "affine_grid", "theta")
    size = tuple([int(s) for s in size])
    n = len(size) - 2
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if n not in (2, 3):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    if tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    total = theta.select(2, n).reshape(-1, *[1] * n, n)
    for d in range(n):  # column d multiplies the coordinate along the d-th last dimension
        extent = size[-1 - d]
        along = _base(theta, extent, bool(align_corners)).reshape(
            *[extent if i == n - 1 - d else 1 for i in range(n)], 1
        )
        total = total + along * theta.select(2, d).reshape(-1, *[1] * n, n)
    return total


@composite(method=False)
def affine_grid_generator(theta: Any, size: Sequence[int], align_corners: bool) -> Any:
    """`nn.functional.affine_grid` under its name in `torch`."""
    return affine_grid(theta, size, align_corners)
