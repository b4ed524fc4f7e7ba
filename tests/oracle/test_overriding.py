"""Subclasses of Tensor beside PyTorch: for every operation, of which class its results are, and of which function the
`__torch_function__` of its first argument is told."""

import sys
from pathlib import Path

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

told: list = []


def logged(base):
    class Logged(base):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            told.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    return Logged


THERE, HERE = logged(torch.Tensor), logged(flambeau.Tensor)

# One function under several names here, which is told of by one of them.
OTHER_NAMES = {
    "unsafe_chunk", "unsafe_split", "trapz", "grid_sampler_2d", "grid_sampler_3d", "nn.functional.logsigmoid",
    "nn.functional.threshold", "nn.functional.upsample_bilinear", "nn.functional.upsample_nearest",
    *[f"nn.functional.{kind}max_pool{n}d" for n in (1, 2, 3) for kind in ("", "adaptive_")],
}  # fmt: skip
# The database or PyTorch itself calls something else first.
OTHER_CALLS = {"native_dropout_backward", "rand_like", "linalg.lstsq.grad_oriented"}
SYNONYMS = {
    "absolute": "abs", "concat": "cat", "concatenate": "cat", "divide": "div", "multiply": "mul", "subtract": "sub",
}  # fmt: skip
COMPARED = [o for o in OPERATIONS if o.name not in OTHER_CALLS]


def kinds(value, base, kind):
    """The classes of the tensors in a result."""
    if isinstance(value, base):
        return "subclass" if type(value) is kind else "tensor"
    if isinstance(value, (tuple, list)):
        return [kinds(x, base, kind) for x in value]
    return type(value).__name__


def plain(name):
    return SYNONYMS.get(name, name).removeprefix("linalg_").removeprefix("fft_").removeprefix("special_")


@pytest.mark.parametrize("operation", COMPARED, ids=lambda o: o.name)
def test_classes_and_functions(operation):
    dtype = torch.float32 if torch.float32 in operation.info.dtypes else sorted(operation.info.dtypes, key=str)[0]
    sample = next(iter(operation.info.sample_inputs("cpu", dtype, requires_grad=False)))
    if not isinstance(sample.input, torch.Tensor):
        pytest.skip("takes no tensor first")
    args, kwargs = here(sample.args), here(sample.kwargs)
    ours_input = here(sample.input).as_subclass(HERE)
    told.clear()
    theirs = attempt(operation.info.op, sample.input.as_subclass(THERE), *sample.args, **sample.kwargs)
    told_there = told[:1]
    told.clear()
    function = operation.here
    method = getattr(flambeau.Tensor, operation.info.name, None)
    if function is method or operation.name in ("T", "H", "mT", "mH"):  # as the subclass has it
        method = getattr(HERE, operation.info.name)
        function = getattr(method, "fget", method)
    ours = attempt(function, ours_input, *args, **kwargs)
    if isinstance(theirs, Exception):
        pytest.skip(f"PyTorch: {theirs}")
    assert kinds(ours, flambeau.Tensor, HERE) == kinds(theirs, torch.Tensor, THERE), (ours, told)
    if operation.name.startswith("masked.") or operation.name in OTHER_NAMES:
        return
    assert [plain(name) for name in told[:1]] == [plain(name) for name in told_there]
