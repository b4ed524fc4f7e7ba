"""The group of all processes, groups of some of them, and who is who in a group."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NewType
from urllib.parse import parse_qs, urlparse

from flambeau._core.config import launched_with
from flambeau.distributed.process_group import ProcessGroup
from flambeau.distributed.stores import FileStore, PrefixStore, Store
from flambeau.distributed.tcp import TCPStore

GroupName = NewType("GroupName", str)
default_pg_timeout = timedelta(minutes=30)
GRACE = 5.0  # seconds for the others to hear that the group failed, before its store goes


class Backend(str):
    """The name of a way to exchange tensors. There is one, gloo: through a store, on the CPU.

    Example::

        >>> Backend("GLOO")
        'gloo'
    """

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL, FAKE = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl", "fake"
    backend_list = [UNDEFINED, GLOO]

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, got {type(name).__name__}")
        return super().__new__(cls, name.lower())


class BackendConfig:
    """Which backend works for which kind of device.

    Example::

        >>> BackendConfig(Backend("gloo")).get_device_backend_map()
        {'cpu': 'gloo'}
    """

    def __init__(self, backend: Backend) -> None:
        named = dict(pair.split(":") for pair in backend.split(",")) if ":" in backend else {"cpu": str(backend)}
        self.device_backend_map = {device: Backend(name) for device, name in named.items()}

    def get_device_backend_map(self) -> dict[str, Backend]:
        """From the kind of device to the backend."""
        return self.device_backend_map

    def __repr__(self) -> str:
        return ",".join(f"{device}:{backend}" for device, backend in self.device_backend_map.items())


class group:  # noqa: N801 (PyTorch's name)
    """`group.WORLD` is the group of all processes, None before `init_process_group`."""

    WORLD: ProcessGroup | None = None


class GroupMember:
    """`NON_GROUP_MEMBER` is what `new_group` gives to a process that does not belong to the group."""

    NON_GROUP_MEMBER: Any = -100


class _World:
    groups: list[ProcessGroup] = []
    own: Store | None = None  # the store, if it was made here for the groups and goes with them


def is_initialized() -> bool:
    """Is there a group of all processes?

    Example::

        >>> is_initialized()
        False
    """
    return group.WORLD is not None


# ---------------------------------------------------------------------------------------------- finding each other


def _of_file(url: Any, rank: int, world_size: int, timeout: timedelta) -> Store:
    if not url.path:
        raise ValueError("file:// rendezvous: no path given, use file:///path/to/file")
    return FileStore(url.path, world_size)


def _of_tcp(url: Any, rank: int, world_size: int, timeout: timedelta) -> Store:
    if not url.port:
        raise ValueError("tcp:// rendezvous: port number missing, use tcp://host:port")
    return TCPStore(url.hostname, url.port, world_size, rank == 0, timeout)


def _of_environment(url: Any, rank: int, world_size: int, timeout: timedelta) -> Store:
    return TCPStore(_variable("MASTER_ADDR"), int(_variable("MASTER_PORT")), world_size, rank == 0, timeout)


def _variable(name: str) -> str:
    value = launched_with(name)
    if value is None:
        raise ValueError(
            f"Error initializing torch.distributed using env:// rendezvous: environment variable {name} expected, but "
            f"not set\n  hint: for one process alone say init_process_group(rank=0, world_size=1, store=HashStore())"
        )
    return value


HANDLERS: dict[str, Callable[..., Any]] = {"file": _of_file, "tcp": _of_tcp, "env": _of_environment}


def register_rendezvous_handler(scheme: str, handler: Callable[..., Iterator[Any]]) -> None:
    """Say how processes find each other by URLs of another scheme: `handler(url, ...)` yields (store, rank, number).

    RuntimeError if the scheme is taken.
    """
    if scheme in HANDLERS:
        raise RuntimeError(f"Rendezvous handler for {scheme}:// already registered")
    HANDLERS[scheme] = handler


def rendezvous(
    url: str, rank: int = -1, world_size: int = -1, timeout: timedelta = default_pg_timeout, **options: Any
) -> Iterator[tuple[Store, int, int]]:
    """Yields the store under which processes meet at a URL, this process's rank, and their number.

    `env://` reads the variables MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE; `tcp://host:port` and `file:///path`
    take rank and number from arguments or the URL's query. The others must come within `timeout`. RuntimeError for
    another scheme.
    """
    parsed = urlparse(url)
    if parsed.scheme not in HANDLERS:
        raise RuntimeError(f"No rendezvous handler for {parsed.scheme}://")
    handler = HANDLERS[parsed.scheme]
    if handler not in (_of_file, _of_tcp, _of_environment):
        yield from handler(url, **options)
        return
    asked = {name: int(values[0]) for name, values in parse_qs(parsed.query).items()}
    rank, world_size = asked.get("rank", rank), asked.get("world_size", world_size)
    if handler is _of_environment:
        rank = int(_variable("RANK")) if rank < 0 else rank
        world_size = int(_variable("WORLD_SIZE")) if world_size < 0 else world_size
    if rank < 0 or world_size < 1:
        raise ValueError(f"{parsed.scheme}:// rendezvous: rank and world_size are needed, got {rank} and {world_size}")
    yield handler(parsed, rank, world_size, timeout), rank, world_size


# ---------------------------------------------------------------------------------------------- making groups


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the group of all processes; every process calls this, and returns when all have come.

    They meet at `init_method` (default `env://`, see `rendezvous`) or in a `store`, which needs `rank` and
    `world_size`. The backend is gloo. ValueError if there is a group already, or for another backend.

    `timeout` (default 30 minutes) says how long the others are waited for, here and in each operation. An operation
    that does not end in time, or for which a process is missing that has ended or left, raises DistBackendError with
    the operation and the ranks; the group is no use any more then, and says so. That a process has ended is known
    through a store by TCP; otherwise the timeout tells.

    Example::

        >>> import flambeau.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> dist.get_rank(), dist.get_world_size()
        (0, 1)
        >>> dist.destroy_process_group()
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    _checked(backend)
    patience = default_pg_timeout if timeout is None else timeout
    made_here = store is None
    if store is None:
        store, rank, world_size = next(rendezvous(init_method or "env://", rank, world_size, patience))
    elif rank < 0 or world_size < 1:
        raise ValueError("rank and world_size are needed beside a store")
    elif init_method is not None:
        raise ValueError("Cannot specify both init_method and store.")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not in the interval [0, {world_size - 1}]")
    store.set_timeout(patience)
    _World.own = store if made_here else None
    group.WORLD = _made(store, rank, list(range(world_size)), patience)
    group.WORLD.group_desc = "default_pg"
    try:
        group.WORLD.barrier().wait()
    except BaseException:
        destroy_process_group()
        raise


def _checked(backend: str | None) -> None:
    wanted = {"gloo"} if backend is None else set(BackendConfig(Backend(backend)).get_device_backend_map().values())
    if wanted - {"gloo", "undefined"}:
        raise ValueError(f"no backend {backend!r}: tensors are on the CPU\n  hint: use backend='gloo'")


def _made(store: Store, rank: int, ranks: list[int], timeout: timedelta | None) -> ProcessGroup:
    """A group under a name that its members find without the other processes: their ranks, and how many groups they had
    before."""
    members = hashlib.sha256(repr(ranks).encode()).hexdigest()[:12] if len(ranks) > 16 else "-".join(map(str, ranks))
    store._groups[members] += 1
    name = f"{members}/{store._groups[members]}"
    own = PrefixStore(f"group/{name}", store)
    own.set_timeout(store.timeout if timeout is None else timeout)
    made = ProcessGroup(own, ranks.index(rank), len(ranks), name, ranks)
    _World.groups.append(made)
    return made


def world() -> ProcessGroup:
    """The group of all processes; ValueError if there is none."""
    if group.WORLD is None:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return group.WORLD


def of(some: Any) -> ProcessGroup | None:
    """A group, all processes for None; None if this process does not belong to it."""
    if some is None:
        return world()
    return some if isinstance(some, ProcessGroup) else None


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Forget a group; the group of all processes, with all others, for None. ValueError for one that is not there."""
    kind = globals()["group"]
    gone = world() if group is None else group
    if gone not in _World.groups:
        raise ValueError("Invalid process group specified or has been destroyed.")
    if gone is not kind.WORLD:
        _World.groups.remove(gone)
        gone.shutdown()
        return
    grace = GRACE if gone.failed else None
    for one in _World.groups:
        one.shutdown()
    if _World.own is not None:
        _part(gone, _World.own, grace)
    _World.groups.clear()
    _World.own = kind.WORLD = None


def _part(last: ProcessGroup, store: Store, grace: float | None) -> None:
    """The process that keeps the store goes last; the last one takes a file along."""
    if isinstance(store, TCPStore):
        store.farewell(grace)
    elif isinstance(store, FileStore) and last.get_group_store().add("gone", 1) == last.size():
        Path(store.path).unlink(missing_ok=True)


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    sort_ranks: bool = True,
) -> Any:
    """A group of some processes, of all for None. Its members call this, in the same order if they have several groups;
    the others may, and get `GroupMember.NON_GROUP_MEMBER`. Ranks in the group follow the processes' own order, or with
    `sort_ranks=False` that of `ranks`. Operations wait for each other as long as `timeout` says, by default the timeout
    of the group of all processes. ValueError for ranks that are not there."""
    everyone, me = world(), get_rank()
    _checked(backend)
    members = list(range(everyone.size())) if ranks is None else list(ranks)
    if len(set(members)) < len(members) or not set(members) <= set(range(everyone.size())):
        raise ValueError(f"the new group's ranks {members} are not different ranks below {everyone.size()}")
    if sort_ranks:
        members.sort()
    if me not in members:
        return GroupMember.NON_GROUP_MEMBER
    own = everyone.get_group_store()
    made = _made(own.underlying_store if isinstance(own, PrefixStore) else own, me, members, timeout)
    made.group_desc = group_desc or "undefined"
    return made


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]],
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Groups of the listed ranks: this process's own (None if it is in none), and all. ValueError if a rank is in
    two."""
    listed = [rank for ranks in ranks_per_subgroup_list for rank in ranks]
    if not listed or len(set(listed)) < len(listed):
        raise ValueError("ranks_per_subgroup_list must not be empty, and no rank may be in two subgroups")
    groups = [new_group(ranks, timeout, backend, group_desc=group_desc) for ranks in ranks_per_subgroup_list]
    return next((g for g in groups if isinstance(g, ProcessGroup)), None), groups


def new_subgroups(
    group_size: int | None = None,
    group: ProcessGroup | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Groups of `group_size` neighbours each: this process's own, and all. ValueError if the number of processes is no
    multiple of it."""
    size = get_world_size()
    if not group_size or group_size > size or size % group_size:
        raise ValueError(f"the world size ({size}) must be divisible by group_size={group_size}")
    members = [list(range(start, start + group_size)) for start in range(0, size, group_size)]
    return new_subgroups_by_enumeration(members, timeout, backend, group_desc=group_desc)


def split_group(
    parent_pg: ProcessGroup | None = None,
    split_ranks: Sequence[Sequence[int]] | None = None,
    timeout: timedelta | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
    backend: str | None = None,
) -> ProcessGroup | None:
    """Split a group; `split_ranks` are ranks in it, one list for each part. This process's part, None if it is in
    none. All processes of the world call this. ValueError without lists, or for a rank that is in two."""
    parent = of(parent_pg)
    if parent is None or not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    members = [[parent.ranks[rank] for rank in ranks] for ranks in split_ranks]
    return new_subgroups_by_enumeration(members, timeout, backend, group_desc=group_desc)[0]


# ---------------------------------------------------------------------------------------------- who is who


def get_rank(group: ProcessGroup | None = None) -> int:
    """This process's rank in a group; -1 if it is not in it."""
    found = of(group)
    return -1 if found is None else found.rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """The number of processes in a group; -1 if this process is not in it."""
    found = of(group)
    return -1 if found is None else found.size()


def _member_of(some: Any) -> ProcessGroup:
    found = of(some)
    if found is None:
        raise ValueError("Invalid process group specified: this process does not belong to it")
    return found


def get_backend(group: ProcessGroup | None = None) -> Backend:
    """The backend of a group."""
    return Backend(_member_of(group).name())


def get_backend_config(group: ProcessGroup | None = None) -> str:
    """The backends of a group for kinds of devices, as text."""
    return str(BackendConfig(get_backend(group)))


def get_default_backend_for_device(device: Any) -> str:
    """The backend for a device; ValueError if there is none."""
    kind = str(device).partition(":")[0]
    if kind != "cpu":
        raise ValueError(f"Default backend not registered for device : {kind}")
    return "gloo"


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks in the world of a group's processes, in the group's order."""
    return list(_member_of(group).ranks)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank in the world of a process with a rank in a group; ValueError if there is none."""
    ranks = _member_of(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group of {len(ranks)} processes")
    return ranks[group_rank]


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The rank in a group of a process with a rank in the world; ValueError if it is not in it."""
    ranks = _member_of(group).ranks
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group of ranks {ranks}")
    return ranks.index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The rank among the processes of this machine, from the variable LOCAL_RANK; RuntimeError without it, unless there
    is a fallback.

    Example::

        >>> get_node_local_rank(0)
        0
    """
    given = launched_with("LOCAL_RANK")
    if given is None and fallback_rank is None:
        raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank.")
    return int(given if given is not None else fallback_rank or 0)


def get_pg_count() -> int:
    """The number of groups this process is in."""
    return len(_World.groups)


def is_torchelastic_launched() -> bool:
    """Was the process started by torchrun?

    Example::

        >>> is_torchelastic_launched()
        False
    """
    return launched_with("TORCHELASTIC_RUN_ID") is not None
