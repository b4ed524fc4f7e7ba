"""The same GPT for JAX; its sizes stand here, too."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

from workloads import jax_parts
from workloads.workload import Step, integers

LAYERS, WIDTH, HEADS, CONTEXT, VOCABULARY, BATCH = 4, 128, 4, 64, 65, 12


def shapes() -> dict[str, tuple[int, ...]]:
    # The tied table goes by the first of its two names.
    found: dict[str, tuple[int, ...]] = {"wte.weight": (VOCABULARY, WIDTH), "wpe.weight": (CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        name = f"h.{layer}"
        found |= jax_parts.norm_shapes(f"{name}.ln_1", WIDTH) | jax_parts.norm_shapes(f"{name}.ln_2", WIDTH)
        found |= jax_parts.linear_shapes(f"{name}.attn.c_attn", WIDTH, 3 * WIDTH)
        found |= jax_parts.linear_shapes(f"{name}.attn.c_proj", WIDTH, WIDTH)
        found |= jax_parts.linear_shapes(f"{name}.mlp.0", WIDTH, 4 * WIDTH)
        found |= jax_parts.linear_shapes(f"{name}.mlp.2", 4 * WIDTH, WIDTH)
    return found | jax_parts.norm_shapes("ln_f", WIDTH)


def attention(jax: Any, params: dict, name: str, x: Any) -> Any:
    batch, length, width = x.shape
    q, k, v = jax.numpy.split(jax_parts.linear(params, f"{name}.c_attn", x), 3, 2)
    q, k, v = (t.reshape(batch, length, HEADS, width // HEADS) for t in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    return jax_parts.linear(params, f"{name}.c_proj", y.reshape(batch, length, width))


def scores(jax: Any, params: dict, idx: Any) -> Any:
    def norm(name: str, x: Any) -> Any:
        return jax_parts.layer_norm(jax, x, params[f"{name}.weight"], params[f"{name}.bias"])

    x = params["wte.weight"][idx] + params["wpe.weight"][: idx.shape[1]]
    for layer in range(LAYERS):
        name = f"h.{layer}"
        x = x + attention(jax, params, f"{name}.attn", norm(f"{name}.ln_1", x))
        y = jax.nn.gelu(jax_parts.linear(params, f"{name}.mlp.0", norm(f"{name}.ln_2", x)), approximate=False)
        x = x + jax_parts.linear(params, f"{name}.mlp.2", y)
    return norm("ln_f", x) @ params["wte.weight"].T


def train(jax: Any) -> Step:
    text = jax.numpy.asarray(integers(VOCABULARY, BATCH, CONTEXT + 1))
    loss_of = lambda params, x, y: jax_parts.cross_entropy(jax, scores(jax, params, x), y)  # noqa: E731
    params, optimizer = jax_parts.parameters(jax, shapes()), jax_parts.adam(jax, 1e-3, decay=0.1)
    return jax_parts.training(jax, optimizer, params, loss_of, cycle([(text[:, :-1], text[:, 1:])]))


def generate(jax: Any) -> Step:
    """The text is as long as the context from the start, since JAX compiles for a shape; the rest is masked."""
    params = jax_parts.parameters(jax, shapes())
    start = jax.numpy.zeros((1, CONTEXT), int).at[0, 0].set(1)

    @jax.jit
    def made(params: dict, idx: Any) -> Any:
        def character(place: Any, idx: Any) -> Any:
            return idx.at[:, place + 1].set(scores(jax, params, idx)[:, place].argmax(-1))

        return jax.lax.fori_loop(0, CONTEXT - 1, character, idx)

    return partial(made, params, start)
