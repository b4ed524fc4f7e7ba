"""What automatic mixed precision changes about operations: which run in the lower precision, which in float32.

The switch is a thread's own; `_tensor.autocasting` turns it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from flambeau._core import dtypes
from flambeau._ir.recording import TensorBase
from flambeau._ops.operands import Operand

# Contractions: nearly all of the time, and exact enough, since halves are accumulated in float32.
LOWERED = frozenset({"matmul", "linear", "convolution", "attended", "lstm_layer"})
# Sums over many elements and inverses: their results are sensitive.
RAISED = frozenset({
    "bce_of", "mean_entropy", "nll_of", "ctc_alignment", "product", "inv", "det", "lower_cholesky", "pseudo_inverse",
    "solution", "sign_and_log", "singular_values", "complex_transform", "real_to_half", "half_to_real",
})  # fmt: skip


class Precision(threading.local):
    """Is automatic mixed precision on in this thread, and what is its lower precision?"""

    enabled = False
    dtype = dtypes.bfloat16


precision = Precision()


def converted(a: Any, dtype: dtypes.dtype) -> Any:
    """A floating-point tensor (of float64 none: whoever asks for it means it), or a list of them, in `dtype`."""
    if isinstance(a, TensorBase):
        own = a.dtype
        return a.to(dtype) if own.is_floating_point and own is not dtype and own is not dtypes.float64 else a
    if isinstance(a, (tuple, list)) and any(isinstance(x, (TensorBase, Operand)) for x in a):
        return type(a)([converted(x, dtype) for x in a])
    return a


def arguments(op: Any, args: tuple) -> tuple:
    """What an operation gets under mixed precision."""
    if op.name in LOWERED:
        return tuple([converted(a, precision.dtype) for a in args])
    if op.name in RAISED:
        return tuple([converted(a, dtypes.float32) for a in args])
    return args


def in_float32(function: Callable) -> Callable:
    """`function`, computed in float32 under mixed precision: for losses."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not precision.enabled:
            return function(*args, **kwargs)
        named = {name: converted(a, dtypes.float32) for name, a in kwargs.items()}
        return function(*[converted(a, dtypes.float32) for a in args], **named)

    return wrapper
