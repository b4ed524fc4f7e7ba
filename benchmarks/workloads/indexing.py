"""Picking and ordering: gather, index_select, embedding, sort, topk."""

from __future__ import annotations

from typing import Any

from workloads.workload import Step, Workload, integers, normal

TABLE = (50_000, 128)


def gather(torch: Any, compiled: Any) -> Step:
    x, index = torch.tensor(normal(4096, 1024)), torch.tensor(integers(1024, 4096, 1024))
    function = compiled(lambda x, index: torch.gather(x, 1, index))
    return lambda: function(x, index)


def gather_jax(jax: Any) -> Step:
    x, index = jax.numpy.asarray(normal(4096, 1024)), jax.numpy.asarray(integers(1024, 4096, 1024))
    function = jax.jit(lambda x, index: jax.numpy.take_along_axis(x, index, 1))
    return lambda: function(x, index)


def index_select(torch: Any, compiled: Any) -> Step:
    x, index = torch.tensor(normal(*TABLE)), torch.tensor(integers(TABLE[0], 16_384))
    function = compiled(lambda x, index: torch.index_select(x, 0, index))
    return lambda: function(x, index)


def index_select_jax(jax: Any) -> Step:
    x, index = jax.numpy.asarray(normal(*TABLE)), jax.numpy.asarray(integers(TABLE[0], 16_384))
    function = jax.jit(lambda x, index: x[index])
    return lambda: function(x, index)


def embedding(torch: Any, compiled: Any) -> Step:
    table, index = torch.tensor(normal(10_000, 128)).requires_grad_(), torch.tensor(integers(10_000, 64, 64))
    function = compiled(lambda index, table: torch.nn.functional.embedding(index, table).square().sum())
    return lambda: torch.autograd.grad(function(index, table), table)


def embedding_jax(jax: Any) -> Step:
    table, index = jax.numpy.asarray(normal(10_000, 128)), jax.numpy.asarray(integers(10_000, 64, 64))
    function = jax.jit(jax.grad(lambda table, index: (table[index] ** 2).sum()))
    return lambda: (function(table, index),)


def sort(torch: Any, compiled: Any) -> Step:
    x = torch.tensor(normal(256, 4096))
    function = compiled(lambda x: torch.sort(x, 1)[0])
    return lambda: function(x)


def sort_jax(jax: Any) -> Step:
    x = jax.numpy.asarray(normal(256, 4096))
    function = jax.jit(lambda x: jax.numpy.sort(x, 1))
    return lambda: function(x)


def topk(torch: Any, compiled: Any) -> Step:
    x = torch.tensor(normal(256, 4096))
    function = compiled(lambda x: torch.topk(x, 16, 1)[0])
    return lambda: function(x)


def topk_jax(jax: Any) -> Step:
    x = jax.numpy.asarray(normal(256, 4096))
    function = jax.jit(lambda x: jax.lax.top_k(x, 16)[0])
    return lambda: function(x)


WORKLOADS = [
    Workload("gather, 4096 × 1024", gather, gather_jax),
    Workload("index_select, 16384 of 50000 rows", index_select, index_select_jax),
    Workload("embedding and its gradient, 4096 of 10000", embedding, embedding_jax, quick=True),
    Workload("sort, 256 × 4096", sort, sort_jax),
    Workload("topk 16, 256 × 4096", topk, topk_jax),
]
