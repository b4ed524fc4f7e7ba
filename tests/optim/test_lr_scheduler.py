"""Schedules: the rates PyTorch 2.13 sets (golden numbers), saving, warnings and errors; and beside PyTorch."""

from __future__ import annotations

import pickle
import warnings

import pytest

import flambeau
from flambeau.optim import lr_scheduler

SCHEDULES = {
    "lambda": lambda s, o: s.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.01 * e),
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multistep": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "linear": lambda s, o: s.LinearLR(o, 0.2, 0.9, 6),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.8),
    "polynomial": lambda s, o: s.PolynomialLR(o, 7, 1.5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 4, 0.01),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.01, [0.1, 0.3], 3, 5),
    "cyclic triangular2": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, mode="triangular2", base_momentum=0.6),
    "cyclic range": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "cyclic custom": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, scale_fn=lambda x: 1 / x, scale_mode="cycle"),
    "one cycle": lambda s, o: s.OneCycleLR(o, [0.1, 0.5], total_steps=21),
    "one cycle three": lambda s, o: s.OneCycleLR(
        o, 0.1, epochs=3, steps_per_epoch=7, three_phase=True, pct_start=0.25),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, 0.1, total_steps=20, anneal_strategy="linear", cycle_momentum=False),
    "sequential": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 2, 0.5)], [3, 8]),
    "sequential cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1, 4), s.CosineAnnealingLR(o, 6)], [4]),
    "sequential restarts": lambda s, o: s.SequentialLR(
        o, [s.CosineAnnealingWarmRestarts(o, 3), s.PolynomialLR(o, 9)], [7]),
    "chained": lambda s, o: s.ChainedScheduler([s.ExponentialLR(o, 0.9), s.LinearLR(o, 0.3), s.StepLR(o, 4)]),
    "chained cosine": lambda s, o: s.ChainedScheduler([s.CosineAnnealingLR(o, 5), s.MultiStepLR(o, [3], 0.5)]),
    "swa": lambda s, o: s.SWALR(o, 0.3, 6),
    "swa linear": lambda s, o: s.SWALR(o, [0.3, 0.2], 6, "linear"),
    "swa at once": lambda s, o: s.SWALR(o, 0.3, 0),
}  # fmt: skip

# Rates of the second group (of initial rate 0.2) in the first epochs.
GOLDEN = {
    "lambda": [0.2, 0.1, 0.0666667, 0.05, 0.04, 0.0333333, 0.0285714, 0.025, 0.0222222, 0.02, 0.0181818],
    "multiplicative": [0.2, 0.182, 0.16744, 0.155719, 0.146376, 0.139057, 0.133495, 0.12949, 0.1269, 0.125631,
        0.125631],
    "step": [0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025],
    "multistep": [0.2, 0.2, 0.06, 0.06, 0.06, 0.0054, 0.0054, 0.0054, 0.0054, 0.00162, 0.00162],
    "constant": [0.05, 0.05, 0.05, 0.05, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    "linear": [0.04, 0.0633333, 0.0866667, 0.11, 0.133333, 0.156667, 0.18, 0.18, 0.18, 0.18, 0.18],
    "exponential": [0.2, 0.16, 0.128, 0.1024, 0.08192, 0.065536, 0.0524288, 0.041943, 0.0335544, 0.0268435, 0.0214748],
    "polynomial": [0.2, 0.158712, 0.120736, 0.0863919, 0.0561132, 0.0305441, 0.010799, 0, 0, 0, 0],
    "cosine": [0.2, 0.172175, 0.105, 0.0378249, 0.01, 0.0378249, 0.105, 0.172175, 0.2, 0.172175, 0.105],
    "restarts": [0.2, 0.15025, 0.05075, 0.2, 0.18667, 0.15025, 0.1005, 0.05075, 0.0143305, 0.2, 0.19661],
    "cyclic": [0.01, 0.106667, 0.203333, 0.3, 0.242, 0.184, 0.126, 0.068, 0.01, 0.106667, 0.203333],
    "cyclic triangular2": [0.01, 0.055, 0.1, 0.055, 0.01, 0.0325, 0.055, 0.0325, 0.01, 0.02125, 0.0325],
    "cyclic range": [0.01, 0.0505, 0.0829, 0.042805, 0.01, 0.0365721, 0.0578297, 0.0315234, 0.01, 0.0274339, 0.0413811],
    "cyclic custom": [0.01, 0.055, 0.1, 0.055, 0.01, 0.0325, 0.055, 0.0325, 0.01, 0.025, 0.04],
    "one cycle": [0.02, 0.0609426, 0.169801, 0.309435, 0.432202, 0.496215, 0.497208, 0.483681, 0.459522, 0.42583,
        0.384138],
    "one cycle three": [0.004, 0.0165276, 0.0475711, 0.0809265, 0.0991827, 0.0928104, 0.0651358, 0.0306046,
        0.00724133, 0.00398137, 0.00383444],
    "one cycle linear": [0.004, 0.0232, 0.0424, 0.0616, 0.0808, 0.1, 0.0928572, 0.0857143, 0.0785715, 0.0714287,
        0.0642859],
    "sequential": [0.02, 0.02, 0.2, 0.2, 0.18, 0.162, 0.1458, 0.13122, 0.2, 0.2, 0.1],
    "sequential cosine": [0.02, 0.065, 0.11, 0.155, 0.2, 0.186603, 0.15, 0.1, 0.05, 0.0133975, 0],
    "sequential restarts": [0.2, 0.15, 0.05, 0.2, 0.15, 0.05, 0.2, 0.2, 0.177778, 0.155556, 0.133333],
    "chained": [0.06, 0.0792, 0.09396, 0.104976, 0.0112849, 0.0118098, 0.0106288, 0.00956594, 0.000860934,
        0.000774841, 0.000697357],
    "chained cosine": [0.2, 0.180902, 0.130902, 0.0345492, 0.00954915, 0, 0.0190983, 0.0690983, 0.130902, 0.180902,
        0.2],
    "swa": [0.2, 0.206699, 0.225, 0.25, 0.275, 0.293301, 0.3, 0.3, 0.3, 0.3, 0.3],
    "swa linear": [0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    "swa at once": [0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3],
}  # fmt: skip


class Names:
    """Schedulers and SWALR of a namespace in one."""

    def __init__(self, ns):
        self.__dict__.update(vars(ns.optim.lr_scheduler), SWALR=ns.optim.swa_utils.SWALR)


def optimizer_of(ns, tensor_lr=False, cls="SGD"):
    params = [ns.zeros(2, requires_grad=True), ns.zeros(3, requires_grad=True)]
    lr = (lambda v: ns.tensor(v, dtype=ns.float64)) if tensor_lr else (lambda v: v)
    extra = {"momentum": 0.9} if cls == "SGD" else {}
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": lr(0.2)}]
    return getattr(ns.optim, cls)(groups, lr=lr(0.05), **extra)


def follow(make, ns, steps=18, **kwargs):
    """Rates and momenta over time, and the scheduler."""
    optimizer = optimizer_of(ns, **kwargs)
    scheduler = make(Names(ns), optimizer)
    seen = []
    for _ in range(steps):
        seen.append(
            [float(lr) for lr in scheduler.get_last_lr()]
            + [float(g["lr"]) for g in optimizer.param_groups]
            + [float(g["momentum"] if "momentum" in g else g["betas"][0]) for g in optimizer.param_groups]
        )
        optimizer.step()
        scheduler.step()
    return seen, scheduler


@pytest.fixture
def pytorch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", SCHEDULES)
def test_golden_rates(name):
    seen, _ = follow(SCHEDULES[name], flambeau, steps=11)
    assert [rates[1] for rates in seen] == pytest.approx(GOLDEN[name], rel=1e-5, abs=1e-12)
    assert all(rates[:2] == rates[2:4] for rates in seen)  # get_last_lr() is what the groups have


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_saved_schedule_goes_on(name):
    """Through pickle, into a new optimizer and scheduler, as a resumed program would."""

    def train(scheduler, steps):
        seen = []
        for _ in range(steps):
            scheduler.optimizer.step()
            scheduler.step()
            seen += scheduler.get_last_lr()
        return seen

    first = SCHEDULES[name](Names(flambeau), optimizer_of(flambeau))
    train(first, 5)
    saved = pickle.dumps((first.state_dict(), first.optimizer.state_dict()))
    again = SCHEDULES[name](Names(flambeau), optimizer_of(flambeau))
    for part, state in zip((again, again.optimizer), pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    assert train(again, 8) == train(first, 8)


class Factor:
    """A callable with state, which is saved."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


@pytest.mark.parametrize(
    "make, functions",
    [
        (lambda o, f: lr_scheduler.LambdaLR(o, f), lambda s: s.lr_lambdas[0]),
        (lambda o, f: lr_scheduler.MultiplicativeLR(o, f), lambda s: s.lr_lambdas[0]),
        (lambda o, f: lr_scheduler.CyclicLR(o, 0.1, 0.2, scale_fn=f), lambda s: s._scale_fn_custom),
    ],
)
def test_callable_objects_are_saved_by_their_attributes(make, functions):
    saved = make(optimizer_of(flambeau), Factor(0.5)).state_dict()
    other = make(optimizer_of(flambeau), Factor(0.9))
    other.load_state_dict(saved)
    assert functions(other).base == 0.5
    assert saved == make(optimizer_of(flambeau), Factor(0.5)).state_dict()  # loading leaves what it is given alone


def test_a_tensor_stays_the_same_tensor():
    optimizer = optimizer_of(flambeau, tensor_lr=True)
    lr = optimizer.param_groups[0]["lr"]
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.025
    assert scheduler.get_last_lr()[0] is not lr and scheduler.base_lrs[0].item() == 0.05


def test_plateau_waits_and_cools_down():
    optimizer = optimizer_of(flambeau)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=[0.02, 0.1])
    rates = []
    for loss in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]:
        scheduler.step(flambeau.tensor(loss))
        rates.append(scheduler.get_last_lr())
    assert rates == [[0.05, 0.2]] * 2 + [[0.025, 0.1]] * 3 + [[0.02, 0.1]] * 2


def test_the_order_of_calls():
    optimizer = optimizer_of(flambeau)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()
    optimizer.step()
    scheduler.step()  # no second warning

    optimizer = optimizer_of(flambeau)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    optimizer.step()
    with pytest.warns(UserWarning, match="has been overridden"):
        scheduler.step()


def test_misuse_warns():
    scheduler = lr_scheduler.ExponentialLR(optimizer_of(flambeau), 0.5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    scheduler.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)
    assert scheduler.get_last_lr() == [0.05 * 0.5**3, 0.2 * 0.5**3]


@pytest.mark.parametrize("error, match, make", [
    (TypeError, "Linear is not an Optimizer", lambda s, o: s.StepLR(type("Linear", (), {})(), 3)),
    (KeyError, "initial_lr.*resuming", lambda s, o: s.StepLR(o, 3, last_epoch=4)),
    (ValueError, "Expected 2 lr_lambdas, but got 1", lambda s, o: s.LambdaLR(o, [abs])),
    (TypeError, "lr_lambda should be a function, but got float", lambda s, o: s.MultiplicativeLR(o, 0.9)),
    (ValueError, "between 0 and 1, got 2", lambda s, o: s.ConstantLR(o, 2)),
    (ValueError, "greater than 0", lambda s, o: s.LinearLR(o, 0)),
    (ValueError, "between 0 and 1, got 1.5", lambda s, o: s.LinearLR(o, end_factor=1.5)),
    (ValueError, "positive integer T_0", lambda s, o: s.CosineAnnealingWarmRestarts(o, 0)),
    (ValueError, "T_mult >= 1", lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 0.5)),
    (ValueError, "max_lr has 3 values, param_groups has 2", lambda s, o: s.CyclicLR(o, 0.1, [1, 2, 3])),
    (ValueError, "mode is invalid", lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square")),
    (ValueError, "either total_steps OR", lambda s, o: s.OneCycleLR(o, 0.1, epochs=3)),
    (ValueError, "positive integer epochs, but got 0", lambda s, o: s.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3)),
    (ValueError, "pct_start", lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=2)),
    (ValueError, "'cos' or 'linear'", lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="sine")),
    (ValueError, "Factor should be < 1.0", lambda s, o: s.ReduceLROnPlateau(o, factor=1)),
    (ValueError, "expected 2 min_lrs, got 1", lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0])),
    (ValueError, "mode least is unknown", lambda s, o: s.ReduceLROnPlateau(o, "least")),
    (ValueError, "at least one scheduler", lambda s, o: s.SequentialLR(o, [], [])),
    (ValueError, "number of milestones", lambda s, o: s.SequentialLR(o, [s.StepLR(o, 3)], [1])),
    (ValueError, "ReduceLROnPlateau", lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)])),
    (ValueError, "same optimizer", lambda s, o: s.ChainedScheduler([s.StepLR(o, 3)], optimizer_of(flambeau))),
    (NotImplementedError, "has no get_lr", lambda s, o: s.LRScheduler(o)),
])  # fmt: skip
def test_errors(error, match, make):
    with pytest.raises(error, match=match):
        make(lr_scheduler, optimizer_of(flambeau))


def test_no_momentum_to_cycle():
    optimizer = flambeau.optim.Adagrad([flambeau.zeros(2, requires_grad=True)])
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        lr_scheduler.CyclicLR(optimizer, 0.1, 0.2)


def test_one_cycle_has_an_end():
    optimizer = optimizer_of(flambeau)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        scheduler.step()


# ---- beside PyTorch ----


@pytest.mark.oracle
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kwargs", [{}, {"tensor_lr": True}, {"cls": "Adam"}], ids=["sgd", "tensor lr", "adam"])
def test_beside_pytorch(pytorch, name, kwargs):
    if kwargs.get("tensor_lr") and name == "swa":
        pytest.skip("writes the rates of both groups into one tensor")
    steps = 18 if name.startswith("one cycle") else 50  # one cycle has an end
    expected, theirs = follow(SCHEDULES[name], pytorch, steps, **kwargs)
    got, ours = follow(SCHEDULES[name], flambeau, steps, **kwargs)
    for e, g in zip(expected, got, strict=True):
        assert g == pytest.approx(e, rel=1e-12, abs=1e-15)
    assert set(theirs.state_dict()) == set(ours.state_dict())


@pytest.mark.oracle
@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith(("sequential", "chained", "swa"))])
def test_epochs_beside_pytorch(pytorch, name):
    """last_epoch >= 0 on groups that know their initial rate, and the closed forms."""

    def go(ns):
        optimizer = optimizer_of(ns)
        scheduler = SCHEDULES[name](Names(ns), optimizer)
        seen = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (3, 0, 7, 12, 5):
                scheduler.step(epoch)
                seen += scheduler.get_last_lr()
                scheduler.step()
                seen += scheduler.get_last_lr()
        return seen

    assert go(flambeau) == pytest.approx(go(pytorch), rel=1e-12, abs=1e-15)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("kwargs", [{}, {"cooldown": 2}, {"min_lr": [0.01, 0.1]}, {"patience": 0, "threshold": 0.05}])
def test_plateau_beside_pytorch(pytorch, mode, threshold_mode, kwargs):
    losses = [1.0, 0.9, 0.91, 0.9, 0.899, 0.95, 0.96, 0.8, 0.81, 0.82, 0.83, 0.8, 0.9, 0.9, 0.9, 0.7, 0.7, 0.7, 0.7]

    def go(ns):
        optimizer = optimizer_of(ns)
        scheduler = ns.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, **{"patience": 1, **kwargs}, threshold_mode=threshold_mode
        )
        seen = []
        for loss in losses:
            scheduler.step(loss)
            seen.append(list(scheduler.get_last_lr()))
        return seen, scheduler.state_dict()

    assert go(flambeau) == go(pytorch)
