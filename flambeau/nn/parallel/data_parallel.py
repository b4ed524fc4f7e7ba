"""DataParallel, for programs that wrap their model in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..modules.module import Module


class DataParallel(Module):
    """Calls `module` on one device: batches are not split over several (yet).

    The state_dict has PyTorch's keys, which begin with "module.".

    Args:
        module: what is called.
        device_ids, output_device, dim: accepted; of `device_ids` the first is used. Default: where the module is.

    Example:
        >>> import flambeau as torch
        >>> list(torch.nn.DataParallel(torch.nn.Linear(1, 1)).state_dict())
        ['module.weight', 'module.bias']
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids = list(device_ids or [])[:1]
        self.output_device = output_device
        if self.device_ids:
            module.to(self.device_ids[0])

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
