"""NumPy's files, read without pickle and written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.serialization import load, load_npy, load_npz, save_npy, save_npz


def npy(array: Any, **kwargs: Any) -> io.BytesIO:
    np.save(file := io.BytesIO(), array, **kwargs)
    file.seek(0)
    return file


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", ">i4", "<i8", "<u2", ">f2", "<f4", ">f8", "<c8", "<c16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays(dtype: str, order: Any) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype, order=order)
    loaded = load_npy(npy(array))
    assert (loaded.tolist(), str(loaded.numpy().dtype)) == (array.tolist(), str(array.dtype.newbyteorder("=")))


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 1)])
def test_both_ways(shape: tuple[int, ...], tmp_path: Path) -> None:
    t = torch.ones(shape)
    save_npy(tmp_path / "x.npy", t)
    assert np.load(tmp_path / "x.npy").shape == shape and load_npy(tmp_path / "x.npy").tolist() == t.tolist()
    save_npz(tmp_path / "x.npz", {"file": t, "b": torch.arange(3)})
    with np.load(tmp_path / "x.npz") as theirs:
        assert sorted(theirs) == ["b", "file"] and theirs["b"].tolist() == [0, 1, 2]
    assert load_npz(tmp_path / "x.npz")["b"].tolist() == [0, 1, 2]


def test_compressed_archives() -> None:
    np.savez_compressed(file := io.BytesIO(), a=np.arange(100))
    assert load_npz(file)["a"].tolist() == list(range(100))


def test_what_is_loaded_can_be_written_to() -> None:
    loaded = load_npy(npy(np.zeros(3)))
    loaded += 1
    assert loaded.tolist() == [1, 1, 1]


def header(text: str, data: bytes = b"") -> io.BytesIO:
    return io.BytesIO(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (lambda: npy(np.array([print]), allow_pickle=True), "objects are never read"),
        (lambda: npy(np.array(["text"])), "none that a tensor can have"),
        (lambda: npy(np.zeros(2, [("a", "i4")])), "none that a tensor can have"),
        (lambda: io.BytesIO(npy(np.zeros(3)).getvalue()[:-1]), "23 bytes of data, its shape needs 24"),
        (lambda: io.BytesIO(npy(np.zeros(3)).getvalue()[:20]), "cut short"),
        (lambda: io.BytesIO(b""), "not a file of NumPy"),
        (lambda: io.BytesIO(b"\x93NUMPY\x09\x00"), "version"),
        (lambda: header("{'descr':'<f8','fortran_order':False,'shape':(2**40,)}"), "header that is not read"),
        (lambda: header("{'descr':'<f8','fortran_order':False,'shape':(99999999999,)}"), "its shape needs"),
        (lambda: header("{'descr':'<f8','fortran_order':False,'shape':(-1,)}"), "something else than sizes"),
        (lambda: header("(" * 5000), "header that is not read"),
    ],
)
def test_refused(file: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_npy(file())


def test_a_flipped_bit_in_an_archive() -> None:
    save_npz(file := io.BytesIO(), {"a": torch.full((50,), 1.5)})
    data = bytearray(file.getvalue())
    data[300] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        load_npz(io.BytesIO(data))
    file.seek(0)
    with pytest.raises(RuntimeError, match="load_npz"):
        load(file)


def test_bfloat16_is_refused() -> None:
    with pytest.raises(TypeError, match="no bfloat16"):
        save_npy(io.BytesIO(), torch.ones(1, dtype=torch.bfloat16))
