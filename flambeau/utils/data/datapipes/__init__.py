"""Data sets as pipes: each takes another and changes what comes out of it."""

from flambeau.utils.data.datapipes import iter, map

__all__ = ["iter", "map"]
