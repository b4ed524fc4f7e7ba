"""Batch normalisation, and what it shares with instance normalisation."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module
from flambeau.nn import functional as F

from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter
from ._joined_statistics import JoinedBatchNorm
from .lazy import LazyModuleMixin
from .module import Module, Registered

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]

Tensor = torch.Tensor
processes = lazy_module("flambeau.distributed")


class _NormBase(Module):
    """Learned scale and shift per channel, and running statistics.

    Version 2 added `num_batches_tracked`; older state_dicts load without it.
    """

    _version = 2
    _input_dims: tuple[int, ...] = ()
    weight: Any = Registered()
    bias: Any = Registered()
    running_mean: Any = Registered("_buffers")
    running_var: Any = Registered("_buffers")
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        def per_channel() -> Tensor:
            return torch.empty(num_features, device=device, dtype=dtype)

        self.register_parameter("weight", Parameter(per_channel()) if affine else None)
        self.register_parameter("bias", Parameter(per_channel()) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", per_channel() if tracked else None)
        self.register_buffer("running_var", per_channel() if tracked else None)
        self.register_buffer(
            "num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device) if tracked else None
        )
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget everything: scale 1, shift 0, no statistics."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        dims = self._input_dims
        if dims and input.dim() not in dims:
            expected = " or ".join(f"{d}D" for d in dims)
            raise ValueError(
                explain(
                    f"expected {expected} input (got {input.dim()}D input of shape {list(input.shape)})",
                    hint=f"the 1d, 2d and 3d of the names count the dimensions beside batch and channels: for "
                    f"{input.dim()}D input take the {max(input.dim() - 2, 1)}d layer"
                    if 2 <= input.dim() <= 5
                    else "",
                )
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *others: Any
    ) -> None:
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            held = self.num_batches_tracked
            state_dict[key] = torch.tensor(0, dtype=torch.long) if held is None or held.is_meta else held
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        training = self.training
        factor = 0.0 if self.momentum is None else self.momentum
        if training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average over all batches
                factor = 1.0 / float(self.num_batches_tracked)
        mean, variance = self.running_mean, self.running_var
        # The batch's own statistics serve in training, and whenever there are no running ones.
        use_batch = training or (mean is None and variance is None)
        if training and not self.track_running_stats:
            mean = variance = None
        return self._normalized(input, mean, variance, use_batch, factor)

    def _normalized(self, input: Tensor, mean: Any, variance: Any, use_batch: bool, factor: float) -> Tensor:
        return F.batch_norm(input, mean, variance, self.weight, self.bias, use_batch, factor, self.eps)


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """The number of channels is the size of dimension 1 of the first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        # Neither affine nor tracking at first: the tensors would have no channels.
        super().__init__(0, eps, momentum, False, False, device=device, dtype=dtype, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        tensors = [self.weight, self.bias] if self.affine else []
        if self.track_running_stats:
            tensors += [self.running_mean, self.running_var]
        for tensor in tensors:
            if tensor is not None:
                tensor.materialize((self.num_features,))
        self.reset_parameters()


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each channel over the batch in
    training, and their running averages in evaluation (Ioffe and Szegedy, 2015).

    Args:
        num_features: the number of channels C.
        eps: added to the variance. Default: 1e-5.
        momentum: the share of the new batch in the running averages; None: plain averages. Default: 0.1.
        affine: learn weight and bias. Default: True.
        track_running_stats: keep running averages; else the batch's statistics serve always. Default: True.
        bias: (keyword) whether an affine layer has a bias. Default: True.

    Shape:
        (N, C) or (N, C, L), as is the output; another rank is a ValueError.

    Example:
        >>> import flambeau as torch
        >>> y = torch.nn.BatchNorm1d(2)(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
        >>> y.round().tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    _input_dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W); arguments as of BatchNorm1d."""

    _input_dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W); arguments as of BatchNorm1d."""

    _input_dims = (5,)


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d that takes its number of channels from its first input."""

    cls_to_become = BatchNorm1d
    _input_dims = (2, 3)


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d that takes its number of channels from its first input."""

    cls_to_become = BatchNorm2d
    _input_dims = (4,)


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d that takes its number of channels from its first input."""

    cls_to_become = BatchNorm3d
    _input_dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of (N, C, *) for training in several processes: mean and variance are those of the batches of
    all processes of `process_group`, by default all there are. In one process it is plain batch normalisation.

    Wrap the model in DistributedDataParallel, which averages the gradients of weight and bias.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _normalized(self, input: Tensor, mean: Any, variance: Any, use_batch: bool, factor: float) -> Tensor:
        if self.training and processes.is_initialized():
            group = self.process_group or processes.group.WORLD
            if group.size() > 1:
                running = mean, variance
                return JoinedBatchNorm.apply(input, self.weight, self.bias, running, factor, self.eps, group)
        return super()._normalized(input, mean, variance, use_batch, factor)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """`module` with every batch normalisation in it replaced by a SyncBatchNorm that has the same tensors."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = SyncBatchNorm(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "training"):
                setattr(converted, name, getattr(module, name))
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
