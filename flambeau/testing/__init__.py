"""Comparisons for tests (`torch.testing`): of tensors with tensors, of texts with what they should say."""

from flambeau._core.homes import absent
from flambeau.testing.comparison import assert_allclose, assert_close, make_tensor
from flambeau.testing.filecheck import FileCheck

__all__ = ["FileCheck", "assert_allclose", "assert_close", "make_tensor"]

__getattr__ = absent("torch.testing")
