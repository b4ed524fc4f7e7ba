"""Names of PyTorch's that cannot be had here: what is missing, and what comes nearest.

Looking one up raises an error that is an AttributeError, so that `hasattr` says no, and a NotImplementedError that
tells why. `docs/api.md` lists them.
"""

from __future__ import annotations

from typing import NoReturn


class UnsupportedName(AttributeError, NotImplementedError):
    """A name of PyTorch's that is not implemented here."""


# (namespace, what is missing, what comes nearest, names)
GROUPS: tuple[tuple[str, str, str, str], ...] = (
    ("torch", "there is no table in which operators are registered", "torch.autograd.Function", "library"),
    (
        "torch",
        "operations do not ask their arguments for a __torch_function__",
        "torch.nn.functional.handle_torch_function in a function of your own",
        "overrides",
    ),
    ("torch", "nothing is fetched from the network", "torch.load of a file that you have", "hub"),
    (
        "torch",
        "there is no tracer of Python's byte code to be steered",
        "torch.compile, which leaves what it cannot guard to Python",
        "compiler",
    ),
    ("torch", "there are no quasi-random sequences", "scipy.stats.qmc.Sobol and torch.from_numpy", "quasirandom"),
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
        "chalf complex32",
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
        "AwaitType DeviceObjType Event Stream StreamObjType",
    ),
    (
        "torch",
        "there is no TorchScript, of which these are the insides",
        "torch.compile, or the Python code itself",
        "AVG SUM AggregationType AliasDb AnyType Argument ArgumentSpec Block BoolType BufferDict CallStack Capsule "
        "ClassType Code CompilationUnit CompleteArgumentSpec ComplexType ConcreteModuleType ConcreteModuleTypeBuilder "
        "DeepCopyMemoTable DeserializationStorageContext DictType EnumType ErrorReport ExecutionPlan "
        "FileCheck FloatType FunctionSchema FutureType Gradient Graph GraphExecutorState IODescriptor "
        "InferredType IntType InterfaceType ListType LiteScriptModule LockingLogger LoggerBase "
        "ModuleDict Node NoneType NoopLogger NumberType OperatorInfo OptionalType ParameterDict PyObjectType "
        "RRefType ScriptClass ScriptClassFunction ScriptDict ScriptDictIterator "
        "ScriptDictKeyIterator ScriptFunction ScriptList ScriptListIterator ScriptMethod ScriptModule "
        "ScriptModuleSerializer ScriptObject ScriptObjectProperty SerializationStorageContext StaticModule StringType "
        "SymBoolType SymIntType Tag TensorType TracingState TupleType Type UnionType Use Value import_ir_module "
        "import_ir_module_from_buffer merge_type_from_type_comment parse_ir parse_schema parse_type_comment "
        "unify_type_list",
    ),
    (
        "torch",
        "operations are recorded by one recorder, without a table of dispatch keys",
        "torch.autograd.Function for operations of your own",
        "DispatchKey "
        "DispatchKeySet ExcludeDispatchKeyGuard sym_fresh_size "
        "prepare_multiprocessing_environment",
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
        "UnpackedDualTensor dual_level enter_dual_level exit_dual_level make_dual unpack_dual",
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
