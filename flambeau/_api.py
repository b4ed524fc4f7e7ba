"""The public API up to tensors: what `torch.` offers without `nn`, `optim` and the other sub-packages.

Most of it is the op table, exported in one loop. The modules above (nn, optim, ...) import this as `torch` and use it
as a user would.
"""

from __future__ import annotations

from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flambeau import autograd as autograd
from flambeau._core import dtypes
from flambeau._core.device import device as device
from flambeau._core.dtypes import can_cast as can_cast
from flambeau._core.dtypes import dtype as dtype
from flambeau._core.dtypes import get_default_dtype as get_default_dtype
from flambeau._core.dtypes import promote_types as promote_types
from flambeau._core.dtypes import set_default_dtype as set_default_dtype
from flambeau._core.formats import channels_last as channels_last
from flambeau._core.formats import channels_last_3d as channels_last_3d
from flambeau._core.formats import contiguous_format as contiguous_format
from flambeau._core.formats import jagged as jagged
from flambeau._core.formats import layout as layout
from flambeau._core.formats import memory_format as memory_format
from flambeau._core.formats import preserve_format as preserve_format
from flambeau._core.formats import sparse_bsc as sparse_bsc
from flambeau._core.formats import sparse_bsr as sparse_bsr
from flambeau._core.formats import sparse_coo as sparse_coo
from flambeau._core.formats import sparse_csc as sparse_csc
from flambeau._core.formats import sparse_csr as sparse_csr
from flambeau._core.formats import strided as strided
from flambeau._core.overriding import DisableTorchFunction as DisableTorchFunction
from flambeau._core.overriding import DisableTorchFunctionSubclass as DisableTorchFunctionSubclass
from flambeau._core.overriding import overridable
from flambeau._core.size import Size as Size
from flambeau._engine.explain import explain as explain
from flambeau._engine.window import synchronize as synchronize
from flambeau._ops import conv, pool, pool_adaptive, shuffle
from flambeau._ops.registry import OPS
from flambeau._tensor import (
    autocasting,
    creation,
    extras,
    methods,
    quantized,
    random,
    settings,
    sparse_operations,
    windows,
)
from flambeau._tensor.creation import arange as arange
from flambeau._tensor.creation import as_tensor as as_tensor
from flambeau._tensor.creation import asarray as asarray
from flambeau._tensor.creation import empty as empty
from flambeau._tensor.creation import empty_like as empty_like
from flambeau._tensor.creation import empty_strided as empty_strided
from flambeau._tensor.creation import eye as eye
from flambeau._tensor.creation import frombuffer as frombuffer
from flambeau._tensor.creation import full as full
from flambeau._tensor.creation import full_like as full_like
from flambeau._tensor.creation import linspace as linspace
from flambeau._tensor.creation import logspace as logspace
from flambeau._tensor.creation import ones as ones
from flambeau._tensor.creation import ones_like as ones_like
from flambeau._tensor.creation import scalar_tensor as scalar_tensor
from flambeau._tensor.creation import tensor as tensor
from flambeau._tensor.creation import zeros as zeros
from flambeau._tensor.creation import zeros_like as zeros_like
from flambeau._tensor.interop import from_dlpack as from_dlpack
from flambeau._tensor.interop import from_numpy as from_numpy
from flambeau._tensor.printing import set_printoptions as set_printoptions
from flambeau._tensor.queries import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
)
from flambeau._tensor.queries import finfo as finfo
from flambeau._tensor.queries import get_num_threads as get_num_threads
from flambeau._tensor.queries import iinfo as iinfo
from flambeau._tensor.queries import is_complex as is_complex
from flambeau._tensor.queries import is_conj as is_conj
from flambeau._tensor.queries import is_floating_point as is_floating_point
from flambeau._tensor.queries import is_neg as is_neg
from flambeau._tensor.queries import is_nonzero as is_nonzero
from flambeau._tensor.queries import is_signed as is_signed
from flambeau._tensor.queries import is_storage as is_storage
from flambeau._tensor.queries import is_tensor as is_tensor
from flambeau._tensor.queries import numel as numel
from flambeau._tensor.queries import result_type as result_type
from flambeau._tensor.queries import set_num_threads as set_num_threads
from flambeau._tensor.queries import use_deterministic_algorithms as use_deterministic_algorithms
from flambeau._tensor.random import Generator as Generator
from flambeau._tensor.random import _sample_dirichlet as _sample_dirichlet
from flambeau._tensor.random import _standard_gamma as _standard_gamma
from flambeau._tensor.random import default_generator as default_generator
from flambeau._tensor.sparse import sparse_coo_tensor as sparse_coo_tensor
from flambeau._tensor.sparse_compressed import sparse_bsc_tensor as sparse_bsc_tensor
from flambeau._tensor.sparse_compressed import sparse_bsr_tensor as sparse_bsr_tensor
from flambeau._tensor.sparse_compressed import sparse_compressed_tensor as sparse_compressed_tensor
from flambeau._tensor.sparse_compressed import sparse_csc_tensor as sparse_csc_tensor
from flambeau._tensor.sparse_compressed import sparse_csr_tensor as sparse_csr_tensor
from flambeau._tensor.subclassing import NOT_CONVERTED
from flambeau._tensor.tensor import Tensor as Tensor
from flambeau.autograd import enable_grad as enable_grad
from flambeau.autograd import inference_mode as inference_mode
from flambeau.autograd import is_grad_enabled as is_grad_enabled
from flambeau.autograd import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd import no_grad as no_grad
from flambeau.autograd import set_grad_enabled as set_grad_enabled


def operations(namespace: str) -> dict[str, Any]:
    """The public functions of the op table in a namespace ("" for `torch` itself), aliases included."""
    found: dict[str, Any] = {}
    for op in OPS.values():
        if op.namespace == namespace and op.exported:
            found.update(dict.fromkeys((op.name, *op.aliases), op.function))
            if op.inplace and op.method and not namespace:
                found.update({name + "_": getattr(Tensor, name + "_") for name in (op.name, *op.aliases)})
    return found


globals().update({name: f for name, f in operations("").items() if name not in globals()})
for module in (conv, pool, pool_adaptive, shuffle):  # functions of nn.functional that PyTorch exports here too
    globals().update({name: getattr(module, name) for name in module.TOP_LEVEL})
for functions in (random.FUNCTIONS, windows.FUNCTIONS, autocasting.FUNCTIONS, settings.FUNCTIONS):
    globals().update({f.__name__: f for f in functions})
globals().update(sparse_operations.FUNCTIONS | quantized.FUNCTIONS)
globals().update(extras.FUNCTIONS | extras.STORAGES | settings.BUILD)
sym_constrain_range_for_size = settings.sym_constrain_range_for_size
globals().update(
    {d.name: d for d in (*dtypes.ALL, dtypes.complex32)} | dtypes.BITS | dtypes.ALIASES | creation.LEGACY_TYPES
)
# Names of Python's own that a module should not shadow while it defines things.
globals().update({"complex": creation.complex_, "range": creation.range_})

# The functions of these modules offer their calls to `__torch_function__`, as operations do by themselves; but for some
# that are not about tensors.
_ABOUT_TENSORS = frozenset(
    f"flambeau._tensor.{name}"
    for name in (
        "creation", "extras", "quantized", "queries", "random", "sparse", "sparse_compressed", "sparse_operations",
        "windows",
    )
)  # fmt: skip
_NEVER_OVERRIDDEN = frozenset(
    {
        "are_deterministic_algorithms_enabled", "can_cast", "from_dlpack", "from_file", "from_numpy", "frombuffer",
        "get_num_threads", "get_rng_state", "initial_seed", "is_storage", "is_tensor", "manual_seed", "seed",
        "set_num_threads", "set_rng_state", "thread_safe_generator", "use_deterministic_algorithms",
    }
)  # fmt: skip
globals().update(
    {
        name: overridable(f, name)
        for name, f in globals().items()
        if isinstance(f, FunctionType) and f.__module__ in _ABOUT_TENSORS and name not in _NEVER_OVERRIDDEN
    }
)
NOT_CONVERTED.add(tensor)

newaxis = None

__all__ = [
    name
    for name in globals()
    if not name.startswith("_")
    and name
    not in (
        "annotations",
        "TYPE_CHECKING",
        "Any",
        "FunctionType",
        "NOT_CONVERTED",
        "OPS",
        "dtypes",
        "creation",
        "methods",
        "operations",
        "overridable",
        "quantized",
        "random",
        "autocasting",
        "extras",
        "settings",
        "sparse_operations",
        "windows",
        "conv",
        "pool",
        "pool_adaptive",
        "shuffle",
        "module",
        "functions",
    )
]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
