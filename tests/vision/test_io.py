"""Pictures to bytes and back, and what is no picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import io as vision_io
from flambeau.vision.io import ImageReadMode

Image = pytest.importorskip("PIL.Image")
PICTURE = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5) * 4
COLOURS = Image.fromarray(PICTURE.permute(1, 2, 0).numpy())


def encoded(picture, kind: str, **options) -> torch.Tensor:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return torch.from_numpy(np.frombuffer(file.getvalue(), np.uint8).copy())


def test_png_and_back(tmp_path: Path) -> None:
    vision_io.write_png(PICTURE, tmp_path / "a.png", 9)
    for found in (
        vision_io.read_image(str(tmp_path / "a.png")),
        vision_io.decode_image(tmp_path / "a.png"),
        vision_io.decode_png(vision_io.read_file(tmp_path / "a.png")),
        vision_io.decode_image(vision_io.encode_png(PICTURE)),
    ):
        assert torch.equal(found, PICTURE)
    assert torch.equal(vision_io.decode_png(vision_io.encode_png(PICTURE[:1])), PICTURE[:1])


def test_jpeg_and_back(tmp_path: Path) -> None:
    plain = torch.full((3, 8, 8), 77, dtype=torch.uint8)
    vision_io.write_jpeg(plain, tmp_path / "a.jpg", 100)
    assert torch.equal(vision_io.read_image(tmp_path / "a.jpg"), plain)
    several = vision_io.decode_jpeg(vision_io.encode_jpeg([plain, plain[:1]]), "RGB")
    assert [tuple(picture.shape) for picture in several] == [(3, 8, 8), (3, 8, 8)]


@pytest.mark.parametrize(
    ("mode", "channels"), [("UNCHANGED", 3), ("gray", 1), (ImageReadMode.GRAY_ALPHA, 2), ("RGB", 3), ("RGBA", 4)]
)
def test_channels_that_are_wanted(mode, channels: int) -> None:
    found = vision_io.decode_image(encoded(COLOURS, "PNG"), mode)
    assert found.shape == (channels, 4, 5) and found.dtype == torch.uint8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_channels_as_they_are(mode: str) -> None:
    picture = COLOURS.convert(mode)
    found = vision_io.decode_image(encoded(picture, "PNG")).permute(1, 2, 0).squeeze(-1).numpy()
    assert np.array_equal(found, np.asarray(picture.convert("L") if mode == "1" else picture))  # of P: the indices


def test_pictures_of_16_bits() -> None:
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    data = encoded(Image.fromarray(values), "PNG")
    assert vision_io.decode_png(data).dtype == torch.uint16
    found = vision_io.decode_png(data, "RGBA").numpy()
    assert all(np.array_equal(plane, values) for plane in found[:3]) and (found[3] == 65535).all()


def test_other_kinds() -> None:
    assert torch.equal(vision_io.decode_webp(encoded(COLOURS, "WEBP", lossless=True)), PICTURE)
    flipped = COLOURS.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert vision_io.decode_gif(encoded(COLOURS, "GIF")).shape == (3, 4, 5)
    film = vision_io.decode_image(encoded(COLOURS, "GIF", save_all=True, append_images=[flipped]))
    assert film.shape == (2, 3, 4, 5) and torch.equal(film[1], film[0].flip(-1))
    with pytest.raises(NotImplementedError, match="pillow_heif"):
        vision_io.decode_heic(torch.zeros(1, dtype=torch.uint8))


def test_pictures_are_turned_as_the_camera_was() -> None:
    tags = Image.Exif()
    tags[0x112] = 6  # a quarter clockwise
    data = encoded(COLOURS, "PNG", exif=tags)
    assert torch.equal(vision_io.decode_png(data), PICTURE)
    assert torch.equal(vision_io.decode_png(data, apply_exif_orientation=True), PICTURE.rot90(-1, (1, 2)))


DATA = encoded(COLOURS, "PNG")


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: vision_io.decode_image(torch.arange(50, dtype=torch.uint8)), RuntimeError, "one of PNG, JPEG"),
        (lambda: vision_io.decode_jpeg(DATA), RuntimeError, "the bytes of one of JPEG"),
        (lambda: vision_io.decode_image(DATA[:45]), RuntimeError, "cannot be decoded"),
        (lambda: vision_io.decode_image(DATA.float()), RuntimeError, "got 1 dimensions of torch.float32"),
        (lambda: vision_io.decode_jpeg([]), ValueError, "at least one element"),
        (lambda: vision_io.encode_png(PICTURE.float()), RuntimeError, "should be uint8, got torch.float32"),
        (lambda: vision_io.encode_png(PICTURE[0]), RuntimeError, "3-dimensional tensor, got 2"),
        (lambda: vision_io.encode_png(PICTURE[:2]), RuntimeError, "should be 1 or 3, got: 2"),
        (lambda: vision_io.encode_png(PICTURE, 10), RuntimeError, "between 0 and 9, got 10"),
        (lambda: vision_io.encode_jpeg(PICTURE, 0), ValueError, "between 1 and 100"),
        (lambda: vision_io.encode_jpeg([]), ValueError, "at least one input tensor"),
        (lambda: vision_io.read_file("/nowhere/at/all"), RuntimeError, "/nowhere/at/all cannot be read"),
        (lambda: vision_io.write_file("/nowhere/at/all", DATA), RuntimeError, "/nowhere/at/all cannot be written"),
    ],
)
def test_refusals(make, kind, message) -> None:
    with pytest.raises(kind, match=message):
        make()
