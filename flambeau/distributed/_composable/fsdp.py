"""`torch.distributed._composable.fsdp`: see `torch.distributed.fsdp`."""

from flambeau.distributed import fsdp

globals().update({name: getattr(fsdp, name) for name in fsdp.__all__})
