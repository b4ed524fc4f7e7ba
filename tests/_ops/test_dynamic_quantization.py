"""Weights in 8 and 16 bits: the numbers are those that PyTorch 2.13 gives."""

from __future__ import annotations

import pytest

import flambeau as torch

WEIGHT = [
    [1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991, -1.0845223665237427],
    [-1.3985954523086548, 0.40334683656692505, 0.8380263447761536, -0.7192575931549072, -0.40334352850914],
    [-0.5966353416442871, 0.18203648924827576, -0.8566746115684509, 1.1006041765213013, -1.0711873769760132],
]
INPUT = [
    [0.1227012425661087, -0.5663174986839294, 0.3731146454811096, -0.8919953107833862, -1.5091077089309692],
    [0.3703935444355011, 1.4565025568008423, 0.9398099184036255, 0.7748488187789917, 0.19186942279338837],
]
BIAS = [1.2637947797775269, -1.2904350757598877, -0.7911027073860168]


def test_linear():
    w, x, b = torch.tensor(WEIGHT), torch.tensor(INPUT), torch.tensor(BIAS)
    whole, sums, scale, zero = torch.fbgemm_linear_quantize_weight(w)
    assert whole.tolist() == [[127, 1, -128, 60, -53], [-75, 49, 78, -28, -7], [-20, 33, -38, 96, -52]]
    assert sums.tolist() == [-98, -88, -86] and zero == 21 and scale == pytest.approx(0.014587393961846828)
    packed = torch.fbgemm_pack_quantized_matrix(whole)
    expected = torch.tensor([[1.9415, -0.1353, -0.6574], [-0.3899, -1.0675, -0.9156]])
    for f in (torch.fbgemm_linear_int8_weight, torch.fbgemm_linear_int8_weight_fp32_activation):
        torch.testing.assert_close(f(x, whole, packed, sums, scale, zero, b), expected, atol=1e-4, rtol=0)
    half = torch.fbgemm_pack_gemm_matrix_fp16(w)
    expected = torch.tensor([[1.9361, -0.1276, -0.6520], [-0.4091, -1.0682, -0.9047]])
    for f in (torch.fbgemm_linear_fp16_weight, torch.fbgemm_linear_fp16_weight_fp32_activation):
        torch.testing.assert_close(f(x, half, b), expected, atol=1e-4, rtol=0)
    with pytest.raises(RuntimeError, match="expects a weight of int8"):
        torch.fbgemm_pack_quantized_matrix(w)


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)])
def test_cells_are_near_those_of_floats(kind, gates):
    torch.manual_seed(0)
    w_ih, w_hh = torch.randn(gates * 6, 4), torch.randn(gates * 6, 6)
    b_ih, b_hh = torch.randn(gates * 6), torch.randn(gates * 6)
    x, h = torch.randn(3, 4), torch.randn(3, 6)
    state = (h, torch.randn(3, 6)) if kind == "lstm" else h
    (q_ih, s_ih, scale_ih, zero_ih), (q_hh, s_hh, scale_hh, zero_hh) = map(
        torch.fbgemm_linear_quantize_weight, (w_ih, w_hh)
    )
    found = getattr(torch, f"quantized_{kind}_cell")(
        x, state, q_ih, q_hh, b_ih, b_hh, q_ih, q_hh, s_ih, s_hh, scale_ih, scale_hh, zero_ih, zero_hh
    )
    expected = getattr(torch, f"{kind}_cell")(x, state, w_ih, w_hh, b_ih, b_hh)
    pairs = zip(found, expected, strict=True) if kind == "lstm" else [(found, expected)]
    for ours, exact in pairs:
        assert 0 < (ours - exact).abs().max() < 0.1


def test_observing():
    x = torch.tensor([[0.2055, 1.5419], [-1.4959, 0.4455]], requires_grad=True)
    on, off = torch.ones(1), torch.zeros(1)
    low, high, scale, zero = torch.tensor([torch.inf]), torch.tensor([-torch.inf]), torch.ones(1), torch.zeros(1).int()
    f = torch.fused_moving_avg_obs_fake_quant
    y = f(x, on, on, low, high, scale, zero, 0.01, 0, 255, 0)
    assert zero.item() == 126 and scale.item() == pytest.approx((1.5419 + 1.4959) / 255)
    assert 0 < (y - x).abs().max() < scale.item() / 2 + 1e-6
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1]]
    f(x.detach() * 2, on, on, low, high, scale, zero, 0.01, 0, 255, 0, False, True)
    assert low.item() == pytest.approx(-1.4959 * 1.01) and zero.item() == 128
    assert scale.item() == pytest.approx(1.5419 * 1.01 / 127)
    assert f(x, off, off, low, high, scale, zero, 0.01, 0, 255, 0) is x
    rows = [torch.full((2,), torch.inf), torch.full((2,), -torch.inf), torch.ones(2), torch.zeros(2).int()]
    f(x, on, on, *rows, 0.01, 0, 255, 0, True)
    torch.testing.assert_close(rows[0], torch.tensor([0.2055, -1.4959]))
    torch.testing.assert_close(rows[2], torch.tensor([1.5419, 0.4455 + 1.4959]) / 255)


def test_empty_quantized():
    q = torch.quantize_per_tensor(torch.ones(2), 0.1, 3, torch.quint8)
    made = torch.empty_quantized([2, 3], q)
    assert made.shape == (2, 3) and made.q_zero_point() == 3 and made.dtype is torch.quint8
