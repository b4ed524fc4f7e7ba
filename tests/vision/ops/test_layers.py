"""The layers that networks for pictures are put together from, and what they drop."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.vision import ops
from flambeau.vision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7
from flambeau.vision.ops.misc import ConvNormActivation


def test_a_frozen_norm_reads_and_does_as_a_norm_that_is_not_trained() -> None:
    norm = nn.BatchNorm2d(3, eps=1e-3)
    norm(torch.randn(4, 3, 5, 5) * 2 + 1)
    nn.init.normal_(norm.weight)
    frozen = ops.FrozenBatchNorm2d(3, eps=1e-3)
    frozen.load_state_dict(norm.state_dict())
    picture = torch.randn(2, 3, 5, 5)
    assert torch.allclose(frozen(picture), norm.eval()(picture), atol=1e-6)
    assert not list(frozen.parameters()) and repr(frozen) == "FrozenBatchNorm2d(3, eps=0.001)"


@pytest.mark.parametrize(
    ("options", "kinds", "padding", "bias"),
    [
        ({}, ["Conv2d", "BatchNorm2d", "ReLU"], 1, False),
        ({"kernel_size": 5, "dilation": 2, "norm_layer": None}, ["Conv2d", "ReLU"], 4, True),
        ({"kernel_size": (3, 5), "activation_layer": None}, ["Conv2d", "BatchNorm2d"], (1, 2), False),
        ({"dilation": (1, 3), "padding": None}, ["Conv2d", "BatchNorm2d", "ReLU"], (1, 3), False),
        ({"padding": 0, "activation_layer": nn.Tanh, "inplace": None, "bias": True}, ["Conv2d", "BatchNorm2d", "Tanh"],
         0, True),
    ],
)  # fmt: skip
def test_convolution_norm_and_activation(options, kinds, padding, bias) -> None:
    block = ops.Conv2dNormActivation(4, 6, **options)
    assert [type(layer).__name__ for layer in block] == kinds and block.out_channels == 6
    assert block[0].padding == (padding if isinstance(padding, tuple) else (padding, padding))
    assert (block[0].bias is not None) == bias and (padding == 0 or block(torch.ones(1, 4, 9, 9)).shape[2:] == (9, 9))


def test_blocks_of_other_dimensions() -> None:
    assert ops.Conv3dNormActivation(2, 3)(torch.ones(1, 2, 4, 5, 6)).shape == (1, 3, 4, 5, 6)
    with pytest.warns(UserWarning, match="please use Conv2dNormActivation"):
        ConvNormActivation(2, 3)


def test_squeeze_and_excitation() -> None:
    block, picture = ops.SqueezeExcitation(4, 2, nn.SiLU, nn.Hardsigmoid), torch.randn(2, 4, 3, 3)
    assert list(block.state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    weight = block.scale_activation(block.fc2(block.activation(block.fc1(picture.mean((2, 3), keepdim=True)))))
    assert torch.allclose(block(picture), picture * weight)


def test_a_perceptron_of_several_layers() -> None:
    layers = ops.MLP(4, [8, 8, 2], norm_layer=nn.LayerNorm, dropout=0.1, inplace=False)
    names = ["Linear", "LayerNorm", "ReLU", "Dropout"] * 2 + ["Linear", "Dropout"]
    assert [type(layer).__name__ for layer in layers] == names
    assert ops.Permute([0, 2, 1])(torch.zeros(2, 3, 4)).shape == (2, 4, 3)


def test_stochastic_depth() -> None:
    ones = torch.ones(1000, 2, 2)
    rows = ops.stochastic_depth(ones, 0.25, "row")
    assert set(rows.flatten().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (rows[:, :1, :1] == rows).all() and 0.7 < (rows > 0).float().mean() < 0.8
    assert len(ops.stochastic_depth(ones, 0.5, "batch").unique()) == 1
    module = ops.StochasticDepth(0.5, "row").eval()
    assert module(ones) is ones and repr(module) == "StochasticDepth(p=0.5, mode=row)"
    with pytest.raises(ValueError, match="between 0 and 1, but got 1.5"):
        ops.stochastic_depth(ones, 1.5, "row")
    with pytest.raises(ValueError, match="'batch' or 'row', but got col"):
        ops.stochastic_depth(ones, 0.5, "col")


@pytest.mark.parametrize("dims", [2, 3])
def test_dropped_blocks(dims: int) -> None:
    function, module = ((ops.drop_block2d, ops.DropBlock2d), (ops.drop_block3d, ops.DropBlock3d))[dims - 2]
    ones = torch.ones(8, 4, *[9] * dims)
    found = function(ones, 0.1, 3)
    assert 0.02 < (found == 0).float().mean() < 0.2 and torch.allclose(found.mean(), torch.tensor(1.0), atol=1e-4)
    hole = (function(torch.ones(1, 1, *[3] * dims), 0.9999999, 3) == 0).float().mean()
    assert hole in (0, 1)  # a block that fills the picture
    same = ones.clone()
    assert function(same, 0.1, 3, inplace=True) is same
    assert module(0.1, 3).eval()(ones) is ones and "block_size=3, inplace=False" in repr(module(0.1, 3))
    with pytest.raises(ValueError, match="should be odd. Got 2"):
        function(ones, 0.1, 2)
    with pytest.raises(ValueError, match=f"should be {dims + 2} dimensional. Got {dims + 1} dimensions"):
        function(ones[0], 0.1, 3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        function(ones, -0.1, 3)


MAPS = OrderedDict(a=torch.ones(1, 4, 16, 16), b=torch.ones(1, 6, 7, 8), c=torch.ones(1, 8, 4, 4))


def test_a_feature_pyramid() -> None:
    pyramid = ops.FeaturePyramidNetwork([4, 6, 8], 5)
    found = pyramid(MAPS)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "a": (1, 5, 16, 16), "b": (1, 5, 7, 8), "c": (1, 5, 4, 4),
    }  # fmt: skip
    merged = pyramid.inner_blocks[2](MAPS["c"])
    assert torch.equal(found["c"], pyramid.layer_blocks[2](merged))
    merged = pyramid.inner_blocks[1](MAPS["b"]) + nn.functional.interpolate(merged, size=(7, 8))
    assert torch.equal(found["b"], pyramid.layer_blocks[1](merged))


@pytest.mark.parametrize(
    ("extra", "names", "last"),
    [
        (LastLevelMaxPool(), "a b c pool", 2),
        (LastLevelP6P7(5, 5), "a b c p6 p7", 1),
        (LastLevelP6P7(8, 5), "a b c p6 p7", 1),
    ],
)
def test_more_levels(extra: ExtraFPNBlock, names: str, last: int) -> None:
    found = ops.FeaturePyramidNetwork([4, 6, 8], 5, extra, nn.BatchNorm2d)(MAPS)
    assert list(found) == names.split() and list(found.values())[-1].shape == (1, 5, last, last)


def test_a_feature_pyramid_reads_states_from_before_its_blocks_had_norms() -> None:
    new, old = ops.FeaturePyramidNetwork([4, 6], 5), OrderedDict()
    for name, value in ops.FeaturePyramidNetwork([4, 6], 5).state_dict().items():
        old[name.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if "blocks.0.0" in name else name] = value
    wanted = list(old.values())
    new.load_state_dict(old)
    assert all(torch.equal(a, b) for a, b in zip(new.state_dict().values(), wanted, strict=True))


def test_what_a_feature_pyramid_refuses() -> None:
    with pytest.raises(ValueError, match="in_channels=0"):
        ops.FeaturePyramidNetwork([4, 0], 5)
    with pytest.raises(TypeError, match="ExtraFPNBlock not"):
        ops.FeaturePyramidNetwork([4], 5, nn.ReLU())
