"""Files of data sets as `torchvision.datasets` finds them on the disk, with drawn pictures in them."""

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def digits(n, seed):
    """Strokes on 28 x 28 pixels, the strokes depending on the digit, and a little noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n).astype(np.uint8)
    pictures = rng.integers(0, 40, (n, 28, 28))
    for picture, label in zip(pictures, labels):
        dy, dx = rng.integers(-2, 3, 2)
        for stroke in range(4):
            bits = (int(label) * 7 + 3) >> stroke
            place = 5 + 5 * stroke
            if bits & 1:
                picture[place + dy : place + dy + 3, 5 + dx : 22 + dx] = 220
            else:
                picture[5 + dy : 22 + dy, place + dx : place + dx + 2] = 180
    return pictures.astype(np.uint8), labels


def write_idx_files(folder, train=1024, test=256):
    """The four IDX files, gzipped and plain, as a download leaves them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (*digits(train, 0), *digits(test, 1))
    for name, array in zip(NAMES, arrays):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        data = head + array.tobytes()
        (folder / name).write_bytes(data)
        (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
