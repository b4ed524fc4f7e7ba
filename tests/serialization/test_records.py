"""Checkpoints, record by record."""

from __future__ import annotations

import io

import pytest

import flambeau as torch


def test_a_checkpoint_is_read(tmp_path):
    torch.save({"x": torch.arange(3)}, tmp_path / "model.pt")
    reader = torch.PyTorchFileReader(str(tmp_path / "model.pt"))
    assert {"data.pkl", "data/0", "version"} <= set(reader.get_all_records())
    assert reader.get_record("data/0") == bytes(torch.arange(3).numpy()) and reader.version() == 3


def test_written_records_are_read():
    file = io.BytesIO()
    writer = torch.PyTorchFileWriter(file)
    writer.write_record("a", b"12345", 3)
    writer.write_record("b", torch.arange(2, dtype=torch.int16).numpy(), 4)
    with pytest.raises(RuntimeError, match="serialize file twice: a"):
        writer.write_record("a", b"", 0)
    writer.write_end_of_file()
    assert writer.get_all_written_records() == ["a", "b", "version"] and writer.archive_name() == "archive"
    reader = torch.PyTorchFileReader(file)
    assert reader.get_record("a") == b"123" and reader.get_record("b") == b"\0\0\1\0" and not reader.has_record("c")
    with pytest.raises(RuntimeError, match="locating file c"):
        reader.get_record("c")
    file.getbuffer()[file.getvalue().index(b"123")] = 0
    with pytest.raises(RuntimeError, match="failed reading file a.*CRC"):
        reader.get_record("a")
    with pytest.raises(RuntimeError, match="failed reading zip archive"):
        torch.PyTorchFileReader(io.BytesIO(b"no zip"))
