"""What surrounds training: data loading, checkpointing, measuring, writing down."""

from __future__ import annotations

import weakref
from typing import Any

from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module
from flambeau._ir.recording import TensorBase
from flambeau.autograd.graph import AccumulateGrad

# Not every program uses these, and `import flambeau` should not wait for them.
benchmark = lazy_module("flambeau.utils.benchmark", "Measuring how long statements take.")
checkpoint = lazy_module("flambeau.utils.checkpoint")
collect_env = lazy_module("flambeau.utils.collect_env", "What a report of an error should say about the machine.")
data = lazy_module("flambeau.utils.data", "Data sets, samplers and loaders.")
dlpack = lazy_module("flambeau.utils.dlpack", "Exchange of tensors by DLPack capsules.")
flop_counter = lazy_module("flambeau.utils.flop_counter", "How many floating-point operations a program asks for.")
hooks = lazy_module("flambeau.utils.hooks", "What registering a hook returns.")
model_zoo = lazy_module("flambeau.utils.model_zoo", "Published weights, under an older name.")
tensorboard = lazy_module("flambeau.utils.tensorboard", "Files for TensorBoard.")
weak = lazy_module("flambeau.utils.weak", "Dictionaries of tensors that do not keep them alive.")

__all__ = [
    "benchmark", "checkpoint", "collect_env", "data", "dlpack", "flop_counter", "hooks", "model_zoo", "set_module",
    "swap_tensors", "tensorboard", "weak",
]  # fmt: skip


def set_module(obj: Any, mod: str) -> None:
    """Say where a class or function is to be found: its `__module__`. TypeError if `mod` is no str.

    Example::

        >>> set_module(made := type("Made", (), {}), "somewhere")
        >>> made
        <class 'somewhere.Made'>
    """
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def swap_tensors(t1: Any, t2: Any) -> None:
    """Let two tensor objects be each other: class, values, `grad`, place in the graph and attributes change places, so
    that whoever holds `t1` has what `t2` was.

    Raises:
        RuntimeError: if somebody holds a weak reference to one of them, and so might mean the other.

    Example::

        >>> a, b = torch.ones(2), torch.nn.Parameter(torch.zeros(3))
        >>> swap_tensors(a, b)
        >>> a, b
        (Parameter containing:
        tensor([0., 0., 0.], requires_grad=True), tensor([1., 1.]))
    """
    for name, t in (("t1", t1), ("t2", t2)):
        own = [t._node.leaf] if isinstance(t._node, AccumulateGrad) else []  # a leaf's node refers to it weakly
        if any(not any(reference is o for o in own) for reference in weakref.getweakrefs(t)):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    for slot in TensorBase.__slots__:
        if not slot.startswith("__"):
            theirs = getattr(t2, slot)
            setattr(t2, slot, getattr(t1, slot))
            setattr(t1, slot, theirs)
    for t in (t1, t2):
        if isinstance(t._node, AccumulateGrad):
            t._node.leaf = weakref.ref(t)


__getattr__ = absent("torch.utils")
