"""Which tensors an operation saves for backward: those whose change in place makes backward refuse, here and there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, spread, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SAMPLES = 4
# Refused here alone: PyTorch has a copy at that point, of a broadcast or of a product's parts.
REFUSED_HERE = {
    "ldexp": {"argument 0"},
    "matmul": {"argument 1"},
    "__rmatmul__": {"argument 0"},
    "kron": {"argument 0", "argument 1"},
    "polar": {"argument 0", "argument 1"},
    "nn.functional.instance_norm": {"argument 3"},
    "nn.functional.scaled_dot_product_attention": {"argument 1"},
    "nn.functional.embedding_bag": {"argument 1", "result 0"},
}
# Refused by PyTorch alone, which saves more than backward's formula here reads: often the shape is all it needs. The
# gradient is right without the refusal.
ALLOWED_HERE = {
    "combinations", "cdist", "cholesky_inverse", "cholesky_solve", "complex", "cross", "cummax", "cummin",
    "div.trunc_rounding", "div.floor_rounding", "stft", "ldexp", "lu", "lu_solve", "masked_select", "matrix_exp",
    "median", "nanmedian", "native_group_norm", "native_layer_norm", "native_batch_norm",
    "nn.functional.adaptive_avg_pool1d", "nn.functional.adaptive_avg_pool2d", "nn.functional.adaptive_avg_pool3d",
    "nn.functional.adaptive_max_pool1d", "nn.functional.adaptive_max_pool2d", "nn.functional.adaptive_max_pool3d",
    "nn.functional.avg_pool1d", "nn.functional.avg_pool3d", "nn.functional.binary_cross_entropy_with_logits",
    "nn.functional.group_norm", "nn.functional.instance_norm", "nn.functional.layer_norm",
    "nn.functional.pad.reflect", "nn.functional.pad.replicate", "nn.functional.pad.replicate_negative",
    "nn.functional.interpolate.area", "nn.functional.soft_margin_loss", "nn.functional.multi_margin_loss",
    "nn.functional.multilabel_margin_loss", "nn.functional.avg_pool2d", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.max_pool1d", "nn.functional.max_pool2d",
    "nn.functional.max_pool3d", "nn.functional.bilinear", "nn.functional.scaled_dot_product_attention", "nextafter",
    "dist", "ormqr", "triangular_solve", "polar", "gather", "index_copy", "index_add", "index_put", "put", "take",
    "take_along_dim", "tensordot", "nn.functional.smooth_l1_loss", "native_dropout_backward",
    "nn.functional.embedding_bag", "nn.functional.mse_loss", "nn.functional.grid_sample", "grid_sampler_2d",
    "grid_sampler_3d", "nn.functional.ctc_loss", "nn.functional.nll_loss", "nn.functional.huber_loss",
    "nn.functional.pdist", "fft.fft", "fft.rfft", "fft.rfft2", "fft.rfftn", "fft.ifft", "fft.ihfft", "fft.ihfft2",
    "fft.ihfftn", "linalg.cross", "linalg.det", "linalg.householder_product", "linalg.lu_factor",
    "linalg.lu_factor_ex", "linalg.lu", "linalg.lu_solve", "linalg.solve_triangular", "linalg.svdvals",
    "masked.cumsum", "masked.cumprod", "masked.median", "masked.softmax", "masked.log_softmax", "masked.softmin",
    "masked.logaddexp",
}  # fmt: skip
FAILING_HERE = {  # for other reasons
    "nn.functional.linear_cross_entropy", "nn.functional.linear_cross_entropy.chunked",
    "nn.functional.linear_cross_entropy.chunked_none", "nn.functional.batch_norm",
}  # fmt: skip
DIFFERENTIABLE = [
    o for o in OPERATIONS
    if o.info.supports_autograd and torch.float64 in o.info.dtypes and o.name not in FAILING_HERE
]  # fmt: skip
REFUSAL = "modified by an inplace operation"


def refusals(ns, function, given, named):
    """For each tensor argument and each result: does backward refuse after a change of it?"""
    found = []
    leaves = [t for t in tensors_of([*given, *named.values()])]
    for place in range(len(leaves) + 3):
        copies = {id(t): t.clone() if t.dtype.is_floating_point or t.dtype.is_complex else t for t in leaves}
        args, options = replaced(ns, given, copies), replaced(ns, named, copies)
        results = tensors_of(function(*args, **options))
        changeable = [*copies.values(), *[None] * (len(leaves) - len(copies)), *results]
        if place >= len(changeable):
            break
        changed = changeable[place]
        wanted = [r for r in results if r.requires_grad]
        if changed is None or not wanted:
            continue
        ns.autograd.graph.increment_version(changed)
        error = attempt(ns.autograd.backward, wanted, [ns.ones_like(r) for r in wanted])
        if isinstance(error, Exception) and REFUSAL not in str(error):
            raise error
        where = f"argument {place}" if place < len(leaves) else f"result {place - len(leaves)}"
        found.append((where, isinstance(error, Exception)))
    return dict(found)


def replaced(ns, value, copies):
    if isinstance(value, ns.Tensor):
        return copies[id(value)]
    if type(value) in (list, tuple):
        return type(value)(replaced(ns, v, copies) for v in value)
    if isinstance(value, dict):
        return {k: replaced(ns, v, copies) for k, v in value.items()}
    return value


def compare(operation):
    """What of the operation's samples is refused in only one of the two."""
    only_here, only_there = set(), set()
    for sample in spread(list(operation.info.sample_inputs("cpu", torch.float64, requires_grad=True)), SAMPLES):
        given, named = [sample.input, *sample.args], sample.kwargs
        ours, ours_named = here(given), here(named)
        theirs = attempt(refusals, torch, operation.info.op, given, named)
        if isinstance(theirs, Exception):
            continue
        found = refusals(flambeau, operation.here, ours, ours_named)
        for where in theirs.keys() & found.keys():
            if theirs[where] != found[where]:
                (only_here if found[where] else only_there).add(where)
    return only_here, only_there


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=lambda o: o.name)
def test_refusals(operation):
    only_here, only_there = compare(operation)
    assert only_here == REFUSED_HERE.get(operation.name, set())
    assert bool(only_there) == (operation.name in ALLOWED_HERE)
