"""Instance normalisation: each channel of each sample by its own mean and variance (Ulyanov et al., 2016)."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau import _api as torch
from flambeau.nn import functional as F

from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]

Tensor = torch.Tensor


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        if local_metadata.get("version") is None and not self.track_running_stats:
            # Before there were versions, instance norms tracked statistics by default.
            present = [name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if present:
                named = " and ".join(f'"{prefix}{name}"' for name in present)
                kind = type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {named} for {kind} with track_running_stats=False. If "
                    "state_dict is a checkpoint saved before 0.4.0, this may be expected: remove these keys, or set "
                    f"track_running_stats=True in {kind} if the statistics are needed."
                )
                for name in present:
                    state_dict.pop(prefix + name)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        unbatched = self._input_dims[0]
        channel_dim = input.dim() - unbatched
        if input.size(channel_dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channel_dim} to match num_features ({self.num_features}), but "
                    f"got: {input.size(channel_dim)}."
                )
            warnings.warn(
                f"input's size at dim={channel_dim} does not match num_features. You can silence this warning by not "
                "passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        if input.dim() == unbatched:
            return self._normalise(input.unsqueeze(0)).squeeze(0)
        return self._normalise(input)

    def _normalise(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias with the statistics of each sample and channel.

    Args:
        num_features: the number of channels C.
        eps: added to the variance. Default: 1e-5.
        momentum: the share of the new batch in the running averages. Default: 0.1.
        affine: learn weight and bias. Default: False.
        track_running_stats: keep running averages and use them in evaluation. Default: False.

    Shape:
        (N, C, L) or (C, L), as is the output.

    Example:
        >>> import flambeau as torch
        >>> y = torch.nn.InstanceNorm1d(1)(torch.tensor([[[1.0, 3.0]]]))
        >>> y.round().tolist()
        [[[-1.0, 1.0]]]
    """

    _input_dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W); arguments as of InstanceNorm1d."""

    _input_dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W); arguments as of InstanceNorm1d."""

    _input_dims = (4, 5)


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d that takes its number of channels from its first input."""

    cls_to_become = InstanceNorm1d
    _input_dims = (2, 3)


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d that takes its number of channels from its first input."""

    cls_to_become = InstanceNorm2d
    _input_dims = (3, 4)


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d that takes its number of channels from its first input."""

    cls_to_become = InstanceNorm3d
    _input_dims = (4, 5)
