"""Files of PyTorch: 2.13 wrote `data/pytorch.pt` and, in the format used before 2020, `data/pytorch-legacy.pt`."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.serialization import load, save

DATA = Path(__file__).parent / "data"
PYTORCH, LEGACY = DATA / "pytorch.pt", DATA / "pytorch-legacy.pt"
SPEC: Any = importlib.util.spec_from_file_location("make", DATA / "make.py")
SPEC.loader.exec_module(MAKE := importlib.util.module_from_spec(SPEC))
ALL_DTYPES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


def again(value: Any) -> Any:
    """Saved and loaded."""
    file = io.BytesIO()
    save(value, file)
    file.seek(0)
    return load(file)


SOURCES = {
    "pytorch": lambda: load(PYTORCH),
    "mapped": lambda: load(PYTORCH, mmap=True),
    "again": lambda: again(load(PYTORCH)),
    "legacy": lambda: load(LEGACY),
}


@pytest.fixture(params=SOURCES)
def objects(request: pytest.FixtureRequest) -> Any:
    return SOURCES[request.param]()


def test_every_dtype(objects: Any) -> None:
    expected = [name for name in ALL_DTYPES if name in objects["dtypes"]]
    assert len(expected) >= 12 and set(expected) == set(objects["dtypes"])
    for name in expected:
        t = objects["dtypes"][name]
        assert t.dtype is getattr(torch, name)
        assert t.tolist() == ([False, True, True] if name == "bool" else [0, 1, 3])


def test_views_share_their_storage(objects: Any) -> None:
    base, column = objects["base"], objects["column"]
    assert base.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (tuple(column.shape), tuple(column.stride()), column.storage_offset()) == ((3,), (4,), 1)
    base[1, 1] = 50
    assert column.tolist() == [1, 50, 9]


def test_plain_objects(objects: Any) -> None:
    expected = [1, -(2**70), 1.5, True, None, "text", b"\x00\xff", (1,), {2}, 3 + 4j, bytearray(b"xy")]
    assert objects["plain"] == expected
    assert [type(x) for x in objects["plain"]] == [type(x) for x in expected]


def test_a_trained_model_and_its_optimizer(objects: Any) -> None:
    assert type(objects["model"]) is OrderedDict
    weight, bias = objects["model"]["weight"], objects["model"]["bias"]
    assert (weight.tolist(), bias.tolist()) == ([[0.2500000298023224, -1.25]], [1.75])
    state, (group,) = objects["optimizer"]["state"], objects["optimizer"]["param_groups"]
    assert (state[1]["step"].item(), group["lr"], group["betas"], group["params"]) == (1.0, 0.25, (0.9, 0.999), [0, 1])
    assert isinstance(objects["parameter"], torch.nn.Parameter) and objects["parameter"].requires_grad
    assert objects["parameter"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("source", ["pytorch", "again"])
def test_the_rest(source: str) -> None:
    objects = SOURCES[source]()
    assert (objects["ordered"], objects["counter"]) == (OrderedDict(b=1, a=2), Counter("aab"))
    assert (type(objects["ordered"]), type(objects["counter"])) == (OrderedDict, Counter)
    assert (objects["size"], type(objects["size"]), objects["dtype"]) == ((2, 3), torch.Size, torch.bfloat16)
    assert objects["device"] == torch.device("cuda", 1)
    assert objects["leaf"].requires_grad and objects["leaf"].is_leaf and not objects["frozen"].requires_grad
    assert (objects["conj"].tolist(), objects["scalar"].item(), objects["noted"].note) == ([1 - 2j], 7.0, "hello")
    assert (tuple(objects["empty"].shape), tuple(objects["strided"].shape)) == ((0, 3), (2, 0, 3))
    assert objects["channels"].is_contiguous(memory_format=torch.channels_last)


def test_loaded_tensors_are_ordinary() -> None:
    weight = load(PYTORCH)["parameter"]
    (weight * 2).sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0]
    with torch.no_grad():
        weight -= 1
    assert weight.tolist() == [0.5, 1.5]


def test_writing_to_mapped_memory_leaves_the_file_alone() -> None:
    before = PYTORCH.read_bytes()
    load(PYTORCH, mmap=True)["base"].zero_()
    assert PYTORCH.read_bytes() == before


def test_files_in_the_other_byte_order(tmp_path: Path) -> None:
    swapped = tmp_path / "big.pt"
    save({"x": torch.arange(3.0), "z": torch.tensor([1 + 2j])}, swapped)
    swapped.write_bytes(_with_big_endian_floats(swapped.read_bytes()))
    loaded = load(swapped)
    assert (loaded["x"].tolist(), loaded["z"].tolist()) == ([0.0, 1.0, 2.0], [1 + 2j])


def _with_big_endian_floats(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "/data/" in name:
                content = b"".join(content[i : i + 4][::-1] for i in range(0, len(content), 4))
            new.writestr(name, b"big" if name.endswith("byteorder") else content)
    return out.getvalue()


@pytest.mark.parametrize("name", ["training.pt", "training-legacy.pt"])
def test_a_training_goes_on(name: str) -> None:
    """The states that PyTorch wrote of a model, optimizers and schedulers go into ours, and come out the same."""
    state = load(DATA / name)
    again = MAKE.training(torch, state)
    assert [s["last_epoch"] for s in again["schedulers"]] == [s["last_epoch"] for s in state["schedulers"]]
    for ours, theirs in zip(again["optimizers"], state["optimizers"], strict=True):
        assert [group["lr"] for group in ours["param_groups"]] == [group["lr"] for group in theirs["param_groups"]]
        for key, values in theirs["state"].items():
            for field, value in values.items():
                assert torch.equal(torch.as_tensor(ours["state"][key][field]), torch.as_tensor(value))
    for key, value in state["model"].items():
        assert torch.equal(again["model"][key], value)


@pytest.mark.parametrize("name", ["training.pt", "training-legacy.pt"])
def test_other_objects_of_pytorch(name: str) -> None:
    more = load(DATA / name)["more"]
    assert more["coo"].to_dense().tolist() == more["csr"].to_dense().tolist() == [[0, 2], [0, 0]]
    assert (more["conj"].tolist(), more["neg"].tolist()) == ([1 - 2j, 3j], [-2.0, 3.0])
    assert more["expanded"].tolist() == [[1.0] * 3] * 2 and more["expanded"].stride() == (0, 0)
    assert isinstance(more["module state"]["_metadata"], dict)


@pytest.mark.oracle
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_reads_what_we_write(legacy: bool, tmp_path: Path) -> None:
    pytorch = pytest.importorskip("torch")
    source = LEGACY if legacy else PYTORCH
    save(load(source), tmp_path / "ours.pt")
    ours = pytorch.load(tmp_path / "ours.pt", weights_only=True)
    _same(pytorch, ours, pytorch.load(source, weights_only=True))
    assert ours["base"].untyped_storage().data_ptr() == ours["column"].untyped_storage().data_ptr()


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("legacy", [False, True])
def test_sparse_tensors_both_ways(legacy: bool) -> None:
    pytorch = pytest.importorskip("torch")
    theirs = pytorch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).coalesce()
    file = io.BytesIO()
    pytorch.save([theirs, pytorch.tensor([1j]).conj()], file, _use_new_zipfile_serialization=not legacy)
    file.seek(0)
    ours, conjugate = load(file)
    assert (ours.to_dense().tolist(), ours.is_coalesced(), conjugate.tolist()) == ([[0, 0, 3], [4, 0, 0]], True, [-1j])
    save(ours, file := io.BytesIO())
    file.seek(0)
    assert pytorch.equal(pytorch.load(file, weights_only=True).to_dense(), theirs.to_dense())


@pytest.mark.oracle
@pytest.mark.parametrize("as_zip", [True, False])
def test_both_formats_both_ways(as_zip: bool) -> None:
    """Nested objects, views, parameters, states of optimizers and schedulers, written by either side."""
    pytorch = pytest.importorskip("torch")
    for objects in (MAKE.training(torch), load(PYTORCH)):
        save(objects, file := io.BytesIO(), _use_new_zipfile_serialization=as_zip)
        file.seek(0)
        theirs = pytorch.load(file, weights_only=True)
        pytorch.save(theirs, file := io.BytesIO(), _use_new_zipfile_serialization=as_zip)
        file.seek(0)
        _same(pytorch, load(file), theirs)
    theirs = MAKE.training(pytorch)
    pytorch.save(theirs, file := io.BytesIO(), _use_new_zipfile_serialization=as_zip)
    file.seek(0)
    ours = load(file)
    _same(pytorch, ours, theirs)
    ready = MAKE.training(torch, ours)
    assert ready["optimizers"][0]["param_groups"][0]["lr"] == theirs["optimizers"][0]["param_groups"][0]["lr"]


def _same(pytorch: Any, ours: Any, theirs: Any) -> None:
    """Equal in everything, where `ours` may be this library's or PyTorch's objects."""
    assert type(ours).__name__ == type(theirs).__name__
    if isinstance(theirs, pytorch.Tensor):
        facts = [
            (str(t.dtype), tuple(t.shape), tuple(t.stride()), t.storage_offset(), t.requires_grad, vars(t).keys())
            for t in (ours, theirs)
        ]
        assert facts[0] == facts[1] and ours.tolist() == theirs.tolist()
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            _same(pytorch, ours[key], value)
    elif isinstance(theirs, list):
        for mine, value in zip(ours, theirs, strict=True):
            _same(pytorch, mine, value)
    else:
        assert (ours == theirs) or repr(ours) == repr(theirs)
