"""Models from folders, weights from addresses."""

from __future__ import annotations

import hashlib
import sys
from urllib.error import URLError

import pytest

import flambeau as torch

hub = torch.hub


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("flambeau.hub._folder", None)
    hub.set_dir(tmp_path / "hub")
    return tmp_path


@pytest.fixture
def address(folder):
    """The address of a file of weights whose name has its sum."""
    path = folder / "weights.pth"
    torch.save({"weight": torch.arange(3.0)}, path)
    named = path.rename(folder / f"net-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    return named.as_uri()


def test_weights_are_fetched_once(folder, address, capsys):
    state = hub.load_state_dict_from_url(address, check_hash=True)
    assert state["weight"].tolist() == [0.0, 1.0, 2.0]
    said = capsys.readouterr()
    assert said.out.startswith(f'Downloading: "{address}" to ') and "100.0%" in said.err
    for path in folder.glob("net-*"):
        path.unlink()
    assert torch.utils.model_zoo.load_url(address)["weight"].tolist() == [0.0, 1.0, 2.0]
    assert capsys.readouterr() == ("", "")
    assert [p.name for p in (folder / "hub" / "checkpoints").iterdir()] == [address.rpartition("/")[2]]


def test_a_wrong_sum_leaves_no_file(folder, address):
    with pytest.raises(RuntimeError, match='invalid hash value .expected "0000", got "'):
        hub.download_url_to_file(address, folder / "got.pth", "0000", progress=False)
    with pytest.raises(URLError):
        hub.download_url_to_file((folder / "nothing").as_uri(), folder / "got.pth", progress=False)
    assert [p.name for p in folder.iterdir()] == [address.rpartition("/")[2]]


def test_a_folder_of_models(tmp_path):
    (tmp_path / "layers.py").write_text("width = 3")
    (tmp_path / "hubconf.py").write_text(
        "import layers\ndependencies = ['json']\n"
        + 'def net(depth, bias=True):\n    """A net."""\n    return depth, bias, layers.width\n'
    )
    before = list(sys.path)
    assert hub.list(tmp_path, source="local") == ["net"]
    assert hub.help(tmp_path, "net", source="local") == "A net."
    assert hub.load(tmp_path, "net", 2, source="local", bias=False) == (2, False, 3)
    assert sys.path == before
    with pytest.raises(RuntimeError, match="Cannot find callable other in hubconf"):
        hub.load(tmp_path, "other", source="local")
    (tmp_path / "hubconf.py").write_text("dependencies = ['no_such_package']\ndef net():\n    pass\n")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        hub.load(tmp_path, "net", source="local")
    del sys.modules["layers"]


def test_repositories_are_not_run_unseen():
    with pytest.raises(NotImplementedError, match="git clone https://github.com/owner/repository, then"):
        hub.load("owner/repository:main", "net")
    with pytest.raises(ValueError, match='Unknown source: "elsewhere"'):
        hub.load("owner/repository", "net", source="elsewhere")
