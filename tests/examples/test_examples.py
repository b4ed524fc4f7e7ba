"""Every example runs and gives the numbers that the guide gives."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flambeau._core.config import config

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> dict[str, Any]:
    """Run a file as Python would, without the part under `if __name__ == "__main__"`; gives its variables."""
    return runpy.run_path(str(EXAMPLES / name))


def test_all_examples_are_tested() -> None:
    tested = {name for name in Path(__file__).read_text().split('"') if name.endswith(".py") and name[0].isdigit()}
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}


def test_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("01_tensors.py")
    # torch.manual_seed(42); torch.randn(3, 3) in PyTorch 2.13 on the CPU
    golden = [[0.3367, 0.1288, 0.2345], [0.2303, -1.1229, -0.1863], [2.2082, -0.6380, 0.4617]]
    np.testing.assert_allclose(found["random_matrix"].numpy(), golden, atol=5e-5)
    assert found["matrix_product"].tolist() == [[19, 22], [43, 50]]
    assert found["joined"].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8]]
    assert "tensor([2.]) torch.FloatTensor" in capsys.readouterr().out


def test_numpy_twins(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("02_numpy_twins.py")
    assert found["agree"] is True
    assert found["shared_array"].tolist() == [1, 2, 3] == found["shared_tensor"].tolist()
    assert found["copied"].tolist() == [1, 2, 0]
    assert "False" not in capsys.readouterr().out


def test_autograd(capsys: pytest.CaptureFixture[str]) -> None:
    run("03_autograd.py")
    said = capsys.readouterr().out
    assert "gradient of a: tensor([[0.2500, 0.2500],\n        [0.2500, 0.2500]])" in said
    assert "dy/dx: 1024.0" in said and "slope: 12.0 curvature: 12.0" in said


def test_nn_and_optim() -> None:
    losses = run("04_nn_and_optim.py")["losses"]
    assert set(losses) == {"SGD", "Adam", "RMSprop"} and all(loss < 0.01 for loss in losses.values())


def test_network_from_scratch() -> None:
    output = run("05_network_from_scratch.py")["output"]
    # PyTorch 2.13 with this seed: 0.9826, 0.9748, 0.0305
    np.testing.assert_allclose(output.flatten().tolist(), [0.9826, 0.9748, 0.0305], atol=2e-4)


@pytest.fixture
def drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples find a folder with 600 drawn pictures."""
    pytest.importorskip("PIL")
    from flambeau.apparel.idx import write_idx
    from flambeau.apparel.sources import OFFICIAL_FILES, synthetic_pictures

    pictures = synthetic_pictures(seed=0, limit=600)
    arrays = (pictures.train_images, pictures.train_labels, pictures.test_images, pictures.test_labels)
    for name, array in zip(OFFICIAL_FILES, arrays, strict=True):
        write_idx(tmp_path / name, array)
    monkeypatch.setattr(config, "data_dir", str(tmp_path))
    yield


def test_the_case_study(drawings: None, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    numbers = run("06_identify_the_apparels.py")["main"](["--folder", str(tmp_path), "--limit", "600", "--epochs", "4"])
    assert numbers["test_accuracy"] > 0.9
    assert (tmp_path / "results" / "report.html").stat().st_size > 10_000


def test_the_convolutional_network(drawings: None, capsys: pytest.CaptureFixture[str]) -> None:
    results = run("07_convolutional_network.py")["main"](["--limit", "600"])
    assert results["test"] > 0.8 and results["loss"] < 0.3
    assert capsys.readouterr().out.count("Epoch:") == 13
