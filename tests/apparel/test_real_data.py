"""On Fashion-MNIST itself, if the package dataset-fashion-mnist is installed; the default network takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from flambeau.apparel import predict, prepare, report, train
from flambeau.apparel.sources import DEBIAN_FOLDER

pytestmark = pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed")


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("fashion") / "data", source=DEBIAN_FOLDER)


# PyTorch 2.13 lands at 64.76 % with the guide's recipe and seed 0.
@pytest.mark.parametrize(
    ("model", "least", "most"),
    [("mlp", 0.6376, 0.6576), pytest.param("cnn", 0.92, 0.95, marks=pytest.mark.slow)],
)
def test_the_defaults_reach_their_accuracy(
    fashion: Path, tmp_path: Path, model: str, least: float, most: float
) -> None:
    train(fashion, tmp_path, model=model)
    predict(fashion, tmp_path)
    assert least <= report(fashion, tmp_path)["test_accuracy"] <= most
