"""Which results are views, and how results lie in memory; the strides are PyTorch's."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn import functional as F

X = torch.arange(24.0).reshape(2, 3, 4)
IMAGES = torch.arange(2 * 4 * 3 * 5.0).reshape(2, 4, 3, 5).contiguous(memory_format=torch.channels_last)
VOLUMES = torch.arange(4 * 2.0 * 2 * 2).reshape(1, 4, 2, 2, 2).contiguous(memory_format=torch.channels_last_3d)

FRESH = {
    "repeat": lambda: X.repeat(2, 1, 1),
    "tile": lambda: X.tile(2),
    "copying reshape": lambda: X.mT.reshape(-1),
    "copying flatten": lambda: X.mT.flatten(1),
    "rot90": lambda: X.rot90(),
    "kron": lambda: torch.kron(X[0], X[0]),
    "complex": lambda: torch.complex(X, X),
    "quantile": lambda: X.quantile(torch.tensor([0.5]), 0),
    "nanquantile": lambda: X.nanquantile(0.5),
    "format": lambda: IMAGES.float(memory_format=torch.contiguous_format).double(memory_format=torch.channels_last),
    "pixel_shuffle": lambda: F.pixel_shuffle(IMAGES, 1),
    "pixel_unshuffle": lambda: F.pixel_unshuffle(IMAGES, 1),
    "channel_shuffle": lambda: F.channel_shuffle(IMAGES, 1),
    "diff": lambda: X.diff(0),
    "sum_to_size": lambda: torch.tensor(1.0).sum_to_size(()),
    "ormqr": lambda: torch.ormqr(torch.zeros(2, 0), torch.zeros(0), torch.ones(2, 2)),
}


@pytest.mark.parametrize("name", FRESH)
def test_memory_of_its_own(name):
    result, before = FRESH[name](), (X.clone(), IMAGES.clone())
    assert result._base is None and not result._is_view()
    result.fill_(-1)
    assert torch.equal(X, before[0]) and torch.equal(IMAGES, before[1])


def test_views_stay_views():
    assert X.reshape(6, 4)._base is X._base and X.flatten(1)._is_view()
    x = torch.zeros(2, 2, requires_grad=True) + 1
    part = x.repeat(1, 2)
    part[0].mul_(3)  # the history goes through the tensor that owns the memory
    assert torch.autograd.grad(part.sum(), x)[0].tolist() == [[6.0, 6.0], [2.0, 2.0]]


def test_the_conjugate_of_a_real_tensor_is_itself():
    assert torch.conj_physical(X) is X
    z = torch.tensor([1 + 2j])
    assert z.conj_physical_() is z and z.item() == 1 - 2j


# ------------------------------------------------------------------------------------- operands in several orders

T = torch.zeros(5, 4, 3).transpose(0, 2)
ROWS = torch.zeros(3, 4, 5)
POINTWISE = [
    (lambda: T + ROWS, (1, 3, 12)),
    (lambda: ROWS + T, (20, 5, 1)),
    (lambda: ROWS[0] + T, (1, 15, 3)),  # the dimension that the first one lacks is the other's to place
    (lambda: T + ROWS[0], (1, 3, 12)),
    (lambda: torch.nextafter(T, ROWS), (1, 3, 12)),
    (lambda: T[:, ::2] + 1, (1, 3, 6)),
    (lambda: T[:, ::2].clone(), (1, 3, 6)),
    (lambda: torch.zeros_like(T[:, ::2]), (1, 3, 6)),
    (lambda: torch.transpose_copy(T, 0, 1), (15, 5, 1)),
    (lambda: T.sort(1).indices, (1, 3, 12)),
    (lambda: T.select_scatter(ROWS[0], 0, 1), (1, 3, 12)),
    (lambda: T.index_fill(0, torch.tensor([0]), 1.0), (1, 3, 12)),
]


@pytest.mark.parametrize("number", range(len(POINTWISE)))
def test_the_order_of_dimensions(number):
    function, strides = POINTWISE[number]
    assert function().stride() == strides


# -------------------------------------------------------------------------------------------- channels innermost

CHANNELS_LAST = {
    "group_norm": lambda: F.group_norm(IMAGES, 2),
    "batch_norm": lambda: F.batch_norm(IMAGES, None, None, training=True),
    "max_pool2d": lambda: F.max_pool2d(IMAGES, 2),
    "its indices": lambda: F.max_pool2d(IMAGES, 2, return_indices=True)[1],
    "adaptive indices": lambda: F.adaptive_max_pool2d(IMAGES, 2, return_indices=True)[1],
    "even bins": lambda: F.adaptive_max_pool2d(IMAGES, (3, 5), return_indices=True)[1],
    "pixel_shuffle": lambda: F.pixel_shuffle(IMAGES, 1),
    "rms_norm": lambda: F.rms_norm(IMAGES, (5,)),
    "channel_shuffle": lambda: F.channel_shuffle(IMAGES, 2),
}
ROW_MAJOR = {
    "instance_norm": lambda: F.instance_norm(IMAGES),
    "layer_norm": lambda: F.layer_norm(IMAGES, (5,)),
    "avg_pool3d": lambda: F.avg_pool3d(VOLUMES, 1),
    "adaptive_avg_pool3d": lambda: F.adaptive_avg_pool3d(VOLUMES, 2),
    "adaptive_max_pool3d": lambda: F.adaptive_max_pool3d(VOLUMES, 2),
}


@pytest.mark.parametrize("name", CHANNELS_LAST)
def test_channels_stay_innermost(name):
    result = CHANNELS_LAST[name]()
    assert result.is_contiguous(memory_format=torch.channels_last) and not result.is_contiguous()


@pytest.mark.parametrize("name", ROW_MAJOR)
def test_row_major_as_in_pytorch(name):
    assert ROW_MAJOR[name]().is_contiguous()


def test_the_numbers_do_not_depend_on_the_layout():
    plain = IMAGES.contiguous()
    assert torch.allclose(F.group_norm(IMAGES, 2), F.group_norm(plain, 2), atol=1e-6)
    assert torch.equal(F.channel_shuffle(IMAGES, 2), F.channel_shuffle(plain, 2))
    indices = [F.max_pool2d(t, 2, return_indices=True)[1] for t in (IMAGES, plain)]
    assert torch.equal(*indices)
