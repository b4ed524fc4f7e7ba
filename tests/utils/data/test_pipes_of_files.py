"""Data pipes of files."""

from __future__ import annotations

import pytest

from flambeau.utils.data.datapipes.iter import FileLister, IterableWrapper


def test_files_of_folders(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("b.txt", "a.txt", "c.png", "inner/d.txt"):
        (tmp_path / name).write_text(name * 2)
    names = [path.removeprefix(f"{tmp_path}/") for path in FileLister(tmp_path)]
    assert names == ["a.txt", "b.txt", "c.png"]
    texts = FileLister(str(tmp_path), "*.txt", recursive=True, length=3)
    assert [path.removeprefix(f"{tmp_path}/") for path in texts] == ["a.txt", "b.txt", "inner/d.txt"]
    assert len(texts) == 3 and list(IterableWrapper([str(tmp_path / "c.png")]).list_files()) == [f"{tmp_path}/c.png"]
    opened = texts.open_files("b")
    assert [(len(data), data[:2]) for _, data in opened.read_from_stream()] == [(10, b"a."), (10, b"b."), (22, b"in")]
    parts = list(IterableWrapper([f"{tmp_path}/a.txt"]).open_files().read_from_stream(chunk=6))
    assert [part for _, part in parts] == ["a.txta", ".txt"]
    with pytest.raises(TypeError, match="valid length"):
        len(FileLister(tmp_path))


def test_files_are_opened_for_reading():
    with pytest.raises(ValueError, match="Invalid mode w"):
        IterableWrapper([]).open_files("w")
    with pytest.raises(ValueError, match="Binary mode doesn't take an encoding"):
        IterableWrapper([]).open_files("rb", encoding="utf-8")
