"""Files in the safetensors format: both ways, single tensors, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.safetensors import SafetensorError, safe_open
from flambeau.safetensors.torch import load, load_file, load_model, save, save_file, save_model

ROOT = Path(torch.__file__).parents[1]
DTYPES = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64".split()


def tensors() -> dict[str, torch.Tensor]:
    made = {name: torch.tensor([0, 1, 1]).to(getattr(torch, name)) for name in DTYPES}
    return {**made, "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5), "matrix": torch.arange(6.0).view(2, 3)}


def packed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_all_dtypes_come_back(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_file(tensors(), path, metadata={"format": "pt"})
    loaded = load_file(path)
    assert loaded.keys() == tensors().keys()
    for name, t in tensors().items():
        assert (loaded[name].dtype, loaded[name].shape, loaded[name].tolist()) == (t.dtype, t.shape, t.tolist())
    assert load(path.read_bytes())["bfloat16"].tolist() == [0, 1, 1]
    loaded["matrix"].zero_()
    assert load_file(path)["matrix"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_bytes() -> None:
    expected = packed(b'{"x":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}}  ', b"\x01\0\x02\0")
    assert save({"x": torch.tensor([1, 2], dtype=torch.int16)}) == expected


def test_a_file_opened(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "x", metadata={"k": "v"})
    with safe_open(tmp_path / "x", framework="pt", device="cpu") as file:
        assert (file.metadata(), file.keys()) == ({"k": "v"}, sorted(tensors()))
        part = file.get_slice("matrix")
        assert (part.get_shape(), part.get_dtype(), part[:, 1:].tolist()) == ([2, 3], "F32", [[1, 2], [4, 5]])
        with pytest.raises(SafetensorError, match="does not contain tensor absent"):
            file.get_tensor("absent")
    with safe_open(tmp_path / "x", framework="np") as file:
        assert file.get_tensor("int32").sum() == 2


def test_tied_weights_of_a_module(tmp_path: Path) -> None:
    def tied() -> Any:
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    first, second = tied(), tied()
    with pytest.raises(RuntimeError, match="share memory.*`0.weight` and `1.weight`"):
        save_file(first.state_dict(), tmp_path / "x")
    save_model(first, tmp_path / "x")
    assert load_model(second, tmp_path / "x") == (set(), [])
    assert second(torch.ones(1, 2)).tolist() == first(torch.ones(1, 2)).tolist()
    with pytest.raises(RuntimeError, match='Missing key.*"2.weight"'):
        load_model(torch.nn.Sequential(*tied(), torch.nn.Linear(1, 1)), tmp_path / "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "HeaderTooSmall"),
        (b"\xff" * 9, "HeaderTooLarge"),
        (packed({"x": entry()}, bytes(8))[:30], "InvalidHeaderLength"),
        (packed(b"[1]"), "InvalidHeaderStart"),
        (packed(b"{nonsense"), "InvalidHeaderDeserialization"),
        (packed(b'{"x":' * 50_000), "InvalidHeaderDeserialization"),
        (packed(b'{"x":1,"x":2}'), "stands there twice"),
        (packed({"x": entry()}, bytes(7)), "MetadataIncompleteBuffer"),
        (packed({"x": entry()}, bytes(9)), "MetadataIncompleteBuffer"),
        (packed({"x": entry(offsets=(4, 12))}, bytes(12)), "InvalidOffset"),
        (packed({"x": entry(), "y": entry(offsets=(4, 12))}, bytes(12)), "InvalidOffset"),
        (packed({"x": entry(shape=(3,))}, bytes(8)), "TensorInvalidInfo"),
        (packed({"x": entry(shape=(2**62, 2**62))}, bytes(8)), "TensorInvalidInfo"),
        (packed({"x": entry(shape=(-2,))}, bytes(8)), "no such numbers"),
        (packed({"x": entry(shape=(True, 2))}, bytes(8)), "no such numbers"),
        (packed({"x": entry(shape=[1] * 70)}, bytes(4)), "dimensions"),
        (packed({"x": entry("F6_E2M3", (8,))}, bytes(8)), "dtype F6_E2M3; read are U64"),
        (packed({"x": [1]}), "not dtype, shape and data_offsets"),
        (packed({"__metadata__": {"k": 1}}), "metadata"),
    ],
)
def test_damaged_files(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(data)
    with pytest.raises(SafetensorError, match=rf"bad\.safetensors: .*{message}"):
        load_file(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": torch.ones(2, 2).t()}, "non contiguous tensor: `x`"),
        ({"x": torch.ones(2, dtype=torch.complex128)}, "complex128"),
        ({"x": torch.ones(2, 2).to_sparse()}, "dense"),
        ({"x": 3}, "int"),
        ({3: torch.ones(2)}, "name 3"),
        ([], "list"),
    ],
)
def test_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        save_file(value, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_parts_of_one_storage_that_do_not_overlap() -> None:
    both = torch.arange(4.0)
    assert load(save({"a": both[:2], "b": both[2:]}))["b"].tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="share memory"):
        save({"a": both[:3], "b": both[2:]})


def test_the_library_under_flambeau_run(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import torch, safetensors\n"
        "from safetensors import safe_open\n"
        "from safetensors.torch import load_file, save_file\n"
        "save_file({'x': torch.ones(2)}, 'x.safetensors')\n"
        "print(load_file('x.safetensors')['x'].tolist(), type(load_file('x.safetensors')['x']) is torch.Tensor)\n"
    )
    command = [sys.executable, "-m", "flambeau", "run", "program.py"]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("[1.0, 1.0] True\n", 0), done.stderr


@pytest.mark.oracle
def test_the_library_itself(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    pytorch = pytest.importorskip("torch")
    save_file(tensors(), tmp_path / "ours", {"k": "v"})
    theirs = library.load_file(tmp_path / "ours")
    for name, t in tensors().items():
        assert (str(theirs[name].dtype), theirs[name].tolist()) == (str(t.dtype), t.tolist())
    assert library.save(theirs, {"k": "v"}) == (tmp_path / "ours").read_bytes()
    library.save_file({"x": pytorch.arange(3).to(pytorch.bfloat16)}, tmp_path / "theirs")
    assert load_file(tmp_path / "theirs")["x"].tolist() == [0, 1, 2]
