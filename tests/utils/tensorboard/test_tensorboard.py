"""Event files. TensorBoard itself has read what these functions write; here their fields are decoded by hand."""

from __future__ import annotations

import io
import struct

import pytest

import flambeau as torch
from flambeau.utils.tensorboard import FileWriter, SummaryWriter
from flambeau.utils.tensorboard.records import crc32c, record, varint


def events(folder):
    """The messages in a folder's files, which are records one after the other."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            body = data[12 : 12 + length]
            assert data.startswith(record(body))
            data = data[16 + length :]
            found.append(fields(body))
        assert data == b""
    return found


def fields(data):
    """Field number -> values of a message: integers, eight or four bytes, or the bytes of a block."""
    found = {}
    while data:
        key, data = number(data)
        if key & 7 == 0:
            value, data = number(data)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, data = number(data)
            value, data = data[:size], data[size:]
        found.setdefault(key >> 3, []).append(value)
    return found


def number(data):
    value = shift = 0
    for i, byte in enumerate(data):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, data[i + 1 :]
    raise AssertionError("a number without an end")


def values(folder):
    """(tag, step, fields) of each summary."""
    found = []
    for event in events(folder):
        for part in event.get(5, ()):
            value = fields(fields(part)[1][0])
            found.append((value[1][0].decode(), event.get(2, [None])[0], value))
    return found


def test_numbers_and_sums():
    assert [number(varint(n))[0] for n in (0, 127, 128, 1 << 40)] == [0, 127, 128, 1 << 40]
    assert number(varint(-1))[0] == (1 << 64) - 1 and crc32c(b"123456789") == 0xE3069283


def test_a_record_as_tensorboard_writes_it():
    assert record(b"abc") == b"\x03\0\0\0\0\0\0\0\xb0\x99I\x0eabcnW\xf1!"


def test_scalars(tmp_path):
    with SummaryWriter(tmp_path, flush_secs=1000, filename_suffix=".x") as writer:
        for step in range(3):
            writer.add_scalar("loss", torch.tensor(0.5 * step), step, walltime=7.0)
        writer.add_scalar("new", 2.5, new_style=True, double_precision=True)
        with pytest.raises(AssertionError, match="expected one number for 'loss', got an array of shape .2,."):
            writer.add_scalar("loss", [1, 2])
    first, *others = events(tmp_path)
    assert first[3] == [b"brain.Event:2"] and struct.unpack("<d", others[0][1][0]) == (7.0,)
    found = values(tmp_path)
    assert [(tag, step, struct.unpack("<f", v[2][0])[0]) for tag, step, v in found[:3]] == [
        ("loss", 0, 0.0), ("loss", 1, 0.5), ("loss", 2, 1.0)
    ]  # fmt: skip
    assert found[3][0] == "new" and struct.unpack("<d", fields(found[3][2][8][0])[6][0]) == (2.5,)
    assert [path.name.endswith(".x") for path in tmp_path.iterdir()] == [True]


def test_several_scalars_are_several_runs(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalars("a/b", {"train": 1.0, "test": 2.0}, 3)
        writer.add_scalars("a/b", {"train": 0.5}, 4)
    assert [(tag, step) for tag, step, _ in values(tmp_path / "a_b_train")] == [("a/b", 3), ("a/b", 4)]
    assert len(values(tmp_path / "a_b_test")) == 1


def test_histograms(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("auto", torch.arange(100.0), bins=8, max_bins=4)
        writer.add_histogram("growing", torch.tensor([-1.0, 0.0, 1.0]))
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("empty", torch.tensor([]))
        with pytest.raises(ValueError, match="3 and 2"):
            writer.add_histogram_raw("raw", 0, 1, 2, 1, 1, [0, 1, 2], [1, 1])
    (_, _, first), (_, _, second) = values(tmp_path)
    histo = fields(first[5][0])
    assert [struct.unpack("<d", histo[i][0])[0] for i in range(1, 6)] == [0, 99, 100, 4950, 328350]
    assert struct.unpack("<5d", histo[6][0]) == (0, 24.75, 49.5, 74.25, 99)
    assert struct.unpack("<5d", histo[7][0]) == (0, 25, 25, 25, 25)
    counts = fields(second[5][0])[7][0]
    assert sum(struct.unpack(f"<{len(counts) // 8}d", counts)) == 3


def test_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = torch.rand(3, 4, 5)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("floats", picture)
        writer.add_image("bytes", (picture.permute(1, 2, 0) * 255).to(torch.uint8), dataformats="HWC")
        writer.add_image("grey", torch.ones(4, 5), dataformats="HW")
        writer.add_images("many", torch.zeros(10, 1, 4, 5))
        with pytest.raises(AssertionError, match="dataformats='CHW' does not name"):
            writer.add_image("wrong", torch.ones(4, 5))
    found = {tag: fields(v[4][0]) for tag, _, v in values(tmp_path)}
    opened = {tag: image.open(io.BytesIO(v[4][0])) for tag, v in found.items()}
    assert found["floats"][4] == found["bytes"][4] and opened["floats"].mode == "RGB"
    first = opened["floats"].getpixel((0, 0))
    assert list(first) == [int(x * 255) for x in picture[:, 0, 0].tolist()]
    assert opened["grey"].getpixel((4, 3)) == 255 and opened["many"].size == (40, 8)


def test_texts_and_hyperparameters(tmp_path):
    with SummaryWriter(tmp_path, purge_step=2) as writer:
        writer.add_text("note", "*hello*", 3)
        writer.add_hparams(
            {"lr": 0.1, "name": "x", "on": True, "left": None}, {"acc": 0.5}, {"name": ["x", "y"]}, "run"
        )
        with pytest.raises(ValueError, match="got list for 'lr'"):
            writer.add_hparams({"lr": [1]}, {})
    ((tag, step, text),) = values(tmp_path)
    assert (tag, step, fields(text[8][0])[8]) == ("note/text_summary", 3, [b"*hello*"])
    assert [fields(e[7][0]) for e in events(tmp_path) if 7 in e] == [{1: [1]}]
    names = [tag for tag, _, _ in values(tmp_path / "run")]
    assert names == [f"_hparams_/{n}" for n in ("experiment", "session_start_info", "session_end_info")] + ["acc"]


def test_what_is_added_after_closing_goes_into_another_file(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.close()
    writer.add_scalar("late", 1.0)
    writer.flush()
    assert len(list(tmp_path.iterdir())) == 2 and [tag for tag, _, _ in values(tmp_path)] == ["late"]
    writer.close()
    file = FileWriter(tmp_path / "other")
    assert file.get_logdir() == str(tmp_path / "other")
    file.close()


def test_what_is_not_written_says_what_comes_nearest(tmp_path):
    with SummaryWriter(tmp_path) as writer, pytest.raises(NotImplementedError, match="nearest is add_text of str"):
        writer.add_graph(None)
