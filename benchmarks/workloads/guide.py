"""The beginner's guide's networks, from the hand-written one to the one that learns from 54,000 pictures at once."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, Workload, initial, initialised, integers, normal, training

PIXELS, HIDDEN, KINDS = 784, 500, 10
TRAIN, CHECK = 54_000, 6_000
BATCH = 64
SCRATCH = {"hidden": (4, 3), "hidden.bias": (1, 3), "out": (3, 1), "out.bias": (1, 1)}


def scratch_epoch(torch: Any, x: Any, y: Any, hidden: Any, hidden_bias: Any, out: Any, out_bias: Any) -> tuple:
    """An epoch of the network without nn and autograd; `torch` may also be `jax.numpy`."""
    hidden_values = 1 / (1 + torch.exp(-(x @ hidden + hidden_bias)))
    output = 1 / (1 + torch.exp(-(hidden_values @ out + out_bias)))
    blame_out = (y - output) * (output * (1 - output))
    blame_hidden = (blame_out @ out.T) * (hidden_values * (1 - hidden_values))
    out = out + (hidden_values.T @ blame_out) * 0.1
    out_bias = out_bias + blame_out.sum() * 0.1
    hidden = hidden + (x.T @ blame_hidden) * 0.1
    hidden_bias = hidden_bias + blame_hidden.sum() * 0.1
    return hidden, hidden_bias, out, out_bias


def scratch_data() -> tuple[Any, Any, list[Any]]:
    x, y = [[1, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 1]], [[1], [1], [0]]
    return x, y, [initial(name, shape) for name, shape in SCRATCH.items()]


def scratch(torch: Any, compiled: Any) -> Step:
    x, y, weights = scratch_data()
    x, y, weights = torch.Tensor(x), torch.Tensor(y), [torch.tensor(w) for w in weights]
    epoch = compiled(partial(scratch_epoch, torch))

    def step() -> Any:
        weights[:] = epoch(x, y, *weights)
        return weights

    return step


def scratch_jax(jax: Any) -> Step:
    x, y, weights = scratch_data()
    x, y, weights = jax.numpy.float32(x), jax.numpy.float32(y), [jax.numpy.asarray(w) for w in weights]
    epoch = jax.jit(partial(scratch_epoch, jax.numpy))

    def step() -> Any:
        weights[:] = epoch(x, y, *weights)
        return weights

    return step


def network(torch: Any, *sizes: int) -> Any:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.ReLU(), nn.Linear(sizes[1], sizes[2]))
    return initialised(torch, model)


def network_jax(jax: Any, *sizes: int) -> tuple[dict, Any]:
    """Parameters, and the function from them and pictures to scores."""
    shapes = jax_parts.linear_shapes("0", *sizes[:2]) | jax_parts.linear_shapes("2", *sizes[1:])
    return jax_parts.parameters(jax, shapes), lambda params, x: jax_parts.linear(
        params, "2", jax.nn.relu(jax_parts.linear(params, "0", x))
    )


def tiny(torch: Any, compiled: Any) -> Step:
    """The README's network for the exclusive or, with more examples."""
    model = network(torch, 2, 8, 1)
    x, y = torch.tensor(normal(16, 2)), torch.tensor(normal(16, 1, seed=1))
    loss_of = lambda x, y: torch.nn.functional.mse_loss(model(x), y)  # noqa: E731
    return training(compiled, torch.optim.Adam(model.parameters(), lr=0.01), loss_of, cycle([(x, y)]))


def tiny_jax(jax: Any) -> Step:
    params, model = network_jax(jax, 2, 8, 1)
    batch = jax.numpy.asarray(normal(16, 2)), jax.numpy.asarray(normal(16, 1, seed=1))
    loss_of = lambda params, x, y: ((model(params, x) - y) ** 2).mean()  # noqa: E731
    return jax_parts.training(jax, jax_parts.adam(jax, 0.01), params, loss_of, cycle([batch]))


def batches(x: Any, y: Any) -> Any:
    """A hundred batches, over and over."""
    return cycle([(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, 100 * BATCH, BATCH)])


def mini_batch(torch: Any, compiled: Any) -> Step:
    model = network(torch, PIXELS, 256, KINDS)
    x, y = torch.tensor(normal(100 * BATCH, PIXELS)), torch.tensor(integers(KINDS, 100 * BATCH))
    loss_of = lambda x, y: torch.nn.functional.cross_entropy(model(x), y)  # noqa: E731
    return training(compiled, torch.optim.Adam(model.parameters(), lr=0.001), loss_of, batches(x, y))


def mini_batch_jax(jax: Any) -> Step:
    params, model = network_jax(jax, PIXELS, 256, KINDS)
    x, y = normal(100 * BATCH, PIXELS), integers(KINDS, 100 * BATCH)
    loss_of = lambda params, x, y: jax_parts.cross_entropy(jax, model(params, x), y)  # noqa: E731
    return jax_parts.training(jax, jax_parts.adam(jax, 0.001), params, loss_of, batches(x, y))


def full_batch(torch: Any, compiled: Any) -> Step:
    """One epoch of the guide: all training pictures in one step, then the loss on those held out."""
    model = network(torch, PIXELS, HIDDEN, KINDS)
    x, y = torch.tensor(normal(TRAIN + CHECK, PIXELS)), torch.tensor(integers(KINDS, TRAIN + CHECK))
    held_x, held_y = x[TRAIN:], y[TRAIN:]
    loss_of = compiled(lambda x, y: torch.nn.functional.cross_entropy(model(x), y))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    learn = training(lambda f: f, optimizer, loss_of, cycle([(x[:TRAIN], y[:TRAIN])]))

    def step() -> Any:
        loss = learn()
        with torch.no_grad():
            return loss, loss_of(held_x, held_y)

    return step


def full_batch_jax(jax: Any) -> Step:
    params, model = network_jax(jax, PIXELS, HIDDEN, KINDS)
    x, y = jax.numpy.asarray(normal(TRAIN + CHECK, PIXELS)), jax.numpy.asarray(integers(KINDS, TRAIN + CHECK))
    x, y, held_x, held_y = x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]
    loss_of = lambda params, x, y: jax_parts.cross_entropy(jax, model(params, x), y)  # noqa: E731
    first_state, update = jax_parts.adam(jax, 0.001)
    state = params, first_state(params)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: tuple, x: Any, y: Any, held_x: Any, held_y: Any) -> tuple:
        loss, grads = jax.value_and_grad(loss_of)(state[0], x, y)
        state = update(state[0], grads, state[1])
        return state, (loss, loss_of(state[0], held_x, held_y))

    def step() -> Any:
        nonlocal state
        state, losses = epoch(state, x, y, held_x, held_y)
        return losses

    return step


def inference(torch: Any, compiled: Any) -> Step:
    model, x = network(torch, PIXELS, HIDDEN, KINDS), torch.tensor(normal(1, PIXELS))
    return torch.no_grad()(partial(compiled(model), x))


def inference_jax(jax: Any) -> Step:
    params, model = network_jax(jax, PIXELS, HIDDEN, KINDS)
    return partial(jax.jit(model), params, jax.numpy.asarray(normal(1, PIXELS)))


WORKLOADS = [
    Workload("network from scratch, an epoch", scratch, scratch_jax, quick=True),
    Workload("tiny network, Adam, a step", tiny, tiny_jax),
    Workload("mini-batch network, a step", mini_batch, mini_batch_jax, quick=True),
    Workload("full-batch network, an epoch", full_batch, full_batch_jax,
             flops=2.0 * PIXELS * HIDDEN * (2 * TRAIN + CHECK)),
    Workload("network, one picture", inference, inference_jax),
]  # fmt: skip
