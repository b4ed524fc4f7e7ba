"""Exchange of tensors with other libraries by DLPack capsules, without copying; see https://dmlc.github.io/dlpack."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch

__all__ = ["from_dlpack", "to_dlpack"]


class _Offered:
    """A capsule as what `__dlpack__` of its producer gave."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **wishes: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the CPU


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
