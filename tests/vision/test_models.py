"""Weights and how models get them. The models themselves are compared with torchvision's in
`tests/programs/torchvision_models.py` and `torchvision_models_large.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

import flambeau as torch
from flambeau._core.config import config
from flambeau.vision import models
from flambeau.vision.models import SqueezeNet1_1_Weights, resnet18, squeezenet1_1
from flambeau.vision.models._utils import IntermediateLayerGetter


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "torch_home", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_weights_that_are_not_there_say_how_to_get_them(hub: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        resnet18(weights="DEFAULT")
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(caught.value)
    assert str(hub / "resnet18-f37072fd.pth") in str(caught.value) and "weights= the path" in str(caught.value)


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1", SqueezeNet1_1_Weights.DEFAULT, "path"])
def test_weights_on_the_disk_are_loaded(hub: Path, weights: object) -> None:
    torch.manual_seed(1)
    published = squeezenet1_1()
    path = hub / "squeezenet1_1-b8a52dc0.pth"
    torch.save(published.state_dict(), path)
    torch.manual_seed(2)
    model = squeezenet1_1(weights=str(path) if weights == "path" else weights)
    assert all(torch.equal(a, b) for a, b in zip(published.parameters(), model.parameters(), strict=True))


def test_what_weights_cannot_be(hub: Path) -> None:
    with pytest.raises(TypeError, match=r"expected None, a member of SqueezeNet1_1_Weights .*IMAGENET1K_V1"):
        squeezenet1_1(weights="NEWEST")
    with pytest.raises(TypeError, match="squeezenet1_1-b8a52dc0.pth"):
        squeezenet1_1(weights=True)
    with pytest.raises(ValueError, match="num_classes"):
        squeezenet1_1(weights=SqueezeNet1_1_Weights.DEFAULT, num_classes=10)


def test_models_by_name() -> None:
    assert {"resnet50", "vgg16_bn", "vit_b_16", "alexnet"} <= set(models.list_models())
    with pytest.raises(ValueError, match="Unknown model lenet.*alexnet"):
        models.get_model("lenet")


def test_densenets_read_the_names_of_published_files() -> None:
    model = models.DenseNet(4, (2, 2), 8, num_classes=3)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value + 1
        for name, value in model.state_dict().items()
    }
    assert any("norm.1." in name for name in old)
    model.load_state_dict(old)
    assert torch.equal(model.state_dict()["features.denseblock1.denselayer1.norm1.weight"], torch.full((8,), 2.0))


def test_a_vision_transformer_of_another_size() -> None:
    model = models.VisionTransformer(8, 4, 1, 2, 16, 32, num_classes=5)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    with pytest.raises(AssertionError, match="Expected 8 x 8"):
        model(torch.zeros(2, 3, 12, 12))
    with pytest.raises(ValueError, match="indivisible"):
        models.VisionTransformer(9, 4, 1, 2, 16, 32)


def test_outputs_of_inner_layers() -> None:
    model = resnet18().eval()
    inner = IntermediateLayerGetter(model, {"layer1": "fine", "layer3": "coarse"})
    found = inner(torch.ones(1, 3, 64, 64))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "fine": (1, 64, 16, 16), "coarse": (1, 256, 4, 4),
    }  # fmt: skip
    assert list(inner)[-1] == "layer3" and inner["conv1"] is model.conv1
    with pytest.raises(ValueError, match="not present in model: layer9(.|\n)*its children are conv1"):
        IntermediateLayerGetter(model, {"layer9": "none"})
