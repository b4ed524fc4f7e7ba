"""What `load` refuses, and how it tells: attacks, damage, missing devices, wrong arguments."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, load, safe_globals, save

DATA = Path(__file__).parent / "data"


def checkpoint(pickled: bytes, **records: bytes) -> io.BytesIO:
    """A file with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", pickled)
        for name, data in records.items():
            out.writestr(f"archive/data/{name}", data)
    file.seek(0)
    return file


def dumped(value: Any, protocol: int = 2) -> io.BytesIO:
    return checkpoint(pickle.dumps(value, protocol))


# ---------------------------------------------------------------------------------------------- attacks


class Attack:
    def __init__(self, function: Any, *args: Any) -> None:
        self.made_by = function, args

    def __reduce__(self) -> Any:
        return self.made_by


class Harmless:
    """A class of the user's own."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Harmless) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def no_additions() -> Any:
    yield
    clear_safe_globals()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("weights_only", [True, False, None])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Attack(os.system, "touch hacked"), r"(posix|nt)\.system"),
        (Attack(eval, "open('hacked', 'w')"), r"builtins\.eval"),
        (Attack(getattr, "", "join"), r"builtins\.getattr"),
        (Attack(__import__, "os"), r"__import__"),
        (Harmless(3), r"test_load\.Harmless"),
        ([{"deep": print}], r"builtins\.print"),
        (io.StringIO, r"_io\.StringIO"),
    ],
)
def test_names_outside_the_list_are_refused(
    value: Any, named: str, protocol: int, weights_only: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=named):
        load(dumped(value, protocol), weights_only=weights_only)
    assert os.listdir(tmp_path) == []


def op(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        # Setting attributes of a class or function that the file may name.
        (op("collections", "Counter") + b"}X\x01\x00\x00\x00aK\x01sb.", "may not set the state of a"),
        (op("torch._utils", "_rebuild_tensor_v2") + b"}X\x01\x00\x00\x00aK\x01sb.", "may not set the state of a"),
        (op("torch", "float32") + b"}X\x08\x00\x00\x00itemsizeK\x63sb.", "may not set the state of a"),
        # Calling or making what is only allowed as a value.
        (op("torch", "float32") + b")R.", "may not call"),
        (op("torch", "Tensor") + b")R.", "may not call"),
        (op("builtins", "dict") + b")R.", "may not call"),
        (op("torch", "Tensor") + b")\x81.", "may not make an object"),
        (op("collections", "defaultdict") + op("torch.serialization", "_get_layout") + b"\x85R.", "makes no sense"),
        # Other instructions, other persistent ids, nonsense.
        (b"(cos\nsystem\nX\x02\x00\x00\x00idio.", "may not use|not among"),
        (b"K\x01Q.", "storages only"),
        (b"\x80\x02}", "no end|makes no sense"),
        (b"K\x01K\x02s.", "makes no sense|may not put"),
        (b")K\x01a.", "may not put items into a tuple"),
        (b"h\x05.", "makes no sense"),
        (b"\x94.", "makes no sense"),
        (b"X\xff\xff\xff\x7fabc.", "makes no sense"),
        (op("_codecs", "encode") + b"X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "rot13"),
        (op("torch._utils", "_rebuild_tensor_v2") + b"(K\x01K\x00)))NtR.", "expected a TypedStorage"),
    ],
)  # fmt: skip
def test_malicious_and_senseless_pickles(pickled: bytes, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=f"(?s)<BytesIO>.*({message})"):
        load(checkpoint(pickled))
    assert torch.float32.itemsize == 4


def tensor_pickle(numel: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A tensor over storage 0 of `numel` floats, with any layout."""

    class Fake(pickle._Pickler):  # type: ignore[name-defined]
        def save_global(self, obj: Any, name: str | None = None) -> None:
            self.write(op(*obj.named))

        def persistent_id(self, obj: Any) -> Any:
            return ("storage", storage_type, "0", "cpu", numel) if obj is storage else None

    storage, rebuild, storage_type = object(), lambda: None, lambda: None
    rebuild.named, storage_type.named = ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage")  # type: ignore[attr-defined]
    Fake.dispatch = {**Fake.dispatch, type(rebuild): Fake.save_global}
    stream = io.BytesIO()
    Fake(stream, 2).dump(Attack(rebuild, storage, offset, size, stride, False, None))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("numel", "offset", "size", "stride", "message"),
    [
        (4, 1, (4,), (1,), "needs a storage of 20 bytes, but has one of 16"),
        (4, 0, (2, 2), (3, 1), "needs a storage of 20 bytes"),
        (4, -1, (2,), (1,), "impossible layout"),
        (4, 0, (2,), (-1,), "impossible layout"),
        (4, 0, (2,), (1, 1), "impossible layout"),
        (4, 0, (2**62, 2**62), (2**62, 2**62), "needs a storage"),
        (5, 0, (2,), (1,), "has 16 bytes, not 20"),
        (2**59, 0, (2,), (1,), "data of storage 0 is damaged: its record data/0 has 16 bytes"),
    ],
)
def test_layouts_outside_their_storage(
    numel: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...], message: str
) -> None:
    data = struct.pack("<4f", 1, 2, 3, 4)
    assert load(checkpoint(tensor_pickle(4, 1, (2,), (2,)), **{"0": data})).tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match=message):
        load(checkpoint(tensor_pickle(numel, offset, size, stride), **{"0": data}))


# ---------------------------------------------------------------------------------------------- additions


def test_safe_globals() -> None:
    file = dumped([Harmless(3), Harmless])
    with safe_globals([Harmless]):
        assert get_safe_globals() == [Harmless]
        assert load(file) == [Harmless(3), Harmless]
    assert get_safe_globals() == []
    add_safe_globals([(Harmless, "other.Name")])
    renamed = checkpoint(op("other", "Name") + b")\x81}X\x01\x00\x00\x00xK\x05sb.")
    assert load(renamed) == Harmless(5)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Harmless"):
        load(file)
    clear_safe_globals()
    add_safe_globals([os.system])
    with pytest.raises(pickle.UnpicklingError, match="system"):
        load(dumped(Attack(os.system, "true")))


@pytest.mark.parametrize(("entry", "error"), [((Harmless,), ValueError), ((Harmless, 3), TypeError), (3, TypeError)])
def test_additions_without_a_name(entry: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        add_safe_globals([entry])


def test_whole_modules_of_the_library() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    file = io.BytesIO()
    save(model, file)
    x = torch.ones(1, 2)
    expected = model(x).tolist()
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="torch.nn.modules.container.Sequential"):
        load(file)
    file.seek(0)
    assert load(file, weights_only=False)(x).tolist() == expected


# ---------------------------------------------------------------------------------------------- damage


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt"
    save({"model": {"fc1.weight": torch.full((100,), 1.5), "fc1.bias": torch.zeros(3)}}, path)
    return path


def test_a_flipped_bit_names_file_and_tensor(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    place = data.index(struct.pack("<f", 1.5) * 100)
    data[place + 7] ^= 1
    saved.write_bytes(data)
    with pytest.raises(RuntimeError, match=r'net\.pt: the data of "model\.fc1\.weight" is damaged: its CRC-32'):
        load(saved)
    assert load(saved, mmap=True)["model"]["fc1.bias"].tolist() == [0, 0, 0]


def test_any_flipped_bit_is_told_or_does_no_harm(saved: Path) -> None:
    data = saved.read_bytes()
    told = 0
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        try:
            model = load(io.BytesIO(flipped))["model"]
        except (RuntimeError, pickle.UnpicklingError):
            told += 1
            continue
        assert (model["fc1.weight"].tolist(), model["fc1.bias"].tolist()) == ([1.5] * 100, [0, 0, 0])
    assert told > 1000


def test_damage_names_every_tensor_of_the_storage() -> None:
    weight = torch.full((20,), 1.5)
    save({"net": [weight, {"tied": weight[:3]}], "state": {0: {"m": torch.zeros(3)}}}, file := io.BytesIO())
    data = bytearray(file.getvalue())
    data[data.index(struct.pack("<f", 1.5) * 20)] ^= 1
    with pytest.raises(RuntimeError, match='the data of "net.0" and "net.1.tied" is damaged: its CRC-32 is'):
        load(io.BytesIO(data))


def test_files_without_checksums() -> None:
    """PyTorch writes them after set_crc32_options(False): each checksum is 0."""
    save({"x": torch.arange(3)}, file := io.BytesIO())
    data = bytearray(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            data[:] = data.replace(struct.pack("<I", info.CRC), bytes(4))
    assert load(io.BytesIO(data))["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_truncated_files(share: float, name: str, saved: Path) -> None:
    source = saved if name == "zip" else DATA / "pytorch-legacy.pt"
    data = source.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match=r"net\.pt"):
        load(saved)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: io.BytesIO(), EOFError, "is empty"),
        (lambda: io.BytesIO(b"garbage of no kind"), pickle.UnpicklingError, "a text that begins with 'garbage"),
        (lambda: io.BytesIO(pickle.dumps({"x": 1}, 2)), pickle.UnpicklingError, "a pickle, but no checkpoint"),
        (lambda: io.BytesIO(b"<!DOCTYPE html><html>404"), pickle.UnpicklingError, "a web page"),
        (lambda: io.BytesIO(b"version https://git-lfs.github.com/spec/v1\n"), pickle.UnpicklingError, "git lfs pull"),
        (lambda: io.BytesIO(bytes(257) + b"ustar" + bytes(300)), pickle.UnpicklingError, "tar file.*before 2017"),
        (lambda: io.BytesIO(b"\x10" + bytes(7) + b'{"x":'), pickle.UnpicklingError, "safetensors.torch.load_file"),
        (lambda: io.BytesIO(b"\x93NUMPY\x01\x00"), pickle.UnpicklingError, "load_npy"),
        (lambda: io.BytesIO(b"\x1f\x8b\x08\x00"), pickle.UnpicklingError, "gzip"),
        (lambda: "/no/such/file.pt", FileNotFoundError, "file.pt"),
        (lambda: 3, AttributeError, r"int has no read\(\)"),
        (lambda: _zip_of("readme.txt"), RuntimeError, "no checkpoint"),
        (lambda: _zip_of("m/data.pkl", "m/constants.pkl"), RuntimeError, "TorchScript"),
        (lambda: checkpoint(tensor_pickle(4, 0, (4,), (1,))), RuntimeError, "storage 0 .*is missing"),
    ],
)
def test_files_that_are_no_checkpoints(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(make())


def _zip_of(*names: str) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name in names:
            out.writestr(name, b"N.")
    file.seek(0)
    return file


def test_compressed_records_are_read(saved: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    file.seek(0)
    assert load(file)["model"]["fc1.weight"].tolist() == [1.5] * 100


# ---------------------------------------------------------------------------------------------- where to


def on_gpu() -> io.BytesIO:
    return checkpoint(tensor_pickle(4, 0, (4,), (1,)).replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"),
                      **{"0": struct.pack("<4f", 1, 2, 3, 4)})  # fmt: skip


@pytest.mark.parametrize(
    "map_location",
    ["cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage],
    ids=["string", "device", "dict", "function"],
)
def test_map_location(map_location: Any) -> None:
    assert load(on_gpu(), map_location).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("map_location", "error", "message"),
    [
        (None, RuntimeError, "deserialize object on a CUDA device"),
        ({"cuda:1": "cpu"}, RuntimeError, "map_location='cpu'"),
        (lambda storage, location: None, RuntimeError, "CUDA device"),
        ("cuda", RuntimeError, "not available"),
        (3.5, TypeError, "map_location must be"),
    ],
)
def test_devices_that_are_not_here(map_location: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(on_gpu(), map_location)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="file name"):
        load(io.BytesIO(), mmap=True)
    with pytest.raises(RuntimeError, match="pickle_module"):
        load(io.BytesIO(), pickle_module=pickle)


def test_names_that_would_be_refused() -> None:
    save({"model": torch.nn.Sequential(torch.nn.ReLU()), "x": torch.ones(1)}, file := io.BytesIO())
    expected = ["torch.nn.modules.activation.ReLU", "torch.nn.modules.container.Sequential"]
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == expected
    for protocol in (2, 4):
        harmful = dumped([Harmless(1), Attack(os.system, "true"), Harmless(2)], protocol)
        found = torch.serialization.get_unsafe_globals_in_checkpoint(harmful)
        assert set(found) == {f"{Harmless.__module__}.Harmless", f"{os.system.__module__}.system"}
    with safe_globals([Harmless]):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(dumped(Harmless(1))) == []
    with pytest.raises(ValueError, match="zip format"):
        torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(b"nothing"))


def test_the_byte_order_of_files_that_do_not_name_theirs() -> None:
    big = checkpoint(tensor_pickle(4, 0, (4,), (1,)), **{"0": struct.pack(">4f", 1, 2, 3, 4)})
    kinds = torch.serialization.LoadEndianness
    torch.serialization.set_default_load_endianness(kinds.BIG)
    try:
        assert load(big).tolist() == [1, 2, 3, 4]
    finally:
        torch.serialization.set_default_load_endianness(None)
    with pytest.raises(TypeError, match="set_default_load_endianness"):
        torch.serialization.set_default_load_endianness("big")
