"""Modules of PyTorch's whose names live in another module here: `torch.distributions.normal` is one file of PyTorch's,
and its class stands with its kin in `flambeau.distributions`.

What stands in another place is in one table, and each module that PyTorch has more below finds it by its `__getattr__`:
see `absent`. `flambeau run` lets it be imported, too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from flambeau._core.unsupported import NAMES, refuse

# home -> PyTorch's module -> its names
TABLE: dict[str, dict[str, str]] = {
    "flambeau": {
        "torch.functional": "atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors "
        "cartesian_prod cdist chain_matmul einsum istft lu meshgrid norm pca_lowrank split stft svd_lowrank tensordot "
        "unique unique_consecutive unravel_index",
        "torch.storage": "TypedStorage UntypedStorage",
        "torch.utils.throughput_benchmark": "ThroughputBenchmark",
    },
    "flambeau.version": {"torch.torch_version": "TorchVersion"},
    "flambeau.accelerator": {
        "torch.accelerator.memory": "empty_cache empty_host_cache get_memory_info max_memory_allocated "
        "max_memory_reserved memory_allocated memory_reserved memory_stats reset_accumulated_memory_stats "
        "reset_peak_memory_stats",
    },
    "flambeau.amp.of_cpu": {
        "torch.cpu.amp": "GradScaler autocast",
        "torch.cpu.amp.autocast_mode": "autocast",
        "torch.cpu.amp.grad_scaler": "GradScaler",
    },
    "flambeau.amp.of_cuda": {
        "torch.cuda.amp": "GradScaler amp_definitely_not_available autocast custom_bwd custom_fwd",
        "torch.cuda.amp.autocast_mode": "autocast custom_bwd custom_fwd",
        "torch.cuda.amp.common": "amp_definitely_not_available",
        "torch.cuda.amp.grad_scaler": "GradScaler",
    },
    "flambeau.cuda": {
        "torch.cuda.graphs": "CUDAGraph graph graph_pool_handle is_current_stream_capturing make_graphed_callables",
        "torch.cuda.memory": "CUDAPluggableAllocator MemPool caching_allocator_alloc caching_allocator_delete "
        "caching_allocator_disabled caching_allocator_enable change_current_allocator empty_cache "
        "get_allocator_backend get_per_process_memory_fraction host_memory_stats host_memory_stats_as_nested_dict "
        "list_gpu_processes "
        "max_memory_allocated max_memory_cached max_memory_reserved mem_get_info memory_allocated memory_cached "
        "memory_reserved memory_snapshot memory_stats memory_stats_as_nested_dict memory_summary "
        "reset_accumulated_host_memory_stats reset_accumulated_memory_stats reset_max_memory_allocated "
        "reset_max_memory_cached reset_peak_host_memory_stats reset_peak_memory_stats "
        "set_per_process_memory_fraction use_mem_pool",
        "torch.cuda.random": "get_rng_state get_rng_state_all initial_seed manual_seed manual_seed_all seed seed_all "
        "set_rng_state set_rng_state_all",
        "torch.cuda.sparse": "BFloat16Tensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor "
        "LongTensor ShortTensor",
        "torch.cuda.streams": "Event ExternalStream Stream",
    },
    "flambeau.distributed": {
        "torch.distributed.constants": "default_pg_timeout",
        "torch.distributed.device_mesh": "DeviceMesh init_device_mesh",
        "torch.distributed.distributed_c10d": "AllToAllOptions AllreduceCoalescedOptions AllreduceOptions Backend "
        "BackendConfig BarrierOptions BroadcastOptions DebugLevel GatherOptions GroupMember GroupName P2POp "
        "PrefixStore ProcessGroup ProcessGroupGloo ReduceOp ReduceOptions ReduceScatterOptions ScatterOptions Store "
        "Work all_gather all_gather_coalesced all_gather_into_tensor all_gather_object all_gather_single all_reduce "
        "all_reduce_coalesced all_to_all all_to_all_single barrier batch_isend_irecv broadcast broadcast_object_list "
        "default_pg_timeout destroy_process_group gather gather_object get_backend get_backend_config "
        "get_debug_level get_default_backend_for_device get_global_rank get_group_rank get_node_local_rank "
        "get_pg_count get_process_group_ranks get_rank get_world_size group init_process_group irecv "
        "is_backend_available is_gloo_available is_initialized is_mpi_available is_nccl_available "
        "is_torchelastic_launched is_ucc_available is_xccl_available isend monitored_barrier new_group new_subgroups "
        "new_subgroups_by_enumeration record_comm recv recv_object_list reduce reduce_scatter reduce_scatter_single "
        "reduce_scatter_tensor scatter scatter_object_list send send_object_list shrink_group split_group "
        "supports_complex",
        "torch.distributed.rendezvous": "register_rendezvous_handler rendezvous",
    },
    "flambeau.distributions": {
        "torch.distributions.bernoulli": "Bernoulli",
        "torch.distributions.beta": "Beta",
        "torch.distributions.binomial": "Binomial",
        "torch.distributions.categorical": "Categorical",
        "torch.distributions.cauchy": "Cauchy",
        "torch.distributions.chi2": "Chi2",
        "torch.distributions.continuous_bernoulli": "ContinuousBernoulli",
        "torch.distributions.dirichlet": "Dirichlet",
        "torch.distributions.exp_family": "ExponentialFamily",
        "torch.distributions.exponential": "Exponential",
        "torch.distributions.fishersnedecor": "FisherSnedecor",
        "torch.distributions.gamma": "Gamma",
        "torch.distributions.generalized_pareto": "GeneralizedPareto",
        "torch.distributions.geometric": "Geometric",
        "torch.distributions.gumbel": "Gumbel",
        "torch.distributions.half_cauchy": "HalfCauchy",
        "torch.distributions.half_normal": "HalfNormal",
        "torch.distributions.independent": "Independent",
        "torch.distributions.inverse_gamma": "InverseGamma",
        "torch.distributions.kumaraswamy": "Kumaraswamy",
        "torch.distributions.laplace": "Laplace",
        "torch.distributions.lkj_cholesky": "LKJCholesky",
        "torch.distributions.log_normal": "LogNormal",
        "torch.distributions.logistic_normal": "LogisticNormal",
        "torch.distributions.lowrank_multivariate_normal": "LowRankMultivariateNormal",
        "torch.distributions.mixture_same_family": "MixtureSameFamily",
        "torch.distributions.multinomial": "Multinomial",
        "torch.distributions.multivariate_normal": "MultivariateNormal",
        "torch.distributions.negative_binomial": "NegativeBinomial",
        "torch.distributions.normal": "Normal",
        "torch.distributions.one_hot_categorical": "OneHotCategorical OneHotCategoricalStraightThrough",
        "torch.distributions.pareto": "Pareto",
        "torch.distributions.poisson": "Poisson",
        "torch.distributions.studentT": "StudentT",
        "torch.distributions.transformed_distribution": "TransformedDistribution",
        "torch.distributions.uniform": "Uniform",
        "torch.distributions.von_mises": "VonMises",
        "torch.distributions.weibull": "Weibull",
        "torch.distributions.wishart": "Wishart",
    },
    "flambeau.distributions.transformed": {
        "torch.distributions.relaxed_bernoulli": "LogitRelaxedBernoulli RelaxedBernoulli",
        "torch.distributions.relaxed_categorical": "ExpRelaxedCategorical RelaxedOneHotCategorical",
    },
    "flambeau.multiprocessing": {
        "torch.multiprocessing.spawn": "ProcessContext ProcessException ProcessExitedException "
        "ProcessRaisedException SpawnContext spawn start_processes",
    },
    "flambeau.nn": {
        "torch.nn.modules.linear_cross_entropy": "LinearCrossEntropyLoss",
        "torch.nn.modules.linear_cross_entropy_options": "LinearCrossEntropyOptions",
        "torch.nn.parallel.data_parallel": "DataParallel",
    },
    "flambeau.profiler": {
        "torch.profiler.profiler": "ProfilerAction profile schedule supported_activities tensorboard_trace_handler",
    },
    "flambeau.profiler.legacy": {
        "torch.autograd.profiler": "EventList emit_nvtx profile record_function",
    },
    "flambeau.signal.windows": {
        "torch.signal.windows.windows": "bartlett blackman cosine exponential gaussian general_cosine general_hamming "
        "hamming hann kaiser nuttall",
    },
    "flambeau.distributed.fsdp": {
        "torch.distributed.fsdp.fully_sharded_data_parallel": "CPUOffload FullStateDictConfig "
        "FullyShardedDataParallel MixedPrecision ShardingStrategy StateDictType",
    },
    "typing": {"torch.jit.annotations": "Any Dict List Optional Tuple Union"},
    "flambeau.masked": {
        "torch.masked.maskedtensor": "MaskedTensor as_masked_tensor is_masked_tensor masked_tensor",
        "torch.masked.maskedtensor.core": "MaskedTensor is_masked_tensor",
        "torch.masked.maskedtensor.creation": "as_masked_tensor masked_tensor",
    },
    "flambeau.utils.data.collate": {
        "torch.utils.data._utils": "",
        "torch.utils.data._utils.collate": "collate collate_float_fn collate_int_fn collate_numpy_array_fn "
        "collate_numpy_scalar_fn collate_str_fn collate_tensor_fn default_collate default_collate_fn_map "
        "default_convert np_str_obj_array_pattern",
    },
    "flambeau.utils.benchmark": {
        "torch.utils.benchmark.utils": "",
        "torch.utils.benchmark.utils.common": "Measurement TaskSpec ordered_unique select_unit set_torch_threads "
        "trim_sigfig unit_to_english",
        "torch.utils.benchmark.utils.compare": "Colorize Compare",
        "torch.utils.benchmark.utils.timer": "Language Timer timer",
    },
}
HOMES = {module: (home, names) for home, modules in TABLE.items() for module, names in modules.items()}
_made: dict[str, ModuleType] = {}


class Elsewhere(ModuleType):
    """A module of PyTorch's whose names are looked up in their home, at first use."""

    def __init__(self, name: str) -> None:
        self._home, names = HOMES[name]
        super().__init__(name, f"What PyTorch keeps in {name}; its home is {self._home}.")
        self.__all__ = names.split()
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        if name not in self.__all__:
            return absent(self.__name__)(name)
        value = getattr(importlib.import_module(self._home), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return self.__all__


def elsewhere(name: str) -> ModuleType:
    """The module of a name in the table; always the same object.

    Example::

        >>> elsewhere("torch.functional").einsum is torch.einsum
        True
    """
    if name not in _made:
        _made[name] = Elsewhere(name)
    return _made[name]


def absent(namespace: str) -> Callable[[str], Any]:
    """The `__getattr__` of the module that PyTorch calls `namespace`: modules of the table, and for all other names the
    error that says what comes nearest.

    Example::

        >>> absent("torch")("functional").__all__[0]
        'atleast_1d'
    """

    def __getattr__(name: str) -> Any:
        module = f"{namespace}.{name}"
        if module in HOMES and name not in NAMES.get(namespace, ()):  # a function may have its module's name
            return elsewhere(module)
        error = refuse(namespace, name)
        if not isinstance(error, NotImplementedError):  # by these Python finds out what was meant
            error.name, error.obj = name, sys.modules.get("flambeau" + namespace.removeprefix("torch"))
        raise error

    return __getattr__
