"""state_dict and load_state_dict: keys, metadata, messages (PyTorch's), hooks, extra state."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import nn


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


KEYS = [
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
]


def test_keys_and_metadata():
    state = net().state_dict()
    assert list(state) == KEYS
    assert state._metadata == {"": {"version": 1}, "0": {"version": 1}, "1": {"version": 2}}
    assert not state["0.weight"].requires_grad
    assert net().state_dict(keep_vars=True, prefix="p.")["p.0.weight"].requires_grad
    given = {}
    assert net().state_dict(destination=given) is given and list(given) == KEYS


def test_load_copies_and_assign_takes():
    source, target = net(), net()
    weight = target[0].weight
    assert repr(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target[0].weight is weight and weight.tolist() == source[0].weight.tolist()
    state = source.state_dict()
    target.load_state_dict(state, assign=True)
    assert isinstance(target[0].weight, nn.Parameter) and target[0].weight.requires_grad
    with torch.no_grad():
        state["0.weight"].zero_()
    assert target[0].weight.abs().sum().item() == 0 and target[1].running_mean is state["1.running_mean"]


def test_messages():
    with pytest.raises(RuntimeError) as caught:
        net().load_state_dict({"0.weight": torch.ones(3, 3), "0.bias": 3, "x": torch.ones(1), "1.y.z": torch.ones(1)})
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Sequential:\n\t"
        'Missing key(s) in state_dict: "1.weight", "1.bias", "1.running_mean", "1.running_var". \n\t'
        'Unexpected key(s) in state_dict: "x", "1.y.z". \n\t'
        "size mismatch for 0.weight: copying a param with shape torch.Size([3, 3]) from checkpoint, the shape in "
        "current model is torch.Size([3, 2]).\n\t"
        'While copying the parameter named "0.bias", expected torch.Tensor or Tensor-like object from checkpoint but '
        "received <class 'int'>"
    )
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        net().load_state_dict([1])


def test_not_strict():
    result = net().load_state_dict({"0.weight": torch.ones(3, 2), "x": torch.ones(1)}, strict=False)
    assert result.missing_keys == KEYS[1:-1] and result.unexpected_keys == ["x"]
    missing, unexpected = result
    assert repr(result) == f"_IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"


def test_hooks():
    log = []
    model = net()
    model.register_state_dict_pre_hook(lambda m, prefix, keep_vars: log.append(("save", prefix, keep_vars)))
    model[0].register_state_dict_post_hook(lambda m, state, prefix, meta: log.append(("saved", list(state), prefix)))
    model.register_load_state_dict_pre_hook(lambda m, state, prefix, meta, *_: log.append(("load", m is model, meta)))
    model.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state = model.state_dict()
    del state["0.weight"]
    model.load_state_dict(state)
    assert log == [
        ("save", "", False),
        ("saved", ["0.weight", "0.bias"], "0."),
        ("load", True, {"version": 1}),
    ]


def test_extra_state():
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    source, target = nn.Sequential(Counter()), nn.Sequential(Counter())
    source[0].count = 5
    state = source.state_dict()
    assert dict(state) == {"0._extra_state": {"count": 5}}
    target.load_state_dict(state)
    assert target[0].count == 5
    with pytest.raises(RuntimeError, match='Missing key.*"0._extra_state"'):
        target.load_state_dict({})


def test_batch_norm_reads_version_1():
    state = nn.BatchNorm1d(2).state_dict()
    del state["num_batches_tracked"], state._metadata[""]["version"]
    nn.BatchNorm1d(2).load_state_dict(state)


def test_scalars_were_saved_with_a_dimension():
    module = nn.Module()
    module.x = nn.Parameter(torch.tensor(1.0))
    module.load_state_dict({"x": torch.tensor([3.0])})
    assert module.x.item() == 3.0
