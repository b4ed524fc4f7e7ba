"""Data sets read from files of torchvision's layout; downloads from addresses that do not exist."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import datasets
from flambeau.vision.datasets import idx, utils
from flambeau.vision.datasets.idx import write_idx
from flambeau.vision.datasets.mnist import FILES
from flambeau.vision.transforms import Compose, Normalize, ToTensor

Image = pytest.importorskip("PIL.Image")


def idx_files(folder: Path, ending: str = "") -> None:
    folder.mkdir(parents=True)
    pictures = np.arange(5 * 28 * 28, dtype=np.uint8).reshape(5, 28, 28)
    for name, array in zip(FILES, (pictures, np.arange(5), pictures[:2], np.array([7, 9])), strict=True):
        write_idx(folder / (name + ending), array)


@pytest.mark.parametrize(("kind", "ending"), [("MNIST", ""), ("MNIST", ".gz"), ("FashionMNIST", ""), ("KMNIST", "")])
def test_mnist(tmp_path: Path, kind: str, ending: str) -> None:
    idx_files(tmp_path / kind / "raw", ending)
    data = getattr(datasets, kind)(tmp_path, train=True, download=True)  # all is there: nothing to download
    assert len(data) == 5 and data.data.dtype == torch.uint8 and data.targets.tolist() == [0, 1, 2, 3, 4]
    picture, label = data[3]
    assert picture.mode == "L" and picture.size == (28, 28) and label == 3
    assert np.array_equal(np.asarray(picture), data.data[3].numpy())
    test = getattr(datasets, kind)(str(tmp_path), train=False, transform=ToTensor(), target_transform=lambda y: y - 7)
    picture, label = test[1]
    assert picture.shape == (1, 28, 28) and picture.max() <= 1 and label == 2
    assert repr(test).splitlines()[:3] == [
        f"Dataset {kind}", "    Number of datapoints: 2", f"    Root location: {tmp_path}",
    ]  # fmt: skip


def test_mnist_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"Dataset not found.*MNIST.*\n.*download=True"):
        datasets.MNIST(tmp_path)
    idx_files(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / FILES[0]).write_bytes(b"\0\0\x08\x03")
    with pytest.raises(RuntimeError, match="train-images.*not an IDX file"):
        datasets.MNIST(tmp_path)


def test_a_download_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str, timeout: float) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(utils.urllib_request, "urlopen", refuse, raising=False)
    with pytest.raises(RuntimeError) as caught:
        datasets.MNIST(tmp_path, download=True)
    assert "no network here" in str(caught.value) and "https://ossci-datasets" in str(caught.value)
    assert str(tmp_path / "MNIST" / "raw") in str(caught.value)


def test_checksums(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    address, right = source.as_uri(), "9a0364b9e99bb480dd25e1f0284c8555"
    assert utils.check_integrity(source, right) and not utils.check_integrity(source, "0" * 32)
    with pytest.raises(RuntimeError, match=f"MD5 sum is {right}, expected 0"):
        utils.fetch([address], tmp_path / "wrong", "0" * 32)
    assert not (tmp_path / "wrong").exists()
    utils.fetch(["file:///nowhere", address], tmp_path / "deep" / "copy", right)
    assert (tmp_path / "deep" / "copy").read_bytes() == b"content"


def cifar_files(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        batch = {"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8), "labels": [1, 2, 9], "filenames": ["a"] * 3}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij"), "num_vis": 3072}))
    return folder


def test_cifar10(tmp_path: Path) -> None:
    cifar_files(tmp_path)
    data = datasets.CIFAR10(tmp_path, train=True, transform=Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)]))
    assert len(data) == 15 and data.targets[:3] == [1, 2, 9] and data.classes[9] == "j" and data.class_to_idx["b"] == 1
    picture, label = data[4]
    assert label == 2
    np.testing.assert_allclose(picture.numpy(), (data.data[4].transpose(2, 0, 1) / 255 - 0.5) / 0.5, atol=1e-6)
    assert len(datasets.CIFAR10(tmp_path, train=False)) == 3


def test_cifar_files_run_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch " + str(tmp_path / "touched"),)

    (cifar_files(tmp_path) / "data_batch_2").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RuntimeError, match="data_batch_2.*attack"):
        datasets.CIFAR10(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_cifar10_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    cifar_files(tmp_path / "made")
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    archive = tmp_path / "cifar-10-python.tar.gz"
    monkeypatch.setattr(datasets.CIFAR10, "url", archive.as_uri())
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", utils.calculate_md5(archive))
    assert len(datasets.CIFAR10(tmp_path / "data", download=True)) == 15


def test_image_folder(tmp_path: Path) -> None:
    for place, name in enumerate(("dog/b.png", "dog/a.PNG", "cat/deep/c.jpg", "cat/notes.txt")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            buffer = io.BytesIO()
            Image.new("L", (4, 3), place * 50).save(buffer, "png" if path.suffix.lower() == ".png" else "jpeg")
            path.write_bytes(buffer.getvalue())
    data = datasets.ImageFolder(tmp_path, transform=ToTensor())
    assert data.classes == ["cat", "dog"] and data.targets == [0, 1, 1] and data.imgs is data.samples
    assert [Path(path).name for path, _ in data.samples] == ["c.jpg", "a.PNG", "b.png"]
    picture, label = data[1]
    assert picture.shape == (3, 3, 4) and label == 1 and picture[0, 0, 0].item() == pytest.approx(50 / 255)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no valid file for the classes empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 3
    with pytest.raises(FileNotFoundError, match="any class folder"):
        datasets.ImageFolder(tmp_path / "empty")


def test_fake_data_leaves_the_generator_alone() -> None:
    data = datasets.FakeData(4, (3, 5, 6), num_classes=3, transform=ToTensor())
    torch.manual_seed(5)
    first, label = data[1]
    drawn = torch.rand(1).item()
    torch.manual_seed(5)
    assert torch.rand(1).item() == drawn and torch.equal(data[1][0], first) and data[1][1] == label
    with pytest.raises(IndexError):
        data[4]


def test_pictures_that_promise_too_much(tmp_path: Path) -> None:
    """A part of a PNG file that says it has 2 GB, and a size that the file cannot hold, are errors of few bytes."""
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (5, 4)).save(file := io.BytesIO(), "png")
    data = file.getvalue()
    place = data.index(b"IDAT")
    parts = (data[: place - 4] + b"\x7f\xff\xff\xff" + data[place:], data[:30])
    wide = b"IHDR" + (9000).to_bytes(4, "big") * 2 + data[24:29]
    huge = data[:12] + wide + zlib.crc32(wide).to_bytes(4, "big") + data[33:]
    for number, damaged in enumerate((*parts, huge, b"", b"\x89PNG\r\n\x1a\n" + bytes(40))):
        (tmp_path / f"{number}.png").write_bytes(damaged)
        if number:
            with pytest.raises(OSError):
                datasets.folder.pil_loader(tmp_path / f"{number}.png")
    tracemalloc.start()
    try:
        datasets.folder.pil_loader(tmp_path / "0.png")
    except OSError:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def test_packed_pictures_are_unpacked_as_far_as_promised(tmp_path: Path) -> None:
    bomb = bytes([0, 0, 8, 1]) + (5).to_bytes(4, "big") + bytes(50_000_000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(bomb))
    with pytest.raises(ValueError, match="holds 14 bytes where its header"):
        idx.read_idx(tmp_path / "x.gz", 1)


def test_a_file_from_an_address_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "there" / "words.txt"
    source.parent.mkdir()
    source.write_bytes(b"words")
    archive = tmp_path / "words.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "words.txt")
    utils.download_and_extract_archive(archive.as_uri(), tmp_path / "here", tmp_path / "out", remove_finished=True)
    assert (tmp_path / "out" / "words.txt").read_bytes() == b"words" and not (tmp_path / "here" / archive.name).exists()
    utils.download_url(source.as_uri(), tmp_path / "here", "renamed", utils.calculate_md5(source))
    assert (tmp_path / "here" / "renamed").read_bytes() == b"words"
    with pytest.raises(RuntimeError, match="Google Drive(.|\n)*put it at"):
        utils.download_url("https://drive.google.com/file/d/1/view", tmp_path, "file")


def test_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as files:
        files.writestr("in/one.txt", "1")
    assert utils.extract_archive(str(tmp_path / "a.zip")) == str(tmp_path)
    assert (tmp_path / "in" / "one.txt").read_text() == "1"
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"2"))
    assert utils.extract_archive(tmp_path / "b.txt.gz") == tmp_path / "b.txt"
    assert (tmp_path / "b.txt").read_bytes() == b"2"
    with pytest.raises(RuntimeError, match="archive type: 'c.rar'(.|\n)*.zip"):
        utils.extract_archive(tmp_path / "c.rar")
    assert utils.list_dir(tmp_path) == ["in"] and utils.list_dir(tmp_path, prefix=True) == [str(tmp_path / "in")]
    assert sorted(utils.list_files(tmp_path, (".zip", ".gz"))) == ["a.zip", "b.txt.gz"]


def test_an_argument_that_is_one_of_several_words() -> None:
    assert utils.verify_str_arg("test", "split", ("train", "test")) == "test"
    with pytest.raises(ValueError, match="Unknown value 'val' for argument split. Valid values are {'train', 'test'}"):
        utils.verify_str_arg("val", "split", ("train", "test"))
    with pytest.raises(ValueError, match="Expected type str for argument split, but got type <class 'int'>"):
        utils.verify_str_arg(3, "split")
