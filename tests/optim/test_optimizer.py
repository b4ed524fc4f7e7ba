"""The base class: groups, steps, hooks, errors, saving."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest

import flambeau as torch
from flambeau.optim import optimizer as base

ALL = [
    "SGD", "Adam", "AdamW", "Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop",
    "Muon",
]  # fmt: skip
# What PyTorch 2.13 has in param_groups, in order.
DEFAULTS = {
    "SGD": {"lr": 0.001, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False,
            "foreach": None, "differentiable": False, "fused": None},
    "AdamW": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0.01, "amsgrad": False,
              "maximize": False, "foreach": None, "capturable": False, "differentiable": False, "fused": None,
              "decoupled_weight_decay": True},
    "RMSprop": {"lr": 0.01, "momentum": 0, "alpha": 0.99, "eps": 1e-08, "centered": False, "weight_decay": 0,
                "capturable": False, "foreach": None, "maximize": False, "differentiable": False},
    "LBFGS": {"lr": 1, "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-07, "tolerance_change": 1e-09,
              "history_size": 100, "line_search_fn": None},
}  # fmt: skip


def leaf(*shape):
    return torch.ones(*shape or (2,), requires_grad=True)


def make(name, params, **kwargs):
    return getattr(torch.optim, name)(params, **kwargs)


class Plain(torch.optim.Optimizer):
    """As users write them: a step of its own."""

    def __init__(self, params, lr=0.5):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for param in group["params"]:
                state = self.state[param]
                state["step"] = state.get("step", 0) + 1
                param.add_(param.grad, alpha=-group["lr"])
        return loss


# ---- groups ----


@pytest.mark.parametrize("name", DEFAULTS)
def test_options_are_pytorchs(name):
    group = dict(make(name, [leaf()]).param_groups[0])
    del group["params"]
    assert list(group.items()) == list(DEFAULTS[name].items())


def test_groups_have_options_of_their_own():
    a, b, c = leaf(), leaf(3), leaf(1)
    optimizer = torch.optim.SGD([{"params": a, "lr": 0.5}, {"params": (b,)}], lr=0.1)
    optimizer.add_param_group({"params": [c], "momentum": 0.9})
    assert [(g["lr"], g["momentum"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.5, 0, 1),
        (0.1, 0, 1),
        (0.1, 0.9, 1),
    ]
    for param in (a, b, c):
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert (a.tolist(), b.tolist(), c.tolist()) == ([0.5, 0.5], [pytest.approx(0.9)] * 3, [pytest.approx(0.9)])


def test_named_parameters():
    optimizer = torch.optim.SGD([("weight", leaf()), ("bias", leaf())])
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [leaf()]})


def test_repr():
    # as PyTorch prints it
    assert (
        repr(torch.optim.Rprop([leaf()], lr=0.1))
        == """Rprop (
Parameter Group 0
    capturable: False
    differentiable: False
    etas: (0.5, 1.2)
    foreach: None
    lr: 0.1
    maximize: False
    step_sizes: (1e-06, 50)
)"""
    )


shared = leaf()


@pytest.mark.parametrize("error, match, params, kwargs", [
    (ValueError, r"empty parameter list\n  hint: pass the parameters of a module: SGD\(model.parameters", [], {}),
    (TypeError, r"iterable of Tensors or dicts, but got torch.Tensor", shared, {}),
    (TypeError, r"the module Linear\n.*SGD\(model.parameters\(\)",
     type("Linear", (), {"parameters": lambda s: []})(), {}),
    (TypeError, "sets|a set has no order", {"params": {shared}}, {}),
    (TypeError, "one of the params is float", [1.0], {}),
    (TypeError, "must be a dict", [{"params": [shared]}, [leaf()]], {}),
    (ValueError, "non-leaf Tensor\n.*requires_grad", [shared * 2], {}),
    (ValueError, r"more than one parameter group\n.*shape \(2,\) is in group 0",
     [{"params": shared}, {"params": [shared]}], {}),
    (ValueError, "Some param names are missing", [("a", shared), leaf()], {}),
    (ValueError, "Invalid learning rate: -1\n.*>= 0", [shared], {"lr": -1}),
    (ValueError, "Tensor lr must be 1-element", [shared], {"lr": torch.tensor([0.1, 0.2])}),
    (ValueError, "Invalid momentum value: -0.5", [shared], {"momentum": -0.5}),
    (ValueError, "Nesterov momentum requires a momentum", [shared], {"nesterov": True}),
    (RuntimeError, "cannot be `True` together", [shared], {"fused": True, "foreach": True}),
])  # fmt: skip
def test_errors(error, match, params, kwargs):
    params = [params] if isinstance(params, dict) else params
    with pytest.raises(error, match=match):
        torch.optim.SGD(params, **kwargs)


@pytest.mark.parametrize("name, match, kwargs", [
    ("Adam", "Invalid beta parameter at index 1: 1.0", {"betas": (0.9, 1.0)}),
    ("Adam", "both floats or both Tensors", {"betas": (0.9, torch.tensor(0.9))}),
    ("Adam", "Invalid epsilon value: -1", {"eps": -1}),
    ("AdamW", "Invalid weight_decay value: -1", {"weight_decay": -1}),
    ("Adadelta", "Invalid rho value: 1.1", {"rho": 1.1}),
    ("Adagrad", "Invalid lr_decay value: -0.5", {"lr_decay": -0.5}),
    ("Adafactor", "beta2_decay should be <= 0 but is: 0.8", {"beta2_decay": 0.8}),
    ("NAdam", "Invalid momentum_decay value: -0.2", {"momentum_decay": -0.2}),
    ("Rprop", "Invalid eta values: 1.0, 0.5", {"etas": (1.0, 0.5)}),
    ("SparseAdam", "Invalid learning rate: 0", {"lr": 0}),
    ("Muon", "not supported", {"adjust_lr_fn": "mine"}),
])  # fmt: skip
def test_errors_in_options(name, match, kwargs):
    with pytest.raises(ValueError, match=match):
        make(name, [leaf(2, 2)], **kwargs)


def test_a_parameter_twice_in_a_group_warns():
    with pytest.warns(UserWarning, match="duplicate parameters"):
        torch.optim.SGD([shared, shared])


# ---- steps ----


@pytest.mark.parametrize("name", ALL)
def test_step_calls_the_closure_with_gradients_enabled(name):
    w = leaf(2, 2)
    optimizer = make(name, [w, unused := leaf(2, 2)])

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert not torch.equal(w, torch.ones(2, 2)) and torch.equal(unused, torch.ones(2, 2))
    assert w.requires_grad and w.is_leaf
    assert optimizer.step() is None


def test_zero_grad():
    a, b, c = leaf(), leaf(), leaf()
    optimizer = torch.optim.SGD([a, b, c])
    a.grad = torch.ones(2)
    (b * b).sum().backward(create_graph=True)
    grads = a.grad, b.grad
    optimizer.zero_grad(set_to_none=False)
    assert [p.grad.tolist() for p in (a, b)] == [[0.0, 0.0]] * 2
    assert (a.grad, b.grad) == grads or (a.grad is grads[0] and b.grad is grads[1])
    assert b.grad.grad_fn is None and c.grad is None
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None


def test_hooks():
    calls = []
    optimizer = torch.optim.SGD([w := leaf()], lr=1.0)
    w.grad = torch.ones(2)
    pre = optimizer.register_step_pre_hook(
        lambda o, args, kwargs: calls.append(("pre", o is optimizer, args[1:], kwargs))
    )
    optimizer.register_step_post_hook(
        lambda o, args, kwargs: calls.append(("post", o.param_groups[0]["params"][0].tolist()))
    )
    handles = [
        base.register_optimizer_step_pre_hook(lambda *a: calls.append("all pre")),
        base.register_optimizer_step_post_hook(lambda *a: calls.append("all post")),
    ]
    optimizer.step()
    assert calls == ["all pre", ("pre", True, (), {}), ("post", [0.0, 0.0]), "all post"]
    for handle in (pre, *handles):
        handle.remove()
    calls.clear()
    optimizer.step()
    assert calls == [("post", [-1.0, -1.0])]

    optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 7}))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda o, args, kwargs: "nonsense")
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_hooks_of_a_step_of_ones_own_run_once():
    class Wrapped(Plain):
        def step(self, closure=None):
            return super().step(closure)

    optimizer = Wrapped([w := leaf()])
    w.grad = torch.ones(2)
    calls = []
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    optimizer.step()
    assert (calls, w.tolist(), optimizer.state[w]["step"]) == ([1], [0.5, 0.5], 1)


def test_without_a_formula():
    class Nothing(torch.optim.Optimizer):
        pass

    optimizer = Nothing([w := leaf()], {})
    w.grad = torch.ones(2)
    with pytest.raises(NotImplementedError, match="Nothing has neither an `update`"):
        optimizer.step()


# ---- saving ----


def train(optimizer, params, grads):
    for grad in grads:
        for param in params:
            param.grad = grad
        optimizer.step()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("way", ["state_dict", "pickled state_dict", "pickled optimizer", "deepcopy"])
def test_going_on_from_a_saved_state_gives_the_same_bits(name, way):
    grads = [torch.tensor([[0.3 * i, -1.0], [2.0 - i, 0.1]]) for i in range(6)]
    w = leaf(2, 2)
    optimizer = make(name, [w])
    train(optimizer, [w], grads[:3])
    if way.endswith("state_dict"):
        v = w.detach().clone().requires_grad_()
        other = make(name, [v], lr=0.123)
        saved = optimizer.state_dict()
        other.load_state_dict(pickle.loads(pickle.dumps(saved)) if way.startswith("pickled") else saved)
    else:
        other = pickle.loads(pickle.dumps(optimizer)) if way.startswith("pickled") else copy.deepcopy(optimizer)
        v = other.param_groups[0]["params"][0]
    train(optimizer, [w], grads[3:])
    train(other, [v], grads[3:])
    assert v is not w and torch.equal(v, w)


def test_the_form_of_a_state_dict():
    params = [leaf(), leaf(3), leaf(1)]
    optimizer = torch.optim.Adam([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}])
    assert optimizer.state_dict()["state"] == {}
    for param in params[::2]:
        param.grad = torch.ones_like(param)
    optimizer.step()
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert list(saved["state"]) == [0, 2] and type(saved["state"][0]) is dict
    assert list(saved["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert saved["state"][2]["step"].dtype == torch.float32 and saved["state"][2]["step"].shape == ()
    optimizer.step()
    assert saved["state"][2]["step"].item() == 1.0


def test_loading_fits_dtype_but_leaves_the_step_and_what_it_is_given():
    optimizer = torch.optim.Adam([w := leaf()])
    w.grad = torch.ones(2)
    optimizer.step()
    saved = optimizer.state_dict()
    v = torch.ones(2, dtype=torch.float64, requires_grad=True)
    other = torch.optim.Adam([v])
    other.load_state_dict(saved)
    assert other.state[v]["exp_avg"].dtype == torch.float64 and other.state[v]["step"].dtype == torch.float32
    v.grad = torch.ones(2, dtype=torch.float64)
    other.step()
    assert saved["state"][0]["step"].item() == 1.0 and saved["state"][0]["exp_avg"].tolist() == pytest.approx(
        [0.1, 0.1]
    )


def test_loading_what_does_not_fit():
    two = torch.optim.SGD([{"params": [leaf()]}, {"params": [leaf()]}])
    one, pair = torch.optim.SGD([leaf()]), torch.optim.SGD([leaf(), leaf()])
    with pytest.raises(ValueError, match="different number of parameter groups\n.*has 1, the optimizer has 2"):
        two.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="size of optimizer's group\n.*\\[2\\] in the state dict, \\[1\\]"):
        one.load_state_dict(pair.state_dict())


def test_older_checkpoints():
    """Switches they lack are off, steps may be plain numbers; what AdamW decouples stays so."""
    w = leaf()
    optimizer = torch.optim.AdamW([w], amsgrad=True)
    zeros = torch.zeros(2)
    optimizer.load_state_dict(
        {
            "state": {0: {"step": 3, "exp_avg": zeros, "exp_avg_sq": zeros}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.0, "params": [0]}],
        }
    )
    group = optimizer.param_groups[0]
    assert (group["amsgrad"], group["maximize"], group["decoupled_weight_decay"]) == (False, False, True)
    w.grad = torch.ones(2)
    optimizer.step()
    assert float(optimizer.state[w]["step"]) == 4.0


def test_hooks_on_saving_and_loading():
    optimizer = torch.optim.SGD([leaf()], lr=0.1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda o, saved: {**saved, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, saved: calls.append(saved["note"]))
    optimizer.register_load_state_dict_pre_hook(lambda o, saved: calls.append("first"), prepend=True)
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["before saving", "first", 1, "loaded"]


def test_other_parameters_for_a_while():
    w, v = leaf(), leaf()
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.5)
    w.grad = v.grad = torch.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 1.0
    with torch.optim.swap_in_optimizer_params_and_state(optimizer, {"v": v}, state):
        optimizer.step()
    assert v.tolist() == [-0.5, -0.5] and w.tolist() == pytest.approx([0.9, 0.9])
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.param_groups[0]["params"][0] is w
    with pytest.raises(RuntimeError, match="as many parameters"):
        with torch.optim.swap_in_optimizer_params_and_state(optimizer, {}, state):
            pass


def test_no_warnings_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ALL:
            make(name, [leaf(2, 2)]).step()


def test_a_proxy_that_is_an_optimizer_only_by_its_class():
    class Proxy(torch.optim.Optimizer):
        def __init__(self, inner):
            self.inner = inner

        def step(self, closure=None):
            return self.inner.step(closure)

    w, calls = leaf(2), []
    inner = torch.optim.SGD([w], lr=0.1)
    inner.register_step_post_hook(lambda *given: calls.append(given))
    before = w.tolist()
    w.sum().backward()
    Proxy(inner).step()
    assert w.tolist() != before and len(calls) == 1
