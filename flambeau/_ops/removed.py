"""Functions that PyTorch has removed but still answers for: they raise RuntimeError and name their successor."""

from __future__ import annotations

from typing import Any

from flambeau._core import errors
from flambeau._ops.registry import composite

# name -> (what to call instead, is it a method too)
SUCCESSORS = {
    "eig": ("torch.linalg.eig, or torch.linalg.eigvals for the values alone", True),
    "symeig": ("torch.linalg.eigh(A, UPLO='U' if upper else 'L'), or torch.linalg.eigvalsh for the values alone", True),
    "lstsq": ("torch.linalg.lstsq(A, B), which takes the matrix first", True),
    "solve": ("torch.linalg.solve(A, B), which takes the matrix first", True),
    "matrix_rank": ("torch.linalg.matrix_rank(A, hermitian=...)", False),
}


def _declare(name: str, successor: str, method: bool) -> None:
    def removed(*args: Any, **kwargs: Any) -> Any:
        fact = "This function was deprecated since version 1.9 and is now removed."
        raise RuntimeError(errors.explain(fact, hint=f"call {successor}"))

    removed.__doc__ = f"Removed from PyTorch: RuntimeError. Call {successor}."
    composite(name=name, method=method)(removed)


for _name, (_successor, _method) in SUCCESSORS.items():
    _declare(_name, _successor, _method)
