"""Interpolation against numbers of PyTorch 2.13, and grid sampling, which must agree with it on regular grids."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F

WAVE = np.sin(np.arange(12.0)).reshape(1, 1, 3, 4)

GOLDEN = [  # (keywords, the 3 x 4 wave resized to 2 x 3)
    ({"mode": "bicubic"}, [-0.148707, 0.606505, 0.368627, 0.501017, -0.285866, -0.604673]),
    ({"mode": "bicubic", "align_corners": True}, [0.0, 1.026289, 0.14112, 0.989358, -0.07732, -0.99999]),
    ({"mode": "bilinear"}, [-0.092438, 0.501746, 0.327092, 0.472241, -0.204256, -0.567767]),
    ({"mode": "bilinear", "align_corners": True}, [0.0, 0.875384, 0.14112, 0.989358, -0.065951, -0.99999]),
    ({"mode": "bilinear", "antialias": True}, [-0.148764, 0.314926, 0.373258, 0.203577, -0.273408, -0.398475]),
    ({"mode": "bicubic", "antialias": True}, [-0.233339, 0.351584, 0.436632, 0.247956, -0.340188, -0.44466]),
    ({"mode": "lanczos", "antialias": True}, [-0.30568, 0.354638, 0.489384, 0.240143, -0.407364, -0.451159]),
    ({"mode": "area"}, [-0.218564, 0.128107, 0.356997, -0.078563, -0.342561, -0.29161]),
    ({"mode": "nearest"}, [0.0, 0.841471, 0.909297, -0.756802, -0.958924, -0.279415]),
    ({"mode": "nearest-exact"}, [0.0, 0.909297, 0.14112, 0.989358, -0.544021, -0.99999]),
]


@pytest.mark.parametrize(("keywords", "expected"), GOLDEN, ids=lambda v: str(v) if isinstance(v, dict) else "")
def test_numbers_of_pytorch(keywords, expected):
    y = F.interpolate(torch.tensor(WAVE).float(), (2, 3), **keywords)
    np.testing.assert_allclose(y.numpy().ravel(), expected, atol=2e-6)


def test_given_and_recomputed_scales():  # first rows by PyTorch
    x = torch.tensor(WAVE).float()
    given = F.interpolate(x, scale_factor=1.7, mode="bilinear")
    assert given.shape == (1, 1, 5, 6)
    np.testing.assert_allclose(
        given[0, 0, 0].numpy(), [0.0, 0.321739, 0.816722, 0.879374, 0.79633, 0.344461], atol=2e-6
    )
    recomputed = F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)
    np.testing.assert_allclose(
        recomputed[0, 0, 0].numpy(), [0.0, 0.420735, 0.852775, 0.897993, 0.525209, 0.14112], atol=2e-6
    )


def test_bytes_are_rounded_as_pytorch_rounds_them():
    x = torch.tensor(WAVE * 127 + 128).to(torch.uint8)
    assert F.interpolate(x, (5, 7), mode="bicubic").flatten().tolist() == [
        125,
        178,
        250,
        255,
        251,
        179,
        127,
        68,
        91,
        127,
        164,
        190,
        190,
        185,
        33,
        17,
        3,
        36,
        103,
        176,
        223,
        163,
        140,
        101,
        70,
        60,
        76,
        93,
        255,
        255,
        208,
        126,
        44,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("mode", "n"), [("nearest", 3), ("linear", 1), ("trilinear", 3), ("bicubic", 2), ("area", 2), ("bilinear", 2)]
)
@pytest.mark.parametrize("out", [2, 7])
def test_gradients(mode, n, out):
    x = torch.tensor(np.random.default_rng(0).standard_normal((1, 2, *[4] * n)), requires_grad=True)
    function = lambda x: F.interpolate(x, out, mode=mode) ** 2  # noqa: E731
    assert gradcheck(function, (x,)) and gradgradcheck(function, (x,))


def test_nan_stays_where_it_is():
    x = torch.zeros(1, 1, 8)
    x[0, 0, 7] = float("nan")
    assert F.interpolate(x, 3, mode="linear").isfinite().tolist() == [[[True, True, False]]]


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({}, ValueError, "either size or scale_factor should be defined"),
        ({"size": 3, "scale_factor": 2}, ValueError, "only one of size or scale_factor should be defined"),
        ({"size": 3, "mode": "linear"}, NotImplementedError, "Got 4D input, but linear mode needs 3D input"),
        ({"size": 3, "mode": "none"}, NotImplementedError, "Only 3D, 4D and 5D input Tensors supported"),
        ({"size": 3, "align_corners": True}, ValueError, "align_corners option can only be set"),
        ({"size": (3, 3, 3)}, ValueError, "same number of spatial dimensions"),
        ({"size": 0}, RuntimeError, "Input and output sizes should be greater than 0"),
        ({"size": 3, "recompute_scale_factor": True}, ValueError, "not meaningful with an explicit size"),
    ],
)
def test_errors(keywords, error, message):
    with pytest.raises(error, match=message):
        F.interpolate(torch.zeros(1, 3, 8, 8), **keywords)


# ---------------------------------------------------------------------------------------------- grids

POINTS = [[-1.4, -1.2], [-0.9, 0.3], [0.0, 0.1], [0.7, -0.6], [1.3, 1.1], [2.9, -3.2]]
SAMPLED = {  # (mode, padding, align_corners): the wave at POINTS, by PyTorch
    ("bilinear", "zeros", False): [0.0, 0.020279, -0.536187, 0.252479, 0.0, 0.0],
    ("bilinear", "border", True): [0.0, -0.280153, -0.563848, 0.386322, -0.99999, 0.14112],
    ("bilinear", "reflection", False): [0.252441, 0.02897, -0.536187, 0.252479, -0.954393, 0.989358],
    ("bilinear", "reflection", True): [0.228291, -0.280153, -0.563848, 0.386322, -0.691763, 0.564794],
    ("nearest", "zeros", True): [0.0, -0.756802, -0.279415, 0.14112, -0.99999, 0.0],
    ("nearest", "reflection", False): [0.0, -0.756802, -0.279415, 0.14112, -0.99999, 0.989358],
    ("bicubic", "zeros", False): [-0.002002, 0.074675, -0.78662, 0.271005, 0.026237, 0.0],
    ("bicubic", "border", False): [0.018163, -0.006714, -0.785511, 0.246235, -1.098943, 0.14112],
    ("bicubic", "reflection", True): [0.294871, -0.294013, -0.774791, 0.499821, -0.896146, 0.816572],
}


@pytest.mark.parametrize(("how", "expected"), SAMPLED.items(), ids=str)
def test_sampling_at_points(how, expected):
    y = F.grid_sample(torch.tensor(WAVE).float(), torch.tensor(POINTS).reshape(1, 1, 6, 2), *how)
    np.testing.assert_allclose(y.numpy().ravel(), expected, atol=3e-6)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("n", [2, 3])
def test_the_identity_grid_resizes(align, n):
    x = torch.tensor(np.random.default_rng(0).standard_normal((2, 3, *(4, 5, 6)[:n])))
    size = (2, 3, *(7, 3, 5)[:n])
    theta = torch.eye(n, n + 1, dtype=torch.float64).expand(2, n, n + 1)
    sampled = F.grid_sample(
        x, F.affine_grid(theta, size, align_corners=align), padding_mode="border", align_corners=align
    )
    resized = F.interpolate(x, size[2:], mode="bilinear" if n == 2 else "trilinear", align_corners=align)
    np.testing.assert_allclose(sampled.numpy(), resized.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_gradients_of_sampling(mode, padding):
    x = torch.tensor(np.random.default_rng(0).standard_normal((1, 1, 4, 3)), requires_grad=True)
    grid = torch.tensor(np.random.default_rng(1).uniform(-1.3, 1.3, (1, 2, 2, 2)), requires_grad=True)
    assert gradcheck(lambda x, grid: F.grid_sample(x, grid, mode, padding, False), (x, grid))


def test_affine_maps():
    theta = torch.tensor([[[0.0, -1.0, 0.5], [1.0, 0.0, -0.5]]])
    grid = F.affine_grid(theta, (1, 1, 2, 2), align_corners=True)
    assert grid.tolist() == [[[[1.5, -1.5], [1.5, 0.5]], [[-0.5, -1.5], [-0.5, 0.5]]]]
    with pytest.raises(ValueError, match="Expected a batch of 2D affine matrices"):
        F.affine_grid(torch.zeros(1, 3, 3), (1, 1, 2, 2))


@pytest.mark.parametrize(
    ("grid", "keywords", "error", "message"),
    [
        ((2, 4, 4, 2), {}, RuntimeError, "expected grid and input to have same batch size"),
        ((1, 4, 4, 3), {}, RuntimeError, "expected grid to have size 2 in last dimension"),
        ((1, 4, 4, 2), {"mode": "cubic"}, ValueError, "expected mode to be 'bilinear', 'nearest' or 'bicubic'"),
        ((1, 4, 4, 2), {"padding_mode": "edge"}, ValueError, "expected padding_mode to be"),
    ],
)
def test_errors_of_grids(grid, keywords, error, message):
    with pytest.raises(error, match=message):
        F.grid_sample(torch.zeros(1, 3, 8, 8), torch.zeros(*grid), **keywords)
