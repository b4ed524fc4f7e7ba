"""Convolutions 3 × 3: forward, and the gradients of either operand alone."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from workloads import jax_parts
from workloads.workload import Step, Workload, normal


class Geometry(NamedTuple):
    """Of a convolution: pictures, channels, width and height, channels made."""

    batch: int
    channels: int
    size: int
    filters: int
    stride: int = 1
    groups: int = 1

    def arrays(self) -> tuple[Any, Any, Any]:
        """Pictures, filters, and a gradient of the result."""
        size = self.size // self.stride
        x = normal(self.batch, self.channels, self.size, self.size)
        weight = normal(self.filters, self.channels // self.groups, 3, 3, seed=1) / 3
        return x, weight, normal(self.batch, self.filters, size, size, seed=2)

    def flops(self) -> float:
        pixels = self.batch * (self.size // self.stride) ** 2
        return 2.0 * 9 * pixels * self.filters * self.channels // self.groups

    def __str__(self) -> str:
        kind = ", strided" * (self.stride > 1) + ", depthwise" * (self.groups > 1)
        return f"{self.batch} × {self.channels} × {self.size}² to {self.filters}{kind}"


GEOMETRIES = (
    Geometry(64, 1, 28, 32),
    Geometry(64, 32, 14, 64),
    Geometry(32, 64, 56, 64),
    Geometry(32, 128, 28, 128),
    Geometry(32, 64, 56, 128, stride=2),
    Geometry(32, 128, 28, 128, groups=128),
)


def forward(torch: Any, compiled: Any, g: Geometry) -> Step:
    x, weight = (torch.tensor(array) for array in g.arrays()[:2])
    function = compiled(partial(torch.nn.functional.conv2d, stride=g.stride, padding=1, groups=g.groups))
    return lambda: function(x, weight)


def forward_jax(jax: Any, g: Geometry) -> Step:
    x, weight = (jax.numpy.asarray(array) for array in g.arrays()[:2])
    function = jax.jit(partial(jax_parts.conv, jax, stride=g.stride, groups=g.groups))
    return lambda: function(x, weight)


def gradient(torch: Any, compiled: Any, g: Geometry, of: int) -> Step:
    """The graph is kept, so that only the way back is repeated."""
    *operands, outer = (torch.tensor(array) for array in g.arrays())
    operands[of].requires_grad_()
    y = torch.nn.functional.conv2d(*operands, stride=g.stride, padding=1, groups=g.groups)
    return lambda: torch.autograd.grad(y, operands[of], outer, retain_graph=True)


def gradient_jax(jax: Any, g: Geometry, of: int) -> Step:
    *operands, outer = (jax.numpy.asarray(array) for array in g.arrays())
    conv = partial(jax_parts.conv, jax, stride=g.stride, groups=g.groups)
    function = jax.jit(lambda outer, *operands: (jax.vjp(conv, *operands)[1](outer)[of],))
    return lambda: function(outer, *operands)


def workloads(g: Geometry) -> list[Workload]:
    quick, flops = g == GEOMETRIES[1], g.flops()
    return [
        Workload(f"forward, {g}", partial(forward, g=g), partial(forward_jax, g=g), flops=flops, quick=quick),
        *[
            Workload(f"gradient of {name}, {g}", partial(gradient, g=g, of=of), partial(gradient_jax, g=g, of=of),
                     flops=flops, quick=quick and of == 1, compiled=False)
            for of, name in enumerate(("input", "filters"))
        ],
    ]  # fmt: skip


WORKLOADS = [workload for g in GEOMETRIES for workload in workloads(g)]
