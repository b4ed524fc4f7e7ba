"""Names of PyTorch's that cannot be had here: what is missing, and what comes nearest.

Looking one up raises an error that is an AttributeError, so that `hasattr` says no, and a NotImplementedError that
tells why. `docs/api.md` lists them.
"""

from __future__ import annotations

from typing import NoReturn

from flambeau._core.unsupported_modules import MODULES


class UnsupportedName(AttributeError, NotImplementedError):
    """A name of PyTorch's that is not implemented here."""


class UnsupportedModule(ModuleNotFoundError, NotImplementedError):
    """A module of PyTorch's that is not implemented here, imported under `flambeau run`."""


# (namespace, what is missing, what comes nearest, names)
GROUPS: tuple[tuple[str, str, str, str], ...] = (
    *MODULES,
    ("torch", "there are no counters and events", "Python's logging", "monitor"),
    (
        "torch",
        "quantized tensors are kept and turned back, not computed with",
        "the function of dequantize(), and torch.fake_quantize_per_tensor_affine for training",
        "QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage choose_qparams_optimized "
        "quantized_gru quantized_lstm "
        "quint2x4 quint4x2",
    ),
    (
        "torch",
        "NumPy has no complex numbers of half precision",
        "torch.complex64, or two tensors of torch.float16",
        "chalf",
    ),
    (
        "torch",
        "there is no backend of that kind",
        "the function without the prefix, which runs on the CPU",
        "cudnn_affine_grid_generator "
        "cudnn_batch_norm cudnn_convolution cudnn_convolution_add_relu cudnn_convolution_relu "
        "cudnn_convolution_transpose cudnn_grid_sampler miopen_batch_norm miopen_convolution "
        "miopen_convolution_add_relu miopen_convolution_relu miopen_convolution_transpose miopen_ctc_loss "
        "miopen_depthwise_convolution miopen_rnn mkldnn_adaptive_avg_pool2d "
        "mkldnn_linear_backward_weights mkldnn_max_pool2d mkldnn_max_pool3d mkldnn_rnn_layer native_norm "
        "profiler_allow_cudagraph_cupti_lazy_reinit_cuda12",
    ),
    (
        "torch",
        "there are no streams of work: operations run in the order they are recorded",
        "torch.synchronize()",
        "AwaitType DeviceObjType StreamObjType",
    ),
    (
        "torch",
        "there is no TorchScript, of which these are the insides",
        "torch.compile, or the Python code itself",
        "AVG SUM AggregationType AliasDb AnyType Argument ArgumentSpec Block BoolType BufferDict CallStack Capsule "
        "ClassType Code CompilationUnit CompleteArgumentSpec ComplexType ConcreteModuleType ConcreteModuleTypeBuilder "
        "DeepCopyMemoTable DeserializationStorageContext DictType EnumType ErrorReport ExecutionPlan "
        "FloatType FunctionSchema FutureType Gradient Graph GraphExecutorState IODescriptor "
        "InferredType IntType InterfaceType ListType LiteScriptModule LockingLogger LoggerBase "
        "ModuleDict Node NoneType NoopLogger NumberType OperatorInfo OptionalType ParameterDict PyObjectType "
        "RRefType ScriptClass ScriptClassFunction ScriptDict ScriptDictIterator "
        "ScriptDictKeyIterator ScriptFunction ScriptList ScriptListIterator ScriptMethod "
        "ScriptModuleSerializer ScriptObject ScriptObjectProperty SerializationStorageContext StaticModule StringType "
        "SymBoolType SymIntType TensorType TracingState TupleType Type UnionType Use Value import_ir_module "
        "import_ir_module_from_buffer merge_type_from_type_comment parse_ir parse_schema parse_type_comment "
        "unify_type_list",
    ),
    (
        "torch",
        "operations are recorded by one recorder, without a table of dispatch keys",
        "torch.autograd.Function for operations of your own",
        "DispatchKey DispatchKeySet ExcludeDispatchKeyGuard sym_fresh_size prepare_multiprocessing_environment",
    ),
    ("torch.Tensor", "NumPy has no complex numbers of half precision", "cfloat()", "chalf"),
    ("torch.Tensor", "there is no mkldnn layout", "the tensor as it is", "to_mkldnn"),
    (
        "torch.utils.data",
        "data pipes know neither data frames nor checks of types",
        "torch.utils.data.IterDataPipe",
        "DFIterDataPipe argument_validation runtime_validation runtime_validation_disabled",
    ),
    (
        "torch.sparse",
        "there are no semi-structured (2:4) kernels on the CPU",
        "torch.Tensor.to_sparse_csr",
        "SparseSemiStructuredTensor SparseSemiStructuredTensorCUSPARSELT SparseSemiStructuredTensorCUTLASS "
        "to_sparse_semi_structured solve",
    ),
    (
        "torch.serialization",
        "there are no other devices, whose storages would need locations or options of their own",
        "map_location=, and mmap=True for one call",
        "SourceChangeWarning StorageType check_module_version_greater_or_equal default_restore_location "
        "get_default_mmap_options location_tag normalize_storage_type register_package set_default_mmap_options "
        "storage_to_tensor_type validate_cuda_device validate_hpu_device",
    ),
    (
        "torch.serialization",
        "files are always written with their data and their checksums",
        "torch.save; files that PyTorch wrote without checksums are read",
        "get_crc32_options set_crc32_options skip_data",
    ),
    (
        "torch.compiler",
        "guards are never left out, so that no replay is stale",
        "torch.compiler.allow_in_graph, which trusts one function",
        "keep_portable_guards_unsafe keep_tensor_guards_unsafe skip_all_guards_unsafe "
        "skip_guard_on_all_nn_modules_unsafe skip_guard_on_globals_unsafe skip_guard_on_inbuilt_nn_modules_unsafe",
    ),
    (
        "torch.compiler",
        "kernels are kept in a folder by themselves, and replays with their process",
        "the environment variable FLAMBEAU_CACHE, which names the folder",
        "CacheInfo load_cache_artifacts load_compiled_function save_cache_artifacts",
    ),
    (
        "torch.compiler",
        "settings are environment variables",
        "FLAMBEAU_COMPILE and the others that docs/compiler.md lists",
        "config",
    ),
    (
        "torch.compiler",
        "there is one backend, and each process replays for itself",
        "torch.compiler.set_stance",
        "NestedCompileRegionOptions set_default_backend set_enable_guard_collectives",
    ),
    (
        "torch.library",
        "kernels are Python functions: none are written in Triton, or found in a table of dispatch keys",
        "torch.library.custom_op, whose function may call anything",
        "get_kernel triton_op wrap_triton",
    ),
    (
        "torch.backends.cuda",
        "there is no GPU",
        "torch.nn.attention.sdpa_kernel, which accepts a choice of kernels",
        "SDPAParams blas_workspace_size cuBLASModule cuFFTPlanCache cuFFTPlanCacheAttrContextProp "
        "cuFFTPlanCacheManager cublas_workspace_size cublaslt_workspace_size cufft_plan_cache "
        "preferred_rocm_fa_library sdp_kernel",
    ),
    ("torch.backends.cudnn", "there is no GPU", "torch.nn.LSTM and GRU", "rnn"),
    ("torch.backends.mkl", "MKL is not used", "torch.explain, which lists kernels", "verbose"),
    (
        "torch.backends.mps",
        "there is no backend for Apple's GPUs",
        "torch.backends.mps.is_available(), which is False",
        "get_core_count get_name is_macos13_or_newer is_macos_or_newer",
    ),
    (
        "torch.cpu",
        "the processor is not asked for every instruction that it has",
        "torch.backends.cpu.get_cpu_capability()",
        "get_capabilities",
    ),
    ("torch.accelerator", "there is no accelerator whose work could be recorded", "torch.compile", "Graph graphs"),
    (
        "torch.utils.hooks",
        "hooks are no part of what is saved, and modules' hooks are kept by the modules",
        "torch.nn.Module.register_full_backward_hook",
        "BackwardHook warn_if_has_hooks",
    ),
    *(
        (
            f"torch.optim.{name}",
            "an optimizer's step is one operation on all parameters, not a function of lists of states",
            f"torch.optim.{kind}, or torch.optim.swap_in_optimizer_params_and_state around its step",
            name,
        )
        for name, kind in {
            "adadelta": "Adadelta",
            "adagrad": "Adagrad",
            "adam": "Adam",
            "adamax": "Adamax",
            "adamw": "AdamW",
            "asgd": "ASGD",
            "nadam": "NAdam",
            "radam": "RAdam",
            "rmsprop": "RMSprop",
            "rprop": "Rprop",
            "sgd": "SGD",
        }.items()
    ),  # fmt: skip
    (
        "torch.amp.autocast_mode",
        "it is the inside of a decorator",
        "torch.autocast(...) as the decorator of the function",
        "autocast_decorator",
    ),
    (
        "torch.autograd.function",
        "it is the legacy of PyTorch 0.x",
        "torch.autograd.Function, with ctx.mark_dirty for what changes in place",
        "FunctionMeta InplaceFunction NestedIOFunction",
    ),
    (
        "torch.autograd.gradcheck",
        "they are insides that PyTorch has deprecated",
        "torch.autograd.gradcheck, or torch.func.jacrev for a Jacobian",
        "get_analytical_jacobian get_numerical_jacobian get_numerical_jacobian_wrt_specific_input",
    ),
    (
        "torch.autograd.graph",
        "there are no streams in which gradients could accumulate, and no budget that a compiler could spend",
        "torch.utils.checkpoint, or torch.autograd.graph.save_on_cpu",
        "region_activation_memory_budget set_override_stale_capture_stream set_warn_on_accumulate_grad_stream_mismatch",
    ),
    ("torch.autograd", "the older profiler is gone", "torch.profiler", "profiler_legacy"),
    (
        "torch.autograd.profiler",
        "there is no profile by Kineto, and no marks for others' profilers",
        "torch.profiler.profile, its events() and key_averages()",
        "EnforceUnique FunctionEvent KinetoStepTracker MemRecordsAcc emit_itt load_nvprof parse_nvprof_trace",
    ),
    (
        "torch.onnx",
        "there is no second representation of a program that could be written to a file",
        "torch.save or flambeau.safetensors for the state_dict, which PyTorch can load into the same module and export",
        "ExportableModule InputObserver JitScalarType ONNXProgram OnnxExporterError OperatorExportTypes "
        "TensorProtoDataType TrainingMode errors export ops register_custom_op_symbolic select_model_mode_for_export "
        "symbolic_helper symbolic_opset10 symbolic_opset9 unregister_custom_op_symbolic utils",
    ),
    (
        "torch.utils.flop_counter",
        "operations are counted by formulas that are built in",
        "FlopCounterMode",
        "register_flop_formula",
    ),
    (
        "torch.profiler",
        "operations are not observed one by one on their way to kernels",
        "torch.profiler.profile and its export_chrome_trace; devices are torch.profiler.ProfilerActivity",
        "DeviceType ExecutionTraceObserver python_tracer",
    ),
    ("torch.profiler.profiler", "operations are not observed one by one", "profile", "ExecutionTraceObserver"),
    (
        "torch.nn.attention",
        "attention has one kernel, to which none can be added",
        "torch.nn.attention.sdpa_kernel, which accepts a choice",
        "WARN_FOR_UNFUSED_KERNELS activate_flash_attention_impl current_flash_attention_impl "
        "list_flash_attention_impls register_flash_attention_impl restore_flash_attention_impl",
    ),
    (
        "torch.nn.attention.flex_attention",
        "there is one kernel, without options",
        "flex_attention without kernel_options",
        "FlexKernelOptions",
    ),
    (
        "torch.nn.utils.spectral_norm",
        "the state has the same keys without hooks",
        "torch.nn.utils.spectral_norm, or torch.nn.utils.parametrizations.spectral_norm",
        "SpectralNormLoadStateDictPreHook SpectralNormStateDictHook",
    ),
    (
        "torch.utils.checkpoint",
        "operations are not asked one by one whether their results should be kept",
        "checkpoint() around the parts to be computed again, torch.autograd.graph.save_on_cpu for the rest",
        "CheckpointPolicy GraphExecGroup SAC_IGNORED_OPS SelectiveCheckpointContext "
        "create_selective_checkpoint_contexts",
    ),
    ("torch.distributed.constants", "there is no NCCL", "default_pg_timeout", "default_pg_nccl_timeout"),
    (
        "torch.distributed.distributed_c10d",
        "PyTorch has deprecated its older name, and groups do not go on without members",
        "torch.distributed.ReduceOp, torch.distributed.new_group",
        "reduce_op shrink_group",
    ),
    (
        "torch.return_types",
        "results are Python's named tuples",
        "torch.return_types.all_return_types",
        "pytree_register_structseq",
    ),
    ("torch.sparse", "there are no semi-structured (2:4) kernels", "torch.Tensor.to_sparse_csr", "semi_structured"),
    (
        "torch.multiprocessing",
        "tensors travel by pickling, without files or handles of their own",
        "torch.Tensor.share_memory_, and multiprocessing.reduction for other things",
        "pool queue reductions",
    ),
    (
        "torch.utils.data.datapipes.iter",
        "files are not decoded by the endings of their names",
        "map() with a function of your own, such as PIL.Image.open",
        "RoutedDecoder",
    ),
    (
        "torch.utils.collect_env",
        "there is no compiler, GPU or build of its own to ask about",
        "get_env_info()",
        "check_release_file get_cachingallocator_config get_clang_version get_cmake_version get_conda_packages "
        "get_cpu_info get_cuda_module_loading_config get_cudnn_version get_gcc_version get_gpu_info "
        "get_intel_gpu_detected get_intel_gpu_driver_version get_intel_gpu_onboard get_libc_version "
        "get_linux_pkg_version get_lsb_version get_mac_version get_nvidia_driver_version get_nvidia_smi get_os "
        "get_pip_packages get_platform get_python_platform get_running_cuda_version get_windows_version "
        "is_xnnpack_available run run_and_parse_first_match run_and_read_all run_and_return_first_line",
    ),
    (
        "torch.utils.tensorboard",
        "summaries are made by the writer's methods",
        "torch.utils.tensorboard.SummaryWriter",
        "RecordWriter summary",
    ),
    (
        "torch.utils.data.datapipes.datapipe",
        "data pipes know no data frames",
        "torch.utils.data.IterDataPipe",
        "DFIterDataPipe",
    ),
    (
        "torch.utils.benchmark",
        "instructions are not counted, and inputs are not made at random",
        "Timer.blocked_autorange, and torch.testing.make_tensor",
        "CallgrindStats CopyIfCallgrind FunctionCount FunctionCounts FuzzedParameter FuzzedSparseTensor FuzzedTensor "
        "Fuzzer ParameterAlias",
    ),
    (
        "torch.utils.throughput_benchmark",
        "results are data classes",
        "torch.BenchmarkExecutionStats",
        "ExecutionStats format_time",
    ),
    ("torch.func", "there are no named patterns of dimensions", "permute, reshape and expand", "rearrange"),
    ("torch.autograd", "it is the legacy of PyTorch 0.x", "torch.autograd.Function", "NestedIOFunction"),
    (
        "torch.jit",
        "there is no TorchScript: no second representation of a program that could be saved, loaded or inspected",
        "torch.compile for speed, torch.save of the state_dict for storage",
        "CompilationUnit ONNXTracedModule RecursiveScriptClass RecursiveScriptModule ScriptFunction "
        "TopLevelTracedModule TracedModule export_opnames "
        "jit_module_from_flatbuffer load run_frozen_optimizations save "
        "save_jit_module_to_flatbuffer",
    ),
    (
        "torch.autograd.forward_ad",
        "tensors carry no tangents through operations",
        "torch.func.jvp or torch.func.linearize, which give the same products of the Jacobian with tangents",
        "dual_level enter_dual_level exit_dual_level make_dual",
    ),
    (
        "torch.nn.parallel",
        "there is one device, and nothing to copy a module or a batch to",
        "a call of the module, torch.nn.DataParallel, or DistributedDataParallel for several processes",
        "data_parallel gather parallel_apply replicate scatter",
    ),
    (
        "torch.distributed",
        "they are insides of PyTorch's DistributedDataParallel, or make groups go on without members",
        "torch.nn.parallel.DistributedDataParallel, its register_comm_hook, torch.distributed.new_group",
        "Logger Reducer shrink_group",
    ),
    (
        "torch.distributed.rpc",
        "there are no remote calls between processes",
        "torch.distributed.send and recv, or torch.multiprocessing",
        "BackendType PyRRef RRef RpcAgent RpcBackendOptions TensorPipeAgent TensorPipeRpcBackendOptions WorkerInfo "
        "enable_gil_profiling get_rpc_timeout get_worker_info init_rpc remote rpc_async rpc_sync shutdown",
    ),
)

# namespace -> name -> (what is missing, what comes nearest)
NAMES: dict[str, dict[str, tuple[str, str]]] = {}
for _namespace, _missing, _nearest, _names in GROUPS:
    NAMES.setdefault(_namespace, {}).update(dict.fromkeys(_names.split(), (_missing, _nearest)))


def refuse(namespace: str, name: str) -> AttributeError:
    """The error for a name that a module or class does not have.

    Example::

        >>> [isinstance(refuse("torch", name), NotImplementedError) for name in ("quint4x2", "no_such_name")]
        [True, False]
    """
    known = NAMES.get(namespace, {}).get(name)
    if known is None:
        return AttributeError(f"module {namespace!r} has no attribute {name!r}")
    missing, nearest = known
    return UnsupportedName(f"{namespace}.{name} is not implemented: {missing}\n  hint: nearest is {nearest}")


class Refusal:
    """In the place of an attribute that a class does not have: looking it up raises the error. A `__getattr__` of the
    class would do that too, but make every look at any attribute slower."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> NoReturn:
        raise refuse(self.namespace, self.name)
