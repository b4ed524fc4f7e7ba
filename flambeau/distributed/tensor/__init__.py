"""`torch.distributed.tensor`: how tensors may be placed on processes. No tensor is: the class of those that would be is
here so that libraries can ask `isinstance`."""

from __future__ import annotations

from typing import Any

from flambeau._core.errors import explain
from flambeau.distributed.mesh import DeviceMesh as DeviceMesh
from flambeau.distributed.mesh import init_device_mesh as init_device_mesh
from flambeau.distributed.tensor.placement_types import Partial as Partial
from flambeau.distributed.tensor.placement_types import Placement as Placement
from flambeau.distributed.tensor.placement_types import Replicate as Replicate
from flambeau.distributed.tensor.placement_types import Shard as Shard

__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_module", "distribute_tensor"]


def _not_placed(name: str) -> NotImplementedError:
    return NotImplementedError(
        explain(
            f"torch.distributed.tensor.{name} is not implemented: a tensor lies in one process",
            hint="nearest are torch.distributed.scatter and all_gather of its parts, and "
            "torch.nn.parallel.DistributedDataParallel",
        )
    )


class DTensor:
    """A tensor whose parts lie in several processes. There is none: making one is a NotImplementedError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _not_placed("DTensor")

    @staticmethod
    def from_local(*args: Any, **kwargs: Any) -> Any:
        """NotImplementedError."""
        raise _not_placed("DTensor.from_local")


def distribute_tensor(tensor: Any, device_mesh: Any = None, placements: Any = None, **kwargs: Any) -> Any:
    """NotImplementedError: a tensor lies in one process."""
    raise _not_placed("distribute_tensor")


def distribute_module(module: Any, *args: Any, **kwargs: Any) -> Any:
    """NotImplementedError: a module's tensors lie in one process."""
    raise _not_placed("distribute_module")
