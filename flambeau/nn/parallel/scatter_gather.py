"""`torch.nn.parallel.scatter_gather`: names of what divides a batch among devices, of which there is one."""

from flambeau._core.placeholders import placeholders

_ABSENT = placeholders(
    "torch.nn.parallel.scatter_gather",
    "there is one device",
    "torch.nn.DataParallel, which calls the module",
    functions="gather is_namedtuple scatter scatter_kwargs",
)
globals().update(_ABSENT)
__all__ = [*_ABSENT]
