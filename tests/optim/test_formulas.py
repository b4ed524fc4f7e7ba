"""Ten steps of each optimizer from the same place end where PyTorch 2.13's do (golden numbers)."""

from __future__ import annotations

import pytest

import flambeau as torch

START = [[0.5, -0.3], [0.8, 0.1]]
REAL = [
    ("SGD", {"lr": 0.02}, [0.405727255, 0.366375513, -0.084367711, 0.770395034]),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
     [0.211113382, 0.767732886, -1.157748649, 1.662895496]),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True}, [0.291101005, 0.511676802, -0.656595106, 1.275054548]),
    ("SGD", {"lr": 0.002, "maximize": True}, [0.508465462, -0.458503921, 0.954060789, -0.006268200]),
    ("Adam", {"lr": 0.05}, [0.406223978, 0.181556391, 0.309033317, 0.588030459]),
    ("Adam", {"lr": 0.05, "betas": (0.6, 0.8), "eps": 0.1, "weight_decay": 0.2, "amsgrad": True},
     [0.403843153, 0.147678115, 0.326634115, 0.560672922]),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.5}, [0.395902042, 0.194224405, 0.186225108, 0.515969236]),
    ("Adadelta", {"lr": 1.0, "rho": 0.8, "eps": 0.01, "weight_decay": 0.1},
     [0.543512325, 0.475658929, -0.398592126, 1.056560714]),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}, [0.422637835, 0.138160720, 0.304063242, 0.366895942]),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 0.1},
     [0.395992374, 0.283877423, 0.133563409, 0.732801460]),
    ("Adamax", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 0.1}, [0.402889031, 0.251415316, 0.273372967, 0.633696205]),
    ("ASGD", {"lr": 0.02, "lambd": 0.5, "t0": 3}, [0.388556273, 0.348785350, -0.083737771, 0.727715530]),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0.4}, [0.421597443, 0.060670363, 0.423593335, 0.470750629]),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
     [0.412148759, 0.077569706, 0.338669695, 0.439074739]),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9)}, [0.304143527, 0.644358951, -0.497249587, 1.102516140]),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9}, [0.427735278, 0.015729516, 0.470985741, 0.424224681]),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 0.1, "momentum": 0.5, "centered": True},
     [0.395193399, 0.302146124, 0.114405075, 0.748195484]),
    ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (0.01, 0.2)},
     [0.298125000, 0.458250000, -0.606250000, 1.026250000]),
]  # fmt: skip
COMPLEX_START = [[0.5 + 1j, -0.3], [0.8j, 0.1 - 0.4j]]
COMPLEX = [
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
     [0.260550964, -0.346213198, 0.767732886, 0.024718791, -0.697859039, -0.521686587, 1.662895496, 0.229944805]),
    ("Adam", {"lr": 0.05},
     [0.334316629, 0.511942719, 0.181556391, -0.002169361, -0.456506481, 0.318547958, 0.588030459, 0.041400814]),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 0.1},
     [0.341388751, 0.361424964, 0.283877423, -0.001633914, -0.422593667, 0.220943115, 0.732801460, -0.013281870]),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 0.1, "momentum": 0.5, "centered": True},
     [0.340462397, 0.339898110, 0.302146124, 0.001394955, -0.438623445, 0.208505998, 0.748195484, 0.002187079]),
    ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (0.01, 0.2)},
     [0.307500000, 0.073750000, 0.458250000, 0.010800000, -0.454250000, 0.041750000, 1.026250000, -0.054500000]),
]  # fmt: skip


def least_squares(start, dtype):
    a = torch.tensor([[2.0, -1.0], [0.5, 1.0], [1.0, 1.0]], dtype=dtype)
    b = torch.tensor([[1.0, 0.0], [-1.0, 2.0], [0.5, 1.0]], dtype=dtype)
    w = torch.tensor(start, dtype=dtype, requires_grad=True)
    return w, lambda: ((a @ w - b).abs() ** 2).sum()


def minimise(cls, kwargs, w, loss, steps=10):
    optimizer = getattr(torch.optim, cls)([w], **kwargs)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return optimizer


def names(cases):
    return [f"{name}-{i}" for i, (name, *_) in enumerate(cases)]


@pytest.mark.parametrize("cls, kwargs, expected", REAL, ids=names(REAL))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_real_parameters(cls, kwargs, expected, dtype):
    w, loss = least_squares(START, getattr(torch, dtype))
    minimise(cls, kwargs, w, loss)
    assert w.flatten().tolist() == pytest.approx(expected, abs=2e-8 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("cls, kwargs, expected", COMPLEX, ids=names(COMPLEX))
def test_complex_parameters(cls, kwargs, expected):
    w, loss = least_squares(COMPLEX_START, torch.complex128)
    minimise(cls, kwargs, w, loss)
    assert torch.view_as_real(w.detach()).flatten().tolist() == pytest.approx(expected, abs=2e-8)


@pytest.mark.parametrize("cls, kwargs", [case[:2] for case in REAL], ids=names(REAL))
def test_a_rate_that_is_a_tensor(cls, kwargs):
    """A 0-dim or one-element tensor is as good as its value."""
    w, loss = least_squares(START, torch.float64)
    minimise(cls, kwargs, w, loss, steps=3)
    for shape in ((), (1,)):
        v, other_loss = least_squares(START, torch.float64)
        lr = torch.full(shape, kwargs["lr"], dtype=torch.float64)
        minimise(cls, {**kwargs, "lr": lr}, v, other_loss, steps=3)
        assert torch.equal(v, w)


@pytest.mark.parametrize("cls, kwargs", [case[:2] for case in REAL], ids=names(REAL))
def test_maximize_is_descent_on_the_negative(cls, kwargs):
    down, loss = least_squares(START, torch.float64)
    minimise(cls, {**kwargs, "maximize": False}, down, loss, steps=4)
    up, gain = least_squares(START, torch.float64)
    minimise(cls, {**kwargs, "maximize": True}, up, lambda: -gain(), steps=4)
    assert torch.equal(up, down)


def test_muon():
    """Golden numbers of PyTorch, to what bfloat16 holds."""
    w, loss = least_squares(START, torch.float32)
    minimise("Muon", {"lr": 0.05, "momentum": 0.6, "adjust_lr_fn": "match_rms_adamw"}, w, loss)
    assert w.flatten().tolist() == pytest.approx([0.5390, -0.1663, 0.6439, 0.1089], abs=5e-3)


def test_differentiable_steps():
    """With `differentiable`, the parameter after two steps has a gradient with respect to the rate and the start."""
    start = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    w = start.clone()
    optimizer = torch.optim.SGD([w], lr=lr, differentiable=True)
    for _ in range(2):
        w.grad = 2 * w.clone()  # of the loss (w * w).sum()
        optimizer.step()
    # w = (1 - 2 lr)^2 start
    assert w.tolist() == pytest.approx([1.28, -0.64])
    w.sum().backward()
    assert start.grad.tolist() == pytest.approx([0.64, 0.64])
    assert lr.grad.item() == pytest.approx(-4 * 0.8 * 1.0)


@pytest.mark.parametrize("cls, kwargs", [case[:2] for case in REAL if case[0] != "Adafactor"])
def test_differentiable_gives_the_same_numbers(cls, kwargs):
    plain, loss = least_squares(START, torch.float64)
    minimise(cls, kwargs, plain, loss, steps=3)
    source, loss = least_squares(START, torch.float64)
    w = source.clone()
    w.retain_grad()
    optimizer = getattr(torch.optim, cls)([w], **kwargs, differentiable=True)
    a = torch.tensor([[2.0, -1.0], [0.5, 1.0], [1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [-1.0, 2.0], [0.5, 1.0]], dtype=torch.float64)
    for _ in range(3):
        w.grad = 2 * a.T @ (a @ w.clone() - b)
        optimizer.step()
    assert w.flatten().tolist() == pytest.approx(plain.flatten().tolist(), abs=1e-12)
    w.sum().backward()
    assert source.grad is not None and bool(torch.isfinite(source.grad).all())
