"""`torch._subclasses.fake_tensor`: names of tensors that have shapes and no numbers."""

from typing import Any

from flambeau._core.placeholders import placeholders

globals().update(
    placeholders(
        "torch._subclasses.fake_tensor",
        "a tensor has numbers, which are computed when somebody looks at them",
        "torch.empty, whose memory is not written before it is used",
        classes="FakeTensor FakeTensorMode",
    )
)


def is_fake(x: Any) -> bool:
    """Has the tensor no numbers? All have.

    Example::

        >>> is_fake(3)
        False
    """
    return False
