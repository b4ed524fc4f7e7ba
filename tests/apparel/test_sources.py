from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flambeau._core.config import config
from flambeau.apparel import sources
from flambeau.apparel.console import Console
from flambeau.apparel.errors import ApparelError
from flambeau.apparel.synthetic import draw_garments


class Answer(io.BytesIO):
    headers: dict[str, str] = {}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No folder is known and no address answers; gives the list of addresses that were asked."""
    asked: list[str] = []

    def refuse(address: str, timeout: float) -> Any:
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr(config, "data_dir", None)
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(sources.urllib_request, "urlopen", refuse)
    return asked


def test_the_order_of_the_sources(
    nowhere: list[str], idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def origin(source: Path | None = None) -> str:
        return sources.find_pictures(source, tmp_path / "cache", limit=60).origin

    assert origin() == "drawn by the program with seed 0"
    assert len(nowhere) == len(sources.ADDRESSES)
    (tmp_path / "debian").symlink_to(idx_folder)
    assert "Debian" in origin()
    monkeypatch.setattr(config, "data_dir", str(idx_folder))
    assert "FLAMBEAU_DATA" in origin()
    assert origin(idx_folder) == f"the folder {idx_folder}"


@pytest.mark.parametrize(("folder", "problem"), [("none", "no such folder"), (".", "lacks the IDX files")])
def test_a_named_folder_must_hold_the_files(nowhere: list[str], tmp_path: Path, folder: str, problem: str) -> None:
    with pytest.raises(ApparelError, match=problem):
        sources.find_pictures(tmp_path / folder, tmp_path / "cache")


def test_without_network_the_drawings_are_announced(
    nowhere: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sources.find_pictures(None, tmp_path / "cache", limit=60, console=Console())
    assert pictures.synthetic and len(pictures.train_labels) == 60 and len(pictures.test_labels) == 10
    assert "no network" in (said := capsys.readouterr().out) and "SYNTHETIC" in said
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_checked_and_kept(
    nowhere: list[str], idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: (idx_folder / name).read_bytes() for name in sources.OFFICIAL_FILES}

    def serve(address: str, timeout: float) -> Answer:
        wrong = address.startswith(sources.ADDRESSES[0]) and "labels" in address
        return Answer(b"<html>try again</html>" if wrong else files[address.rsplit("/", 1)[-1]])

    monkeypatch.setattr(sources.urllib_request, "urlopen", serve)
    cache = tmp_path / "cache"
    with pytest.raises(OSError, match="another SHA-256"):  # those of the real files
        sources.download(cache, Console(quiet=True))
    assert not cache.exists()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(sources, "OFFICIAL_FILES", digests)
    assert "download" in sources.find_pictures(None, cache).origin
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == files
    assert "earlier download" in sources.find_pictures(None, cache).origin


def test_drawings_depend_on_the_seed_and_show_their_kind() -> None:
    pictures, labels = draw_garments(400, seed=3)
    again, _ = draw_garments(400, seed=3)
    np.testing.assert_array_equal(pictures, again)
    assert (pictures != draw_garments(400, seed=4)[0]).any()
    assert set(labels.tolist()) == set(range(10)) and pictures.shape == (400, 28, 28) and pictures.dtype == np.uint8
    flat = pictures.reshape(400, -1) / 255
    means = np.stack([flat[:300][labels[:300] == kind].mean(0) for kind in range(10)])
    nearest = ((flat[300:, None] - means) ** 2).sum(-1).argmin(1)
    assert 0.5 < (nearest == labels[300:]).mean() < 1  # learnable, not trivial


@pytest.mark.skipif(not sources.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_digests_are_those_of_the_published_files() -> None:
    for name, digest in sources.OFFICIAL_FILES.items():
        assert hashlib.sha256((sources.DEBIAN_FOLDER / name).read_bytes()).hexdigest() == digest
