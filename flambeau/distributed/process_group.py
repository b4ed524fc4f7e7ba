"""Process groups: who takes part, and how bytes and tensors go from one to the other.

All goes through the group's store. A collective operation puts down what this process gives, under the operation's
number and its rank, and takes what the others put down; the last reader clears away. Since only the taking waits,
an operation with `async_op=True` has begun when the call returns, and ends in `Work.wait`.

Who waits for others waits for news of them, too: under `absent/<rank>` stands why a member will not come any more,
under `failed` why the group is no use any more. An operation that cannot end fails the group, for some may have ended
it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.distributed import reductions
from flambeau.distributed.errors import DistBackendError, DistNetworkError, DistStoreError
from flambeau.distributed.stores import Store

AGAIN = "destroy_process_group() and init_process_group() in all processes make a new one"


class Work:
    """An operation that has begun; `wait` ends it."""

    def __init__(
        self,
        finish: Callable[[timedelta | None], Any],
        ready: Callable[[], bool] = lambda: True,
        source: int = -1,
    ) -> None:
        self._finish: Callable[[timedelta | None], Any] | None = finish
        self._ready = ready
        self._source = source
        self._result: Any = None
        self._error: Exception | None = None

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Come back when the results are in their places. DistBackendError, also at each further call, if others do not
        come in time (the group's timeout unless one is given), or have ended."""
        finish, self._finish = self._finish, None
        if finish is not None:
            try:
                self._result = finish(timeout)
            except Exception as error:
                self._error = error
        if self._error is not None:
            raise self._error
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

    def finish(timeout: timedelta | None) -> list[Any]:
        for work in works:
            work.wait(timeout)
        return [tensor for work in works for tensor in work.result()]

    return Work(finish, lambda: all(work.is_completed() for work in works))


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
        self._failure = ""
        if size > 1:
            store._attend(f"absent/{rank}")

    def rank(self) -> int:
        """This process's place in the group."""
        return self._rank

    def size(self) -> int:
        """The number of processes."""
        return self._size

    @property
    def failed(self) -> bool:
        """Is the group no use any more?"""
        return bool(self._failure)

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
        """End: this process does not take part any more, and the others need not wait for it."""
        self._failure = self._failure or "it was shut down"
        if self._size > 1:
            try:
                self._store.set(f"absent/{self._rank}", "it has left the group")
            except DistNetworkError:  # whoever kept the store has ended: nobody is left to be told
                pass

    abort = shutdown

    # ------------------------------------------------------------------------------------ bytes

    def share(self, operation: str, payload: bytes, use: Callable[[list[bytes]], Any], opts: Any = None) -> Work:
        """Give the same bytes to all, and hand to `use` what all gave, by rank."""
        turn, label = self._turn(operation)
        keys = [f"{turn}/{other}" for other in range(self._size)]
        with self._failing(label):
            self._store.set(keys[self._rank], payload)

        def finish(timeout: timedelta | None) -> Any:
            with self._failing(label):
                parts = self._collected(dict(zip(keys, range(self._size), strict=True)), self._patience(opts, timeout))
                if self._store.add(f"{turn}/read", 1) == self._size:
                    self._store._do("delete", [*keys, f"{turn}/read"])
            return use(parts)

        return Work(finish, lambda: self._store.check(keys))

    def deal(self, operation: str, payloads: list[bytes], use: Callable[[list[bytes]], Any], opts: Any = None) -> Work:
        """Give each its own bytes, and hand to `use` what all gave this process, by rank."""
        turn, label = self._turn(operation)
        with self._failing(label):
            self._store.multi_set([f"{turn}/{self._rank}/{other}" for other in range(self._size)], payloads)
        keys = [f"{turn}/{other}/{self._rank}" for other in range(self._size)]

        def finish(timeout: timedelta | None) -> Any:
            with self._failing(label):
                parts = self._collected(dict(zip(keys, range(self._size), strict=True)), self._patience(opts, timeout))
                self._store._do("delete", keys)
            return use(parts)

        return Work(finish, lambda: self._store.check(keys))

    def _turn(self, operation: str) -> tuple[int, str]:
        self._operations += 1
        return self._operations, f"{operation}, operation {self._operations}"

    def post(self, payload: bytes, dst: int, tag: int) -> None:
        """Send bytes to one process, without waiting for it."""
        if dst == self._rank:
            raise ValueError("Invalid destination rank: destination rank should not be the same as the rank of "
                             "the current process.")  # fmt: skip
        with self._failing(f"send to rank {self._named(dst)} with tag {tag}"):
            self._store.set(self._message(dst, tag, self._rank), payload)

    def collect(self, src: int | None, tag: int, use: Callable[[bytes], Any]) -> Work:
        """Take the next bytes from one process, or with None from whoever sends first."""
        if src == self._rank:
            raise ValueError("Invalid source rank: source rank should not be the same as the rank of "
                             "the current process.")  # fmt: skip
        whom = "any rank" if src is None else f"rank {self._named(src)}"
        label = f"receive from {whom} with tag {tag}"
        with self._failing(label):
            source = self._first_sender(tag) if src is None else src
        key = self._message(self._rank, tag, source)

        def finish(timeout: timedelta | None) -> Any:
            with self._failing(label):
                (payload,) = self._collected({key: source}, self._patience(None, timeout))
                self._store.delete_key(key)
            return use(payload)

        return Work(finish, lambda: self._store.check([key]), source)

    def _message(self, dst: int, tag: int, src: int) -> str:
        self._messages[src, dst, tag] += 1
        return f"message/{src}/{dst}/{tag}/{self._messages[src, dst, tag]}"

    def _first_sender(self, tag: int) -> int:
        others = [other for other in range(self._size) if other != self._rank]
        turns = [self._messages[other, self._rank, tag] + 1 for other in others]
        letters = [[f"message/{other}/{self._rank}/{tag}/{turn}"] for other, turn in zip(others, turns, strict=True)]
        nobody = [f"absent/{other}" for other in others]
        patience = self._patience(None, None)
        found = self._store._await([*letters, ["failed"], nobody], patience)
        if found is None:
            raise DistStoreError(f"waited {patience:g} s, and nobody has sent anything")
        if found == len(others) and self._size > 1:
            raise DistStoreError(self._store.get("failed").decode())
        if found > len(others) or not others:
            raise DistStoreError("all other members have left or ended")
        return others[found]

    # ------------------------------------------------------------------------------------ waiting, and failing

    def _patience(self, opts: Any, timeout: timedelta | None) -> float:
        """How many seconds to wait: what the caller says, or the options, or the group."""
        asked = getattr(opts, "timeout", reductions.UNSET)
        chosen = timeout if timeout is not None else asked if asked >= timedelta(0) else self._store.timeout
        return chosen.total_seconds()

    def _collected(self, owed: dict[str, int], seconds: float) -> list[bytes]:
        """The values of keys, each of which a member owes; DistStoreError when it is clear that one will not come."""
        missing, end = dict(owed), time.monotonic() + seconds
        while missing:
            ranks = sorted(set(missing.values()) - {self._rank})
            news = [["failed"], *([f"absent/{rank}"] for rank in ranks)]
            found = self._store._await([list(missing), *news], max(0.0, end - time.monotonic()))
            missing = {} if found == 0 else {key: r for key, r in missing.items() if not self._store.check([key])}
            late = sorted(set(missing.values()))
            if missing and found is None:
                raise DistStoreError(f"waited {seconds:g} s for {self._people(late)}")
            if missing and found == 1:
                raise DistStoreError(self._store.get("failed").decode())
            if missing and found is not None and (gone := ranks[found - 2]) in late:
                why = self._store.get(f"absent/{gone}").decode()
                raise DistStoreError(f"{self._people([gone])} will not come: {why}")
        return self._store.multi_get(list(owed))

    def _people(self, ranks: list[int]) -> str:
        return f"rank{'s' * (len(ranks) > 1)} {', '.join(str(self._named(rank)) for rank in ranks)}"

    def _named(self, rank: int) -> int:
        """The rank in the world, by which errors name a member."""
        return self.ranks[rank]

    @contextmanager
    def _failing(self, operation: str) -> Iterator[None]:
        """What goes wrong on the way between processes fails the group, and tells those who wait for this one."""
        place = f"rank {self._named(self._rank)}, group {self.group_name or 'without a name'}"
        if self._failure:
            fact = f"{place}: {operation} cannot begin or end, for the group failed before: {self._failure}"
            raise DistBackendError(explain(fact, hint=AGAIN))
        try:
            yield
        except (DistNetworkError, DistStoreError) as error:
            self._failure = f"in {operation}: {error}"
            if not isinstance(error, DistNetworkError):
                news = f"the group failed at rank {self._named(self._rank)}, {self._failure}"
                self._store.compare_set("failed", "", news)
            raise DistBackendError(explain(f"{place}: {operation} failed: {error}", hint=AGAIN)) from error

    # ------------------------------------------------------------------------------------ tensors

    def broadcast(self, tensors: Any, opts: Any = None) -> Work:
        """Write the sender's tensor into everybody's."""
        (tensor,), opts = _listed(tensors), _options(opts, reductions.BroadcastOptions)
        payload = as_bytes(tensor) if self._rank == opts.rootRank else b""
        return self.share("broadcast", payload, lambda parts: [fill(tensor, parts[opts.rootRank])], opts)

    def allreduce(self, tensors: Any, opts: Any = None) -> Work:
        """Write the reduction of all tensors into everybody's."""
        (tensor,), op = _listed(tensors), _reduction(opts)
        return self.share("all_reduce", as_bytes(tensor), lambda parts: [reduced(tensor, parts, op)], opts)

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

        return self.share("reduce", as_bytes(tensor), use, opts)

    def allgather(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write all tensors into everybody's list of outputs."""
        outputs, (tensor,) = output_tensors[0], _listed(input_tensors)
        self._count(outputs, "output")

        def use(parts: list[bytes]) -> list[Any]:
            return [fill(t, part) for t, part in zip(outputs, parts, strict=True)]

        return self.share("all_gather", as_bytes(tensor), use, opts)

    def gather(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write all tensors into the receiver's list of outputs."""
        (tensor,), root = _listed(input_tensors), _options(opts, reductions.GatherOptions).rootRank
        outputs = output_tensors[0] if output_tensors else []
        if self._rank == root:
            self._count(outputs, "output")
        payloads = [as_bytes(tensor) if other == root else b"" for other in range(self._size)]

        def use(parts: list[bytes]) -> list[Any]:
            return [fill(t, part) for t, part in zip(outputs, parts, strict=False)]

        return self.deal("gather", payloads, use, opts)

    def scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into each tensor one of the sender's list."""
        (tensor,), root = _listed(output_tensors), _options(opts, reductions.ScatterOptions).rootRank
        payloads = [b""] * self._size
        if self._rank == root:
            self._count(input_tensors[0] if input_tensors else [], "input")
            payloads = [as_bytes(t) for t in input_tensors[0]]
        return self.deal("scatter", payloads, lambda parts: [fill(tensor, parts[root])], opts)

    def reduce_scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into each tensor the reduction of all tensors that stand at its rank in the lists."""
        (tensor,), inputs, op = _listed(output_tensors), input_tensors[0], _reduction(opts)
        self._count(inputs, "input")
        payloads = [as_bytes(t) for t in inputs]
        return self.deal("reduce_scatter", payloads, lambda parts: [reduced(tensor, parts, op)], opts)

    def alltoall(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        """Write into the outputs, by rank, what stands at this rank in everybody's list of inputs."""
        self._count(output_tensors, "output")
        self._count(input_tensors, "input")

        def use(parts: list[bytes]) -> list[Any]:
            return [fill(t, part) for t, part in zip(output_tensors, parts, strict=True)]

        return self.deal("all_to_all", [as_bytes(t) for t in input_tensors], use, opts)

    def barrier(self, opts: Any = None) -> Work:
        """End when all processes have come here."""
        return self.share("barrier", b"", lambda parts: [], opts)

    def send(self, tensors: Any, dst: int, tag: int = 0) -> Work:
        """Send a tensor to one process."""
        (tensor,) = _listed(tensors)
        self.post(as_bytes(tensor), dst, tag)
        return Work(lambda timeout: [tensor])

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
