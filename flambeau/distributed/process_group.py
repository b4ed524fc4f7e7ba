"""Process groups: who takes part, and how bytes and tensors go from one to the other.

All goes through the group's store. A collective operation puts down what this process gives, under the operation's
number and its rank, and takes what the others put down; the last reader clears away. Since only the taking waits,
an operation with `async_op=True` has begun when the call returns, and ends in `Work.wait`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from flambeau import _api as torch
from flambeau.distributed import reductions
from flambeau.distributed.errors import DistBackendError, DistStoreError
from flambeau.distributed.stores import PAUSE, Store


class Work:
    """An operation that has begun; `wait` ends it."""

    def __init__(self, finish: Callable[[], Any], ready: Callable[[], bool] = lambda: True, source: int = -1) -> None:
        self._finish: Callable[[], Any] | None = finish
        self._ready = ready
        self._source = source
        self._result: Any = None
        self._error: Exception | None = None

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Come back when the results are in their places; DistStoreError if others do not come in time."""
        finish, self._finish = self._finish, None
        if finish is not None:
            try:
                self._result = finish()
            except Exception as error:
                self._error = error
                raise
        return True

    synchronize = wait

    def is_completed(self) -> bool:
        """Are the results there? Does not wait."""
        if self._finish is not None and self._ready():
            self.wait()
        return self._finish is None

    def is_success(self) -> bool:
        """Has it ended well?"""
        return self._finish is None and self._error is None

    def exception(self) -> Exception | None:
        """What went wrong, if anything did."""
        return self._error

    def result(self) -> list[Any]:
        """The tensors that were written."""
        self.wait()
        return self._result if isinstance(self._result, list) else []

    def source_rank(self) -> int:
        """Of a receive, the sender's rank in the group."""
        return self._source


def all_of(works: Sequence[Work]) -> Work:
    """Several operations as one, whose result is the tensors of all."""
    return Work(lambda: [t for work in works for t in work.result()], lambda: all(w.is_completed() for w in works))


class ProcessGroup:
    """Processes that do collective operations together; made by `init_process_group` and `new_group`.

    The methods take lists of tensors and PyTorch's option objects, and return `Work`; `torch.distributed`'s functions
    are the more convenient way to the same operations.

    Example::

        >>> from flambeau.distributed import HashStore, ProcessGroup
        >>> alone = ProcessGroup(HashStore(), 0, 1)
        >>> alone.rank(), alone.size()
        (0, 1)
    """

    def __init__(self, store: Store, rank: int, size: int, name: str = "", ranks: Sequence[int] | None = None) -> None:
        self._store = store
        self._rank = rank
        self._size = size
        self.group_name = name
        self.group_desc = "undefined"
        self.ranks = list(range(size)) if ranks is None else list(ranks)
        self._operations = 0
        self._messages: Counter[tuple[int, int, int]] = Counter()

    def rank(self) -> int:
        """This process's place in the group."""
        return self._rank

    def size(self) -> int:
        """The number of processes."""
        return self._size

    def name(self) -> str:
        """The backend's name."""
        return "gloo"

    def get_group_store(self) -> Store:
        """The store through which the group's bytes go."""
        return self._store

    def set_timeout(self, timeout: timedelta) -> None:
        """Say how long others are waited for."""
        self._store.set_timeout(timeout)

    def shutdown(self) -> None:
        """End: the group is not used any more."""

    abort = shutdown

    # ------------------------------------------------------------------------------------ bytes

    def share(self, payload: bytes, use: Callable[[list[bytes]], Any]) -> Work:
        """Give the same bytes to all, and hand to `use` what all gave, by rank."""
        turn = self._turn()
        keys = [f"{turn}/{other}" for other in range(self._size)]
        self._store.set(keys[self._rank], payload)

        def finish() -> Any:
            parts = self._store.multi_get(keys)
            if self._store.add(f"{turn}/read", 1) == self._size:
                self._store._do("delete", [*keys, f"{turn}/read"])
            return use(parts)

        return Work(finish, lambda: self._store.check(keys))

    def deal(self, payloads: list[bytes], use: Callable[[list[bytes]], Any]) -> Work:
        """Give each its own bytes, and hand to `use` what all gave this process, by rank."""
        turn = self._turn()
        self._store.multi_set([f"{turn}/{self._rank}/{other}" for other in range(self._size)], payloads)
        keys = [f"{turn}/{other}/{self._rank}" for other in range(self._size)]

        def finish() -> Any:
            parts = self._store.multi_get(keys)
            self._store._do("delete", keys)
            return use(parts)

        return Work(finish, lambda: self._store.check(keys))

    def _turn(self) -> int:
        self._operations += 1
        return self._operations

    def post(self, payload: bytes, dst: int, tag: int) -> None:
        """Send bytes to one process, without waiting for it."""
        if dst == self._rank:
            raise ValueError("Invalid destination rank: destination rank should not be the same as the rank of "
                             "the current process.")  # fmt: skip
        self._store.set(self._message(self._rank, dst, tag), payload)

    def collect(self, src: int | None, tag: int, use: Callable[[bytes], Any]) -> Work:
        """Take the next bytes from one process, or with None from whoever sends first."""
        if src == self._rank:
            raise ValueError("Invalid source rank: source rank should not be the same as the rank of "
                             "the current process.")  # fmt: skip
        source = self._first_sender(tag) if src is None else src
        key = self._message(source, self._rank, tag)

        def finish() -> Any:
            payload = self._store.get(key)
            self._store.delete_key(key)
            return use(payload)

        return Work(finish, lambda: self._store.check([key]), source)

    def _message(self, src: int, dst: int, tag: int) -> str:
        self._messages[src, dst, tag] += 1
        return f"message/{src}/{dst}/{tag}/{self._messages[src, dst, tag]}"

    def _first_sender(self, tag: int) -> int:
        others = [other for other in range(self._size) if other != self._rank]
        end = time.monotonic() + self._store.timeout.total_seconds()
        while time.monotonic() < end:
            for other in others:
                turn = self._messages[other, self._rank, tag] + 1
                if self._store.check([f"message/{other}/{self._rank}/{tag}/{turn}"]):
                    return other
            time.sleep(PAUSE)
        raise DistStoreError(f"nobody has sent anything to rank {self._rank} with tag {tag}")

    # ------------------------------------------------------------------------------------ tensors

    def broadcast(self, tensors: Any, opts: Any = None) -> Work:
        """Write the sender's tensor into everybody's."""
        (tensor,), opts = _listed(tensors), _options(opts, reductions.BroadcastOptions)
        payload = as_bytes(tensor) if self._rank == opts.rootRank else b""
        return self.share(payload, lambda parts: [fill(tensor, parts[opts.rootRank])])

    def allreduce(self, tensors: Any, opts: Any = None) -> Work:
        """Write the reduction of all tensors into everybody's."""
        (tensor,), op = _listed(tensors), _reduction(opts)
        return self.share(as_bytes(tensor), lambda parts: [reduced(tensor, parts, op)])

    def allreduce_coalesced(self, tensors: Any, opts: Any = None) -> Work:
        """`allreduce` of each of several tensors."""
        return all_of([self.allreduce([tensor], opts) for tensor in _listed(tensors)])

    def reduce(self, tensors: Any, opts: Any = None) -> Work:
        """Write the reduction of all tensors into the receiver's."""
        (tensor,), opts = _listed(tensors), _options(opts, reductions.ReduceOptions)

        def use(parts: list[bytes]) -> Any:
            if self._rank == opts.rootRank:
                reduced(tensor, parts, opts.reduceOp)
            return [tensor]

        return self.share(as_bytes(tensor), use)

    def allgather(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write all tensors into everybody's list of outputs."""
        outputs, (tensor,) = output_tensors[0], _listed(input_tensors)
        self._count(outputs, "output")
        return self.share(as_bytes(tensor), lambda parts: [fill(t, p) for t, p in zip(outputs, parts, strict=True)])

    def gather(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write all tensors into the receiver's list of outputs."""
        (tensor,), root = _listed(input_tensors), _options(opts, reductions.GatherOptions).rootRank
        outputs = output_tensors[0] if output_tensors else []
        if self._rank == root:
            self._count(outputs, "output")
        payloads = [as_bytes(tensor) if other == root else b"" for other in range(self._size)]
        return self.deal(payloads, lambda parts: [fill(t, p) for t, p in zip(outputs, parts, strict=False)])

    def scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into each tensor one of the sender's list."""
        (tensor,), root = _listed(output_tensors), _options(opts, reductions.ScatterOptions).rootRank
        payloads = [b""] * self._size
        if self._rank == root:
            self._count(input_tensors[0] if input_tensors else [], "input")
            payloads = [as_bytes(t) for t in input_tensors[0]]
        return self.deal(payloads, lambda parts: [fill(tensor, parts[root])])

    def reduce_scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into each tensor the reduction of all tensors that stand at its rank in the lists."""
        (tensor,), inputs, op = _listed(output_tensors), input_tensors[0], _reduction(opts)
        self._count(inputs, "input")
        return self.deal([as_bytes(t) for t in inputs], lambda parts: [reduced(tensor, parts, op)])

    def alltoall(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into the outputs, by rank, what stands at this rank in everybody's list of inputs."""
        self._count(output_tensors, "output")
        self._count(input_tensors, "input")
        return self.deal(
            [as_bytes(t) for t in input_tensors],
            lambda parts: [fill(t, part) for t, part in zip(output_tensors, parts, strict=True)],
        )

    def barrier(self, opts: Any = None) -> Work:
        """End when all processes have come here."""
        return self.share(b"", lambda parts: [])

    def send(self, tensors: Any, dst: int, tag: int = 0) -> Work:
        """Send a tensor to one process."""
        (tensor,) = _listed(tensors)
        self.post(as_bytes(tensor), dst, tag)
        return Work(lambda: [tensor])

    def recv(self, tensors: Any, src: int, tag: int = 0) -> Work:
        """Receive a tensor from one process."""
        (tensor,) = _listed(tensors)
        return self.collect(src, tag, lambda payload: [fill(tensor, payload)])

    def recv_anysource(self, tensors: Any, tag: int = 0) -> Work:
        """Receive a tensor from whoever sends first."""
        (tensor,) = _listed(tensors)
        return self.collect(None, tag, lambda payload: [fill(tensor, payload)])

    def _count(self, tensors: Sequence[Any], which: str) -> None:
        if len(tensors) != self._size:
            raise ValueError(f"expected one {which} tensor for each of {self._size} processes, got {len(tensors)}")


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _options(opts: Any, kind: Any) -> Any:
    return kind() if opts is None else opts


def _reduction(opts: Any) -> Any:
    """The reduction of options, or the reduction that was given in the place of options."""
    return getattr(_options(opts, reductions.AllreduceOptions), "reduceOp", opts)


# ---------------------------------------------------------------------------------------------- tensors as bytes


def as_bytes(tensor: Any) -> bytes:
    """The elements, one after the other."""
    if tensor.layout is not torch.strided:
        raise ValueError(f"a tensor of layout {tensor.layout} cannot be sent; use .to_dense() first")
    return tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def like(tensor: Any, payload: bytes) -> Any:
    """Bytes as a tensor of the shape and dtype of another; DistBackendError if they are of another number."""
    if len(payload) != tensor.numel() * tensor.element_size():
        raise DistBackendError(
            f"expected {tensor.numel()} elements of {tensor.dtype} for a tensor of shape {tuple(tensor.shape)}, got "
            f"{len(payload)} bytes: all processes must give tensors of one shape and dtype"
        )
    if not payload:
        return torch.empty_like(tensor)
    return torch.frombuffer(bytearray(payload), dtype=tensor.dtype).reshape(tensor.shape)


def fill(tensor: Any, payload: bytes) -> Any:
    """Write bytes into a tensor."""
    return tensor.detach().copy_(like(tensor, payload))


def reduced(tensor: Any, parts: list[bytes], op: Any) -> Any:
    """Write a reduction of tensors, given as bytes, into a tensor."""
    return tensor.detach().copy_(reductions.combined(op, [like(tensor, part) for part in parts]))
