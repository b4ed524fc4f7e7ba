"""Convolutional networks: the guide's, and a small residual one as for CIFAR."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, Workload, initialised, integers, normal, training

BATCH = 64
WIDTHS = (16, 32, 64)


def guide_network(torch: Any) -> Any:
    nn = torch.nn
    model = nn.Sequential(
        *[nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
        *[nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Linear(4 * 7 * 7, 10)],
    )
    return initialised(torch, model)


def guide_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"0.weight": (4, 1, 3, 3), "0.bias": (4,), "4.weight": (4, 4, 3, 3), "4.bias": (4,)}
    shapes |= jax_parts.norm_shapes("1", 4) | jax_parts.norm_shapes("5", 4)
    return shapes | jax_parts.linear_shapes("9", 196, 10)


def guide_scores(jax: Any, learning: bool, params: dict, x: Any) -> Any:
    """When it is not learning, batch normalisation goes by the running statistics, here still 0 and 1."""
    for place in (0, 4):
        x = jax_parts.conv(jax, x, params[f"{place}.weight"]) + params[f"{place}.bias"][:, None, None]
        if learning:
            x = jax_parts.batch_norm(jax, params, str(place + 1), x)
        else:
            x = x / (1 + 1e-5) ** 0.5 * params[f"{place + 1}.weight"][:, None, None]
            x = x + params[f"{place + 1}.bias"][:, None, None]
        x = jax_parts.max_pool(jax, jax.nn.relu(x))
    return jax_parts.linear(params, "9", x.reshape(len(x), -1))


def guide(torch: Any, compiled: Any) -> Step:
    model = guide_network(torch)
    batch = torch.tensor(normal(BATCH, 1, 28, 28)), torch.tensor(integers(10, BATCH))
    loss_of = lambda x, y: torch.nn.functional.cross_entropy(model(x), y)  # noqa: E731
    return training(compiled, torch.optim.Adam(model.parameters(), lr=0.01), loss_of, cycle([batch]))


def guide_jax(jax: Any) -> Step:
    batch = jax.numpy.asarray(normal(BATCH, 1, 28, 28)), jax.numpy.asarray(integers(10, BATCH))
    params = jax_parts.parameters(jax, guide_shapes())
    loss_of = lambda params, x, y: jax_parts.cross_entropy(jax, guide_scores(jax, True, params, x), y)  # noqa: E731
    return jax_parts.training(jax, jax_parts.adam(jax, 0.01), params, loss_of, cycle([batch]))


def inference(torch: Any, compiled: Any) -> Step:
    model, x = guide_network(torch).eval(), torch.tensor(normal(1, 1, 28, 28))
    return torch.no_grad()(partial(compiled(model), x))


def inference_jax(jax: Any) -> Step:
    params, x = jax_parts.parameters(jax, guide_shapes()), jax.numpy.asarray(normal(1, 1, 28, 28))
    return partial(jax.jit(partial(guide_scores, jax, False)), params, x)


def block_class(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        """Two convolutions, added to what came in."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(y)) + self.short(x))

    return Block


def residual_network(torch: Any) -> Any:
    nn, block = torch.nn, block_class(torch)
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    stages = [block(max(16, width // 2), width, 1 if width == 16 else 2) for width in WIDTHS]
    model = nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return initialised(torch, model)


def residual_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"0.0.weight": (16, 3, 3, 3)} | jax_parts.norm_shapes("0.1", 16)
    for place, width in enumerate(WIDTHS, 1):
        inputs = max(16, width // 2)
        shapes |= {f"{place}.conv1.weight": (width, inputs, 3, 3), f"{place}.conv2.weight": (width, width, 3, 3)}
        shapes |= jax_parts.norm_shapes(f"{place}.bn1", width) | jax_parts.norm_shapes(f"{place}.bn2", width)
        if place > 1:
            shapes[f"{place}.short.weight"] = (width, inputs, 1, 1)
    return shapes | jax_parts.linear_shapes("6", 64, 10)


def residual_scores(jax: Any, params: dict, x: Any) -> Any:
    relu, conv, norm = jax.nn.relu, partial(jax_parts.conv, jax), partial(jax_parts.batch_norm, jax, params)
    x = relu(norm("0.1", conv(x, params["0.0.weight"])))
    for place in (1, 2, 3):
        stride = 1 if place == 1 else 2
        y = relu(norm(f"{place}.bn1", conv(x, params[f"{place}.conv1.weight"], stride)))
        y = norm(f"{place}.bn2", conv(y, params[f"{place}.conv2.weight"]))
        x = relu(y + (x if place == 1 else conv(x, params[f"{place}.short.weight"], stride)))
    return jax_parts.linear(params, "6", x.mean((2, 3)))


def residual(torch: Any, compiled: Any) -> Step:
    model = residual_network(torch)
    batch = torch.tensor(normal(32, 3, 32, 32)), torch.tensor(integers(10, 32))
    loss_of = lambda x, y: torch.nn.functional.cross_entropy(model(x), y)  # noqa: E731
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return training(compiled, optimizer, loss_of, cycle([batch]))


def residual_jax(jax: Any) -> Step:
    batch = jax.numpy.asarray(normal(32, 3, 32, 32)), jax.numpy.asarray(integers(10, 32))
    params = jax_parts.parameters(jax, residual_shapes())
    loss_of = lambda params, x, y: jax_parts.cross_entropy(jax, residual_scores(jax, params, x), y)  # noqa: E731
    return jax_parts.training(jax, jax_parts.sgd(jax, 0.01, 0.9), params, loss_of, cycle([batch]))


WORKLOADS = [
    Workload("guide's CNN, a step", guide, guide_jax, quick=True),
    Workload("guide's CNN, one picture", inference, inference_jax),
    Workload("residual network, a step", residual, residual_jax, quick=True, tolerance=1e-2),
]
