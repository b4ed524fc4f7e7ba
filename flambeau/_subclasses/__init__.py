"""`torch._subclasses`: tensors without numbers, of which there are none."""

from flambeau._subclasses.fake_tensor import FakeTensor as FakeTensor  # type: ignore[attr-defined]
from flambeau._subclasses.fake_tensor import FakeTensorMode as FakeTensorMode  # type: ignore[attr-defined]
