"""Fuzzes the readers of files with atheris: hostile bytes must end in a documented error, soon, and in little memory.

python tools/fuzz_readers.py checkpoint --runs 1000000

The inputs to begin with are made here. An input that fails is kept in `--keep`, and named.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import resource
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ["FLAMBEAU_COMPILE"] = "never"
sys.path.insert(0, str(Path(__file__).parents[1]))
import atheris  # noqa: E402

OWN = ["flambeau.serialization", "flambeau.safetensors", "flambeau.vision.datasets"]
MODULES = [*OWN, "PIL", "json", "pickletools", "zipfile"]
with atheris.instrument_imports(include=MODULES, enable_loader_override=False):
    import pickletools  # noqa: F401

    import numpy as np
    import PIL.PngImagePlugin  # noqa: F401

    import flambeau as torch
    from flambeau import serialization
    from flambeau.safetensors import SafetensorError
    from flambeau.safetensors import torch as safetensors
    from flambeau.vision.datasets import folder, idx

MEGABYTE = 1 << 20
MEMORY = 512 * MEGABYTE  # beyond what the imports take
SECONDS = 10
LARGEST = 1 << 12  # bytes of an input
FEW = 1000  # elements that are looked at


def objects() -> Iterator[Any]:
    """What checkpoints hold."""
    weight = torch.arange(6.0).view(2, 3)
    yield {"model": {"weight": weight, "column": weight[:, 1]}, "epoch": 3, "lr": 0.1, "name": "net"}
    yield [torch.nn.Parameter(torch.ones(2)), torch.Size([1, 2]), torch.float16, torch.device("cpu"), {1, 2}, b"bytes"]
    yield torch.tensor([1, 2], dtype=torch.uint16), torch.ones(2, dtype=torch.bfloat16), torch.tensor([1j])
    yield torch.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2))
    yield weight.to_sparse_csr()
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    yield optimizer.state_dict()


def saved(value: Any, as_zip: bool, protocol: int = 2) -> bytes:
    """The bytes of a checkpoint."""
    serialization.save(value, file := io.BytesIO(), None, protocol, as_zip)
    return file.getvalue()


def pickle_of(checkpoint: bytes) -> bytes:
    """The pickle in a checkpoint."""
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        return archive.read("archive/data.pkl")


def around() -> Callable[[bytes], bytes]:
    """What makes a sound checkpoint around any pickle: mutated bytes would else rarely get beyond the checksums.

    The pickle is one more record of a checkpoint made once, under the name of the first, which it hides.
    """
    serialization.archive.write(file := io.BytesIO(), b"N.", [bytes(16)] * 4)
    whole = file.getvalue()
    *_, count, length, place, _ = struct.unpack("<4s4H2IH", whole[-22:])
    before, directory, name = whole[:place], whole[place : place + length], b"archive/data.pkl"

    def checkpoint_of(pickled: bytes) -> bytes:
        size = len(pickled)
        fields = struct.pack("<5H3I2H", 20, 0, 0, 0, 33, zlib.crc32(pickled), size, size, len(name), 0)
        entry = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, place) + name
        record = b"PK\3\4" + fields + name + pickled
        end = struct.pack("<4H2IH", 0, 0, count + 1, count + 1, length + len(entry), place + len(record), 0)
        return before + record + directory + entry + b"PK\5\6" + end

    return checkpoint_of


checkpoint_of = around()


def load_checkpoint(data: bytes) -> None:
    """A file, or a pickle to stand in one, read by default and with all that can be allowed."""
    load(data if data.startswith(b"PK") else checkpoint_of(data))


def load(data: bytes) -> None:
    """Read a checkpoint, and look at its tensors."""
    weights_only = len(data) % 2 == 0
    look(serialization.load(io.BytesIO(data), weights_only=weights_only))


def look(value: Any, depth: int = 0) -> None:
    """Look at the tensors of a few levels."""
    if isinstance(value, torch.Tensor) and value.layout is torch.strided and value.numel() < FEW:
        value.tolist()
    elif isinstance(value, dict | list | tuple) and depth < 4:
        for item in list(value.values() if isinstance(value, dict) else value)[:20]:
            look(item, depth + 1)


def on_disk(read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    """A reader of bytes from a reader of paths."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)) / "input"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return run


def numpy_files() -> Iterator[bytes]:
    """Arrays of several dtypes and orders, and a zip file of them."""
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 2), ">i4")), np.array("text")):
        np.save(file := io.BytesIO(), array)
        yield file.getvalue()
    np.savez(file := io.BytesIO(), a=np.arange(3), b=np.ones(2))
    yield file.getvalue()


def load_numpy(data: bytes) -> None:
    """An array, or a zip file of arrays."""
    if data.startswith(b"PK"):
        serialization.load_npz(io.BytesIO(data))
    else:
        serialization.load_npy(io.BytesIO(data))


def idx_files() -> Iterator[bytes]:
    """Labels and pictures, plain and compressed."""
    folder_ = Path(tempfile.mkdtemp())
    for shape in ((5,), (2, 3, 3)):
        for name in ("plain", "packed.gz"):
            idx.write_idx(folder_ / name, np.ones(shape, np.uint8))
            yield (folder_ / name).read_bytes()


def pictures() -> Iterator[bytes]:
    """Small PNG pictures in several modes."""
    from PIL import Image

    for mode in ("L", "RGB", "RGBA", "P", "1"):
        Image.new(mode, (5, 4)).save(file := io.BytesIO(), "png")
        yield file.getvalue()


class Target(NamedTuple):
    """A reader, inputs to begin with, and the errors that it documents."""

    read: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    errors: tuple[type[Exception], ...]


LOAD_ERRORS = (RuntimeError, pickle.UnpicklingError, EOFError)
TARGETS = {
    "checkpoint": Target(
        load_checkpoint,
        lambda: (form(saved(o, True, p)) for o in objects() for p in (2, 4) for form in (bytes, pickle_of)),
        LOAD_ERRORS,
    ),
    "legacy": Target(load, lambda: (saved(o, False) for o in objects()), LOAD_ERRORS),
    "safetensors": Target(
        lambda data: look(safetensors.load(data)),
        lambda: iter([safetensors.save({"a": torch.ones(2, 3), "b": torch.ones(0, dtype=torch.bfloat16)}, {"k": "v"})]),
        (SafetensorError,),
    ),
    "numpy": Target(load_numpy, numpy_files, (ValueError,)),
    "idx": Target(on_disk(lambda path: [idx.read_idx(path, 1 + path.stat().st_size % 3)]), idx_files, (ValueError,)),
    "png": Target(on_disk(lambda path: folder.pil_loader(str(path))), pictures, (OSError,)),
}  # fmt: skip


def main() -> None:
    """Run one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    target = TARGETS[options.target]
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(seed)
        target_once(target, seed, corpus / "failure")

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
    arguments = [
        sys.argv[0], str(corpus), f"-runs={options.runs}", f"-timeout={SECONDS}", f"-max_len={LARGEST}",
        f"-rss_limit_mb={2 * MEMORY // MEGABYTE}", f"-artifact_prefix={options.keep}{os.sep}{options.target}-",
        "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    atheris.Setup(arguments, lambda data: target_once(target, data, options.keep / f"{options.target}-failure"))
    atheris.Fuzz()


def target_once(target: Target, data: bytes, failure: Path) -> None:
    """One execution; anything but a documented error goes up, and its input into the file `failure`."""
    try:
        target.read(data)
    except target.errors:
        pass
    except BaseException:
        failure.write_bytes(data)
        print("the input is in", failure, file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
