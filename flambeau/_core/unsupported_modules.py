"""Modules of PyTorch's that cannot be had here as a whole: what is missing, and what comes nearest.

Rows are as in `flambeau/_core/unsupported.py`, which looks them up: (namespace, missing, nearest, names of modules).
"""

from __future__ import annotations

# Modules of which only what libraries name is here: (missing, nearest) for all their other names, and those below them.
PARTLY: dict[str, tuple[str, str]] = {
    "torch.distributed.algorithms": (
        "they are about hooks and optimizers that PyTorch's process groups have",
        "DistributedDataParallel, its join() and register_comm_hook",
    ),
    "torch.distributed.checkpoint": (
        "each process has the whole state",
        "torch.save on rank 0, and torch.load on all",
    ),
    "torch.distributed.fsdp": (
        "every process holds all parameters of a module",
        "torch.nn.parallel.DistributedDataParallel",
    ),
    "torch.distributed.tensor": (
        "a tensor lies in one process",
        "torch.distributed.scatter and all_gather of its parts, or DistributedDataParallel",
    ),
    "torch.distributed.rpc": (
        "there are no remote calls between processes",
        "torch.distributed.send and recv, or torch.multiprocessing",
    ),
    "torch.fx": (
        "programs are not traced into graphs of Python objects",
        "torch.compile, which replays a function; torch.overrides.TorchFunctionMode, which sees its calls",
    ),
    "torch.onnx": (
        "there is no second representation of a program that could be written to a file",
        "torch.save or flambeau.safetensors for the state_dict, which PyTorch can load into the same module and export",
    ),
}

MODULES: tuple[tuple[str, str, str, str], ...] = (
    (
        "torch",
        "there are no observers, no quantized layers and no passes that put them into a model",
        "torch.fake_quantize_per_tensor_affine for training, torch.quantize_per_tensor for storage, "
        "torch.nn.utils.prune for sparsity",
        "ao quantization",
    ),
    (
        "torch",
        "there is no second representation of a program that could be written to a file",
        "torch.save or flambeau.safetensors for the state_dict, which PyTorch can load into the same module and export",
        "export nativert package",
    ),
    (
        "torch",
        "there is no backend for that kind of device",
        'torch.device("cpu"); torch.accelerator.is_available() is False',
        "mps mtia xpu",
    ),
    ("torch", "it holds nothing that programs use", "torch.utils.tensorboard", "contrib"),
    ("torch", "processes are not bound to parts of the memory", "numactl, around the whole program", "numa"),
    (
        "torch.backends",
        "no such library is used",
        "torch.backends.cpu; operations run in Flambeau's own kernels",
        "cusparselt kleidiai miopen nnpack python_native xeon xnnpack",
    ),
    (
        "torch.cuda",
        "there is no GPU",
        "torch.distributed for several processes, the CPU's own functions for the rest",
        "GreenContext comm gds green_contexts nccl nvtx profiler tunable jiterator",
    ),
    (
        "torch.distributed",
        "parameters and tensors are not divided among processes: each has all of them",
        "torch.nn.parallel.DistributedDataParallel",
        "nn pipelining",
    ),
    (
        "torch.distributed",
        "there are no remote calls between processes",
        "torch.distributed.send and recv, or torch.multiprocessing",
        "autograd",
    ),
    (
        "torch.distributed",
        "there is no launcher that watches over processes and starts them anew",
        "torch.multiprocessing.spawn; programs started by others' launchers read RANK, WORLD_SIZE and MASTER_ADDR",
        "argparse_util elastic launch launcher run",
    ),
    (
        "torch.distributed",
        "optimizers update all parameters in every process, each step",
        "torch.optim after DistributedDataParallel's gradients; its join() and register_comm_hook",
        "optim",
    ),
    (
        "torch.distributed",
        "they are insides of PyTorch's process groups",
        "torch.distributed and its TORCH_DISTRIBUTED_DEBUG",
        "c10d_logger collective_utils config debug flight_recorder logging_handlers remote_device utils",
    ),
    (
        "torch.jit",
        "there is no TorchScript: no second representation of a program",
        "torch.compile for speed, torch.save of the state_dict for storage",
        "mobile quantized",
    ),
    (
        "torch.masked.maskedtensor",
        "what operations mean for masked tensors follows from rules",
        "torch.masked, and the operations themselves",
        "binary passthrough reductions unary",
    ),
    (
        "torch.nn",
        "there are no quantized layers",
        "the layers of torch.nn in float32 or bfloat16",
        "intrinsic qat quantizable quantized",
    ),
    (
        "torch.nn.attention",
        "attention does not take rows of different lengths in one tensor, or kernels from elsewhere",
        "torch.nn.functional.scaled_dot_product_attention of padded rows with a mask",
        "experimental varlen",
    ),
    (
        "torch.nn.parallel",
        "there is one device, and nothing to copy a module or a batch to",
        "a call of the module, torch.nn.DataParallel, or DistributedDataParallel for several processes",
        "comm",
    ),
    (
        "torch.profiler",
        "marks for Intel's profiler are not made",
        "torch.profiler.record_function",
        "itt",
    ),
    (
        "torch.utils",
        "there is no compiler of C++: operations are Python's",
        "torch.autograd.Function, or a Python extension module that exchanges arrays through NumPy or DLPack",
        "cpp_backtrace cpp_extension file_baton",
    ),
    (
        "torch.utils",
        "there is no TorchScript, of which these prepare or show programs",
        "torch.save of the state_dict; python -m pickletools for what is in a file",
        "bundled_inputs mobile_optimizer model_dump show_pickle",
    ),
    (
        "torch.utils",
        "which module an operation belongs to is not kept",
        "torch.utils.flop_counter, which counts by modules; forward hooks for modules",
        "module_tracker",
    ),
    (
        "torch.utils.data",
        "workers of a DataLoader find their share of data pipes by themselves, and graphs of pipes are not walked",
        "torch.utils.data.DataLoader, and IterDataPipe.sharding_filter()",
        "backward_compatibility graph graph_settings",
    ),
    (
        "torch.utils.data.datapipes",
        "data pipes know neither data frames nor decoders of files",
        "torch.utils.data.datapipes.iter and map, with a function of your own for map()",
        "dataframe utils",
    ),
    (
        "torch.utils.data.datapipes.iter",
        "the pipes are in one file",
        "torch.utils.data.datapipes.iter itself",
        "callable combinatorics combining filelister fileopener grouping routeddecoder selecting sharding streamreader "
        "utils",
    ),
    (
        "torch.utils.data.datapipes.map",
        "the pipes are in one file",
        "torch.utils.data.datapipes.map itself",
        "callable combinatorics combining grouping utils",
    ),
    ("torch.utils", "there are no tensors in MKLDNN's layout", "the module itself", "mkldnn"),
    (
        "torch.utils",
        "there are no devices that programs could add",
        "torch.device",
        "backend_registration",
    ),
    (
        "torch.utils",
        "shapes that came from PyTorch's first versions have no warnings of their own",
        "Python's warnings",
        "backcompat",
    ),
    ("torch.utils", "log lines about gradients are not kept", "Tensor.register_hook(print)", "debug_log"),
    (
        "torch.utils",
        "uninitialized memory is not filled, and files have no settings for the whole program",
        "torch.full, and the arguments of torch.save and torch.load",
        "deterministic serialization",
    ),
)
