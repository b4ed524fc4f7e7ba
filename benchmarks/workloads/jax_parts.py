"""What the twins for JAX share: layers, optimizers as pure functions, and the jitted training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from workloads.workload import Step, initial


def parameters(jax: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The first values of parameters, under PyTorch's names."""
    return {name: jax.numpy.asarray(initial(name, shape)) for name, shape in shapes.items()}


def linear_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm_shapes(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def linear(params: dict, name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]


def conv(jax: Any, x: Any, weight: Any, stride: int = 1, groups: int = 1) -> Any:
    """A convolution with PyTorch's layouts, padded by half its width."""
    pad = weight.shape[-1] // 2
    return jax.lax.conv_general_dilated(
        x, weight, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NCHW", "OIHW", "NCHW"),
        feature_group_count=groups,
    )  # fmt: skip


def max_pool(jax: Any, x: Any) -> Any:
    return jax.lax.reduce_window(x, -jax.numpy.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def batch_norm(jax: Any, params: dict, name: str, x: Any) -> Any:
    """By the statistics of the batch."""
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    weight, bias = params[f"{name}.weight"][:, None, None], params[f"{name}.bias"][:, None, None]
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * weight + bias


def layer_norm(jax: Any, x: Any, weight: Any, bias: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * weight + bias


def cross_entropy(jax: Any, scores: Any, wanted: Any) -> Any:
    logs = jax.nn.log_softmax(scores)
    return -jax.numpy.take_along_axis(logs, wanted[..., None], -1).mean()


def sgd(jax: Any, lr: float, momentum: float = 0.0) -> tuple[Callable, Callable]:
    """(first state, update) of stochastic gradient descent."""

    def update(params: Any, grads: Any, state: Any) -> tuple:
        if not momentum:
            return jax.tree.map(lambda p, g: p - lr * g, params, grads), state
        state = jax.tree.map(lambda m, g: momentum * m + g, state, grads)
        return jax.tree.map(lambda p, m: p - lr * m, params, state), state

    return (lambda params: jax.tree.map(jax.numpy.zeros_like, params) if momentum else None), update


def adam(jax: Any, lr: float, decay: float = 0.0) -> tuple[Callable, Callable]:
    """(first state, update) of Adam; with a decay, of AdamW."""
    np = jax.numpy

    def update(params: Any, grads: Any, state: Any) -> tuple:
        means, squares, count = state
        count = count + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, grads)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, grads)
        size, root = lr / (1 - 0.9**count), np.sqrt(1 - 0.999**count)
        change = lambda p, m, v: p * (1 - lr * decay) - size * m / (np.sqrt(v) / root + 1e-8)  # noqa: E731
        return jax.tree.map(change, params, means, squares), (means, squares, count)

    zeros = lambda params: jax.tree.map(np.zeros_like, params)  # noqa: E731
    return (lambda params: (zeros(params), zeros(params), np.float32(0))), update


def training(jax: Any, optimizer: tuple, params: Any, loss_of: Callable, batches: Iterable[tuple]) -> Step:
    """A training step as one jitted function of state and batch, which reuses the memory of the old state."""
    first_state, update = optimizer
    batches = iter(batches)
    state = (params, first_state(params))

    @partial(jax.jit, donate_argnums=0)
    def jitted(state: tuple, *batch: Any) -> tuple:
        loss, grads = jax.value_and_grad(loss_of)(state[0], *batch)
        return update(state[0], grads, state[1]), loss

    def step() -> Any:
        nonlocal state
        state, loss = jitted(state, *next(batches))
        return loss

    return step
