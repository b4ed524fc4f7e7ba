"""What can go wrong between processes."""

from __future__ import annotations


class DistError(RuntimeError):
    """Any error of `torch.distributed`."""


class DistBackendError(DistError):
    """A collective operation failed."""


class DistNetworkError(DistError):
    """Another process cannot be reached."""


class DistStoreError(DistError):
    """A store did not have in time what was asked of it."""


class QueueEmptyError(DistStoreError):
    """Nothing stands in a queue of a store."""
