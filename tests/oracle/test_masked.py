"""Masked tensors beside PyTorch: how they print, which says data and masks, gradients, errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import attempt, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

# of data d [3, 4], mask m, masked tensors x and y (another mask), i (integers), b (booleans)
RESULTS = """
x; y; i; b; x.get_data(); x.get_mask(); x.to_tensor(5); x.shape; x.dtype; x.layout; x.dim(); x.numel(); x.stride()
masked.is_masked_tensor(x); masked.is_masked_tensor(d); x + 1; 1 + x; x * x; x + d; d * x; x / d; 2 / x; x // 2; x % 2
-x; abs(x); x ** 2; x > 2; x == x; x > d; (x / 8).exp(); x.sqrt(); x.log(); x.sin(); x.tanh(); x.sigmoid(); x.round()
x.sign(); x.square(); x.reciprocal(); x.erf(); x.clamp(0, 3); x.isnan(); x.nan_to_num(); torch.maximum(x, x)
torch.logaddexp(x, x); torch.atan2(x, x); x.sub(x); x.div(2); b & b; ~b; x + d[0]; x + torch.ones(1, 4); x[0] + d
x.floor_divide(2)
x.sum(); x.sum(1); x.sum(-1, keepdim=True); x.sum(dim=(0, 1)); x.sum(0, dtype=torch.float64); x.mean(); x.mean(1)
x.prod(); x.prod(1); x.amax(); x.amax(1); x.amin(0); x.amin(); x.argmin(1); x.argmin(); x.argmax(0); x.argmax()
b.all(); b.all(1); x.var(1); x.std(1); x.var(); i.sum(1); i.amax(1); x.softmax(-1); torch.softmax(x, 0)
x[0]; x[0, 1]; x[:, 1:3]; x[m]; x[..., None]; x[[0, 2]]; x[torch.tensor([0, 1])]; x.transpose(0, 1); x.t()
x.reshape(2, 6); x.view(4, 3); x.unsqueeze(0); x.expand(2, 3, 4); x.contiguous(); x.clone(); x.detach(); x.double()
x.split(2); x.flatten(); torch.cat([x, x]); torch.stack([x, x]); torch.where(m, x, y); torch.where(m, x, 0.)
torch.where(m, x, d); torch.where(m, 3., x); torch.where(m, x, y).sum(); torch.ones_like(x); x.bool(); x.long(); len(x)
x.sum().item(); float(x.mean()); bool(x.sum() > 1); x.select(0, 0); x.narrow(0, 0, 1); torch.broadcast_to(x, (2, 3, 4))
masked.masked_tensor(torch.tensor(3.), torch.tensor(False)); masked.masked_tensor(torch.tensor(3.), torch.tensor(True))
masked.masked_tensor(torch.tensor([float("nan"), 1e5 + 0.5, 2]), torch.tensor([True, True, False])); (x * 1e6).exp()
masked.sum(x, 1); masked.amax(x, 0); masked.softmax(x, 1); masked.as_masked_tensor(d, m); masked.MaskedTensor(d, m)
y.detach().add_(1); y.detach().mul_(y); y.detach().copy_(y); x.is_contiguous(); x.requires_grad; x.is_leaf; x.grad
x.data; x.positive(); x.angle(); x.frac(); x.logit(); x.half(); torch.is_tensor(x); x.nelement()
"""

# of x and y, leaves, and l, a dense leaf: what is summed, and whose gradients are shown
GRADIENTS = """
x.sum(); (x / 8).exp().sum(); (x * x).mean(); x.mean(1).sum(); x.prod(); x.amax(); (x.softmax(1) * d).sum(); x.std()
torch.where(m, x.square(), y).sum(); (x / d).sum(); (x * d).sum(0).sum(); x.reshape(2, 6).sum(1).sum()
masked.as_masked_tensor(l, m).sum(); masked.as_masked_tensor(l / d, m).sum(); masked.as_masked_tensor(l * l, m).mean()
masked.as_masked_tensor((l - 1).sqrt(), l > 1).sum()
"""

ERRORS = """
x * y; masked.masked_tensor(d, m.float()); masked.masked_tensor(d, m[0]); masked.masked_tensor([1.], m)
masked.masked_tensor(d, [True]); masked.masked_tensor(x, m); masked.masked_tensor(d, x); x.tolist(); x.numpy(); x.item()
masked.masked_tensor(d.to(torch.complex64), m); masked.masked_tensor(d.byte(), m); masked.as_masked_tensor(x, m)
masked.masked_tensor(d, m.reshape(4, 3)); torch.matmul(x, torch.ones(4, 2)); x.add_(1); x.median(1); x.max(1)
bool(x); x[0, 0].item(); torch.nn.functional.linear(x, torch.ones(2, 4)); x.sort()
"""


def expressions(text: str) -> list[str]:
    return [e.strip() for line in text.strip().splitlines() for e in line.split(";") if e.strip()]


def names(ns) -> dict:
    """What the expressions are written in."""
    d = ns.arange(12.0).reshape(3, 4)
    m = d % 3 != 0
    masked = ns.masked
    return {
        "torch": ns,
        "masked": masked,
        "d": d,
        "m": m,
        "x": masked.masked_tensor(d, m, requires_grad=True),
        "y": masked.masked_tensor(d * 0.5, ~m, requires_grad=True),
        "i": masked.masked_tensor(d.long(), m),
        "b": masked.masked_tensor(d > 3, m),
        "l": d.clone().requires_grad_(),
    }


def shown(x) -> str:
    """A result as it prints, without the nodes of the graph."""
    if isinstance(x, (torch.Tensor, flambeau.Tensor)):
        return f"{x.detach()!r} {x.dtype} {x.requires_grad}"
    return repr(x)


@pytest.mark.parametrize("expression", expressions(RESULTS))
def test_results(expression):
    theirs, ours = [shown(eval(expression, names(ns))) for ns in (torch, flambeau)]
    assert ours == theirs


@pytest.mark.parametrize("expression", expressions(GRADIENTS))
def test_gradients(expression):
    texts = []
    for ns in (torch, flambeau):
        scope = names(ns)
        eval(expression, scope).backward()
        texts.append([repr(scope[name].grad) for name in "xyl"])
    assert texts[1] == texts[0]


@pytest.mark.parametrize("expression", expressions(ERRORS))
def test_errors(expression):
    theirs, ours = [attempt(lambda ns=ns: eval(expression, names(ns))) for ns in (torch, flambeau)]
    assert isinstance(theirs, Exception)
    assert isinstance(ours, type(theirs)), f"{ours!r} instead of {theirs!r}"
