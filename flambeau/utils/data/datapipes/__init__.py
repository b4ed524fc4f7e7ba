"""Data sets as pipes: each takes another and changes what comes out of it."""

from flambeau._core.homes import absent
from flambeau.utils.data.datapipes import iter, map

__all__ = ["iter", "map"]

__getattr__ = absent("torch.utils.data.datapipes")
