"""The types of results with names (`torch.return_types`): tuples such as those of `torch.max(x, 0)`.

They are those of the operations themselves. PyTorch has types of their own for calls with `out=`; here these are the
same: `max_out` is `max`.
"""

from __future__ import annotations

from flambeau import _api as _api  # whose operations make them
from flambeau._core.homes import absent
from flambeau._ops.results import KINDS

all_return_types = [KINDS[name] for name in sorted(KINDS)]
_WITH_OUT = {f"{name}_out": kind for name, kind in KINDS.items() if name != "histogramdd"}
globals().update(KINDS | _WITH_OUT)

__all__ = ["all_return_types", *sorted(KINDS | _WITH_OUT)]

__getattr__ = absent("torch.return_types")
