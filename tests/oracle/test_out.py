"""`out=` beside PyTorch: for every operation of its database that takes one, outs of all kinds, fitting and not."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

sys.path.insert(0, str(Path(__file__).parent))

from both import OPERATIONS, attempt, here, numbers, spread, tensors_of, torch  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SAMPLES = 3
DTYPES = (torch.float32, torch.int64, torch.bool, torch.complex64)  # the first that an operation knows
BY_COLUMNS = (
    "fft.ifft fft.ihfft linalg.cholesky linalg.cholesky_ex linalg.eigh linalg.inv "
    "linalg.inv_ex linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve linalg.lu_factor linalg.lu_factor_ex "
    "linalg.lu_solve linalg.qr linalg.solve linalg.solve_ex linalg.solve_triangular linalg.svd lu_solve qr svd "
    "triangular_solve"
)
SILENT = (
    "conj_physical diff expand_copy diag diagonal_copy alias_copy floor_divide quantile nanquantile softmax "
    "softmax.with_dtype as_strided_copy view_copy permute_copy split_with_sizes_copy slice_scatter scatter "
    "unbind_copy unfold_copy squeeze_copy unsqueeze_copy transpose_copy inner tensordot log_softmax "
    "log_softmax.with_dtype norm.nuc t_copy fft.ifft fft.ihfft fft.ihfft2 fft.ihfftn linalg.cond linalg.eigvals "
    "linalg.matrix_power linalg.norm linalg.norm.subgradients_at_zero linalg.matrix_norm linalg.tensorinv "
    "linalg.tensorsolve special.ndtr special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 "
    "special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1 "
    "special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1 special.spherical_bessel_j0"
)
# Where Flambeau differs on purpose: why, in which probes, for which operations.
DIFFERENT = {
    "PyTorch leaves the argument's gradient history out without a word": {"history": SILENT},
    "there is no gradient history here that could be lost": {"history": "addr geqrf ormqr special.zeta"},
    "PyTorch takes a number for a tensor here": {
        "number": "add mul sub div.no_rounding_mode div.trunc_rounding div.floor_rounding true_divide floor_divide "
        "nn.functional.normalize"
    },
    "PyTorch has no derivative, and silently writes into a leaf": {
        "gradient": "histc fft.ihfft2 fft.ihfftn special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 "
        "special.bessel_y1 special.chebyshev_polynomial_t special.chebyshev_polynomial_u "
        "special.chebyshev_polynomial_v special.chebyshev_polynomial_w special.hermite_polynomial_h "
        "special.hermite_polynomial_he special.laguerre_polynomial_l special.legendre_polynomial_p "
        "special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1 "
        "special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1 "
        "special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u "
        "special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w special.spherical_bessel_j0 "
        "split_with_sizes_copy"
    },
    "PyTorch lays a resized out of LAPACK's or a transform along an inner dimension out by columns": {
        "larger": BY_COLUMNS,
        "empty": f"{BY_COLUMNS} linalg.householder_product cholesky_inverse geqrf ormqr linalg.eig linalg.lstsq",
    },
    "PyTorch does not warn here": {"larger": "addbmm nn.functional.logsigmoid mode narrow_copy"},
    "PyTorch only compares the numbers of elements": {
        "larger": "linspace linspace.tensor_overload logspace logspace.tensor_overload"
    },
    "PyTorch writes wrong numbers, or none": {
        "strided": "nn.functional.avg_pool3d nn.functional.gelu narrow_copy fft.ihfft2 fft.ihfftn",
        "fresh": "fft.ihfft2 fft.ihfftn",
        "larger": "fft.ihfft2 fft.ihfftn",
        "empty": "fft.ihfft2 fft.ihfftn",
    },
    "PyTorch resizes an out that fits": {"fresh": "nn.functional.linear", "strided": "nn.functional.linear"},
    "PyTorch's running statistics are checked in the kernel": {"larger": "native_batch_norm"},
    "PyTorch converts on one of its paths only, depending on the arguments": {
        "double": "diff lerp inner linalg.matrix_power geqrf linalg.lstsq"
    },
    "PyTorch has no kernel for the dtype of out": {"integer": "nansum nanmean"},
}
EXPECTED = {(name, probe) for why in DIFFERENT.values() for probe, names in why.items() for name in names.split()}
ELSEWHERE = {
    "lu": "PyTorch's is written in Python, and has no checks",
    "histogramdd": "PyTorch's is written in Python, and has no checks",
    "nonzero": "PyTorch's nonzero(as_tuple=True), as the samples call it, takes no out",
}
# The numbers are drawn, or left as they were, or one choice among many.
UNDETERMINED = {
    "randn", "multinomial", "bernoulli", "empty", "svd", "linalg.svd", "linalg.eig", "linalg.eigh",
}  # fmt: skip

PROBES = (
    "fresh",
    "strided",
    "integer",
    "double",
    "larger",
    "empty",
    "input",
    "overlap",
    "gradient",
    "history",
    "number",
)


def out_like(ns: Any, probe: str, result: Any, args: list) -> Any:
    """An out of this kind for a result; None where there is none. `args` may be replaced by tensors it overlaps."""
    shape, d = tuple(result.shape), result.dtype
    if probe == "fresh":
        return ns.ones(shape, dtype=d)
    if probe == "strided":
        return ns.ones((*shape, 2), dtype=d)[..., 0] if shape else None
    if probe == "integer":
        return None if d is ns.int64 else ns.ones(shape, dtype=ns.int64)
    if probe == "double":
        return None if d is ns.float64 else ns.ones(shape, dtype=ns.float64)
    if probe == "larger":
        return ns.ones((2, *shape), dtype=d)
    if probe == "empty":
        return ns.ones(0, dtype=d) if 0 not in shape else None
    if probe == "gradient":
        return ns.ones(shape, dtype=d, requires_grad=True) if d.is_floating_point or d.is_complex else None
    if probe == "history":  # the first argument wants a gradient
        if not isinstance(args[0], ns.Tensor) or not (args[0].dtype.is_floating_point or args[0].dtype.is_complex):
            return None
        args[0] = args[0].detach().clone().requires_grad_()
        return ns.ones(shape, dtype=d)
    if probe == "number":
        return 3
    return _sharing(ns, probe, args, shape, d)


def _sharing(ns: Any, probe: str, args: list, shape: tuple, d: Any) -> Any:
    """The first argument as out, or memory that begins one element behind it."""
    first = args[0]
    if not isinstance(first, ns.Tensor) or tuple(first.shape) != shape or first.dtype is not d or 0 in shape:
        return None
    base = ns.zeros(first.numel() + 1, dtype=d)
    args[0] = base[:-1].reshape(shape)
    args[0].copy_(first)
    return args[0] if probe == "input" else base[1:].reshape(shape) if first.numel() > 1 else None


def told(ns: Any, function: Any, sample: tuple[list, dict], probe: str, results: Any) -> Any:
    """What became of a call with `out`: (exception), or (kind, what is in out, how it lies, whether a warning came)."""
    args, named = list(sample[0]), sample[1]
    several = isinstance(results, (tuple, list))
    outs = [out_like(ns, probe, r, args) for r in (results if several else [results])]
    if any(o is None for o in outs):
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            returned = function(*args, **named, out=tuple(outs) if several else outs[0])
            tensors = outs if returned is None else tensors_of(returned)  # PyTorch's unbind_copy returns nothing
            if any(a is not b for a, b in zip(tensors, outs, strict=True)):
                return "another tensor is returned"
            values = [numbers(t) for t in tensors] if probe not in ("input", "overlap") else None
        except Exception as error:  # noqa: BLE001
            return error
    warned = any("An output with one or more elements was resized" in str(w.message) for w in caught)
    lies = [(tuple(t.shape), str(t.dtype).split(".")[-1], t.stride() if t.numel() else ()) for t in tensors]
    return values, lies, warned


def difference(theirs: Any, ours: Any, exact: bool) -> str | None:
    """What differs between two outcomes."""
    if theirs is None and ours is None:
        return None
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        both = isinstance(theirs, Exception) and isinstance(ours, Exception)
        kinds = [k for k in type(theirs).__mro__ if k.__module__ == "builtins"]
        return None if both and isinstance(ours, kinds[0]) else f"{theirs!r:.150} here {ours!r:.150}"
    if theirs is None or ours is None or isinstance(theirs, str) or isinstance(ours, str):
        return None if theirs == ours else f"{theirs!r:.150} here {ours!r:.150}"
    if theirs[1:] != ours[1:]:
        return f"{theirs[1:]} here {ours[1:]}"
    if exact and theirs[0] is not None:
        for a, b in zip(theirs[0], ours[0], strict=True):
            rounding = 1 if a.dtype.kind in "iu" else 1e-4
            if not np.allclose(a, b, rtol=1e-3, atol=rounding, equal_nan=True):
                return f"{a!r:.150} here {b!r:.150}"
    return None


WITH_OUT = [o for o in OPERATIONS if o.info.supports_out and o.name not in ELSEWHERE]


def differences(operation: Any, probes: Any = PROBES) -> Iterator[tuple[str, str]]:
    """The probes that came out differently, and how."""
    dtype = next((d for d in DTYPES if d in operation.info.dtypes), None)
    if dtype is None:
        return
    name = operation.name
    found = {}
    for sample in spread(list(operation.info.sample_inputs("cpu", dtype, requires_grad=False)), SAMPLES):
        theirs_given = ([sample.input, *sample.args], sample.kwargs)
        ours_given = (list(here(theirs_given[0])), here(theirs_given[1]))
        result = attempt(operation.info.op, *theirs_given[0], **theirs_given[1])
        if isinstance(result, Exception):
            continue
        mine = attempt(operation.here, *ours_given[0], **ours_given[1])
        if isinstance(mine, Exception) or len(tensors_of(mine)) != len(tensors_of(result)) or not tensors_of(result):
            continue
        for probe in probes:
            if probe in found:
                continue
            theirs = told(torch, operation.info.op, theirs_given, probe, result)
            ours = told(flambeau, operation.here, ours_given, probe, mine)
            wrong = difference(theirs, ours, name not in UNDETERMINED)
            if wrong is not None:
                found[probe] = wrong
                yield probe, f"{wrong}\n  for {sample!r:.300}"


@pytest.mark.parametrize("operation", WITH_OUT, ids=lambda o: o.name)
def test_out(operation):
    found = dict(differences(operation))
    expected = {probe for name, probe in EXPECTED if name == operation.name}
    assert not {probe: found[probe] for probe in found.keys() - expected}
    assert expected <= found.keys(), "no difference any more: drop it from the table"
