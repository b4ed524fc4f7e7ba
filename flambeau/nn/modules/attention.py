"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from ..init import constant_, xavier_normal_, xavier_uniform_
from ..parameter import Parameter
from .linear import NonDynamicallyQuantizableLinear
from .module import Module

Tensor = torch.Tensor


class MultiheadAttention(Module):
    """Scaled dot-product attention in several subspaces: concat(head_1, ...) W^O, head_i = attention(q W_i^Q, k W_i^K,
    v W_i^V) (Vaswani et al., 2017).

    Args:
        embed_dim: size of queries and outputs, divisible by `num_heads`.
        num_heads: the number of subspaces, of size embed_dim / num_heads each.
        dropout: probability of dropping an attention weight in training. Default: 0.
        bias: whether the projections have biases. Default: True.
        add_bias_kv: append a learned key and value to each sequence. Default: False.
        add_zero_attn: append a key and value of zeros. Default: False.
        kdim, vdim: sizes of keys and values. Default: embed_dim.
        batch_first: batch before sequence in inputs and output. Default: False.

    Shape:
        query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim); output (L, N, embed_dim); L and N, S and N
        change places with `batch_first`; without N for one sequence alone. key_padding_mask (N, S); attn_mask (L, S)
        or (N num_heads, L, S): True (or -inf) forbids attending. Weights (N, L, S), or (N, num_heads, L, S) with
        average_attn_weights=False. With `batch_first`, query, key and value may be nested tensors, and the output is
        one; then there is no key_padding_mask.

    Raises:
        ValueError: a size that is not positive. AssertionError: embed_dim not divisible by num_heads.

    Example:
        >>> import flambeau as torch
        >>> attention = torch.nn.MultiheadAttention(8, 2)
        >>> x = torch.ones(5, 3, 8)
        >>> output, weights = attention(x, x, x)
        >>> output.shape, weights.shape
        (torch.Size([5, 3, 8]), torch.Size([3, 5, 5]))
    """

    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                f"num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads, got embed_dim={embed_dim} and num_heads={num_heads}"
            )

        def parameter(*shape: int) -> Parameter:
            return Parameter(torch.empty(shape, device=device, dtype=dtype))

        together = self._qkv_same_embed_dim
        if not together:
            self.q_proj_weight = parameter(embed_dim, embed_dim)
            self.k_proj_weight = parameter(embed_dim, self.kdim)
            self.v_proj_weight = parameter(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        else:
            self.in_proj_weight = parameter(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            constant_(self.in_proj_bias, 0.0)
            constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                xavier_normal_(bias)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.setdefault("_qkv_same_embed_dim", True)
        super().__setstate__(state)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values and, with `need_weights`, the attention weights (else None).

        `is_causal` says that `attn_mask`, which must be given too, is the causal one.
        """
        if query.is_nested:
            if key_padding_mask is not None or not self.batch_first:
                raise AssertionError(
                    "MultiheadAttention takes nested tensors with batch_first=True and without key_padding_mask: their "
                    "parts have no padding"
                )
            return self._of_parts(query, key, value, need_weights, attn_mask, average_attn_weights, is_causal)
        swap = self.batch_first and query.dim() == 3
        if swap:
            query, key, value = _transpose_each(query, key, value)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(0, 1) if swap else output), weights

    def _of_parts(self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool, *options: Any) -> Any:
        """The same for nested tensors, padded; the weights stay so, those of no position are 0."""
        padded_query = query.to_padded_tensor(0.0)
        padded_key = padded_query if key is query else key.to_padded_tensor(0.0)
        padded_value = padded_key if value is key else value.to_padded_tensor(0.0)
        output, weights = self.forward(padded_query, padded_key, padded_value, _padding(key), need_weights, *options)
        if weights is not None:
            nobody = _padding(query).unsqueeze(-1)
            weights = weights.masked_fill(nobody if weights.dim() == 3 else nobody.unsqueeze(1), 0.0)
        return query.cut_from(output), weights


def _transpose_each(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Batch and sequence swapped; the same tensor stays the same object, by which self-attention is recognised."""
    swapped_query = query.transpose(0, 1)
    swapped_key = swapped_query if key is query else key.transpose(0, 1)
    swapped_value = swapped_key if value is key else value.transpose(0, 1)
    return swapped_query, swapped_key, swapped_value


def _padding(t: Tensor) -> Tensor:
    """Where a nested tensor (N, L, E) is padded when it is made dense: True in (N, L)."""
    present: Any = torch.ones_like(t.select(-1, 0)).to_padded_tensor(0.0)
    return present == 0
