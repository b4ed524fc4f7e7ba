from __future__ import annotations

from pathlib import Path

import pytest

from flambeau.apparel.errors import ApparelError
from flambeau.apparel.files import make_folder, whole_file, whole_folder


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with whole_file(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half of the sec")
        raise ZeroDivisionError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "set"
    for name in ("old", "new"):
        with whole_folder(path) as temporary:
            (temporary / name).touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyboardInterrupt
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_obstacle_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(ApparelError, match="cannot make the folder"):
        make_folder(tmp_path / "f" / "g")
