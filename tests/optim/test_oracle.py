"""Optimizers and schedulers beside PyTorch's own, step by step."""

from __future__ import annotations

import warnings

import pytest

import flambeau

pytorch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
from torch.testing._internal.common_optimizers import optim_db  # noqa: E402

pytestmark = pytest.mark.oracle

EXTRA = {
    "SGD": [
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    "Adam": [{"betas": (0.5, 0.7), "eps": 0.1, "amsgrad": True}, {"weight_decay": 0.3, "decoupled_weight_decay": True}],
    "ASGD": [{"lr": 0.05, "lambd": 0.1, "t0": 3}],
    "RMSprop": [{"centered": True, "momentum": 0.8, "eps": 0.1}],
    "Rprop": [{"lr": 0.5, "etas": (0.3, 1.7), "step_sizes": (0.01, 0.6)}],
    "RAdam": [{"betas": (0.6, 0.8), "weight_decay": 0.1}],
    "NAdam": [{"momentum_decay": 0.5, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "Adagrad": [{"lr": 0.2, "lr_decay": 0.3, "initial_accumulator_value": 0.5}],
}
SKIPPED = {"SparseAdam", "LBFGS", "Muon"}  # sparse, chaotic, half precision: each has its own test
CASES = [
    pytest.param(info.optim_cls.__name__, kwargs, id=f"{info.optim_cls.__name__}-{i}")
    for info in optim_db
    if info.optim_cls.__name__ not in SKIPPED
    for i, kwargs in enumerate(
        [dict(sample.kwargs) for sample in info.optim_inputs_func("cpu")] + EXTRA.get(info.optim_cls.__name__, [])
    )
]


def to_flambeau(value):
    if isinstance(value, pytorch.Tensor):
        return flambeau.from_numpy(value.detach().clone().numpy())
    if isinstance(value, dict):
        return {k: to_flambeau(v) for k, v in value.items()}
    return type(value)(map(to_flambeau, value)) if isinstance(value, (list, tuple)) else value


def to_pytorch(value):
    if isinstance(value, flambeau.Tensor):
        return pytorch.from_numpy(value.detach().clone().numpy())
    if isinstance(value, dict):
        return {k: to_pytorch(v) for k, v in value.items()}
    return type(value)(map(to_pytorch, value)) if isinstance(value, (list, tuple)) else value


def start(dtype="float64"):
    """Two parameters and ten gradients for each."""
    generator = pytorch.Generator().manual_seed(5)
    dtype = getattr(pytorch, dtype)
    shapes = [(4, 3), (3,)]
    params = [pytorch.randn(s, generator=generator, dtype=dtype) for s in shapes]
    return params, [[pytorch.randn(s, generator=generator, dtype=dtype) for s in shapes] for _ in range(10)]


def run(ns, cls, kwargs, params, grads, optimizer=None):
    optimizer = optimizer or cls(params, **kwargs)
    for step in grads:
        for param, grad in zip(params, step, strict=True):
            param.grad = grad
        optimizer.step()
    return optimizer


def same(expected, got, rtol=1e-10, atol=1e-12):
    """Nested values alike; PyTorch keeps a few numbers in float32."""
    if isinstance(expected, pytorch.Tensor):
        assert str(expected.dtype).split(".")[-1] == str(got.dtype).split(".")[-1]
        loose = expected.dim() == 0
        pytorch.testing.assert_close(to_pytorch(got), expected.detach(), rtol=2e-7 if loose else rtol, atol=atol)
    elif isinstance(expected, dict):
        assert list(expected) == list(got)
        for key in expected:
            same(expected[key], got[key], rtol, atol)
    elif isinstance(expected, (list, tuple)):
        assert type(expected) is type(got) and len(expected) == len(got)
        for e, g in zip(expected, got, strict=True):
            same(e, g, rtol, atol)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-12)
    else:
        assert expected == got


@pytest.mark.parametrize("name, kwargs", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_ten_steps_and_the_state_dict(name, kwargs, dtype):
    if dtype == "complex128" and name == "Adafactor":
        pytest.skip("of real parameters only")
    params, grads = start(dtype)
    mine = [p.requires_grad_() for p in to_flambeau(params)]
    ours = run(flambeau, getattr(flambeau.optim, name), to_flambeau(kwargs), mine, to_flambeau(grads))
    theirs = run(pytorch, getattr(pytorch.optim, name), kwargs, [p.requires_grad_() for p in params], grads)
    tol = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-6, "atol": 1e-8}
    same(params, [p.detach() for p in mine], **tol)
    same(theirs.state_dict(), ours.state_dict(), **tol)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name, kwargs", CASES)
def test_state_moves_between_the_two(name, kwargs):
    """Five steps there, five here; and the other way round."""
    cls, theirs_cls = getattr(flambeau.optim, name), getattr(pytorch.optim, name)
    params, grads = start()
    whole = [p.clone().requires_grad_() for p in params]
    run(pytorch, theirs_cls, kwargs, whole, grads)

    there = [p.clone().requires_grad_() for p in params]
    first = run(pytorch, theirs_cls, kwargs, there, grads[:5])
    here = [p.requires_grad_() for p in to_flambeau([t.detach() for t in there])]
    second = cls(here, **to_flambeau(kwargs))
    second.load_state_dict(to_flambeau(first.state_dict()))
    run(flambeau, cls, {}, here, to_flambeau(grads[5:]), second)
    same(whole, [p.detach() for p in here], rtol=1e-6, atol=1e-8)

    here = [p.requires_grad_() for p in to_flambeau(params)]
    first = run(flambeau, cls, to_flambeau(kwargs), here, to_flambeau(grads[:5]))
    there = [p.clone().requires_grad_() for p in to_pytorch([p.detach() for p in here])]
    second = theirs_cls(there, **kwargs)
    second.load_state_dict(to_pytorch(first.state_dict()))
    run(pytorch, theirs_cls, {}, there, grads[5:], second)
    same(whole, there, rtol=1e-6, atol=1e-8)


ERRORS = [
    pytest.param(info.optim_cls.__name__, case, id=f"{info.optim_cls.__name__}-error-{i}")
    for info in optim_db
    for i, case in enumerate(info.optim_error_inputs_func("cpu", pytorch.float32))
]


@pytest.mark.parametrize("name, case", ERRORS)
def test_errors(name, case):
    if name == "Muon" and case.error_type is not ValueError:
        pytest.skip("its samples are errors of the base class")
    given = case.optimizer_error_input
    if "sparse" in case.error_regex.lower():
        pytest.skip("sparse parameters do not pass through NumPy")
    params = given.params if given.params is not None else [pytorch.randn(2, 2)]
    with pytest.raises(case.error_type, match=case.error_regex), warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = getattr(flambeau.optim, name)(to_flambeau_once(params), **to_flambeau(given.kwargs))
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = flambeau.zeros_like(param)
        optimizer.step()


def to_flambeau_once(params):
    """Converts each tensor once, so that duplicates stay duplicates."""
    memo = {}

    def walk(value):
        if isinstance(value, pytorch.Tensor):
            return memo.setdefault(id(value), to_flambeau(value))
        if isinstance(value, dict):
            return {k: walk(v) for k, v in value.items()}
        return type(value)(map(walk, value)) if isinstance(value, (list, tuple)) else value

    return walk(params)


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_lbfgs_state_moves(line_search_fn):
    def problem(ns, w):
        optimizer = ns.optim.LBFGS([w], max_iter=4, line_search_fn=line_search_fn, history_size=3)

        def closure():
            optimizer.zero_grad()
            loss = (1 - w[0]) ** 2 + 10 * (w[1] - w[0] ** 2) ** 2
            loss.backward()
            return loss

        return optimizer, closure

    w = pytorch.tensor([-1.2, 1.0], dtype=pytorch.float64, requires_grad=True)
    optimizer, closure = problem(pytorch, w)
    for _ in range(3):
        optimizer.step(closure)
    mine = to_flambeau(w.detach()).requires_grad_()
    ours, our_closure = problem(flambeau, mine)
    ours.load_state_dict(to_flambeau(optimizer.state_dict()))
    for _ in range(3):
        optimizer.step(closure)
        ours.step(our_closure)
    same(w, mine.detach(), rtol=1e-7, atol=1e-9)
    assert optimizer.state_dict()["state"][0]["func_evals"] == ours.state_dict()["state"][0]["func_evals"]
