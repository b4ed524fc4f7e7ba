"""Exchange of tensors with other libraries by DLPack capsules, without copying; see https://dmlc.github.io/dlpack."""

from __future__ import annotations

import enum
from typing import Any

from flambeau import _api as torch

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """The kinds of devices, by the numbers that `__dlpack_device__` gives (dlpack.h)."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


class _Offered:
    """A capsule as what `__dlpack__` of its producer gave."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **wishes: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLDeviceType.kDLCPU, 0


def to_dlpack(tensor: Any) -> Any:
    """The capsule over a tensor's memory, for one consumer.

    Example::

        >>> from flambeau.utils.dlpack import from_dlpack, to_dlpack
        >>> x = torch.arange(3)
        >>> from_dlpack(to_dlpack(x)).add_(1), x
        (tensor([1, 2, 3]), tensor([1, 2, 3]))
    """
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor over the memory of an object with `__dlpack__`, or of a capsule of memory of the CPU.

    Raises:
        RuntimeError: if it is neither, or a capsule that was taken already.
    """
    if hasattr(ext_tensor, "__dlpack__"):
        return torch.from_dlpack(ext_tensor)
    try:
        return torch.from_dlpack(_Offered(ext_tensor))
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise RuntimeError(
            f"from_dlpack received an invalid capsule, {ext_tensor!r}. Note that DLTensor capsules can be consumed "
            "only once, so you might have already constructed a tensor from it once."
        ) from error
