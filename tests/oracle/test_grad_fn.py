"""The autograd graph beside PyTorch's: names of nodes and types, what a node leads to, in which order."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

# Over `t`, the package, and `F`, its nn.functional; the names of tensors are those of `inputs`.
EXPRESSIONS = """
2 / x; x + y; x + 1; 1 + x; x - y; x - 1; 1 - x; x * y; x * 2; 2 * x; x / y; x / 2; -x; x ** 2; x ** y; 2 ** x; x + p
p * x; t.where(x > 0, x, y); t.where(x > 0, x, 0.0); x % 2; t.fmod(x, 2); t.remainder(x, y); t.addcmul(x, x, y)
t.addcdiv(x, x, y); t.lerp(x, y, 0.5); t.lerp(x, y, p); t.atan2(x, y); t.hypot(x, y); t.maximum(x, y)
t.minimum(x, y); t.fmax(x, y); t.clamp(x, 0.5); t.clamp(x, 0.1, 0.5); t.clamp(x, min=p); t.clamp_min(x, 0.1)
t.clamp_max(x, 0.1); x.exp(); x.log(); x.log2(); x.log10(); x.log1p(); x.expm1(); x.exp2(); x.sqrt(); x.rsqrt()
x.reciprocal(); x.square(); x.abs(); x.sign(); x.floor(); x.ceil(); x.round(); x.trunc(); x.frac(); x.sin(); x.cos()
x.tan(); x.asin(); x.acos(); x.atan(); x.sinh(); x.cosh(); x.tanh(); x.asinh(); (x + 1).acosh(); x.atanh(); x.erf()
x.erfc(); x.erfinv(); x.lgamma(); x.digamma(); x.sigmoid(); x.logit(); t.special.xlogy(x, y); t.logaddexp(x, y)
t.nan_to_num(x); t.sinc(x); x.sum(); x.sum(1); x.sum((0, 1)); x.mean(); x.mean(0); x.prod(); x.prod(1); x.var()
x.var(1); x.std(); x.std(0); t.var_mean(x)[0]; t.std_mean(x, 1)[1]; x.norm(); x.norm(2, 1); t.linalg.vector_norm(x)
t.linalg.norm(m); x.max(); x.max(1)[0]; x.min(); x.min(0)[0]; x.amax(1); x.amin(0); x.median(); x.median(1)[0]
x.logsumexp(1); x.cumsum(0); x.cumprod(1); x.cummax(1)[0]; x.logcumsumexp(0); x.sort()[0]; x.argsort() * v
x.topk(2)[0]; x.kthvalue(1)[0]; x.mode(1)[0]; x.nansum(); x.nanmean(); t.dist(x, y); x.aminmax()[0]; t.diff(x)
x @ v; x @ m; v @ v; m @ v; t.mm(x, m); t.mv(m, v); t.bmm(b, b.transpose(1, 2)); t.dot(v, v); t.addmm(m, m, m)
t.addmv(v, m, v); t.tensordot(x, m, 1); t.linalg.inv(m); t.linalg.det(m); t.linalg.slogdet(m)[1]
t.linalg.solve(m, v); t.linalg.cholesky(m); t.linalg.qr(m)[0]; t.linalg.svd(m)[1]; t.linalg.eigh(m)[0]
t.matrix_exp(m); t.linalg.matrix_power(m, 2); t.trace(m); t.cross(m, m, 0); t.cdist(x, y); x.view(3, 2)
x.reshape(6); x.t().reshape(6); x.flatten(); x.t().flatten(); x.ravel(); x.t(); x.T; x.mT; x.transpose(0, 1)
x.permute(1, 0); x.squeeze(); x[:1].squeeze(0); x.squeeze((0, 1)); x.unsqueeze(0); x.expand(4, 2, 3)
x.expand_as(b[:, :2, :3]); x.broadcast_to((4, 2, 3)); x[0]; x[:, 1:]; x[::2]; x[None]; x[..., 0]; x[index]; x[x > 0]
x[:, index]; x.select(0, 1); x.narrow(1, 0, 2); x.chunk(2)[0]; x.split(1)[1]; x.split([1, 1])[0]; x.unbind(0)[1]
t.unbind(x)[0]; t.cat([x, y]); t.cat([x, p, y], 1); t.stack([x, y]); t.hstack([x, y]); t.vstack([x, p])
t.dstack([x, y]); x.repeat(2, 1); x.tile(2); x.repeat_interleave(2, 0); x.flip(0); x.roll(1, 0); x.rot90()
x.diagonal(); m.diag(); v.diag(); t.diag_embed(x); x.tril(); x.triu(1); x.movedim(0, 1); x.swapaxes(0, 1)
x.unflatten(1, (3, 1)); x.unfold(1, 2, 1); x.fliplr(); x.gather(1, t.zeros(2, 1, dtype=t.int64))
x.index_select(0, index); x.take(index); x.take_along_dim(t.zeros(2, 1, dtype=t.int64), 1); x.masked_select(x > 0)
x.masked_fill(x > 0, 1.0); x.masked_fill(x > 0, s); x.scatter(1, t.zeros(2, 1, dtype=t.int64), y)
x.scatter(1, t.zeros(2, 1, dtype=t.int64), 1.0); x.scatter_add(1, t.zeros(2, 1, dtype=t.int64), y)
x.index_add(0, index, y); x.index_copy(0, index, y); x.index_fill(0, index, 0.0); x.index_put((index,), y)
x.masked_scatter(x > 0, y); x.scatter_reduce(0, index[None].repeat(2, 2)[:, :3], y, "sum")
x.select_scatter(v, 0, 0); x.slice_scatter(y, 0); x.clone(); x.contiguous() * 1; x.t().contiguous(); x.to(t.float64)
x.double(); x.half(); x.float() * 1; x.detach() + x; x.type(t.float64); x.type_as(p.double()); x.to(t.float32) * 2
t.complex(x, y); t.polar(x, y); t.view_as_real(t.complex(x, y)); t.complex(x, y).conj(); t.complex(x, y).angle()
t.complex(x, y).abs(); x.conj() * 1; t.fft.rfft(x); t.fft.irfft(t.complex(x, y)); t.fft.fftshift(x); F.relu(x)
x.relu(); F.relu6(x); F.elu(x); F.celu(x); F.selu(x); F.gelu(x); F.gelu(x, approximate="tanh"); F.silu(x); F.mish(x)
F.leaky_relu(x); F.prelu(x, s[None]); F.softplus(x); F.softsign(x); F.hardtanh(x); F.hardsigmoid(x); F.hardswish(x)
F.glu(b[..., :4]); F.hardshrink(x); F.softshrink(x); F.tanhshrink(x); F.threshold(x, 0.1, 0.0); F.logsigmoid(x)
F.rrelu(x); F.softmin(x, 1); F.softmax(x, 1); x.softmax(0); F.log_softmax(x, 1); F.gumbel_softmax(x); F.normalize(x)
F.dropout(x, 0.0); F.dropout(x, 0.5); F.dropout(x, 0.5, False) * 1; F.alpha_dropout(x, 0.5); F.linear(x, m)
F.linear(x, m, v); F.conv2d(i, k); F.conv2d(i, k, v); F.conv_transpose2d(i, k); F.conv2d(i, k, padding=1, stride=2)
F.max_pool2d(i, 2); F.avg_pool2d(i, 2); F.adaptive_avg_pool2d(i, 1); F.adaptive_avg_pool2d(i, 2)
F.adaptive_max_pool2d(i, 2); F.lp_pool2d(i, 2, 2); F.max_pool3d(i[None], 2); F.pad(x, (1, 1))
F.pad(i, (1, 1, 1, 1), "reflect"); F.pad(i, (1, 1, 1, 1), "replicate"); F.interpolate(i, scale_factor=2)
F.interpolate(i, scale_factor=2, mode="bilinear"); F.interpolate(i, size=(3, 3), mode="bicubic")
F.grid_sample(i, t.zeros(2, 3, 3, 2)); F.affine_grid(x[None].expand(2, 2, 3), (2, 3, 4, 4))
F.pixel_shuffle(i.transpose(1, 2), 2); F.unfold(i, 2); F.upsample(i, scale_factor=2)
F.batch_norm(i, t.zeros(3), t.ones(3), v, v, True); F.batch_norm(i, t.zeros(3), t.ones(3), v, v)
F.batch_norm(i, None, None, training=True); F.layer_norm(x, (3,)); F.layer_norm(x, (3,), v, v)
F.group_norm(i, 3, v, v); F.embedding(index, m); F.embedding_bag(index[None], m); F.one_hot(index, 3) * v
F.scaled_dot_product_attention(i, i, i); F.mse_loss(x, y); F.mse_loss(x, p, reduction="none"); F.l1_loss(x, p)
F.smooth_l1_loss(x, p); F.huber_loss(x, p); F.cross_entropy(x, index)
F.cross_entropy(i, t.zeros(2, 4, 4, dtype=t.int64)); F.nll_loss(x, index)
F.binary_cross_entropy(x.sigmoid(), p.sigmoid()); F.kl_div(x, p); F.kl_div(x, p, log_target=True)
F.binary_cross_entropy_with_logits(x, p.sigmoid()); F.poisson_nll_loss(x, p); F.multi_margin_loss(x, index)
F.multilabel_margin_loss(x, t.zeros(2, 3, dtype=t.int64)); F.soft_margin_loss(x, p); F.multilabel_soft_margin_loss(x, p)
F.ctc_loss(b.log_softmax(2), index[None].expand(4, 2) + 1, t.tensor([3] * 4), t.tensor([2] * 4)); x.clone().add_(1)
x.clone().mul_(y); x.clone().exp_(); x.clone().relu_(); x.clone().zero_() + x; x.clone().fill_(s)
x.clone().copy_(y); x.clone().clamp_(0); x.clone().masked_fill_(x > 0, 1.0); x.clone().sub_(y); x.clone().div_(2)
x.clone().neg_(); x.clone().index_add_(0, index, y); p.clone().copy_(x); x.clone().pow_(2); x.clone().sigmoid_()
x.clone().index_fill_(0, index, 1.0); x.clone().scatter_(1, t.zeros(2, 1, dtype=t.int64), 1.0); t.ones_like(x) * x
t.meshgrid(v, v, indexing="ij")[0]; t.cartesian_prod(v, v); t.atleast_3d(x); t.histc(v.detach()) + s
t.bucketize(x.detach(), v.detach()) * x; t.nn.utils.parameters_to_vector([x, y]); t.renorm(x, 2, 0, 1.0)
t.column_stack([x, y]); t.isclose(x, y) * x; t.special.entr(x); t.special.i0(x); t.special.logsumexp(x, 1)
t.mvlgamma(x + 2, 2); t.polygamma(1, x); t.copysign(x, y); t.ldexp(x, p); t.float_power(x, 2); t.true_divide(x, y)
t.subtract(x, y); t.negative(x); t.absolute(x); t.rad2deg(x); t.deg2rad(x); t.count_nonzero(x) * x; t.vdot(v, v)
t.addr(m, v, v); t.addbmm(b[0] @ b[0].mT, b, b.mT); t.conv2d(i, k); t.sub(x, y, alpha=2); t.add(x, y, alpha=2)
t.rsub(x, y); t.rsub(x, 1); t.amax(x, (0, 1)); t.sum(x, 0, True)
"""
DIFFERENT = {
    "several steps of PyTorch's are one operation here": """
        v @ m; b @ b.transpose(1, 2); i @ i; t.baddbmm(b @ b.mT, b, b.mT); t.baddbmm(b @ b.mT, b, b.mT, beta=2)
        F.linear(b.mT[..., :3], m, v); F.linear(v, m, v); F.linear(v, m); F.max_pool1d(b, 2); F.avg_pool1d(b, 2)
        F.pad(i, (1, 1, 1, 1), "circular"); F.instance_norm(i); F.scaled_dot_product_attention(b, b, b)
        t.complex(x, y).real; t.complex(x, y).imag; t.chain_matmul(m, m); t.linalg.multi_dot([m, m, m])
        x.tensor_split(2)[1]
    """,
    "PyTorch numbers the in-place form of a view": """
        x.clone().t_(); x.clone().squeeze_(); x.clone().unsqueeze_(0); x.clone().transpose_(0, 1)
    """,
    "no derivative there, none here": """
        x // 2; t.floor_divide(x, y); t.heaviside(x, p); t.unique(x)
    """,
    "composed of other steps": """
        t.quantile(v, 0.5); t.trapezoid(v); t.outer(v, v); t.einsum("ij,jk->ik", x, m); t.kron(m, m); t.logdet(m)
        t.fft.fft(x); F.cosine_similarity(x, y); F.pairwise_distance(x, y); F.bilinear(x, y, b[:, :3, :3], v)
        F.conv1d(b, b[:, :4, :2]); F.fold(i.flatten(1)[:, :48].view(2, 12, 4), (3, 3), 2); F.rms_norm(x, (3,), v)
        F.local_response_norm(i, 2); F.cross_entropy(x, p.softmax(1)); F.cross_entropy(x, index, label_smoothing=0.1)
        F.gaussian_nll_loss(x, p, x.exp()); F.hinge_embedding_loss(x, p); F.cosine_embedding_loss(x, y, t.ones(2))
        F.margin_ranking_loss(x, y, t.ones(2, 3)); F.triplet_margin_loss(x, y, p)
        t.block_diag(x, m); t.combinations(v); t.inner(v, v); t.inner(x, y)
    """,
}
# Pairs of a module and what it computes.
MODULES = """
(m := nn.Linear(3, 4), m(x)); (m := nn.Linear(3, 4, bias=False), m(x)); (m := nn.Conv2d(3, 4, 3), m(i))
(m := nn.BatchNorm2d(3), m(i)); (m := nn.BatchNorm1d(3).eval(), m(x)); (m := nn.LayerNorm(3), m(x))
(m := nn.GroupNorm(3, 3), m(i)); (m := nn.Embedding(5, 3), m(y)); (m := nn.PReLU(), m(x))
(m := nn.Linear(3, 4), nn.CrossEntropyLoss()(m(x), y)); (m := nn.Linear(3, 4), nn.MSELoss()(m(x), t.zeros(2, 4)))
(m := nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), nn.BCEWithLogitsLoss()(m(x), t.zeros(2, 2)))
(m := nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()), m(i))
"""
FUSED_MODULES = """
(m := nn.LSTM(3, 4), m(x3)[0]); (m := nn.GRU(3, 4), m(x3)[0]); (m := nn.MultiheadAttention(3, 1), m(x3, x3, x3)[0])
(m := nn.Linear(3, 4), m(x3))
"""


def listed(text):
    return [e.strip() for line in text.strip().splitlines() for e in line.split(";")]


def waves(t, *shape, phase=0.0):
    return ((t.arange(math.prod(shape), dtype=t.float32) * 0.7 + phase).sin() * 0.3 + 0.5).reshape(shape)


def inputs(t):
    """Leaves that require a gradient, by their names, and the others."""
    m = waves(t, 3, 3)
    leaves = {"x": waves(t, 2, 3), "y": waves(t, 2, 3, phase=1), "v": waves(t, 3), "m": m + m.T + t.eye(3) * 3}
    leaves |= {"i": waves(t, 2, 3, 4, 4), "k": waves(t, 3, 3, 2, 2), "b": waves(t, 3, 4, 5), "s": t.tensor(1.5)}
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in leaves.items()}
    return leaves, {"p": waves(t, 2, 3, phase=2), "index": t.tensor([0, 1]), "t": t, "F": t.nn.functional}


def walk(node, names):
    """The graph below a node, written out; a leaf by its name."""
    if node is None:
        return "-"
    if type(node).__name__ == "AccumulateGrad":
        return names[id(node.variable)]
    assert str(node).startswith(f"<{type(node).__name__} object at 0x")
    below = [walk(n, names) + (f".{i}" if i else "") for n, i in node.next_functions]
    return f"{node.name()}:{type(node).__name__}({', '.join(below)})"


def graph_of(t, expression):
    leaves, others = inputs(t)
    return walk(eval(expression, leaves | others).grad_fn, {id(leaf): name for name, leaf in leaves.items()})


def module_graph(t, expression):
    values = {"x": waves(t, 2, 3), "x3": waves(t, 2, 4, 3), "i": waves(t, 2, 3, 8, 8), "y": t.tensor([0, 1])}
    module, result = eval(expression, values | {"t": t, "nn": t.nn})
    return walk(result.grad_fn, {id(p): name for name, p in module.named_parameters()})


@pytest.mark.parametrize("expression", listed(EXPRESSIONS))
def test_graph(expression):
    assert graph_of(flambeau, expression) == graph_of(torch, expression)


@pytest.mark.parametrize("expression", [
    pytest.param(e, marks=pytest.mark.xfail(reason=reason, strict=True))
    for reason, text in DIFFERENT.items() for e in listed(text)
])  # fmt: skip
def test_different_graph(expression):
    assert graph_of(flambeau, expression) == graph_of(torch, expression)


@pytest.mark.parametrize("expression", listed(MODULES))
def test_module(expression):
    assert module_graph(flambeau, expression) == module_graph(torch, expression)


@pytest.mark.parametrize("expression", listed(FUSED_MODULES))
def test_fused_module_leads_to_the_same_leaves(expression):
    """Whole layers are one operation here, and steps between views are fewer."""
    leaves = [{name for name in ("weight", "bias", "weight_ih_l0", "bias_hh_l0", "in_proj_weight", "out_proj.bias")
               if f"{name}" in module_graph(t, expression)} for t in (flambeau, torch)]  # fmt: skip
    assert leaves[0] == leaves[1] != set()


SAVED = """
x.exp(): result; x * y: self other; x ** 2: self exponent; x ** y: self exponent result; x.sum(1): dim keepdim
x.sigmoid(): result; x.tanh(): result; x.log(): self; x.softmax(1): dim result; x.abs(): self; x.relu(): result
t.where(x > 0, x, y): condition; x.cumsum(0): dim; t.cat([x, y]): dim; x.masked_fill(x > 0, 1.0): mask
x.gather(1, t.zeros(2, 1, dtype=t.int64)): dim index; x.index_select(0, index): dim index; x / y: self other
x.clamp(0.1, 0.5): self min max
x.transpose(0, 1): dim0 dim1; x.t(): ; t.add(x, y, alpha=2): alpha
"""


@pytest.mark.parametrize("case", listed(SAVED))
def test_saved_attributes(case):
    expression, names = case.rsplit(":", 1)
    found = []
    for t in (flambeau, torch):
        leaves, others = inputs(t)
        node = eval(expression, leaves | others).grad_fn
        values = [getattr(node, f"_saved_{name}") for name in names.split()]
        found.append([v.detach().numpy() if isinstance(v, t.Tensor) else np.array(v) for v in values])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.ravel().astype(float), theirs.ravel().astype(float), rtol=1e-6)
