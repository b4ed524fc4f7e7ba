"""`torch.fx.experimental.proxy_tensor`: whether a program is being traced into a graph."""


def get_proxy_mode() -> None:
    """The mode that traces: there is none.

    Example::

        >>> get_proxy_mode() is None
        True
    """
