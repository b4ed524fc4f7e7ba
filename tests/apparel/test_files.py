from __future__ import annotations

from pathlib import Path

import pytest

from flambeau.apparel.errors import ApparelError
from flambeau.apparel.files import atomic_file, atomic_folder, make_folder


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("first")
        assert not path.exists() and temporary.suffix == ".txt"
    with pytest.raises(ZeroDivisionError), atomic_file(path) as temporary:
        temporary.write_text("half of the sec")
        raise ZeroDivisionError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "set"
    for name in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / name).touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyboardInterrupt
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_obstacle_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(ApparelError, match="cannot make the folder"):
        make_folder(tmp_path / "f" / "g")
