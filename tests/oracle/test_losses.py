"""Losses beside PyTorch: reductions, weights, ignored targets, smoothed labels, soft targets, and their gradients."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import attempt, here, numbers, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

REDUCTIONS = ("none", "mean", "sum")
SHAPES = {"vector": (4,), "rows": (5, 4), "lines": (3, 4, 2), "images": (2, 4, 3, 2), "none at all": (0, 4)}


def classes(shape: tuple, ignored: int | None):
    """Targets for logits of this shape, some of them ignored."""
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = torch.arange(int(np.prod(places))).reshape(places) * 3 % 4
    return target if ignored is None else torch.where(target == 1, ignored, target)


def both_ways(name: str, given: list, named: dict, differentiable=(0,)) -> None:
    """The loss and its gradients, or the exception, are PyTorch's."""
    results = []
    for ns, convert in ((torch, lambda v: v), (flambeau, here)):
        args = [convert(a) for a in given]
        for i in differentiable:
            args[i] = args[i].detach().requires_grad_()
        found = attempt(lambda: getattr(ns.nn.functional, name)(*args, **{k: convert(v) for k, v in named.items()}))  # noqa: B023
        if not isinstance(found, Exception):
            weights = convert(torch.arange(found.numel(), dtype=torch.float64).cos().reshape(tuple(found.shape)))
            (found * weights.to(found.dtype)).sum().backward()
            found = [found, *[args[i].grad for i in differentiable]]
        results.append(found)
    wanted, ours = results
    message = f"{name}{[tuple(getattr(a, 'shape', ())) for a in given]} {named}"
    if isinstance(wanted, Exception):
        assert isinstance(ours, type(wanted)), f"{message}\n{ours!r} instead of {wanted!r}"
        return
    assert not isinstance(ours, Exception), f"{message}\n{ours!r}"
    for o, t in zip(ours, wanted, strict=True):
        assert o.dtype is here(t.dtype) and tuple(o.shape) == tuple(t.shape), message
        np.testing.assert_allclose(numbers(o), numbers(t), rtol=2e-5, atol=1e-6, err_msg=message)


def logits(shape: tuple, dtype=torch.float32):
    return (torch.arange(int(np.prod(shape)), dtype=torch.float64) * 1.7).sin().reshape(shape).mul(3).to(dtype)


WEIGHT = torch.tensor([1.0, 0.5, 2.0, 0.0])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_classes(shape, reduction):
    for weight, ignored, smoothing in itertools.product((None, WEIGHT), (None, -100, 2, 9), (0.0, 0.1, 1.0)):
        named = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
        if ignored is not None:
            named["ignore_index"] = ignored
        both_ways("cross_entropy", [logits(shape), classes(shape, ignored)], named)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_soft_targets(shape, reduction):
    soft = logits(shape).neg().softmax(0 if len(shape) == 1 else 1)
    for weight, smoothing in itertools.product((None, WEIGHT), (0.0, 0.1)):
        named = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
        both_ways("cross_entropy", [logits(shape), soft], named, (0, 1))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll(shape, reduction):
    for weight, ignored in itertools.product((None, WEIGHT), (-100, 0)):
        named = {"weight": weight, "reduction": reduction, "ignore_index": ignored}
        both_ways("nll_loss", [logits(shape), classes(shape, ignored)], named)


def test_all_targets_ignored():
    for name, reduction in itertools.product(("cross_entropy", "nll_loss"), REDUCTIONS):
        both_ways(name, [logits((3, 4)), torch.full((3,), -100)], {"reduction": reduction})


@pytest.mark.parametrize("number", range(6))
def test_misfits(number):
    x, y = logits((5, 4)), classes((5, 4), None)
    calls = [
        ("cross_entropy", [x, y[:3]], {}),
        ("cross_entropy", [x, y.float()], {}),
        ("cross_entropy", [x, y], {"weight": WEIGHT[:2]}),
        ("cross_entropy", [x, y], {"reduction": "average"}),
        ("nll_loss", [x, y[:3]], {}),
        ("cross_entropy", [x, y], {"label_smoothing": 1.5}),
    ]
    both_ways(*calls[number])


X, Y = logits((4, 3)), logits((4, 3)).cos()
UNIT, SIGN = X.sigmoid(), Y.sign()
ELEMENTWISE = [
    ("mse_loss", [X, Y], {}, (0, 1)),
    ("mse_loss", [X, Y], {"weight": UNIT}, (0,)),
    ("l1_loss", [X, Y], {}, (0, 1)),
    ("smooth_l1_loss", [X, Y], {"beta": 0.5}, (0, 1)),
    ("smooth_l1_loss", [X, Y], {"beta": 0.0}, (0,)),
    ("huber_loss", [X, Y], {"delta": 0.7}, (0, 1)),
    ("binary_cross_entropy", [UNIT, Y.abs().clamp(0, 1)], {}, (0,)),
    ("binary_cross_entropy", [torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])], {}, (0,)),
    ("binary_cross_entropy", [UNIT, Y.abs().clamp(0, 1)], {"weight": UNIT}, (0,)),
    ("binary_cross_entropy_with_logits", [X, Y.abs()], {}, (0, 1)),
    ("binary_cross_entropy_with_logits", [X * 50, Y.abs()], {}, (0,)),
    ("binary_cross_entropy_with_logits", [X, Y.abs()], {"pos_weight": torch.tensor([1.0, 2.0, 3.0])}, (0,)),
    ("binary_cross_entropy_with_logits", [X, Y.abs()], {"weight": UNIT}, (0,)),
    ("kl_div", [X, UNIT], {}, (0, 1)),
    ("kl_div", [X, torch.zeros_like(UNIT)], {}, (0,)),
    ("kl_div", [X, X.flip(0)], {"log_target": True}, (0, 1)),
    ("poisson_nll_loss", [X, UNIT * 5], {"full": True}, (0,)),
    ("poisson_nll_loss", [UNIT, UNIT * 5], {"log_input": False}, (0,)),
    ("gaussian_nll_loss", [X, Y, UNIT], {}, (0, 2)),
    ("gaussian_nll_loss", [X, Y, UNIT[:, :1]], {"full": True}, (0,)),
    ("hinge_embedding_loss", [X, SIGN], {"margin": 0.5}, (0,)),
    ("margin_ranking_loss", [X, Y, SIGN], {"margin": 0.1}, (0, 1)),
    ("soft_margin_loss", [X, SIGN], {}, (0,)),
    ("cosine_embedding_loss", [X, Y, SIGN[:, 0]], {"margin": 0.2}, (0, 1)),
    ("triplet_margin_loss", [X, Y, UNIT], {"swap": True}, (0, 1, 2)),
    ("triplet_margin_loss", [X, Y, UNIT], {"p": 1.0}, (0, 1, 2)),
    ("multilabel_soft_margin_loss", [X, UNIT.round()], {"weight": torch.tensor([1.0, 2.0, 3.0])}, (0,)),
    ("multi_margin_loss", [X, torch.tensor([0, 2, 1, 0])], {"weight": torch.tensor([1.0, 2.0, 3.0])}, (0,)),
    ("multi_margin_loss", [X, torch.tensor([0, 2, 1, 0])], {"p": 2, "margin": 0.5}, (0,)),
    ("multilabel_margin_loss", [X, torch.tensor([[0, 2, -1], [1, -1, 0], [-1, 0, 1], [2, 1, 0]])], {}, (0,)),
]


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean", "other"])
@pytest.mark.parametrize("number", range(len(ELEMENTWISE)))
def test_elementwise(number, reduction):
    name, given, named, differentiable = ELEMENTWISE[number]
    both_ways(name, given, {**named, "reduction": reduction}, differentiable)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ctc(reduction):
    scores = logits((6, 2, 5)).log_softmax(-1)
    targets, lengths = torch.tensor([[1, 2, 2], [3, 0, 0]]), torch.tensor([3, 1])
    for blank, zero in itertools.product((0, 4), (False, True)):
        named = {"blank": blank, "reduction": reduction, "zero_infinity": zero}
        both_ways("ctc_loss", [scores, targets, torch.tensor([6, 5]), lengths], named)
        both_ways("ctc_loss", [scores, torch.tensor([1, 2, 2, 3]), torch.tensor([3, 5]), lengths], named)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_dtypes(dtype):
    x, y = logits((5, 4), dtype), classes((5, 4), None)
    for name, target in (("cross_entropy", y), ("mse_loss", x.flip(0)), ("cross_entropy", x.softmax(1))):
        wanted = getattr(torch.nn.functional, name)(x, target)
        found = getattr(flambeau.nn.functional, name)(here(x), here(target))
        assert found.dtype is here(dtype)
        np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=2e-2 if dtype.itemsize == 2 else 1e-7)
