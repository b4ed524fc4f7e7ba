"""Names in checkpoints: PyTorch's, whichever package wrote the file, and the ones a file may use.

A pickle names the functions and classes that rebuild its objects. Reading it here looks names up in the table below and
in what the user added, never in modules: nothing that a file says is imported, and nothing else is called.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flambeau import _api as torch
from flambeau import nn
from flambeau._core import formats
from flambeau._core.dtypes import ALL
from flambeau.serialization import rebuild
from flambeau.serialization.memory import STORAGE_DTYPES

PACKAGE = "flambeau"


class Name(NamedTuple):
    """A name as a pickle holds it."""

    module: str
    name: str


class StorageType(NamedTuple):
    """What `torch.FloatStorage` and the like stand for in a file: the dtype of the elements, None if untyped."""

    dtype: torch.dtype | None


# Classes whose instances are pickled under these names.
PUBLIC = {
    torch.Tensor: Name("torch", "Tensor"),
    torch.Size: Name("torch", "Size"),
    torch.device: Name("torch", "device"),
    nn.Parameter: Name("torch.nn.parameter", "Parameter"),
}

CONTAINERS = (OrderedDict, Counter, defaultdict)

_ALLOWED: dict[str, Any] = {
    **{f"collections.{kind.__name__}": kind for kind in CONTAINERS},
    **{f"builtins.{kind.__name__}": kind for kind in (set, frozenset, complex, bytearray, slice, range)},
    # As the factory of a defaultdict.
    **{f"builtins.{kind.__name__}": kind for kind in (dict, list, int, float)},
    "_codecs.encode": rebuild.encode,
    **{f"{name.module}.{name.name}": kind for kind, name in PUBLIC.items()},
    **{f"torch.{name}": StorageType(d) for name, d in STORAGE_DTYPES.items()},
    "torch.storage.UntypedStorage": StorageType(None),
    "torch.UntypedStorage": StorageType(None),
    **{f"torch.{d.name}": d for d in ALL},
    **{f"torch.{f.name}": f for f in vars(formats).values() if isinstance(f, formats.memory_format)},
    "torch.serialization._get_layout": rebuild.layout,
    "torch._utils._rebuild_tensor": rebuild.tensor,
    "torch._utils._rebuild_tensor_v2": rebuild.tensor,
    "torch._utils._rebuild_tensor_v3": rebuild.tensor_of_dtype,
    "torch._utils._rebuild_parameter": rebuild.parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild.parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild.of_type,
}
