"""Denoising with operators of one's own: a median filter that NumPy computes, with a gradient, a rule for vmap, a fake
implementation for the compiler, and checks; counters that an operator changes in place; a kernel defined by its schema.
"""

import numpy as np
import torch
import torch.library
import torch.nn as nn
from torch import Tensor

torch.manual_seed(0)

# ------------------------------------------------------------------------------ a filter, and where its medians are


def windows(x: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(width // 2, width // 2)], mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)


@torch.library.custom_op("denoise::median", mutates_args=())
def median(signal: Tensor, width: int = 5) -> tuple[Tensor, Tensor]:
    seen = windows(signal.numpy(), width)
    place = np.argsort(seen, axis=-1, kind="stable")[..., width // 2]
    value = np.take_along_axis(seen, place[..., None], axis=-1)[..., 0]
    source = (np.arange(signal.shape[-1]) + place - width // 2).clip(0, signal.shape[-1] - 1)
    return torch.from_numpy(value.copy()), torch.from_numpy(source)


@median.register_fake
def _(signal, width=5):
    return torch.empty_like(signal), torch.empty_like(signal, dtype=torch.int64)


@torch.library.custom_op("denoise::median_backward", mutates_args=())
def median_backward(grad: Tensor, source: Tensor) -> Tensor:
    given = np.zeros_like(grad.numpy()).reshape(-1, grad.shape[-1])
    rows = np.arange(len(given))[:, None]
    np.add.at(given, (rows, source.numpy().reshape(given.shape)), grad.numpy().reshape(given.shape))
    return torch.from_numpy(given.reshape(grad.shape))


@median_backward.register_fake
def _(grad, source):
    return torch.empty_like(grad)


def keep_sources(ctx, inputs, output):
    _, source = output
    ctx.mark_non_differentiable(source)
    ctx.save_for_backward(source)
    ctx.width = inputs[1]


def backward(ctx, grad, _):
    (source,) = ctx.saved_tensors
    return median_backward(grad.contiguous(), source), None


median.register_autograd(backward, setup_context=keep_sources)


@median.register_vmap
def _(info, in_dims, signal, width=5):
    return median(signal.movedim(in_dims[0], 0).contiguous(), width), (0, 0)


# ------------------------------------------------------------------------------ counters that are changed in place


@torch.library.custom_op("denoise::count", mutates_args={"counts"}, device_types="cpu")
def count(counts: Tensor, values: Tensor, low: float, high: float) -> None:
    found, _ = np.histogram(values.detach().numpy(), bins=len(counts), range=(low, high))
    counts.numpy()[:] += found


# ------------------------------------------------------------------------------ an operator by its schema

library = torch.library.Library("denoise", "FRAGMENT")
library.define("roughness(Tensor signal, *, float power=2.0) -> Tensor")


def roughness(signal, *, power=2.0):
    return (signal[..., 1:] - signal[..., :-1]).abs().pow(power).mean()


library.impl("roughness", roughness, "CompositeImplicitAutograd")

# ------------------------------------------------------------------------------ are they what they say?

print(median, torch.ops.denoise.median, torch.ops.denoise.median.default)
print(torch.ops.denoise.median.default._schema)
print(torch.ops.denoise.count.default._schema)
print(torch.library.infer_schema(count._init_fn, mutates_args={"counts"}, op_name="count"))

sample = torch.tensor([[3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0]], requires_grad=True)
value, source = torch.ops.denoise.median(sample, 3)
print(value, source, source.requires_grad)
(value * torch.arange(8.0)).sum().backward()
print(sample.grad)
double = torch.tensor([[0.1, 0.9, 0.3, 0.7]], dtype=torch.float64, requires_grad=True)
print("gradcheck", torch.autograd.gradcheck(lambda x: median(x, 3)[0], (double,)))
checked = ("test_schema", "test_autograd_registration", "test_faketensor")
for arguments in ((sample,), (torch.randn(2, 3, 7), 3)):
    print(torch.library.opcheck(median, arguments, test_utils=checked))


@torch.library.custom_op("denoise::careless", mutates_args=())
def careless(x: Tensor) -> Tensor:
    return x.add_(1).exp()


for test, outcome in torch.library.opcheck(careless, (torch.zeros(2),), raise_exception=False).items():
    if test in ("test_schema", "test_faketensor"):
        print(test, type(outcome).__name__)

each = torch.vmap(lambda row: median(row, 3)[0], in_dims=1)(sample.detach().reshape(4, 2))
print(each)
slope = torch.func.vmap(torch.func.grad(lambda row: torch.ops.denoise.roughness(row * row)))(sample.detach())
print(slope)

for wrong in (
    lambda: median([1.0, 2.0]),
    lambda: median(sample, "wide"),
    lambda: median(sample, 3, 4),
    lambda: torch.ops.denoise.mean(sample),
    lambda: torch.library.custom_op("denoise::untyped", lambda x: x, mutates_args=()),
    lambda: count.register_autograd(backward),
    lambda: careless(sample * 1).sum().backward(),
):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__)

# ------------------------------------------------------------------------------ a model that learns with them


class Denoiser(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.before = nn.Conv1d(1, 4, 5, padding=2)
        self.after = nn.Conv1d(4, 1, 5, padding=2)
        self.register_buffer("seen", torch.zeros(8, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.before(x)
        smooth, _ = torch.ops.denoise.median(hidden, self.width)
        if self.training:
            count(self.seen, smooth, -2.0, 2.0)
        return self.after(torch.tanh(smooth))


time = torch.linspace(0, 6.28, 64)
clean = torch.stack([torch.sin(time * k + k) for k in (1.0, 1.5, 2.0, 2.5)])[:, None]
noisy = clean + 0.1 * torch.randn(clean.shape)
noisy = torch.where(torch.rand(clean.shape) < 0.1, torch.full_like(noisy, 3.0), noisy)

model = Denoiser(5)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(30):
    optimizer.zero_grad()
    restored = model(noisy)
    loss = nn.functional.mse_loss(restored, clean) + 0.01 * torch.ops.denoise.roughness(restored, power=1.5)
    loss.backward()
    optimizer.step()
    if step % 10 == 0 or step == 29:
        print(f"step {step:2d}  loss {loss.item():.4f}")
print("values seen", int(model.seen.sum()) <= 30 * 4 * 4 * 64, model.seen._version)

model.eval()
compiled = torch.compile(model, fullgraph=True, backend="eager")
with torch.no_grad():
    print("compiled", [torch.allclose(compiled(noisy), model(noisy), atol=1e-5) for _ in range(3)])


@torch.compiler.disable
def told(x: Tensor) -> Tensor:
    print("told of", tuple(x.shape), torch.compiler.is_compiling())
    return x


@torch.compile(backend="eager")
def partly(x: Tensor) -> Tensor:
    return told(x * 2) + 1


for _ in range(2):
    print(partly(torch.ones(2)))
with torch.compiler.set_stance("force_eager"):
    print(partly(torch.ones(3)))
print(torch.ops.aten.add.Tensor(torch.ones(2), torch.ones(2), alpha=3))
