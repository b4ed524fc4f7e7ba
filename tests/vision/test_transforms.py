"""What transforms refuse, and what they do to whole samples. That they do what torchvision's do is checked by
`tests/programs/torchvision_transforms.py`."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import transforms as T
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms import v2
from flambeau.vision.utils import make_grid, save_image

Image = pytest.importorskip("PIL.Image")
PICTURE = torch.arange(48.0).reshape(3, 4, 4) / 48


@pytest.mark.parametrize(
    ("make", "picture", "kind", "message"),
    [
        (lambda: T.ToTensor(), PICTURE, TypeError, "PIL Image or ndarray"),
        (lambda: T.Normalize((0.5,), (0.5,)), PICTURE.to(torch.uint8), TypeError, "ToTensor"),
        (lambda: T.Normalize((0.5,), (0.0,)), PICTURE, ValueError, "division by zero"),
        (lambda: T.RandomCrop(5), PICTURE, ValueError, "larger than input image size"),
        (lambda: v2.RandomCrop(5), PICTURE, ValueError, "larger than padded input image size"),
        (lambda: T.CenterCrop(2), "picture", TypeError, "found no PIL image or tensor in str"),
        (lambda: T.FiveCrop(5), PICTURE, ValueError, "bigger than input size"),
        (lambda: T.Pad(1, padding_mode="mirror"), PICTURE, ValueError, "constant, edge, reflect or symmetric"),
        (lambda: T.Pad((1, 2, 3)), PICTURE, ValueError, "not a 3 element tuple"),
        (lambda: T.Resize(8, T.InterpolationMode.LANCZOS), PICTURE, ValueError, "use a PIL image"),
        (lambda: T.Resize((3, 3), max_size=4), PICTURE, ValueError, "max_size"),
        (lambda: T.RandomRotation(-1), None, ValueError, "must be positive"),
        (lambda: T.RandomHorizontalFlip(1.5), None, ValueError, r"\[0.0, 1.0\]"),
        (lambda: T.ColorJitter(hue=0.6), None, ValueError, "hue values should be between"),
        (lambda: T.ColorJitter(brightness=-1), None, ValueError, "non negative"),
        (lambda: T.GaussianBlur(4), None, ValueError, "odd"),
        (lambda: T.RandomErasing(value="noise"), None, ValueError, "'random'"),
        (lambda: T.Lambda(3), None, TypeError, "callable"),
        (lambda: v2.ToDtype("float32"), None, TypeError, "torch.dtype"),
    ],
)
def test_refusals(make, picture, kind, message) -> None:
    with pytest.raises(kind, match=message):
        make()(picture)


def test_samples_are_transformed_alike() -> None:
    both = [Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)) for _ in range(2)]
    torch.manual_seed(0)
    one, label, other = v2.Compose([v2.RandomCrop(3), v2.ToImage(), v2.ToDtype(torch.float32)])(both[0], 7, both[1])
    top, left = divmod(int(one[0, 0, 0]), 8)
    assert label == 7 and torch.equal(one, F.crop(F.pil_to_tensor(both[0]), top, left, 3, 3).float())
    assert torch.equal(one, other)


def test_labels_that_are_tensors_stay() -> None:
    picture, label = v2.RandomHorizontalFlip(1.0)(PICTURE, torch.arange(4))
    assert torch.equal(picture, PICTURE.flip(-1)) and label.tolist() == [0, 1, 2, 3]
    found = v2.Lambda(lambda x: x + 1, int)({"picture": PICTURE, "label": [1, (2, "three")]})
    assert found["picture"] is PICTURE and found["label"] == [2, (3, "three")]


def test_turning_and_turning_back() -> None:
    assert torch.equal(F.rotate(PICTURE, 90), PICTURE.rot90(1, (1, 2)))
    turned = F.rotate(PICTURE, 90, expand=True)
    assert torch.equal(F.rotate(turned, -90, expand=True), PICTURE)
    moved = F.affine(PICTURE, 0, (1, 0), 1.0, 0.0)
    assert torch.equal(moved[:, :, 1:], PICTURE[:, :, :-1]) and not moved[:, :, 0].any()


def test_hues_go_round() -> None:
    for factor in (0.1, 0.25, -0.4):
        back = F.adjust_hue(F.adjust_hue(PICTURE, factor), -factor)
        np.testing.assert_allclose(back.numpy(), PICTURE.numpy(), atol=1e-5)


def test_grids() -> None:
    pictures = torch.rand(5, 1, 2, 3)
    grid = make_grid(pictures, nrow=2, padding=1, pad_value=7.0)
    assert grid.shape == (3, 3 * 3 + 1, 2 * 4 + 1) and grid[0, 0].tolist() == [7.0] * 9
    assert torch.equal(grid[1, 4:6, 5:8], pictures[3, 0])
    with pytest.raises(TypeError, match="tensor or list of tensors"):
        make_grid("picture")


def test_saved_images(tmp_path) -> None:
    save_image(PICTURE, tmp_path / "a.png")
    saved = F.pil_to_tensor(Image.open(tmp_path / "a.png"))
    assert torch.equal(saved, (PICTURE * 255 + 0.5).to(torch.uint8))
