"""Elements that are left out (`torch.masked`): reductions with a mask, and tensors that carry one."""

from __future__ import annotations

from flambeau._core.homes import absent
from flambeau.masked import rules as rules
from flambeau.masked.reductions import amax as amax
from flambeau.masked.reductions import amin as amin
from flambeau.masked.reductions import argmax as argmax
from flambeau.masked.reductions import argmin as argmin
from flambeau.masked.reductions import cumprod as cumprod
from flambeau.masked.reductions import cumsum as cumsum
from flambeau.masked.reductions import log_softmax as log_softmax
from flambeau.masked.reductions import logaddexp as logaddexp
from flambeau.masked.reductions import logsumexp as logsumexp
from flambeau.masked.reductions import mean as mean
from flambeau.masked.reductions import median as median
from flambeau.masked.reductions import norm as norm
from flambeau.masked.reductions import normalize as normalize
from flambeau.masked.reductions import prod as prod
from flambeau.masked.reductions import softmax as softmax
from flambeau.masked.reductions import softmin as softmin
from flambeau.masked.reductions import std as std
from flambeau.masked.reductions import sum as sum  # noqa: A004
from flambeau.masked.reductions import var as var
from flambeau.masked.tensors import MaskedTensor as MaskedTensor
from flambeau.masked.tensors import as_masked_tensor as as_masked_tensor
from flambeau.masked.tensors import is_masked_tensor as is_masked_tensor
from flambeau.masked.tensors import masked_tensor as masked_tensor

__all__ = [
    "MaskedTensor", "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum", "is_masked_tensor",
    "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "mean", "median", "norm", "normalize", "prod", "softmax",
    "softmin", "std", "sum", "var",
]  # fmt: skip

__getattr__ = absent("torch.masked")
