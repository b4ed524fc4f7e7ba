"""What `save` writes, and how: atomically, reproducibly, sharing kept."""

from __future__ import annotations

import io
import os
import pickle
import random
import subprocess
import sys
import textwrap
import time
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.serialization import archive, load, memory, save

ROOT = Path(torch.__file__).parents[1]


def again(value: Any, **kwargs: Any) -> Any:
    file = io.BytesIO()
    save(value, file, **kwargs)
    file.seek(0)
    return load(file)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_nested_objects_come_back(protocol: int) -> None:
    shared = [1, "two"]
    value = {
        "shared": (shared, shared), 3: {"deep": [[], {}, set(), frozenset({1})]}, (1, 2): range(3), "s": slice(1, None),
        "default": defaultdict(list, a=[1]), "long": "é" * 300, "bytes": bytes(range(256)), "float": float("-inf"),
    }  # fmt: skip
    loaded = again(value, pickle_protocol=protocol)
    assert loaded == value
    assert loaded["shared"][0] is loaded["shared"][1]
    assert loaded["default"]["new"] == []


def test_the_older_format() -> None:
    base = torch.arange(12.0).view(3, 4)
    value = [base, base[:, 1], torch.tensor([1.5], dtype=torch.bfloat16), torch.tensor([7], dtype=torch.uint16)]
    first, column, half, unsigned = again(value * 3, _use_new_zipfile_serialization=False)[:4]
    first[1, 1] = 50
    assert (column.tolist(), half.tolist(), half.dtype) == ([1, 50, 9], [1.5], torch.bfloat16)
    assert (unsigned.tolist(), unsigned.dtype) == ([7], torch.uint16)


def test_tensors_of_one_storage_are_written_once() -> None:
    big = torch.zeros(1000)
    file = io.BytesIO()
    save([big, big[10:20], big.view(10, 100).t(), big[:4].view(torch.int32)], file)
    assert len(file.getvalue()) < 6000
    file.seek(0)
    whole, part, transposed, bits = load(file)
    whole[10] = 1.0
    whole[0] = 1.0
    assert (part[0].item(), transposed[10, 0].item(), bits[0].item()) == (1.0, 1.0, 0x3F800000)
    assert tuple(transposed.stride()) == (1, 100)


def test_parameters_keep_identity_and_attributes() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.tag = "t"
    first, second = again([weight, weight])
    assert first is second and type(first) is torch.nn.Parameter and first.tag == "t" and first.requires_grad


def test_sparse_tensors() -> None:
    sparse = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 0]], [3.0, 4.0, 5.0], (2, 3))
    for original, loaded in zip([sparse, sparse.coalesce()], again([sparse, sparse.coalesce()]), strict=True):
        assert loaded.is_coalesced() == original.is_coalesced()
        assert loaded._indices().tolist() == original._indices().tolist()
        assert loaded.to_dense().tolist() == [[0, 0, 3], [9, 0, 0]]


def test_the_same_objects_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        save({"x": torch.arange(5), "n": 1}, tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize("zip64_from", [archive.ZIP64_FROM, 1])
def test_records_are_aligned_and_sound(zip64_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ZIP64_FROM", zip64_from)
    file = io.BytesIO()
    save([torch.arange(n) for n in range(5)], file)
    data = file.getvalue()
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        assert opened.read("archive/byteorder").decode() == sys.byteorder
        for info in opened.infolist():
            _, name, extra = archive.LOCAL_HEADER.unpack_from(data, info.header_offset)
            assert (info.header_offset + archive.LOCAL_HEADER.size + name + extra) % 64 == 0
    file.seek(0)
    assert [t.tolist() for t in load(file)] == [list(range(n)) for n in range(5)]


class OnlyWrites:
    """A stream that can neither seek nor tell."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)

    def flush(self) -> None:
        pass


def test_streams() -> None:
    stream = OnlyWrites()
    save({"x": torch.arange(3)}, stream)
    assert load(io.BytesIO(stream.data))["x"].tolist() == [0, 1, 2]


# ---------------------------------------------------------------------------------------------- atomicity


def test_a_failing_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save(1, path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save(lambda: None, path)

    def broken(storage: Any) -> Any:
        raise OSError("no space left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flambeau.serialization.saving.bytes_of", broken)
        with pytest.raises(OSError, match="no space"):
            save(torch.ones(3), path)
    assert load(path) == 1
    assert os.listdir(tmp_path) == ["model.pt"]


def test_links_and_permissions_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "target.pt", tmp_path / "link.pt"
    save(1, target)
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()
    target.chmod(0o600)
    link.symlink_to(target)
    save(2, str(link))
    assert (load(target), link.is_symlink(), target.stat().st_mode & 0o777) == (2, True, 0o600)


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def test_names_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 252 + ".pt")
    save(1, path)
    assert load(path) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the system's owner may write everywhere")
def test_a_file_that_may_not_be_written_to(tmp_path: Path) -> None:
    save(1, tmp_path / "model.pt")
    (tmp_path / "model.pt").chmod(0o444)
    with pytest.raises(PermissionError):
        save(2, tmp_path / "model.pt")


KILLED = """
    import sys
    import flambeau as torch
    from flambeau.serialization import save
    print("ready", flush=True)
    while True:
        save({"x": torch.zeros(300_000)}, sys.argv[1])
        save({"x": torch.ones(10)}, sys.argv[1])
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_leaves_the_old_or_the_new_file(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save({"x": torch.ones(10)}, path)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), path], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0, 0.1))
        assert load(path)["x"].numel() in (10, 300_000)
    finally:
        process.kill()
        process.communicate()
    assert load(path)["x"].numel() in (10, 300_000)


@pytest.mark.parametrize(
    ("f", "kwargs", "error", "message"),
    [
        (3, {}, AttributeError, "expected 'f' to be string, path, or a file-like object"),
        ("/no/such/folder/model.pt", {}, RuntimeError, "Parent directory /no/such/folder does not exist"),
        (io.BytesIO(), {"pickle_module": pickle}, ValueError, "pickle_module"),
    ],
)
def test_refused(f: Any, kwargs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        save(1, f, **kwargs)


def test_storages_over_foreign_memory_are_not_shared() -> None:
    t = torch.arange(3.0)
    loaded = again(t)
    t[0] = 9
    assert loaded.tolist() == [0, 1, 2]
    assert memory.bytes_of(loaded._storage).nbytes == 12
