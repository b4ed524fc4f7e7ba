"""A small drawn data set, as IDX files and in the guide's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

from flambeau.apparel import prepare  # noqa: E402
from flambeau.apparel.idx import write_idx  # noqa: E402
from flambeau.apparel.sources import OFFICIAL_FILES, synthetic_pictures  # noqa: E402


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four files with 360 training and 60 test pictures."""
    folder = tmp_path_factory.mktemp("idx")
    pictures = synthetic_pictures(seed=1, limit=360)
    arrays = (pictures.train_images, pictures.train_labels, pictures.test_images, pictures.test_labels)
    for name, array in zip(OFFICIAL_FILES, arrays, strict=True):
        write_idx(folder / name, array)
    return folder


@pytest.fixture(scope="session")
def prepared(idx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the guide's layout; for reading only."""
    return prepare(tmp_path_factory.mktemp("work") / "data", source=idx_folder, quiet=True)


@pytest.fixture
def data(idx_folder: Path, tmp_path: Path) -> Path:
    """A copy with 60 training and 10 test pictures that a test may damage."""
    return prepare(tmp_path / "data", source=idx_folder, limit=60, quiet=True)
