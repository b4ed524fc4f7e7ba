"""Checks of gradients against central differences: `gradcheck`, `gradgradcheck`.

The full Jacobian is compared, column by column, in float64. For complex inputs the two directions (real and imaginary)
are perturbed separately, and gradients follow the convention of PyTorch: the conjugate Wirtinger derivative.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flambeau._core.config import config
from flambeau._core.homes import absent
from flambeau._core.lazy import lazy_module
from flambeau._engine.window import state
from flambeau._ir.recording import TensorBase
from flambeau.autograd.engine import as_sequence, grad

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")


class GradcheckError(RuntimeError):
    """The analytical gradient disagrees with the numerical one."""


def gradcheck(
    func: Callable,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    **_: Any,
) -> bool:
    """Does backward through `func` give the Jacobian that central differences give?

    `inputs` is a tensor or a tuple of arguments of `func`, of which those that require grad (float64 or complex128,
    please) are checked; `eps` is the step; a Jacobian entry may differ by `atol + rtol * |numerical|`. Raises
    GradcheckError naming
    the output, the input and both Jacobians, or returns False with `raise_exception=False`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([0.5, 2.], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradcheck(torch.exp, x)
        True
    """
    arguments = tuple(as_sequence(inputs))
    _warn_of_low_precision(arguments)
    try:
        with _alike_at_every_sight():
            _check(func, arguments, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


@contextmanager
def _alike_at_every_sight() -> Iterator[None]:
    """Kernels come in at the second sight of a computation, with other last bits; passes that are to agree exactly must
    not be on both sides of that."""
    before = config.compile
    if before == "auto":
        config.compile = "never"
    try:
        yield
    finally:
        config.compile = before


def gradgradcheck(
    func: Callable,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    **_: Any,
) -> bool:
    """Like `gradcheck`, for the second derivatives: backward through the backward of `func`.

    Example::

        >>> import flambeau as torch
        >>> x = torch.tensor([0.5, 2.], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradgradcheck(torch.exp, x)
        True
    """
    arguments = tuple(as_sequence(inputs))
    outputs = _outputs(func(*arguments))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        weights = [_weight_like(o, rng) for o in outputs]
    else:
        weights = [w.detach().requires_grad_() for w in as_sequence(grad_outputs)]
    count = len(arguments)

    def first_derivative(*args: Any) -> tuple:
        inner, given = args[:count], args[count:]
        wanted = [a for a in inner if isinstance(a, TensorBase) and a._node is not None]
        results = grad(_outputs(func(*inner)), wanted, given, create_graph=True, allow_unused=True)
        return tuple([r for r in results if r is not None and r.requires_grad])

    return gradcheck(
        first_derivative,
        (*arguments, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def _weight_like(output: Any, rng: Any) -> Any:
    values = rng.standard_normal(tuple(output.shape))
    if output.dtype.is_complex:
        values = values + 1j * rng.standard_normal(tuple(output.shape))
    return output.new_tensor(values, dtype=output.dtype).requires_grad_()


def _outputs(result: Any) -> list[Any]:
    """The outputs that take part in gradients."""
    results = [result] if isinstance(result, TensorBase) else list(result)
    return [r for r in results if isinstance(r, TensorBase) and r.requires_grad]


def _check(func: Callable, arguments: tuple, eps: float, atol: float, rtol: float, nondet_tol: float) -> None:
    checked = [i for i, a in enumerate(arguments) if isinstance(a, TensorBase) and a.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    outputs = _outputs(func(*arguments))
    for o, output in enumerate(outputs):
        analytical = analytical_jacobians(output, [arguments[i] for i in checked])
        again = analytical_jacobians(output, [arguments[i] for i in checked])
        for i, ours, repeated in zip(checked, analytical, again, strict=True):
            if not np.allclose(ours, repeated, rtol=0, atol=nondet_tol, equal_nan=True):
                raise GradcheckError(
                    f"Backward is not reentrant: two passes over output {o} gave different gradients of input {i}"
                )
            numerical = numerical_jacobian(lambda *a, o=o: _outputs_like(func(*a), o), arguments, i, eps)
            if not np.allclose(ours, numerical, rtol=rtol, atol=atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input "
                    f"{i},\nnumerical:{numerical}\nanalytical:{ours}\n"
                )


def _warn_of_low_precision(arguments: tuple) -> None:
    for i, a in enumerate(arguments):
        if isinstance(a, TensorBase) and a.requires_grad and a.dtype.name not in ("float64", "complex128"):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex.",
                UserWarning,
                stacklevel=3,
            )


def _outputs_like(result: Any, o: int) -> Any:
    results = [result] if isinstance(result, TensorBase) else list(result)
    floating = [r for r in results if isinstance(r, TensorBase) and r._meta.dtype.differentiable]
    return floating[o]


def analytical_jacobians(output: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """For each input the matrix [input elements, output elements] that backward gives; complex elements count twice
    (real and imaginary direction), on both sides."""
    columns: list[list[np.ndarray]] = [[] for _ in inputs]
    for position in range(output.numel()):
        for unit in (1, 1j) if output.dtype.is_complex else (1,):
            weight = np.zeros(output.numel(), np.complex128 if output.dtype.is_complex else np.float64)
            weight[position] = unit
            seed = output.new_tensor(weight.reshape(tuple(output.shape)), dtype=output.dtype)
            grads = grad(output, inputs, seed, retain_graph=True, allow_unused=True)
            for column, g, x in zip(columns, grads, inputs, strict=True):
                column.append(_as_real(np.zeros(tuple(x.shape), x.dtype.numpy) if g is None else _dense(g)))
    widths = [x.numel() * (2 if x.dtype.is_complex else 1) for x in inputs]
    return [np.stack(c, 1) if c else np.zeros((w, 0)) for c, w in zip(columns, widths, strict=True)]


def _dense(g: Any) -> np.ndarray:
    return (g.to_dense() if g.is_sparse else g).detach().numpy()


def _as_real(array: np.ndarray) -> np.ndarray:
    """Elements as float64, complex ones as pairs."""
    array = np.ascontiguousarray(array).reshape(-1)
    return array.astype(np.complex128).view(np.float64) if array.dtype.kind == "c" else array.astype(np.float64)


def numerical_jacobian(func: Callable, arguments: tuple, index: int, eps: float) -> np.ndarray:
    """The same matrix by central differences."""
    x = arguments[index]
    start = x.detach().numpy().copy()
    rows = []
    before, state.grad_enabled = state.grad_enabled, True  # func may itself compute gradients
    try:
        for position in np.ndindex(start.shape):
            for unit in (1, 1j) if start.dtype.kind == "c" else (1,):
                ends = []
                for sign in (1, -1):
                    moved = start.copy()
                    moved[position] += sign * unit * eps
                    replaced = x.new_tensor(moved, dtype=x.dtype).requires_grad_()
                    ends.append(_as_real(func(*arguments[:index], replaced, *arguments[index + 1 :]).detach().numpy()))
                rows.append((ends[0] - ends[1]) / (2 * eps))
    finally:
        state.grad_enabled = before
    if rows:
        return np.stack(rows)
    return np.zeros((0, _as_real(func(*arguments).detach().numpy()).size))

__getattr__ = absent("torch.autograd.gradcheck")
