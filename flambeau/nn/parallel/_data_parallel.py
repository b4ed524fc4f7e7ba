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
        device_ids, output_device, dim: accepted. As in PyTorch without a GPU they say nothing; `device_ids` is [].

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
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
