"""Several processes (`torch.distributed`): groups, collective operations, messages, stores.

The one backend, called gloo as in PyTorch, exchanges tensors through a store: within a process, in a file, or by TCP.
It is made to be right in small worlds, not to be fast in large ones. Processes are started by Python's
`multiprocessing` or a launcher that sets `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`.
"""

from __future__ import annotations

from flambeau._core.homes import absent
from flambeau.distributed.collectives import (
    P2POp,
    all_gather,
    all_gather_coalesced,
    all_gather_into_tensor,
    all_gather_single,
    all_reduce,
    all_reduce_coalesced,
    all_to_all,
    all_to_all_single,
    barrier,
    batch_isend_irecv,
    broadcast,
    gather,
    irecv,
    isend,
    monitored_barrier,
    recv,
    reduce,
    reduce_scatter,
    reduce_scatter_single,
    reduce_scatter_tensor,
    scatter,
    send,
)
from flambeau.distributed.debugging import (
    DebugLevel,
    breakpoint,
    get_debug_level,
    record_comm,
    set_debug_level,
    set_debug_level_from_env,
)
from flambeau.distributed.errors import (
    DistBackendError,
    DistError,
    DistNetworkError,
    DistStoreError,
    QueueEmptyError,
)
from flambeau.distributed.mesh import DeviceMesh, init_device_mesh
from flambeau.distributed.objects import (
    all_gather_object,
    broadcast_object_list,
    gather_object,
    recv_object_list,
    scatter_object_list,
    send_object_list,
)
from flambeau.distributed.process_group import ProcessGroup, ProcessGroupGloo, Work
from flambeau.distributed.reducer import BuiltinCommHookType, GradBucket
from flambeau.distributed.reductions import (
    AllreduceCoalescedOptions,
    AllreduceOptions,
    AllToAllOptions,
    BarrierOptions,
    BroadcastOptions,
    GatherOptions,
    ReduceOp,
    ReduceOptions,
    ReduceScatterOptions,
    ScatterOptions,
    supports_complex,
)
from flambeau.distributed.stores import FileStore, HashStore, PrefixStore, Store
from flambeau.distributed.tcp import TCPStore
from flambeau.distributed.world import (
    Backend,
    BackendConfig,
    GroupMember,
    GroupName,
    default_pg_timeout,
    destroy_process_group,
    get_backend,
    get_backend_config,
    get_default_backend_for_device,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_pg_count,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    init_process_group,
    is_initialized,
    is_torchelastic_launched,
    new_group,
    new_subgroups,
    new_subgroups_by_enumeration,
    register_rendezvous_handler,
    rendezvous,
    split_group,
)


def is_available() -> bool:
    """Can processes be grouped? Yes.

    Example::

        >>> is_available(), is_gloo_available(), is_nccl_available()
        (True, True, False)
    """
    return True


def is_backend_available(backend: str) -> bool:
    """Can processes be grouped by such a backend?

    Example::

        >>> is_backend_available("gloo"), is_backend_available("nccl")
        (True, False)
    """
    return backend.lower() == "gloo"


def is_nccl_available() -> bool:
    """Is there NVIDIA's library? No, nor any for other devices than the CPU."""
    return False


is_gloo_available = is_available
is_mpi_available = is_ucc_available = is_xccl_available = is_nccl_available

__all__ = [
    "AllToAllOptions", "AllreduceCoalescedOptions", "AllreduceOptions", "Backend", "BackendConfig", "BarrierOptions",
    "BroadcastOptions", "BuiltinCommHookType", "DebugLevel", "DeviceMesh", "DistBackendError", "DistError",
    "DistNetworkError", "DistStoreError", "FileStore", "GatherOptions", "GradBucket", "GroupMember", "GroupName",
    "HashStore", "P2POp", "PrefixStore", "ProcessGroup", "ProcessGroupGloo", "QueueEmptyError", "ReduceOp",
    "ReduceOptions", "ReduceScatterOptions", "ScatterOptions", "Store", "TCPStore", "Work", "all_gather",
    "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object", "all_gather_single", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "breakpoint",
    "broadcast", "broadcast_object_list", "default_pg_timeout", "destroy_process_group", "gather", "gather_object",
    "get_backend", "get_backend_config", "get_debug_level", "get_default_backend_for_device", "get_global_rank",
    "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "get_rank", "get_world_size",
    "group", "init_device_mesh", "init_process_group", "irecv", "is_available", "is_backend_available",
    "is_gloo_available", "is_initialized", "is_mpi_available", "is_nccl_available", "is_torchelastic_launched",
    "is_ucc_available", "is_xccl_available", "isend", "monitored_barrier", "new_group", "new_subgroups",
    "new_subgroups_by_enumeration", "record_comm", "recv", "recv_object_list", "reduce", "reduce_scatter",
    "reduce_scatter_single", "reduce_scatter_tensor", "register_rendezvous_handler", "rendezvous", "scatter",
    "scatter_object_list", "send", "send_object_list", "set_debug_level", "set_debug_level_from_env", "split_group",
    "supports_complex",
]  # fmt: skip

__getattr__ = absent("torch.distributed")
