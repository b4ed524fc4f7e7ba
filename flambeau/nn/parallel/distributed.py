"""DistributedDataParallel: one model in several processes, each with its part of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.lazy import lazy_module

from ..modules.module import Module

processes = lazy_module("flambeau.distributed")
reducing = lazy_module("flambeau.distributed.reducer")

BUCKET_MIB = 25


class DistributedDataParallel(Module):
    """Calls `module`, and gives its parameters the mean of their gradients over all processes of a group.

    Every process makes it with the same model. Parameters and buffers are taken from the group's first process; in
    `backward` gradients are averaged, in buckets, while it still runs. So all processes keep the same parameters, and
    train as one process would on all batches together, if the loss is a mean and the batches are of one size. The
    state_dict has PyTorch's keys, which begin with "module.".

    Args:
        module: what is called, on the CPU. RuntimeError if none of its parameters requires a gradient, or if processes
            have different ones.
        device_ids, output_device: None (ValueError otherwise: there is no GPU).
        dim: accepted.
        broadcast_buffers: take the buffers, such as running means, from the first process before each forward pass.
            Default: True.
        init_sync: take parameters and buffers from the first process now. Default: True.
        process_group: the processes. Default: all, which `init_process_group` has made.
        bucket_cap_mb: size of buckets in MiB. Default: 25.
        find_unused_parameters: look before backward which parameters the outputs do not depend on, and do not wait for
            their gradients. Default: False; then each must get one, or the next forward pass raises RuntimeError.
        static_graph: the same parameters are used each time; as `find_unused_parameters`. Default: False.
        gradient_as_bucket_view: accepted; gradients are copied out of buckets.

    Example:
        >>> import flambeau as torch, flambeau.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
        >>> model(torch.ones(2, 1)).sum().backward()
        >>> model.module.weight.grad, list(model.state_dict())
        (tensor([[2.]]), ['module.weight', 'module.bias'])
        >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        if device_ids or output_device is not None:
            fact = f"device_ids and output_device are for GPUs, got device_ids {device_ids}, output_device"
            raise ValueError(explain(f"{fact} {output_device}", hint="leave them out: the module is on the CPU"))
        self.module = module
        self.dim = dim
        self.device_ids = self.output_device = None
        self.broadcast_buffers = broadcast_buffers is not False
        self.find_unused_parameters = find_unused_parameters
        self.static_graph = static_graph
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.bucket_bytes_cap = int((bucket_cap_mb or BUCKET_MIB) * 1024 * 1024)
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        self._joining = False
        self._start(process_group, init_sync)

    def _start(self, process_group: Any, init_sync: bool) -> None:
        """What ties the module to the processes."""
        group = processes.group.WORLD if process_group is None else process_group
        if group is None:
            raise ValueError(explain("DistributedDataParallel needs a group of processes, and there is none", hint=
                                     "call torch.distributed.init_process_group first"))  # fmt: skip
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        if not named:
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameters that "
                               "require a gradient.")  # fmt: skip
        self.process_group = group
        reducing.expect_same(group, named)
        if init_sync:
            reducing.broadcast_all(group, [*self.module.parameters(), *self.module.buffers()])
        find_unused = self.find_unused_parameters or self.static_graph
        self.reducer = reducing.Reducer(named, group, self.bucket_bytes_cap, find_unused)

    def __getstate__(self) -> dict[str, Any]:
        """Without the processes: whoever unpickles it ties it to the group of all of them."""
        return {key: value for key, value in vars(self).items() if key not in ("process_group", "reducer")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start(None, init_sync=False)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        syncs = torch.is_grad_enabled() and self.require_backward_grad_sync
        if self._joining:
            if syncs:
                self._share_buffers(self._active(True)[0])
        elif self.require_forward_param_sync:
            self._share_buffers()
        self.require_forward_param_sync = syncs
        outputs = self.module(*inputs, **kwargs)
        if syncs:
            self.reducer.prepare(outputs)
        return outputs

    def _share_buffers(self, source: int = 0) -> None:
        buffers = list(self.module.buffers()) if self.broadcast_buffers else []
        if buffers:
            reducing.broadcast_all(self.process_group, buffers, source)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A context in which gradients, of the forward passes in it, are added up in each process alone; the first
        backward pass after it averages the sums.

        Example::

            with model.no_sync():
                for x in batches[:-1]:
                    model(x).sum().backward()
            model(batches[-1]).sum().backward()
        """
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state: object, hook: Callable[[object, Any], Any]) -> None:
        """Average gradients in another way: `hook(state, bucket)` gets a `torch.distributed.GradBucket` and returns a
        Future of the flat tensor to be used. RuntimeError for a second one; TypeError for what cannot be called.

        Example::

            def in_half(group, bucket):
                half = bucket.buffer().to(torch.bfloat16) / dist.get_world_size()
                future = dist.all_reduce(half, async_op=True).get_future()
                return future.then(lambda done: done.value()[0].to(bucket.buffer().dtype))

            model.register_comm_hook(None, in_half)
        """
        if not callable(hook):
            raise TypeError(f"Communication hook must be callable, got {type(hook).__name__}")
        if self.reducer.hook is not None:
            raise RuntimeError("register_comm_hook can only be called once.")
        self.reducer.hook = lambda bucket: hook(state, bucket)

    def _register_builtin_comm_hook(self, comm_hook_type: Any) -> None:
        """PyTorch's name, private but used: average by a `torch.distributed.BuiltinCommHookType`."""
        hook = reducing.builtin_hook(reducing.BuiltinCommHookType(comm_hook_type), self.process_group)
        self.register_comm_hook(None, lambda state, bucket: hook(bucket))

    # ------------------------------------------------------------------------------------ inputs of different numbers

    @contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Iterator[None]:
        """A context for training loops of different lengths: who is through takes part in the others' averages with
        zeros, and at the end gets the parameters of the last.

        Sums are divided by the number of all processes, or with `divide_by_initial_world_size=False` of those that
        still have inputs. With `throw_on_early_termination` all raise RuntimeError as soon as one is through.

        Example::

            with model.join():
                for x in batches:
                    model(x).sum().backward()
                    optimizer.step()
        """
        if not enable:
            yield
            return
        self._joining, self._throwing, self._dividing = True, throw_on_early_termination, divide_by_initial_world_size
        self._last = 0
        try:
            yield
            self._follow()
        finally:
            self._joining = False
            self.reducer.divisor = self.process_group.size()

    def _active(self, mine: bool) -> list[int]:
        """The ranks that still have inputs; each process tells whether it has."""
        size = self.process_group.size()
        flags = [torch.empty(1, dtype=torch.bool) for _ in range(size)]
        self.process_group.allgather([flags], [torch.tensor([mine])]).wait()
        active = [rank for rank, flag in enumerate(flags) if flag.item()]
        if self._throwing and len(active) < size:
            raise RuntimeError(f"Rank {self.process_group.rank()}: another rank has exhausted its inputs; of {size} "
                               f"processes {len(active)} have more.")  # fmt: skip
        if active:
            self._last = active[0]
            self.reducer.divisor = size if self._dividing else len(active)
        return active

    def _follow(self) -> None:
        """After this process's last input: do with the others what they do, until all are through."""
        while active := self._active(False):
            self._share_buffers(active[0])
            self.reducer.shadow()
        reducing.broadcast_all(self.process_group, [*self.module.parameters(), *self.module.buffers()], self._last)
