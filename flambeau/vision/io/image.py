"""Pictures in files and in bytes, as tensors of bytes (channels, height, width); Pillow's extra is `vision`."""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.vision.io._decoding import decoded
from flambeau.vision.transforms._pictures import pillow
from flambeau.vision.transforms.functional import pil_to_tensor, to_pil_image

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

Tensor = torch.Tensor


class ImageReadMode(Enum):
    """The channels that a picture is given: those it has (UNCHANGED), or gray, or red, green and blue, with or without
    alpha."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


PILLOW_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}
AS_THEY_ARE = ("L", "LA", "P", "RGB", "RGBA", "CMYK")  # Pillow's modes whose numbers are shown; P: of colours

# --------------------------------------------------------------------------------------------------- bytes, files


def read_file(path: str | Path) -> Tensor:
    """The bytes of a file, (length,) of uint8. RuntimeError if it cannot be read.

    Example::

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "three"
        >>> write_file(path, torch.tensor([1, 2, 3], dtype=torch.uint8))
        >>> read_file(path)
        tensor([1, 2, 3], dtype=torch.uint8)
    """
    try:
        return _from_bytes(Path(path).read_bytes())
    except OSError as error:
        raise RuntimeError(f"{path} cannot be read: {error}") from error


def write_file(filename: str | Path, data: Tensor) -> None:
    """Write bytes, (length,) of uint8, as a file. RuntimeError for another dtype or number of dimensions, or if the
    file cannot be written."""
    content = _to_bytes(data)
    try:
        Path(filename).write_bytes(content)
    except OSError as error:
        raise RuntimeError(f"{filename} cannot be written: {error}") from error


def _from_bytes(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def _to_bytes(data: Tensor) -> bytes:
    if data.dtype != torch.uint8 or data.dim() != 1:
        dims = f"{data.dim()} dimensions"
        raise RuntimeError(f"Expected a non empty 1-dimensional tensor of torch.uint8, got {dims} of {data.dtype}")
    return data.numpy().tobytes()


# ------------------------------------------------------------------------------------------------------- decoding


def decode_image(
    input: Tensor | str | Path, mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:  # fmt: skip
    """The picture in a file, or in its bytes (length,) of uint8: (channels, height, width) of uint8, or of uint16 for a
    gray PNG of 16 bits; a GIF of several pictures gives (N, 3, height, width).

    `mode` says which channels are wanted, as a member of `ImageReadMode` or by its name. `apply_exif_orientation` turns
    the picture as the camera was held.

    Raises:
        RuntimeError: for what is no picture, is damaged or cannot be read.

    Example::

        >>> decode_image(encode_png(torch.zeros(3, 4, 5, dtype=torch.uint8)), "GRAY").shape
        torch.Size([1, 4, 5])
    """
    data = input if isinstance(input, Tensor) else read_file(input)
    return _decode(data, mode, apply_exif_orientation, ("PNG", "JPEG", "GIF", "WEBP"))


def read_image(
    path: str | Path, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """`decode_image` of a file."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_png(
    input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """`decode_image` of the bytes of a PNG file, and of no other."""
    return _decode(input, mode, apply_exif_orientation, ("PNG",))


def decode_jpeg(
    input: Tensor | list[Tensor], mode: ImageReadMode | str = ImageReadMode.UNCHANGED, device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Tensor | list[Tensor]:  # fmt: skip
    """`decode_image` of the bytes of a JPEG file, and of no other; of a list, a list. `device` is the CPU."""
    if torch.device(device).type != "cpu":
        raise RuntimeError(explain(f"decode_jpeg decodes on the CPU, not on {device}", hint='device="cpu"'))
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        return [_decode(data, mode, apply_exif_orientation, ("JPEG",)) for data in input]
    return _decode(input, mode, apply_exif_orientation, ("JPEG",))


def decode_gif(input: Tensor) -> Tensor:
    """The bytes of a GIF file as (3, height, width), or (N, 3, height, width) if it has several pictures."""
    return _decode(input, ImageReadMode.RGB, False, ("GIF",))


def decode_webp(input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """`decode_image` of the bytes of a WebP file, and of no other."""
    return _decode(input, mode, False, ("WEBP",))


def decode_avif(input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """`decode_image` of the bytes of an AVIF file, which Pillow reads since its version 11.3."""
    return _decode(input, mode, False, ("AVIF",))


def decode_heic(input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """NotImplementedError: Pillow does not read HEIC."""
    hint = "pillow_heif.open_heif(path).to_pillow(), and torchvision.transforms.functional.pil_to_tensor"
    raise NotImplementedError(explain("decode_heic: Pillow, which decodes here, does not read HEIC", hint=hint))


def _decode(input: Tensor, mode: ImageReadMode | str, turn: bool, formats: tuple[str, ...]) -> Tensor:
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    try:
        return decoded(_to_bytes(input), "input", lambda picture: _tensor(picture, wanted, turn), formats)
    except pillow("Image").UnidentifiedImageError as error:
        raise RuntimeError(f"Unsupported image file: expected the bytes of one of {', '.join(formats)}") from error
    except OSError as error:
        raise RuntimeError(f"the picture cannot be decoded: {error}") from error


def _tensor(picture: Any, wanted: ImageReadMode, turn: bool) -> Tensor:
    """The picture, or all pictures of an animated GIF."""
    if picture.format != "GIF":
        picture = pillow("ImageOps").exif_transpose(picture) if turn else picture
        if picture.mode == "I;16":
            return _of_16_bits(picture, wanted)
        return pil_to_tensor(_with_channels(picture, wanted))
    frames = []
    for number in range(picture.n_frames):
        picture.seek(number)
        frames.append(pil_to_tensor(picture.convert("RGB")))
    return frames[0] if len(frames) == 1 else torch.stack(frames)


def _of_16_bits(picture: Any, wanted: ImageReadMode) -> Tensor:
    """A gray picture of 16 bits, which Pillow would convert by way of 8."""
    gray = np.array(picture)[None]
    colours = 3 if wanted in (ImageReadMode.RGB, ImageReadMode.RGB_ALPHA) else 1
    alphas = 1 if wanted in (ImageReadMode.GRAY_ALPHA, ImageReadMode.RGB_ALPHA) else 0
    return torch.from_numpy(np.concatenate([gray] * colours + [np.full_like(gray, 65535)] * alphas))


def _with_channels(picture: Any, wanted: ImageReadMode) -> Any:
    if wanted is not ImageReadMode.UNCHANGED:
        return picture.convert(PILLOW_MODES[wanted])
    if picture.mode in AS_THEY_ARE:
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGBA" if "transparency" in picture.info else "RGB")


# ------------------------------------------------------------------------------------------------------- encoding


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file, (length,) of uint8, with the picture (1 or 3, height, width) of uint8.

    Raises:
        RuntimeError: for another shape or dtype, or a level that is not within 0 and 9.

    Example::

        >>> bytes(encode_png(torch.zeros(1, 2, 2, dtype=torch.uint8))[1:4].tolist())
        b'PNG'
    """
    if not 0 <= compression_level <= 9:
        raise RuntimeError(f"Compression level should be between 0 and 9, got {compression_level}")
    return _encoded(input, "PNG", compress_level=compression_level)


def write_png(input: Tensor, filename: str | Path, compression_level: int = 6) -> None:
    """`encode_png`, into a file."""
    write_file(filename, encode_png(input, compression_level))


def encode_jpeg(input: Tensor | list[Tensor], quality: int = 75) -> Tensor | list[Tensor]:
    """The bytes of a JPEG file, (length,) of uint8, with the picture (1 or 3, height, width) of uint8; of a list, a
    list.

    Raises:
        ValueError: for a quality that is not within 1 and 100, or an empty list.
        RuntimeError: for another shape or dtype.

    Example::

        >>> decode_jpeg(encode_jpeg(torch.full((3, 8, 8), 7, dtype=torch.uint8))).unique()
        tensor([7], dtype=torch.uint8)
    """
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [_encoded(picture, "JPEG", quality=quality) for picture in input]
    return _encoded(input, "JPEG", quality=quality)


def write_jpeg(input: Tensor, filename: str | Path, quality: int = 75) -> None:
    """`encode_jpeg`, into a file."""
    data = encode_jpeg(input, quality)
    assert isinstance(data, Tensor)
    write_file(filename, data)


def _encoded(picture: Tensor, kind: str, **options: Any) -> Tensor:
    if picture.dtype != torch.uint8:
        raise RuntimeError(explain(f"Input tensor dtype should be uint8, got {picture.dtype}", hint=".to(torch.uint8)"))
    if picture.dim() != 3:
        raise RuntimeError(f"Input data should be a 3-dimensional tensor, got {picture.dim()} dimensions")
    if picture.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {picture.shape[0]}")
    file = io.BytesIO()
    to_pil_image(picture).save(file, kind, **options)
    return _from_bytes(file.getvalue())
