"""Nested tensors beside PyTorch: what operations give, part by part, shapes as they print, gradients, errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import attempt, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

# of nt [2, j1, 4], other [2, j1, 4] with the same offsets, q [2, 2, j1, 2], narrow [2, j1, 2], and `D`, dense tensors
JAGGED = """
nt + 1; 1 - nt; nt * 2.5; nt / 3; nt ** 2; 2 ** nt; -nt; nt.abs(); nt + other; nt * other - other; nt / (other + 9)
nt + D(4); D(4) - nt; nt * D(1, 4); nt + D(2, 1, 4); nt + D(1, 1, 4); nt + D(2, 1, 1); nt + D(2, 3, 4); nt * D(1)
nt.exp(); nt.sigmoid(); nt.tanh(); nt.sin(); nt.cos(); nt.relu(); nt.square(); nt.clamp(0, 1); nt.log1p(); nt.neg()
torch.nn.functional.gelu(nt); torch.nn.functional.silu(nt); torch.nn.functional.leaky_relu(nt, 0.1)
torch.nn.functional.relu(nt); torch.maximum(nt, other); torch.where(nt > 0, nt, other); torch.where(nt > 0, nt, 0.)
nt.masked_fill(nt > 0.5, 0); nt > 0; nt == other; nt <= 1; (nt > 0).logical_not(); nt.isnan(); nt.floor()
nt.sum(); nt.sum(1); nt.sum(-1); nt.sum(2, keepdim=True); nt.sum(1, keepdim=True); nt.sum((0, 1)); nt.sum((0, 1, 2))
nt.sum((0, 1), keepdim=True); q.sum(2); q.sum(-1); q.sum(1); nt.sum(-1, dtype=torch.float64)
nt.mean(); nt.mean(1); nt.mean(-1); nt.mean(1, keepdim=True); nt.mean((0, 1)); q.mean(2); nt.prod(1); nt.prod(2)
nt.amax(1); nt.amax(-1); nt.amin(1); nt.max(); nt.min(); nt.max(1); nt.min(-1); nt.max(1, keepdim=True)
(nt > 0).any(1); (nt > 0).any(-1); (nt > 0).all(1); (nt > 0).all(); (nt > 0).any(); nt.argmax(1); nt.argmin(2)
nt.argmax(); nt.softmax(-1); nt.softmax(1); nt.log_softmax(-1); torch.nn.functional.softmax(nt, dim=1)
nt.softmax(2, dtype=torch.float64); torch.nn.functional.layer_norm(nt, [4]); torch.nn.functional.rms_norm(nt, [4])
torch.nn.functional.layer_norm(nt, [4], D(4), D(4)); torch.nn.functional.layer_norm(q, [2])
torch.nn.functional.linear(nt, D(3, 4)); torch.nn.functional.linear(nt, D(3, 4), D(3)); nt @ D(4, 3); nt @ D(2, 4, 3)
nt.matmul(D(4, 2)); nt.bmm(D(2, 4, 3)); nt.transpose(1, 2) @ narrow; torch.bmm(nt.transpose(1, 2), nt)
nt.transpose(1, 2); nt.permute(0, 2, 1); nt.unsqueeze(1); nt.unsqueeze(-1); nt.unsqueeze(2).squeeze(2)
nt.view(2, -1, 2, 2); nt.reshape(2, -1, 2, 2); nt.unflatten(-1, (2, 2)); nt.view(2, nt.size(1), 2, 2)
nt.unflatten(-1, [2, 2]).flatten(2); q.transpose(1, 2).flatten(-2); q.transpose(1, 2).reshape(2, -1, 4)
nt.chunk(2, -1); nt.split(1, -1); nt.detach().split([1, 3], 2); nt.chunk(2, 0); nt.narrow(2, 1, 2)
nt[..., 1:]; nt.select(2, 1)
nt[0]; nt[-1]; nt[1, 0]; nt.unbind(); torch.cat([nt, narrow], -1); torch.stack([nt, other], -1)
torch.stack([nt, other], 2); nt.expand(2, -1, 4); torch.zeros_like(nt); torch.ones_like(nt); torch.full_like(nt, 3.)
nt.to(torch.float64); nt.half(); nt.long(); nt.clone(); nt.detach(); nt.contiguous(); nt.to_padded_tensor(0.)
nt.to_padded_tensor(-1., (2, 5, 4)); torch.nested.to_padded_tensor(nt, 2., (2, 2, 4))
torch.nn.functional.scaled_dot_product_attention(q, q * 2, q + 1)
torch.nn.functional.embedding(nt.long().abs()[..., 0], D(9, 3)); nt.values(); nt.offsets(); nt.lengths(); nt.numel()
nt.dim(); nt.shape; nt.size(0); nt.size(-1); nt.stride(); nt.is_contiguous(); nt.layout; nt.is_nested; len(nt); list(nt)
nt.transpose(1, 2).is_contiguous(); nt.unsqueeze(1).is_contiguous(); nt.element_size(); nt.nbytes; q.shape; q.stride()
nt._min_seqlen; nt._max_seqlen; torch.nested.as_nested_tensor(nt, layout=torch.jagged) is nt
torch.nested.as_nested_tensor(D(2, 3, 4))
torch.nested.as_nested_tensor(D(2, 3, 4), layout=torch.jagged); torch.nested.nested_tensor([[1, 2], [3]])
torch.nested.nested_tensor([D(2, 2), D(2, 4)], layout=torch.jagged)
torch.nested.nested_tensor_from_jagged(torch.arange(10.), torch.tensor([0, 3, 10]))
torch.nested.nested_tensor_from_jagged(torch.arange(10.), torch.tensor([0, 3, 6]), torch.tensor([2, 3]))
torch.nested.nested_tensor_from_jagged(torch.arange(10.), torch.tensor([0, 3, 6]), torch.tensor([2, 3])).contiguous()
torch.nested.nested_tensor_from_jagged(torch.arange(20.).reshape(2, 10), torch.tensor([0, 3, 10]), jagged_dim=2)
torch.nested.nested_tensor_from_jagged(torch.arange(10.), lengths=torch.tensor([4, 6]))
torch.nested.narrow(D(2, 10, 2), 1, torch.tensor([1, 2]), torch.tensor([3, 4]), layout=torch.jagged)
torch.nested.narrow(D(2, 10, 2), 1, 1, torch.tensor([3, 4]), layout=torch.jagged).offsets()
torch.nested.narrow(D(2, 3), 0, 0, 1); torch.nested.masked_select(D(2, 3), D(2, 3) > 0)
torch.nested.masked_select(D(2, 3), torch.tensor([True, False, True]))
torch.nested.masked_select(D(2, 2, 2), D(2, 2, 2) > 0)
torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.ReLU(), torch.nn.Identity())(nt); torch.nn.RMSNorm(4)(nt)
"""

STRIDED = """
nt + 1; nt * 2.5; nt / 2; -nt; nt + other; nt * other; nt - other; nt / nt; nt.abs(); nt.sin(); nt.cos(); nt.tanh()
nt.relu(); torch.nn.functional.gelu(nt); nt > 0; nt == 0; nt.masked_fill(nt > 0, 0); nt.transpose(1, 2); nt.unsqueeze(1)
nt.chunk(2, -1); nt.split([1, 3], -1); nt.softmax(-1); nt.softmax(1); nt.view(2, -1, 2, 2); nt.reshape(2, -1, 4, 1)
nt.reshape(2, -1, -1); nt.squeeze(-1); nt.unsqueeze(1).squeeze(1); nt.sum(-1, keepdim=True); nt.bmm(D(2, 4, 2))
nt.matmul(other.transpose(1, 2)); torch.bmm(nt, other.transpose(1, 2)); torch.nn.functional.linear(nt, D(2, 4))
torch.nn.functional.linear(nt, D(2, 4), D(2)); torch.nn.functional.layer_norm(nt, [4], D(4), D(4)); nt.half()
torch.nn.functional.scaled_dot_product_attention(nt.unsqueeze(1), nt.unsqueeze(1), other.unsqueeze(1)); nt[0]; nt[0, 1]
nt.unbind(); nt.values(); nt.size(0); nt.size(-1); nt.dim(); nt.numel(); nt.layout; nt.is_contiguous()
nt.to_padded_tensor(0.)
nt.to_padded_tensor(-1., (2, 4, 5)); nt.clone(); nt.detach(); nt.to(torch.float64); torch.zeros_like(nt); nt.is_nested
torch.nested.nested_tensor([D(2, 2), D(3, 4)]); torch.nested.nested_tensor([1, 2]); torch.nested.nested_tensor([])
torch.nested.to_padded_tensor(torch.nested.nested_tensor([D(1, 2), D(2, 1)]), 0.)
torch.nested.nested_tensor([D(2), D(3).double()])
"""

ERRORS = """
nt + D(5, 3); nt + torch.nested.nested_tensor([D(2, 4), D(3, 4)], layout=torch.jagged); nt.sum(0); nt.softmax(0)
nt.transpose(0, 1); nt.permute(1, 0, 2); nt.unsqueeze(0); nt[1:]; nt[5]; nt.flatten(0, 1); nt.view(-1, 4); nt.tolist()
nt.size(5); nt.numpy(); nt @ nt.transpose(1, 2); torch.cat([nt, nt], 1); torch.cat([nt, nt], 0); torch.stack([nt, nt])
torch.nested.nested_tensor(D(2, 3)); torch.nested.nested_tensor([], layout=torch.jagged); nt.item()
nt.detach().mul_(narrow)
torch.nested.nested_tensor([D(2), D(3).double()], layout=torch.jagged); torch.nested.nested_tensor([D(2), D(2, 3)]);
torch.nested.nested_tensor([D(2, 2), D(3, 4)], layout=torch.jagged); st.size(1); st.shape; st.transpose(0, 1)
torch.nested.nested_tensor([D(2)], layout=torch.sparse_coo); torch.nested.as_nested_tensor(D(2)); st.softmax(0)
st.size()
torch.nested.as_nested_tensor(5); torch.nested.as_nested_tensor(nt, layout=torch.strided); st.unsqueeze(0)
torch.nested.nested_tensor_from_jagged(torch.arange(10.)); torch.nested.nested_tensor_from_jagged([1], torch.arange(2))
torch.nested.narrow(D(2, 3), 1, 0, 2); torch.nested.to_padded_tensor(D(2), 0.); D(2).to_padded_tensor(0.)
torch.nested.to_padded_tensor(st, 0., (2, 1, 1))
torch.nested.nested_tensor([D(2).long()], requires_grad=True); nt.backward()
torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=D(2, 2, 3, 3) > 0)
"""

# PyTorch's gradient of these does not vanish along the softmax's dimension, as it must
WRONG = {"nt.softmax(1)", "torch.nn.functional.softmax(nt, dim=1)"}


def expressions(text: str) -> list[str]:
    return [e.strip() for line in text.strip().splitlines() for e in line.split(";") if e.strip()]


def names(ns, layout) -> dict:
    """What the expressions are written in, and the tensors that get gradients."""
    if ns is flambeau:
        flambeau._core.size.RaggedSize._numbers = iter(range(1, 1000))

    def dense(*shape):
        size = int(np.prod(shape))
        return ns.tensor(np.sin(np.arange(size, dtype=np.float32) * 1.7 + size).reshape(shape).tolist())

    parts = [dense(2, 4).requires_grad_(), dense(3, 4).requires_grad_()]
    nt = ns.nested.as_nested_tensor(parts, layout=layout)
    found = {"torch": ns, "D": dense, "nt": nt}
    if layout is ns.jagged:
        again = ns.nested.nested_tensor_from_jagged
        found["other"], found["narrow"] = again(dense(5, 4), nt.offsets()), again(dense(5, 2), nt.offsets())
        found["q"] = nt.unflatten(-1, (2, 2)).transpose(1, 2)
        found["st"] = ns.nested.nested_tensor([dense(2, 4), dense(3, 4)])
    else:
        found["other"] = ns.nested.nested_tensor([dense(2, 4), dense(3, 4)])
    return found, parts


def tensors_in(x) -> list:
    """The dense tensors that a result consists of."""
    if isinstance(x, (tuple, list)):
        return [t for item in x for t in tensors_in(item)]
    if not isinstance(x, (torch.Tensor, flambeau.Tensor)):
        return []
    return list(x.unbind()) if x.is_nested else [x]


def shown(x) -> str:
    """What is compared as text: shapes and kinds."""
    if isinstance(x, (tuple, list)) and not hasattr(x, "numel"):
        return str([shown(item) for item in x])
    if isinstance(x, (torch.Tensor, flambeau.Tensor)):
        jagged = x.is_nested and str(x.layout) == "torch.jagged"
        shape = f"{tuple(x.shape)} {x.is_contiguous()}" if jagged or not x.is_nested else ""
        return f"{x.is_nested} {x.layout} {x.dtype} {shape} {x.requires_grad}"
    return str(x)


def gradients(results, parts) -> list:
    """The gradients of the parts, for a sum in which each element counts differently."""
    total = None
    for t in tensors_in(results):
        if t.requires_grad:
            ns = torch if isinstance(t, torch.Tensor) else flambeau
            weights = ns.tensor(np.cos(np.arange(t.numel())).reshape(tuple(t.shape)).tolist()).to(t.dtype)
            term = (t * weights).sum().to(ns.float64)
            total = term if total is None else total + term
    if total is not None:
        total.backward()
    return [p.grad for p in parts]


@pytest.mark.parametrize(
    ("layout", "expression"),
    [("jagged", e) for e in expressions(JAGGED)] + [("strided", e) for e in expressions(STRIDED)],
)
def test_results(layout, expression):
    outcomes = []
    for ns in (torch, flambeau):
        scope, parts = names(ns, getattr(ns, layout))
        found = eval(expression, scope)
        text = re.sub(r"\bj\d+\b", "j", shown(found))
        values = [t.detach().float().numpy() if t.numel() else None for t in tensors_in(found)]
        grads = attempt(gradients, found, parts)
        outcomes.append((text, values, grads))
    (text, values, grads), (our_text, our_values, our_grads) = outcomes
    assert our_text == text
    if isinstance(grads, Exception) or expression in WRONG:  # then only that there are some
        grads = our_grads
    grads, our_grads = [[None if g is None else g.numpy() for g in gs] for gs in (grads, our_grads)]
    for ours, theirs in zip([*our_values, *our_grads], [*values, *grads], strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("expression", expressions(ERRORS))
def test_errors(expression):
    kinds = []
    for ns in (torch, flambeau):
        scope, _ = names(ns, ns.jagged)
        kinds.append(attempt(lambda scope=scope: eval(expression, scope)))
    theirs, ours = kinds
    assert isinstance(theirs, Exception)
    assert isinstance(ours, type(theirs)), f"{ours!r} instead of {theirs!r}"


@pytest.mark.parametrize("expression", ["nt", "nt + 1", "nt.detach()", "st", "q", "nt.sum(-1)", "st > 0"])
def test_printing(expression):
    texts = []
    for ns in (torch, flambeau):
        scope, _ = names(ns, ns.jagged)
        text = repr(eval(expression, scope))
        texts.append(re.sub(r"grad_fn=<\w+ object at \w+>", "grad_fn=", re.sub(r"\bj\d+\b", "j", text)))
    assert texts[0] == texts[1]
