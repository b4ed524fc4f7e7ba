"""Flambeau: a deep-learning framework with PyTorch's API, written in Python all the way down.

`import flambeau as torch` and go on as you know it.
"""

from flambeau._core.collecting import grown_old, paused
from flambeau._core.lazy import lazy_module

with paused():  # what is made here stays
    from flambeau import (
        _api,
        amp,
        autograd,
        cuda,
        fft,
        func,
        futures,
        linalg,
        nn,
        optim,
        random,
        sparse,
        special,
        utils,
        version,
    )
    from flambeau._api import *  # noqa: F403
    from flambeau._api import _sample_dirichlet, _standard_gamma
    from flambeau._core.errors import AcceleratorError, FatalError, JITException, OutOfMemoryError
    from flambeau._core.homes import absent as _absent
    from flambeau.amp import GradScaler, autocast
    from flambeau.autograd import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
    from flambeau.compiling import compile
    from flambeau.func import vmap
    from flambeau.futures import Future, fork, wait
    from flambeau.running import install_as_torch
    from flambeau.version import __version__

    grown_old()

# Few programs use these, and `import flambeau` should not wait for them.
accelerator = lazy_module("flambeau.accelerator", "Whatever accelerates: nothing yet.")
backends = lazy_module("flambeau.backends", "Switches of libraries that PyTorch is built on.")
compiler = lazy_module("flambeau.compiler", "What programs say to and ask about torch.compile.")
distributed = lazy_module("flambeau.distributed", "Several processes: groups, collective operations, messages.")
distributions = lazy_module("flambeau.distributions", "Probability distributions.")
fx = lazy_module("flambeau.fx", "Names of graphs that programs are not traced into.")
cpu = lazy_module("flambeau.cpu", "The CPU, for programs that ask every device the same.")
hub = lazy_module("flambeau.hub", "Published models and weights.")
jit = lazy_module("flambeau.jit", "What programs written for TorchScript find.")
library = lazy_module("flambeau.library", "Operators of one's own.")
masked = lazy_module("flambeau.masked", "Reductions that leave elements out.")
multiprocessing = lazy_module("flambeau.multiprocessing", "Python's multiprocessing, and spawn.")
__config__ = lazy_module("flambeau.__config__", "What the package computes with.")
_subclasses = lazy_module("flambeau._subclasses", "Names of tensors without numbers.")
_dynamo = lazy_module("flambeau._dynamo", "What libraries take from the inside of PyTorch's compiler.")
_C = lazy_module("flambeau._C", "What programs that extend tensors take from PyTorch's extension module.")
_utils = lazy_module("flambeau._utils", "Tensors made one.")
_tensor_str = lazy_module("flambeau._tensor_str", "Parts of the text that a tensor is printed as.")
onnx = lazy_module("flambeau.onnx", "Whether a program is being exported: never.")
ops = lazy_module("flambeau.ops", "Operators by their names.")
overrides = lazy_module("flambeau.overrides", "What takes functions over: __torch_function__.")
nested = lazy_module("flambeau.nested", "Batches of parts of different sizes.")
serialization = lazy_module("flambeau.serialization", "Checkpoints: save and load.")
testing = lazy_module("flambeau.testing", "Comparisons for tests.")
profiler = lazy_module("flambeau.profiler", "Where a program's time goes.")
quasirandom = lazy_module("flambeau.quasirandom", "Sobol sequences.")
return_types = lazy_module("flambeau.return_types", "The types of results with names.")
signal = lazy_module("flambeau.signal", "Window functions.")
types = lazy_module("flambeau.types", "Names for kinds of arguments.")

__all__ = [
    *_api.__all__,
    "AcceleratorError",
    "FatalError",
    "Future",
    "GradScaler",
    "JITException",
    "OutOfMemoryError",
    "accelerator",
    "amp",
    "autocast",
    "autograd",
    "backends",
    "compile",
    "compiler",
    "cpu",
    "distributed",
    "distributions",
    "cuda",
    "fft",
    "fork",
    "func",
    "futures",
    "fx",
    "hub",
    "install_as_torch",
    "linalg",
    "is_anomaly_enabled",
    "jit",
    "library",
    "masked",
    "multiprocessing",
    "nested",
    "nn",
    "onnx",
    "ops",
    "optim",
    "overrides",
    "profiler",
    "quasirandom",
    "random",
    "return_types",
    "serialization",
    "set_anomaly_enabled",
    "signal",
    "sparse",
    "special",
    "is_anomaly_check_nan_enabled",
    "testing",
    "types",
    "utils",
    "version",
    "vmap",
    "wait",
]


_throughput, _records = lazy_module("flambeau.utils.throughput"), lazy_module("flambeau.serialization.records")
_tags = lazy_module("flambeau.library.tags")
_LATE = {  # what modules have that not every program uses
    "FileCheck": testing,
    "ScriptModule": jit,
    **dict.fromkeys(("Event", "Stream"), accelerator),
    **dict.fromkeys(("load", "save"), serialization),
    **dict.fromkeys(("BenchmarkConfig", "BenchmarkExecutionStats", "ThroughputBenchmark"), _throughput),
    **dict.fromkeys(("PyTorchFileReader", "PyTorchFileWriter"), _records),
    "Tag": _tags,
}
__all__ += _LATE
_checks = lazy_module("flambeau._checks", "Checks of arguments.")
_LATE |= dict.fromkeys(
    ("_assert_async", "_check", "_check_index", "_check_not_implemented", "_check_type", "_check_value"), _checks
)

_nothing_of = _absent("torch")


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(_LATE[name], name)
    return _nothing_of(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
