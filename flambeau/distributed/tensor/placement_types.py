"""How a tensor may lie on the processes of a mesh: in parts, whole on each, or as parts of a sum."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Partial", "Placement", "Replicate", "Shard"]


class Placement:
    """The base of what may hold along one dimension of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Does each process have a part, along `dim` if that is given?"""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Does each process have the whole tensor?"""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Is the tensor what a reduction of those of the processes gives?"""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each process has a contiguous part along the dimension `dim`.

    Example::

        >>> Shard(0).is_shard(), str(Shard(1))
        (True, 'S(1)')
    """

    dim: int

    def __str__(self) -> str:
        return f"S({self.dim})"

    @staticmethod
    def local_shard_size_and_offset(curr_local_size: int, num_chunks: int, rank: int) -> tuple[int, int]:
        """(how many of `curr_local_size` elements the process has, where they begin): all processes have as many, but
        for the last ones, which have fewer or none.

        Example::

            >>> [Shard.local_shard_size_and_offset(10, 4, rank) for rank in range(4)]
            [(3, 0), (3, 3), (3, 6), (1, 9)]
        """
        most = -(-curr_local_size // num_chunks)
        start = min(most * rank, curr_local_size)
        return min(most, curr_local_size - start), start

    _local_shard_size_and_offset = local_shard_size_and_offset


@dataclass(frozen=True)
class _StridedShard(Shard):
    """Each process has one part out of each of `split_factor` groups along the dimension."""

    split_factor: int = 1


@dataclass(frozen=True)
class Replicate(Placement):
    """Each process has the whole tensor.

    Example::

        >>> str(Replicate())
        'R'
    """

    def __str__(self) -> str:
        return "R"


@dataclass(frozen=True)
class Partial(Placement):
    """Each process has an addend; the reduction `reduce_op` gives the tensor.

    Example::

        >>> str(Partial()), Partial("avg").is_partial("avg")
        ('P(sum)', True)
    """

    reduce_op: str = "sum"

    def __str__(self) -> str:
        return f"P({self.reduce_op})"
