"""Neural networks: modules, their functions, initialisation and tools."""

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module

from . import functional, grad, init, modules, parallel, utils
from ._factory import factory_kwargs
from .modules import *  # noqa: F403
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

attention = lazy_module("flambeau.nn.attention", "Which kernel computes attention.")

__all__ = [
    *modules.__all__,
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "factory_kwargs",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "utils",
]

__getattr__ = absent("torch.nn")
