"""Which results share memory, which of them count as views, and how results lie in memory, operation by operation.

Every sample of PyTorch's own database is run with its tensors row-major, transposed, and with channels innermost.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, numbers, spread, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SAMPLES = 3

# ------------------------------------------------------------------------------------------- intended deviations

FACTORS = "LAPACK leaves PyTorch's factors in column-major order; here they lie as they were computed"
SPECTRA = "PyTorch's transforms leave the order of dimensions in which its FFT worked; here spectra are row-major"
KEPT = "the order of the input's dimensions is kept, so that the in-place form need not copy"
FIRST = "of operands in different orders another one counts as the first"
CHANNELS = "channels that lie innermost stay there"
BUFFER = "PyTorch's strides are those of a buffer that it computed in"
# What is not compared ("strides", "shared", "view"), and why.
DIFFERENT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        """cholesky_inverse cholesky_solve geqrf lu lu_solve lu_unpack ormqr qr svd triangular_solve linalg.eig
        linalg.eigh linalg.householder_product linalg.inv linalg.inv_ex linalg.ldl_factor linalg.ldl_factor_ex
        linalg.ldl_solve linalg.lstsq linalg.lu linalg.lu_factor linalg.lu_factor_ex linalg.lu_solve
        linalg.matrix_power linalg.qr linalg.solve linalg.solve_ex linalg.svd linalg.tensorinv""".split(),
        ("strides", FACTORS),
    ),
    **dict.fromkeys(
        """fft.fft fft.fft2 fft.fftn fft.hfft fft.hfft2 fft.hfftn fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.ihfft2
        fft.ihfftn fft.irfft fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn""".split(),
        ("strides", SPECTRA),
    ),
    **dict.fromkeys(
        """addmm addmm.decomposed addbmm baddbmm masked_fill mvlgamma.mvlgamma_p_1 mvlgamma.mvlgamma_p_3
        mvlgamma.mvlgamma_p_5 nn.functional.rms_norm renorm""".split(),
        ("strides", KEPT),
    ),
    **dict.fromkeys(
        """__radd__ __rand__ __rmul__ __ror__ __rxor__ rsub
        nn.functional.binary_cross_entropy""".split(),
        ("strides", FIRST),
    ),
    **dict.fromkeys(["nn.functional.conv_transpose3d", "nn.functional.pad.circular"], ("strides", CHANNELS)),
    **dict.fromkeys(
        "__getitem__ argwhere complex linalg.vander nonzero stack unique_consecutive unravel_index".split(),
        ("strides", BUFFER),
    ),
    **dict.fromkeys(["unsafe_chunk", "unsafe_split"], ("view", "the parts are views, whose changes gradients see")),
    "nn.functional.dropout3d": ("view", "without training the input itself is returned, as by the other dropouts"),
    "masked.prod": ("shared", "without a mask the result has memory of its own, as that of the other reductions"),
}

# ------------------------------------------------------------------------------------------------------ layouts


def row_major(t: Any) -> Any:
    return t.detach().contiguous()


def transposed(t: Any) -> Any:
    return t.detach().transpose(0, -1).contiguous().transpose(0, -1) if t.dim() >= 2 else row_major(t)


def channels_last(t: Any) -> Any:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return t.detach().contiguous(memory_format=formats[t.dim()]) if t.dim() in formats else row_major(t)


def laid_out(value: Any, layout: Any) -> Any:
    """The value, with the tensors in it laid out anew."""
    if isinstance(value, torch.Tensor):
        return layout(value)
    return type(value)(laid_out(item, layout) for item in value) if type(value) in (list, tuple) else value


def layouts(value: Any) -> list:
    """The layouts that make a difference to the tensors of a sample's input."""
    dims = {t.dim() for t in tensors_of(value)}
    wanted = [(row_major, True), (transposed, max(dims, default=0) >= 2), (channels_last, dims & {4, 5})]
    return [layout for layout, useful in wanted if useful]


# --------------------------------------------------------------------------------------------------- comparison


class Memory(NamedTuple):
    """How a result lies in memory, inputs by their numbers."""

    strides: tuple[int, ...]  # of dimensions that have more than one element
    shared: list[int]  # the inputs whose memory the result shares
    view: list[int] | None  # the inputs that the result is a view of, [] for a tensor nobody sees, None for no view


def storage(t: Any) -> Any:
    return t._storage if isinstance(t, flambeau.Tensor) else t.untyped_storage()._cdata


def memory(result: Any, inputs: list) -> Memory:
    many = [s for n, s in zip(result.shape, result.stride(), strict=True) if n != 1]
    shared = [i for i, t in enumerate(inputs) if storage(t) == storage(result)]
    if any(result is t for t in inputs):
        return Memory(tuple(many), shared, None)
    base = result._base
    assert result._is_view() is (base is not None)
    bases = [i for i, t in enumerate(inputs) if base is (t if t._base is None else t._base)]
    return Memory(tuple(many) if result.numel() else (), shared, None if base is None else bases)


def differences(theirs: Memory, ours: Memory) -> dict[str, str]:
    """The aspects that differ. A view of a temporary tensor that nobody sees may as well be none."""
    found = {
        name: f"{name}: {mine} instead of {wanted}"
        for name, mine, wanted in zip(Memory._fields, ours, theirs, strict=True)
        if mine != wanted
    }
    if theirs.view == [] and ours.view is None:
        found.pop("view", None)
    return found


def showing(result: Any, inputs: list) -> list[int]:
    """The inputs that show what is written to the result, which it may refuse."""
    before = [numbers(t).copy() for t in inputs]
    attempt(result.detach().logical_not_ if result.numel() else result.detach)
    return [i for i, (t, b) in enumerate(zip(inputs, before, strict=True)) if not same(numbers(t), b)]


def same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def compared(operation: Any) -> dict[str, str]:
    """The aspects in which some sample differs, each with the first example."""
    dtype = torch.float32 if torch.float32 in operation.info.dtypes else min(operation.info.dtypes, key=str)
    found: dict[str, str] = {}
    for sample in spread(list(operation.info.sample_inputs("cpu", dtype)), SAMPLES):
        for layout in layouts(sample.input):
            given = [laid_out(sample.input, layout), *sample.args]
            mine, named = here(given), here(sample.kwargs)
            theirs = attempt(operation.info.op, *given, **sample.kwargs)
            ours = attempt(operation.here, *mine, **named)
            if isinstance(theirs, Exception) or isinstance(ours, Exception):
                continue
            inputs, own = tensors_of([*given, *sample.kwargs.values()]), tensors_of([*mine, *named.values()])
            for t, o in zip(tensors_of(theirs), tensors_of(ours), strict=True):
                if t.layout is not torch.strided:
                    continue
                wanted = memory(t, inputs)
                differing = differences(wanted, memory(o, own))
                if wanted.shared and not differing and showing(t, inputs) != showing(o, own):
                    differing["shared"] = "shared: other inputs change when the result is written to"
                for aspect in differing.keys() - found.keys():
                    strides = [tuple(x.stride()) for x in inputs]
                    found[aspect] = f"{differing[aspect]}\n  {layout.__name__}, strides {strides}\n  {sample!r:.300}"
    return found


WRAPPED = {"linalg.lstsq.grad_oriented"}  # the database calls a function of its own, with other results


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.name not in WRAPPED], ids=lambda o: o.name)
def test_memory(operation):
    found = compared(operation)
    aspects, reason = DIFFERENT.get(operation.name, ("", ""))
    excused = set(aspects.split())
    assert excused <= set(found), f"no longer differs in this, so strike it from the table: {excused - set(found)}"
    assert not set(found) - excused, "\n".join(found[aspect] for aspect in set(found) - excused)
