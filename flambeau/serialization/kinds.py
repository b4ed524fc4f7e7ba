"""Files that are handed to `load` and are no checkpoints: what they are, told by how they begin."""

from __future__ import annotations

HEAD_BYTES = 512
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of the magic number, after the two bytes of its protocol
SAFETENSORS_HEADER_MOST = 100_000_000  # bytes, by the format
_SAVE_AGAIN = "load it with the program that wrote it, and save it again by torch.save"

# (where it stands, the bytes there, what the file is, what to do)
SIGNS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a pointer of Git LFS: the file itself is not here", "run `git lfs pull`"),
    (257, b"ustar", "a tar file: the format of PyTorch before 2017 is not read", _SAVE_AGAIN),
    (0, b"\x93NUMPY", "an array of NumPy", "read it with flambeau.serialization.load_npy"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes them", _SAVE_AGAIN),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it first, with gunzip or Python's gzip.open"),
    (0, b"GGUF", "a GGUF file", _SAVE_AGAIN),
    (0, b"\x89PNG", "a PNG picture", "open it with PIL.Image.open"),
    (0, b"%PDF", "a PDF document", "look at the path"),
)


def other_kind(head: bytes) -> tuple[str, str] | None:
    """What a file that begins with `head` is, and what to do, if that is known and is no checkpoint."""
    for place, sign, what, hint in SIGNS:
        if head.startswith(sign, place):
            return what, hint
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, perhaps the answer of a server to a download", "download the file itself"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= SAFETENSORS_HEADER_MOST:
        return "a safetensors file", "read it with flambeau.safetensors.torch.load_file"
    if len(head) > 2 and head[0] == 0x80 and head[1] < 6 and not LEGACY.startswith(head[2 : 2 + len(LEGACY)]):
        return "a pickle, but no checkpoint", "write it with torch.save(...), not with pickle.dump"
    if len(head) > 8 and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head[:64]):
        return f"a text that begins with {head[:40].decode('ascii')!r}", "look at the path"
    return None
