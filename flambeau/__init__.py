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
    from flambeau._core.unsupported import refuse
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
distributed = lazy_module("flambeau.distributed", "Several processes: groups, collective operations, messages.")
distributions = lazy_module("flambeau.distributions", "Probability distributions.")
jit = lazy_module("flambeau.jit", "What programs written for TorchScript find.")
masked = lazy_module("flambeau.masked", "Reductions that leave elements out.")
multiprocessing = lazy_module("flambeau.multiprocessing", "Python's multiprocessing, and spawn.")
serialization = lazy_module("flambeau.serialization", "Checkpoints: save and load.")
testing = lazy_module("flambeau.testing", "Comparisons for tests.")
signal = lazy_module("flambeau.signal", "Window functions.")

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
    "distributed",
    "distributions",
    "cuda",
    "fft",
    "fork",
    "func",
    "futures",
    "install_as_torch",
    "linalg",
    "is_anomaly_enabled",
    "jit",
    "masked",
    "multiprocessing",
    "nn",
    "optim",
    "random",
    "serialization",
    "set_anomaly_enabled",
    "signal",
    "sparse",
    "special",
    "is_anomaly_check_nan_enabled",
    "testing",
    "utils",
    "version",
    "vmap",
    "wait",
]


_throughput, _records = lazy_module("flambeau.utils.throughput"), lazy_module("flambeau.serialization.records")
_LATE = {  # what modules have that not every program uses
    **dict.fromkeys(("load", "save"), serialization),
    **dict.fromkeys(("BenchmarkConfig", "BenchmarkExecutionStats", "ThroughputBenchmark"), _throughput),
    **dict.fromkeys(("PyTorchFileReader", "PyTorchFileWriter"), _records),
}
__all__ += _LATE


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(_LATE[name], name)
    raise refuse("torch", name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
