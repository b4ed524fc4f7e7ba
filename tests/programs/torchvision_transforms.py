"""Every transform of torchvision's, of an image of Pillow's and of tensors, with a checksum of what comes out and the
random number that comes next."""

import io

import numpy as np
import torch
import torchvision
import torchvision.transforms.functional as F
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as IM
from torchvision.transforms import v2
from torchvision.utils import make_grid, save_image

rng = np.random.default_rng(0)
y, x = np.mgrid[0:20, 0:28]
arr = np.stack([(x * 9) % 256, (y * 12) % 256, ((x + y) * 5) % 256], -1).astype(np.uint8)
arr = np.clip(arr.astype(int) + rng.integers(-8, 8, arr.shape), 0, 255).astype(np.uint8)
pil = Image.fromarray(arr)
gray = pil.convert("L")
u8 = torch.from_numpy(arr.transpose(2, 0, 1).copy())
fl = u8.float() / 255


def show(name, r):
    if isinstance(r, (tuple, list)):
        for i, q in enumerate(r):
            show(f"{name}[{i}]", q)
        return
    if isinstance(r, Image.Image):
        a = np.asarray(r)
        kind = "PIL " + r.mode
    elif isinstance(r, torch.Tensor):
        a = r.numpy()
        kind = str(r.dtype)
    else:
        print(name, r)
        return
    a = a.astype(np.float64)
    w = np.cos(np.arange(a.size)).reshape(a.shape)
    print(name, kind, a.shape, "%.4f %.3f" % (a.mean(), (a * w).sum()))


def run(name, t, inputs=(("pil", pil), ("u8", u8), ("fl", fl))):
    for k, i in inputs:
        torch.manual_seed(7)
        try:
            r = t(i)
        except Exception as e:
            r = type(e).__name__
        show(f"{name} {k}", r)
        print("   next", "%.4f" % torch.rand(1).item())


PT = [("pil", pil)]
TT = [("fl", fl)]
PF = PT + TT
run(
    "ToTensor",
    T.ToTensor(),
    [
        ("pil", pil),
        ("gray", gray),
        ("np", arr),
        ("fnp", arr / 255.0),
        ("one", gray.point(lambda v: 255 * (v > 100)).convert("1")),
    ],
)
run("PILToTensor", T.PILToTensor(), PT)
run("ToPILImage", T.ToPILImage(), [("u8", u8), ("fl", fl), ("np", arr), ("one", fl[:1])])
run("Resize12", T.Resize(12), PF)
run("Resize(9,30)", T.Resize((9, 30)), PF)
run("Resize bicubic", T.Resize(15, IM.BICUBIC), PF)
run("Resize nearest", T.Resize(15, IM.NEAREST))
run("Resize max", T.Resize(12, max_size=14), PF)
run("noaa", T.Resize(10, antialias=False), TT)
run("CenterCrop", T.CenterCrop(12))
run("CenterCrop big", T.CenterCrop((24, 31)))
for m in ("constant", "edge", "reflect", "symmetric"):
    run("Pad " + m, T.Pad((1, 2, 3, 4), padding_mode=m))
run("Padfill", T.Pad(2, fill=(10, 20, 30)), PT)
run("RandomCrop", T.RandomCrop(10))
run("RandomCrop pad", T.RandomCrop((20, 28), padding=4))
run("RandomCrop ifneeded", T.RandomCrop(32, pad_if_needed=True))
run("RandomCrop toobig", T.RandomCrop(40))
run("HF", T.RandomHorizontalFlip())
run("HF1", T.RandomHorizontalFlip(1.0))
run("VF", T.RandomVerticalFlip(0.9))
run("RRC", T.RandomResizedCrop(16), PF)
run("RRC2", T.RandomResizedCrop((8, 8), scale=(0.9, 1.0), ratio=(5.0, 6.0)), PF)
run("Rot", T.RandomRotation(30))
run("Rotb", T.RandomRotation((10, 40), interpolation=IM.BILINEAR, fill=0.5), TT)
run("Rotb", T.RandomRotation((10, 40), interpolation=IM.BILINEAR, fill=5), PT)
run("Rot exp", T.RandomRotation(30, expand=True))
run("Rot c", T.RandomRotation(30, center=(3, 4)))
run("Aff", T.RandomAffine(20, translate=(0.1, 0.2), scale=(0.8, 1.2), shear=10))
run("Aff4", T.RandomAffine((5, 20), shear=(1, 5, 2, 9), interpolation=IM.BILINEAR))
run("Affs", T.RandomAffine(0, shear=(20, 20, 10, 10)))
run("CJ", T.ColorJitter(0.4, 0.4, 0.4, 0.2))
run("CJb", T.ColorJitter(brightness=0.5))
run("CJc", T.ColorJitter(contrast=(1.2, 1.4)))
run("CJs", T.ColorJitter(saturation=0.6))
run("CJh", T.ColorJitter(hue=0.3))
run("CJh-", T.ColorJitter(hue=(-0.4, -0.3)))
run("Gray", T.Grayscale())
run("Gray3", T.Grayscale(3))
run("RGray", T.RandomGrayscale(0.9))
run("Inv", T.RandomInvert(1.0))
run("Blur", T.GaussianBlur(5))
run("Blur2", T.GaussianBlur((3, 7), (1.0, 1.0)))
run("Erase", T.RandomErasing(1.0), [("u8", u8), ("fl", fl)])
run("EraseR", T.RandomErasing(1.0, value="random"), TT)
run("Erase3", T.RandomErasing(1.0, value=(0.1, 0.2, 0.3)), TT)
run("Norm", T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), TT)
run("Normerr", T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), [("u8", u8)])
run("Five", T.FiveCrop(8))
run("Ten", T.TenCrop(8), TT)
run("Apply", T.RandomApply([T.CenterCrop(5)], 0.5))
run("CID", T.ConvertImageDtype(torch.uint8), [("fl", fl)])
run("CID32", T.ConvertImageDtype(torch.int32), [("u8", u8)])
run("CIDf", T.ConvertImageDtype(torch.float64), [("u8", u8)])
run(
    "Compose",
    T.Compose(
        [
            T.RandomCrop(16, padding=2),
            T.RandomHorizontalFlip(),
            T.ColorJitter(0.2, 0.2),
            T.ToTensor(),
            T.Normalize((0.5,) * 3, (0.5,) * 3),
            T.RandomErasing(),
        ]
    ),
    PT,
)
run(
    "v2",
    v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(12),
            v2.RandomHorizontalFlip(0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    ),
    PT,
)
run("v2crop", v2.RandomCrop((20, 10), padding=None))
run("v2cropp", v2.RandomCrop((16, 16), padding=4))
run("v2jit", v2.ColorJitter(0.3, 0.3, 0.3, 0.1))
run("v2rot", v2.RandomRotation(25))
run("v2aff", v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5))
run("v2blur", v2.GaussianBlur(3))
run("v2gray", v2.RandomGrayscale(0.9))
run("v2erase", v2.RandomErasing(1.0), TT)
run("v2pad", v2.Pad(3))
run("v2dt", v2.ToDtype(torch.float32), [("u8", u8)])
run("v2Resize", v2.Resize((10, 10)), PF)
torch.manual_seed(1)
show("v2 pair", v2.Compose([v2.RandomHorizontalFlip(1.0), v2.ToImage()])(pil, 3))
show("v2 dict", list(v2.RandomVerticalFlip(1.0)({"image": fl, "label": torch.tensor(3)}).values()))
torch.manual_seed(3)
b = torch.rand(10, 1, 5, 6)
show("grid", make_grid(b))
show("grid4", make_grid(b, nrow=4, padding=1, normalize=True, pad_value=0.5))
show("gridr", make_grid([q for q in b], normalize=True, value_range=(0.2, 0.7)))
show("gride", make_grid(b, normalize=True, scale_each=True))
show("one", make_grid(b[:1]))
f = io.BytesIO()
save_image(b, f, format="png")
f.seek(0)
show("saved", Image.open(f))
torch.manual_seed(0)
d = torchvision.datasets.FakeData(5, (3, 6, 6), transform=T.ToTensor())
show("fake", d[2])
print(torch.rand(1))
print(
    T.Compose(
        [
            T.ToTensor(),
            T.Normalize((0.5,), (0.5,)),
            T.Resize(3),
            T.RandomErasing(),
            T.ColorJitter(0.1),
            T.Pad(1),
            T.RandomRotation(3),
            T.RandomResizedCrop(3),
            T.CenterCrop(3),
            T.RandomHorizontalFlip(),
            T.Grayscale(),
            T.RandomCrop(4),
        ]
    )
)
for fn in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
    show(fn.__name__, fn(fl, 1.7))
show(fn.__name__, fn(pil, 0.3))
for h in (-0.5, -0.2, 0.1, 0.5):
    show("hue", F.adjust_hue(fl, h))
show("hue", F.adjust_hue(pil, h))
show("hue", F.adjust_hue(u8, h))
show("crop out", F.crop(fl, -2, -3, 30, 40))
show("crop out", F.crop(pil, -2, -3, 30, 40))
show("size", F.get_dimensions(pil))
show("erase", F.erase(fl, 1, 2, 3, 4, 0.5))
