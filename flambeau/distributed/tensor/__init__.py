"""`torch.distributed.tensor`: how tensors may be placed on processes. No tensor is: each lies in one process."""

from flambeau._core.homes import absent
from flambeau._core.placeholders import placeholders
from flambeau._core.unsupported_modules import PARTLY
from flambeau.distributed.mesh import DeviceMesh as DeviceMesh
from flambeau.distributed.mesh import init_device_mesh as init_device_mesh
from flambeau.distributed.tensor.placement_types import Partial as Partial
from flambeau.distributed.tensor.placement_types import Placement as Placement
from flambeau.distributed.tensor.placement_types import Replicate as Replicate
from flambeau.distributed.tensor.placement_types import Shard as Shard

_ABSENT = placeholders(
    "torch.distributed.tensor",
    *PARTLY["torch.distributed.tensor"],
    classes="DTensor",
    functions="distribute_module distribute_tensor",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT, "Partial", "Placement", "Replicate", "Shard"]

__getattr__ = absent("torch.distributed.tensor")
