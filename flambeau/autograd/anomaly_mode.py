"""Anomaly mode: find the operation whose backward made the first NaN.

Every node knows the line that recorded it, so that the mode only has to look at values.
"""

from __future__ import annotations

from types import TracebackType

from flambeau.autograd import engine


class detect_anomaly:  # noqa: N801 (PyTorch's name)
    """While active, backward stops with a RuntimeError at the first node that returns NaN, naming the line of its
    forward; errors raised inside backward name it too. Slow: every gradient is looked at.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor(-1., requires_grad=True)
        >>> with torch.autograd.detect_anomaly():
        ...     try:
        ...         x.sqrt().backward()
        ...     except RuntimeError as error:
        ...         print(str(error).splitlines()[0])
        Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.mode, self.check_nan = True, check_nan

    def __enter__(self) -> None:
        self.before = (engine.anomaly.enabled, engine.anomaly.check_nan)
        engine.anomaly.enabled, engine.anomaly.check_nan = self.mode, self.check_nan

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        engine.anomaly.enabled, engine.anomaly.check_nan = self.before


class set_detect_anomaly(detect_anomaly):  # noqa: N801
    """Switch anomaly mode on or off at once; as a context manager, for the block only.

    Example::

        >>> import flambeau as torch
        >>> with torch.autograd.set_detect_anomaly(False):
        ...     torch.is_anomaly_enabled()
        False
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(check_nan)
        self.mode = bool(mode)
        self.before = (engine.anomaly.enabled, engine.anomaly.check_nan)
        engine.anomaly.enabled, engine.anomaly.check_nan = self.mode, check_nan

    def __enter__(self) -> None:
        pass


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off, and its look for NaN."""
    engine.anomaly.enabled, engine.anomaly.check_nan = bool(enabled), bool(check_nan)


def is_anomaly_enabled() -> bool:
    """Is anomaly mode on?

    Example::

        >>> is_anomaly_enabled()
        False
    """
    return engine.anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Does anomaly mode look for NaN?

    Example::

        >>> is_anomaly_check_nan_enabled()
        True
    """
    return engine.anomaly.check_nan
