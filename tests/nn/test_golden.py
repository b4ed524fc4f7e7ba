"""Every module beside PyTorch 2.13: repr, names and shapes of the state, values after a seed, outputs.

The golden numbers in golden_modules.json were taken from PyTorch with `python tests/nn/test_golden.py`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden_modules.json")

# Constructor and arguments of forward, written with: x(*shape) smooth values in (-1, 1); p(*shape) the same in (0, 1);
# i(bound, *shape) integers below bound; s(*shape) signs; T a tensor. Modules run in evaluation mode, or in training
# mode where the constructor begins with "train:".
SPECS = """
Identity(1, a=2) | x(2, 3)
Linear(3, 4) | x(2, 3)
Linear(3, 4, bias=False) | x(5, 2, 3)
Bilinear(2, 3, 4) | x(5, 2), x(5, 3)
LazyLinear(4) | x(2, 3)
ReLU() | x(2, 3)
ReLU(inplace=True) | x(2, 3)
ReLU6() | 9 * x(2, 3)
RReLU() | x(2, 3)
ELU(0.5) | x(2, 3)
CELU(0.5, inplace=True) | x(2, 3)
SELU() | x(2, 3)
GELU() | x(2, 3)
GELU("tanh") | x(2, 3)
GLU(0) | x(2, 3)
Hardshrink(0.3) | x(2, 3)
Softshrink(0.3) | x(2, 3)
Tanhshrink() | x(2, 3)
Hardsigmoid() | 4 * x(2, 3)
Hardswish() | 4 * x(2, 3)
Hardtanh(-0.5, 0.2) | x(2, 3)
LeakyReLU(0.2) | x(2, 3)
LogSigmoid() | x(2, 3)
Mish() | x(2, 3)
PReLU(3) | x(2, 3)
Sigmoid() | x(2, 3)
SiLU() | x(2, 3)
Tanh() | x(2, 3)
Softplus(2.0, 1.0) | x(2, 3)
Softsign() | x(2, 3)
Softmax(1) | x(2, 3)
Softmin(0) | x(2, 3)
LogSoftmax(-1) | x(2, 3)
Softmax2d() | x(2, 3, 2, 2)
Threshold(0.1, 7.0) | x(2, 3)
Conv1d(4, 6, 3, stride=2, padding=1, groups=2) | x(2, 4, 7)
Conv1d(2, 3, 3, padding="same", dilation=2, bias=False) | x(2, 2, 7)
Conv2d(2, 3, (3, 2), padding=(1, 0)) | x(2, 2, 5, 4)
Conv2d(2, 3, 3, padding=1, padding_mode="circular") | x(2, 5, 4)
Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect") | x(1, 2, 5, 4)
Conv3d(1, 2, 2, padding=1, padding_mode="replicate") | x(1, 1, 2, 3, 2)
ConvTranspose1d(2, 3, 3, stride=2, output_padding=1) | x(1, 2, 4)
ConvTranspose2d(4, 2, 3, stride=2, padding=1, groups=2) | x(1, 4, 3, 2)
ConvTranspose2d(1, 1, 2, stride=3) | x(1, 1, 2, 2), [6, 5]
ConvTranspose3d(1, 2, 2, dilation=2, bias=False) | x(1, 1, 2, 2, 2)
LazyConv1d(3, 2) | x(1, 2, 4)
LazyConv2d(3, 2, bias=False) | x(1, 2, 4, 3)
LazyConv3d(2, 2) | x(1, 2, 2, 3, 2)
LazyConvTranspose1d(3, 2) | x(1, 2, 4)
LazyConvTranspose2d(3, 2) | x(1, 2, 2, 3)
LazyConvTranspose3d(2, 2) | x(1, 1, 2, 2, 2)
train:BatchNorm1d(3) | x(4, 3)
BatchNorm1d(3, affine=False) | x(4, 3, 2)
train:BatchNorm2d(2, momentum=None) | x(2, 2, 3, 2)
train:BatchNorm3d(2, track_running_stats=False) | x(2, 2, 2, 2, 2)
train:LazyBatchNorm1d() | x(4, 3)
train:LazyBatchNorm2d() | x(2, 2, 3, 2)
train:LazyBatchNorm3d() | x(2, 1, 2, 2, 2)
train:SyncBatchNorm(3) | x(4, 3)
train:InstanceNorm1d(2, affine=True, track_running_stats=True) | x(2, 2, 5)
InstanceNorm2d(2) | x(2, 3, 4)
InstanceNorm3d(2) | x(1, 2, 2, 2, 3)
train:LazyInstanceNorm1d() | x(2, 2, 5)
train:LazyInstanceNorm2d(affine=True) | x(2, 2, 3, 2)
train:LazyInstanceNorm3d() | x(2, 1, 2, 2, 2)
LayerNorm((3, 2)) | x(4, 3, 2)
LayerNorm(3, elementwise_affine=False) | x(4, 3)
RMSNorm(3) | x(4, 3)
GroupNorm(2, 4, bias=False) | x(2, 4, 3)
LocalResponseNorm(3, alpha=1.0) | x(2, 5, 2)
CrossMapLRN2d(3, alpha=1.0) | x(1, 6, 2, 1)
Dropout(0.3) | x(2, 3)
Dropout1d() | x(2, 3, 2)
Dropout2d() | x(2, 3, 2, 2)
Dropout3d() | x(2, 1, 2, 2, 2)
AlphaDropout() | x(2, 3)
FeatureAlphaDropout() | x(2, 3, 2)
MaxPool1d(2, padding=1) | x(2, 2, 5)
MaxPool2d((2, 1), stride=1, dilation=2, return_indices=True) | x(1, 2, 5, 3)
MaxPool3d(2, ceil_mode=True) | x(1, 1, 3, 3, 3)
AvgPool1d(2, 1, 1, count_include_pad=False) | x(2, 2, 4)
AvgPool2d(2, divisor_override=3) | x(1, 2, 4, 4)
AvgPool3d((1, 2, 2)) | x(1, 1, 2, 4, 4)
LPPool1d(3, 2) | p(1, 2, 5)
LPPool2d(2, 2, ceil_mode=True) | x(1, 1, 5, 4)
LPPool3d(2, 2) | x(1, 1, 2, 4, 2)
AdaptiveAvgPool1d(3) | x(2, 2, 5)
AdaptiveAvgPool2d((2, None)) | x(1, 1, 5, 3)
AdaptiveAvgPool3d(2) | x(1, 1, 3, 3, 2)
AdaptiveMaxPool1d(3) | x(2, 2, 5)
AdaptiveMaxPool2d((2, None)) | x(1, 1, 5, 3)
AdaptiveMaxPool3d(2) | x(1, 1, 3, 3, 2)
FractionalMaxPool2d(2, output_size=2, _random_samples=p(1, 1, 2)) | x(1, 1, 5, 5)
FractionalMaxPool3d(2, output_ratio=0.5, _random_samples=p(1, 1, 3)) | x(1, 1, 5, 5, 5)
MaxUnpool1d(2) | x(1, 1, 2), T([[[1, 2]]])
MaxUnpool2d(2) | x(1, 1, 1, 2), T([[[[1, 6]]]])
MaxUnpool3d(2) | x(1, 1, 1, 1, 2), T([[[[[1, 6]]]]])
ConstantPad1d((1, 2), 9.0) | x(1, 3)
ConstantPad2d((1, 0, 0, 1), 9.0) | x(1, 2, 2)
ConstantPad3d(1, 9.0) | x(1, 1, 1, 2)
ZeroPad1d(1) | x(1, 3)
ZeroPad2d((1, -1, 0, 1)) | x(1, 2, 2)
ZeroPad3d(1) | x(1, 1, 1, 2)
ReflectionPad1d((1, 2)) | x(1, 3)
ReflectionPad2d(1) | x(1, 2, 3)
ReflectionPad3d(1) | x(1, 2, 2, 2)
ReplicationPad1d((1, 2)) | x(1, 3)
ReplicationPad2d(1) | x(1, 2, 3)
ReplicationPad3d(1) | x(1, 1, 2, 2)
CircularPad1d((1, 2)) | x(1, 3)
CircularPad2d(1) | x(1, 2, 3)
CircularPad3d(1) | x(1, 1, 2, 2)
Embedding(7, 3, padding_idx=-1) | i(7, 2, 3)
Embedding(5, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True) | i(5, 4)
EmbeddingBag(7, 3) | i(7, 2, 4)
EmbeddingBag(7, 3, mode="sum", padding_idx=2) | i(7, 5), T([0, 2])
EmbeddingBag(7, 3, mode="max", include_last_offset=True) | i(7, 5), T([0, 2, 5])
RNN(3, 4) | x(5, 2, 3)
RNN(3, 4, 2, "relu", batch_first=True, bidirectional=True) | x(2, 5, 3), x(4, 2, 4)
GRU(3, 4, 2, bias=False) | x(5, 3)
LSTM(3, 4, num_layers=2, bidirectional=True) | x(5, 2, 3)
LSTM(3, 4, proj_size=2, dropout=0.0) | x(5, 2, 3), (x(1, 2, 2), x(1, 2, 4))
RNNCell(3, 4, nonlinearity="relu") | x(2, 3)
GRUCell(3, 4) | x(3), x(4)
LSTMCell(3, 4, bias=False) | x(2, 3), (x(2, 4), x(2, 4))
MultiheadAttention(4, 2) | x(3, 2, 4), x(5, 2, 4), x(5, 2, 4)
MultiheadAttention(4, 2, bias=False, kdim=3, vdim=2, batch_first=True) | x(1, 3, 4), x(1, 5, 3), x(1, 5, 2)
MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True) | x(3, 4), x(5, 4), x(5, 4)
TransformerEncoderLayer(4, 2, 6) | x(3, 2, 4)
TransformerEncoderLayer(4, 2, 6, activation="gelu", batch_first=True, norm_first=True, bias=False) | x(2, 3, 4)
TransformerDecoderLayer(4, 2, 6) | x(3, 2, 4), x(5, 2, 4)
TransformerDecoderLayer(4, 2, 6, norm_first=True) | x(3, 2, 4), x(5, 2, 4)
TransformerEncoder(nn.TransformerEncoderLayer(4, 1, 6), 2, nn.LayerNorm(4)) | x(3, 2, 4), causal(3)
TransformerDecoder(nn.TransformerDecoderLayer(4, 1, 6), 2) | x(3, 2, 4), x(5, 2, 4), causal(3)
Transformer(4, 2, 1, 2, 6, batch_first=True) | x(2, 3, 4), x(2, 4, 4)
Flatten() | x(2, 3, 2)
Unflatten(1, (2, 3)) | x(2, 6)
Fold((3, 4), 2, stride=(1, 2)) | x(1, 8, 4)
Unfold((2, 1), padding=1) | x(1, 2, 3, 2)
PixelShuffle(2) | x(1, 4, 2, 2)
PixelUnshuffle(2) | x(1, 1, 4, 4)
ChannelShuffle(2) | x(1, 4, 2)
Upsample(scale_factor=2) | x(1, 1, 2, 2)
Upsample((3, 5), mode="bilinear", align_corners=False) | x(1, 1, 2, 2)
UpsamplingNearest2d(3) | x(1, 1, 2, 2)
UpsamplingBilinear2d(scale_factor=2) | x(1, 1, 2, 2)
CosineSimilarity() | x(2, 3), p(2, 3)
PairwiseDistance(1.0, keepdim=True) | x(2, 3), p(2, 3)
L1Loss() | x(2, 3), p(2, 3)
MSELoss(reduction="none") | x(2, 3), p(2, 3)
SmoothL1Loss(beta=0.5) | x(2, 3), p(2, 3)
HuberLoss("sum", 0.3) | x(2, 3), p(2, 3)
NLLLoss(weight=p(4), ignore_index=1) | x(5, 4), i(4, 5)
CrossEntropyLoss(label_smoothing=0.1) | x(5, 4), i(4, 5)
CrossEntropyLoss(weight=p(4), reduction="sum") | x(5, 4, 2), i(4, 5, 2)
LinearCrossEntropyLoss(3, 4, bias=True) | x(5, 3), i(4, 5)
PoissonNLLLoss(full=True) | x(2, 3), 3 * p(2, 3)
GaussianNLLLoss() | x(2, 3), p(2, 3), p(2, 3)
KLDivLoss(reduction="batchmean", log_target=True) | x(2, 3), p(2, 3)
BCELoss() | p(2, 3), p(2, 3)
BCEWithLogitsLoss(pos_weight=p(3)) | x(2, 3), p(2, 3)
HingeEmbeddingLoss() | x(2, 3), s(2, 3)
CosineEmbeddingLoss(0.1) | x(2, 3), p(2, 3), s(2)
MarginRankingLoss(0.1) | x(3), p(3), s(3)
SoftMarginLoss() | x(2, 3), s(2, 3)
MultiLabelMarginLoss() | x(2, 4), T([[0, 2, -1, 1], [3, -1, 0, 0]])
MultiLabelSoftMarginLoss() | x(2, 3), i(2, 2, 3) * 1.0
MultiMarginLoss(2, 0.5) | x(5, 4), i(4, 5)
TripletMarginLoss(swap=True) | x(2, 3), p(2, 3), 2 * x(2, 3)
TripletMarginWithDistanceLoss() | x(2, 3), p(2, 3), 2 * x(2, 3)
CTCLoss() | x(6, 2, 4).log_softmax(2), 1 + i(3, 2, 2), T([6, 5]), T([2, 1])
AdaptiveLogSoftmaxWithLoss(4, 9, [2, 5], div_value=2.0) | x(5, 4), i(9, 5)
Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))) | x(2, 3)
ModuleList([nn.Linear(1, 2), nn.Linear(1, 2), nn.ReLU()]) |
ModuleDict({"b": nn.Linear(1, 2), "a": nn.ReLU()}) |
ParameterList([x(2), x(2, 3), 5]) |
ParameterDict({"b": x(2), "a": x(2, 3)}) |
"""


def helpers(torch) -> dict:
    def steps(*shape):
        count = 1
        for size in shape:
            count *= size
        return torch.arange(count, dtype=torch.float32).reshape(shape)

    return {
        "nn": torch.nn,
        "x": lambda *shape: torch.sin(steps(*shape) * 1.7 + 0.3),
        "p": lambda *shape: torch.sin(steps(*shape) * 0.9 + 0.2) * 0.4 + 0.5,
        "i": lambda bound, *shape: (steps(*shape) * 7 + 3).long() % bound,
        "s": lambda *shape: (steps(*shape).long() % 2 * 2 - 1).float(),
        "T": torch.tensor,
        "causal": torch.nn.Transformer.generate_square_subsequent_mask,
    }


def summary(tensor) -> list:
    """Shape, some values, and two sums that no permutation leaves alone."""
    flat = tensor.detach().double().reshape(-1).tolist()
    weighted = sum((place + 1) * value for place, value in enumerate(flat)) / max(len(flat), 1)
    return [list(tensor.shape), *(float(f"{value:.7g}") for value in [*flat[:6], sum(flat), weighted])]


def observe(torch, spec: str) -> dict:
    constructor, _, arguments = (part.strip() for part in spec.partition("|"))
    training = constructor.startswith("train:")
    names = helpers(torch)
    torch.manual_seed(0)
    module = eval("nn." + constructor.removeprefix("train:"), names).train(training)
    before = repr(module)
    outputs = []
    if arguments:
        result = module(*eval(f"[{arguments}]", names))
        pending = [result]
        while pending:
            value = pending.pop(0)
            if isinstance(value, (tuple, list)):
                pending = [*value, *pending]
            elif value is not None:
                outputs.append(summary(value))
    state = {name: summary(tensor) for name, tensor in module.state_dict().items()}
    return {"repr": [before, repr(module)], "outputs": outputs, "state": state}


LINES = [line for line in SPECS.strip().split("\n")]


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text())


def approximately(value):
    if isinstance(value, dict):
        return {key: approximately(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [approximately(entry) for entry in value]
    return pytest.approx(value, rel=2e-5, abs=2e-5) if isinstance(value, float) else value


@pytest.mark.parametrize("spec", LINES)
@pytest.mark.filterwarnings("ignore")
def test_like_pytorch(spec, golden):
    import flambeau

    observed, expected = observe(flambeau, spec), golden[spec]
    assert observed["repr"] == expected["repr"]
    assert list(observed["state"]) == list(expected["state"])
    assert observed["state"] == approximately(expected["state"])
    assert observed["outputs"] == approximately(expected["outputs"])


def test_every_module_is_here():
    import flambeau

    bases = {"Module", "RNNBase", "RNNCellBase", "Container", "NLLLoss2d", "LinearCrossEntropyOptions"}
    tested = {line.removeprefix("train:").partition("(")[0] for line in LINES}
    assert set(flambeau.nn.modules.__all__) - tested == bases


if __name__ == "__main__":
    import torch

    warnings.simplefilter("ignore")
    GOLDEN.write_text(json.dumps({line: observe(torch, line) for line in LINES}, separators=(",", ":")) + "\n")
