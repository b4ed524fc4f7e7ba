"""The mean of gradients over processes, taken while backward still runs: the heart of DistributedDataParallel.

Parameters stand in buckets, the last ones first, for their gradients come first. Once a bucket has all its gradients it
is sent on its way, always in the same order in all processes; the hook of the last gradient waits for all buckets and
writes the means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

from flambeau import _api as torch
from flambeau import autograd
from flambeau._core.errors import explain
from flambeau.autograd.engine import postorder
from flambeau.distributed.process_group import ProcessGroup, Work
from flambeau.distributed.reductions import AllreduceOptions, BroadcastOptions, RedOpType

MIB = 1 << 20


class GradBucket:
    """Gradients on their way together, as a hook of `register_comm_hook` gets them: one flat tensor."""

    def __init__(self, bucket: Bucket, flat: Any, last: bool) -> None:
        self._bucket = bucket
        self._flat = flat
        self._last = last

    def index(self) -> int:
        """The bucket's number, in the order of sending."""
        return self._bucket.number

    def buffer(self) -> Any:
        """The gradients, one behind the other; not divided yet."""
        return self._flat

    def set_buffer(self, tensor: Any) -> None:
        """Put another flat tensor into its place."""
        self._flat = tensor

    def gradients(self) -> list[Any]:
        """The gradients, each as a view into the flat tensor."""
        return self._bucket.parts(self._flat)

    def parameters(self) -> list[Any]:
        """The parameters whose gradients these are."""
        return list(self._bucket.parameters)

    def is_last(self) -> bool:
        """Is it the last to be sent?"""
        return self._last


class BuiltinCommHookType(IntEnum):
    """Ways to average gradients that need no function: as they are, or on their way as float16."""

    ALLREDUCE = 1
    FP16_COMPRESS = 2


def builtin_hook(kind: BuiltinCommHookType, group: ProcessGroup) -> Callable[[GradBucket], Any]:
    """The hook of that kind."""

    def hook(bucket: GradBucket) -> Any:
        flat = bucket.buffer()
        if kind is BuiltinCommHookType.FP16_COMPRESS:
            flat = flat.to(torch.float16)
        done = group.allreduce([flat.div_(group.size())]).get_future()
        return done.then(lambda future: future.value()[0].to(bucket.buffer().dtype))

    return hook


class Bucket:
    """Parameters of one dtype whose gradients travel together; `numbers` are their places among all."""

    def __init__(self, number: int, numbers: list[int], parameters: list[Any]) -> None:
        self.number = number
        self.numbers = numbers
        self.parameters = parameters
        self.missing = 0

    def flat(self) -> Any:
        """The gradients as they stand in `.grad`, zeros for those that are not there."""
        return torch.cat([_flat_gradient(parameter) for parameter in self.parameters])

    def parts(self, flat: Any) -> list[Any]:
        """A flat tensor cut into the parameters' shapes."""
        pieces = flat.split([parameter.numel() for parameter in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]


def _flat_gradient(parameter: Any) -> Any:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), dtype=parameter.dtype)
    if parameter.grad.layout is not torch.strided:
        fact = f"a gradient of layout {parameter.grad.layout} cannot be averaged over processes"
        raise NotImplementedError(explain(fact, hint="make the Embedding with sparse=False"))
    return parameter.grad.detach().reshape(-1)


def buckets_of(parameters: Sequence[Any], first: int, others: int) -> list[Bucket]:
    """Buckets of no more than so many bytes each (one parameter may have more), the last parameters first."""
    made: list[Bucket] = []
    room = 0
    for number in reversed(range(len(parameters))):
        parameter = parameters[number]
        size = parameter.numel() * parameter.element_size()
        if not made or size > room or made[-1].parameters[0].dtype is not parameter.dtype:
            made.append(Bucket(len(made), [], []))
            room = others if len(made) > 1 else first
        made[-1].numbers.append(number)
        made[-1].parameters.append(parameter)
        room -= size
    return made


class Reducer:
    """Averages the gradients of named parameters over a group.

    `prepare(outputs)` says that a backward pass from these outputs is to be averaged. `shadow` takes part, with zeros,
    in the averages of others.
    """

    def __init__(
        self, named: Sequence[tuple[str, Any]], group: ProcessGroup, bucket_bytes: int, find_unused: bool
    ) -> None:
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.group = group
        self.find_unused = find_unused
        self.divisor = group.size()
        self.buckets = buckets_of(self.parameters, min(MIB, bucket_bytes), bucket_bytes)
        self.hook: Callable[[GradBucket], Any] | None = None
        self._bucket_of = {number: bucket for bucket in self.buckets for number in bucket.numbers}
        self._missing: set[int] = set()
        self._expecting = False
        self._sent: list[Any] = []  # the works, or a hook's futures, of the buckets that are on their way
        self._used: list[bool] = []
        for number, parameter in enumerate(self.parameters):
            parameter.register_post_accumulate_grad_hook(partial(self._arrived, number))

    def prepare(self, outputs: Any) -> None:
        """Expect the gradients of a backward pass; RuntimeError if those of the pass before did not all come."""
        if self._expecting and self._missing and self._sent_any_gradient():
            missing = sorted(self._missing)
            named = ", ".join(f"{number} ({self.names[number]})" for number in missing)
            raise RuntimeError(explain(
                "Expected to have finished reduction in the prior iteration before starting a new one: at rank "
                f"{self.group.rank()} there was no gradient of the parameters {named}",
                hint="find_unused_parameters=True if they have no part in the loss; and let forward's outputs all "
                "have one",
            ))  # fmt: skip
        self._expecting = True
        self._missing = set(range(len(self.parameters)))
        self._sent = []
        for bucket in self.buckets:
            bucket.missing = len(bucket.numbers)
        self._used = [True] * len(self.parameters)
        if self.find_unused:
            for number in self._unreached(outputs):
                self._used[number] = False
                self._count(number)

    def _sent_any_gradient(self) -> bool:
        """Has a backward pass begun since `prepare`? A forward pass alone leaves nothing half done."""
        return len(self._missing) < sum(self._used)

    def _unreached(self, outputs: Any) -> list[int]:
        """The parameters that the outputs do not depend on."""
        roots = [autograd.graph.get_gradient_edge(t).node for t in tensors_in(outputs) if t.requires_grad]
        reached = {id(node) for node in postorder(roots)}
        nodes = [autograd.graph.get_gradient_edge(parameter).node for parameter in self.parameters]
        return [number for number, node in enumerate(nodes) if id(node) not in reached]

    def _arrived(self, number: int, parameter: Any) -> None:
        if not self._expecting:
            return
        if number not in self._missing:
            raise RuntimeError(explain(
                f"Expected to mark a variable ready only once: parameter {number} ({self.names[number]}) got a second "
                "gradient in one pass",
                hint="with find_unused_parameters=True, return from forward what the loss is made of, not detached; "
                "and checkpoint with use_reentrant=False",
            ))  # fmt: skip
        self._count(number)
        with torch.no_grad():
            self._send_what_is_ready()
            if not self._missing:
                self._finish()

    def _count(self, number: int) -> None:
        self._missing.discard(number)
        self._bucket_of[number].missing -= 1

    # ------------------------------------------------------------------------------------ sending

    def _send_what_is_ready(self) -> None:
        while len(self._sent) < len(self.buckets) and not self.buckets[len(self._sent)].missing:
            bucket = self.buckets[len(self._sent)]
            self._sent.append(self._begun(bucket, bucket.flat()))

    def _begun(self, bucket: Bucket, flat: Any) -> Any:
        """An operation that has begun; its tensor, when it is through, holds the mean."""
        if self.hook is not None:
            return self.hook(GradBucket(bucket, flat, bucket.number == len(self.buckets) - 1))
        return self.group.allreduce([flat.div_(self.divisor)])

    def _mean(self, begun: Any) -> Any:
        if isinstance(begun, Work):
            return begun.result()[0]
        found = begun.wait()
        return found[0] if isinstance(found, list | tuple) else found

    def _finish(self) -> None:
        self._expecting = False
        anywhere = self._used_anywhere() if self.find_unused else self._used
        for bucket, begun in zip(self.buckets, self._sent, strict=True):
            pieces = bucket.parts(self._mean(begun))
            for number, parameter, mean in zip(bucket.numbers, bucket.parameters, pieces, strict=True):
                if not anywhere[number]:
                    continue
                if parameter.grad is None:
                    parameter.grad = mean.clone()
                else:
                    parameter.grad.copy_(mean)

    def _used_anywhere(self) -> list[bool]:
        """Which parameters some process has used; the others keep the gradients they had."""
        flags = torch.tensor(self._used, dtype=torch.uint8)
        self.group.allreduce([flags], AllreduceOptions(reduceOp=RedOpType.MAX)).wait()
        return [bool(flag) for flag in flags.tolist()]

    def shadow(self) -> None:
        """Take part in the others' pass of averages without gradients of one's own."""
        begun = [self._begun(b, torch.zeros(sum(p.numel() for p in b.parameters), dtype=b.parameters[0].dtype))
                 for b in self.buckets]  # fmt: skip
        self._used = [False] * len(self.parameters)
        if self.find_unused:
            self._used_anywhere()
        for one in begun:
            self._mean(one)


def tensors_in(value: Any) -> Iterator[Any]:
    """The tensors in nested lists, tuples, dictionaries and objects of dataclasses."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)
    elif hasattr(type(value), "__dataclass_fields__"):
        for name in type(value).__dataclass_fields__:
            yield from tensors_in(getattr(value, name))


def expect_same(group: ProcessGroup, named: Sequence[tuple[str, Any]]) -> None:
    """RuntimeError unless all processes have parameters of the same names, shapes and dtypes."""
    own = [[name, list(parameter.shape), str(parameter.dtype)] for name, parameter in named]
    found: list[Any] = []
    group.share("comparison of parameters", json.dumps(own).encode(), found.extend).wait()
    for rank, theirs in enumerate(json.loads(part) for part in found):
        if len(theirs) != len(own):
            raise RuntimeError(f"DDP expects same model across all ranks, but Rank {group.rank()} has {len(own)} "
                               f"params, while rank {rank} has inconsistent {len(theirs)} params.")  # fmt: skip
        for mine, other in zip(own, theirs, strict=True):
            if mine != other:
                raise RuntimeError(f"DDP expects same model across all ranks, but the parameter {mine[0]} of rank "
                                   f"{group.rank()} is {mine[2]} of shape {mine[1]}, and at its place rank {rank} has "
                                   f"{other[0]}, {other[2]} of shape {other[1]}")  # fmt: skip


def broadcast_all(group: ProcessGroup, tensors: Sequence[Any], source: int = 0) -> None:
    """Write the tensors of one member into everybody's: together, those of each dtype."""
    by_dtype: dict[Any, list[Any]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor.detach())
    with torch.no_grad():
        for alike in by_dtype.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            group.broadcast([flat], BroadcastOptions(rootRank=source)).wait()
            for tensor, piece in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
                tensor.copy_(piece.view(tensor.shape))
