"""Where a program's time goes (`torch.profiler`): kernels, which may be several operations each, and what a program
marks with `record_function`."""

from flambeau._core.homes import absent
from flambeau.autograd import kineto_available
from flambeau.profiler.profiling import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)
from flambeau.profiler.ranges import record_function

__all__ = [
    "ProfilerAction", "ProfilerActivity", "kineto_available", "profile", "record_function", "schedule",
    "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip

__getattr__ = absent("torch.profiler")
