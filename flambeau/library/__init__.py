"""Operators of one's own: made from Python functions, with gradients, rules for `vmap` and checks."""

from typing import Any

from flambeau._core.unsupported import refuse
from flambeau.library import aten as _aten  # noqa: F401 (its namespace is there from the start)
from flambeau.library.checking import opcheck as opcheck
from flambeau.library.custom_op import CustomOpDef as CustomOpDef
from flambeau.library.custom_op import custom_op as custom_op
from flambeau.library.faking import get_ctx as get_ctx
from flambeau.library.inferring import infer_schema as infer_schema
from flambeau.library.libraries import Library as Library
from flambeau.library.libraries import define as define
from flambeau.library.libraries import fallthrough_kernel as fallthrough_kernel
from flambeau.library.libraries import impl as impl
from flambeau.library.libraries import register_kernel as register_kernel
from flambeau.library.registering import impl_abstract as impl_abstract
from flambeau.library.registering import register_autocast as register_autocast
from flambeau.library.registering import register_autograd as register_autograd
from flambeau.library.registering import register_fake as register_fake
from flambeau.library.registering import register_torch_dispatch as register_torch_dispatch
from flambeau.library.registering import register_vmap as register_vmap

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "fallthrough_kernel", "get_ctx", "impl", "impl_abstract",
    "infer_schema", "opcheck", "register_autocast", "register_autograd", "register_fake", "register_kernel",
    "register_torch_dispatch", "register_vmap",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise refuse("torch.library", name)
