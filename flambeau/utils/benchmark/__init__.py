"""How long statements take (`torch.utils.benchmark`): `Timer` measures, `Measurement` says how sure that is, `Compare`
lays several out in a table."""

from flambeau._core.homes import absent
from flambeau.utils.benchmark.compare import Colorize, Compare
from flambeau.utils.benchmark.measurement import (
    Measurement,
    TaskSpec,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)
from flambeau.utils.benchmark.timer import Language, Timer, set_torch_threads, timer

__all__ = [
    "Colorize", "Compare", "Language", "Measurement", "TaskSpec", "Timer", "ordered_unique", "select_unit",
    "set_torch_threads", "timer", "trim_sigfig", "unit_to_english",
]  # fmt: skip

__getattr__ = absent("torch.utils.benchmark")
