"""The types of results with names."""

from __future__ import annotations

import pickle

import pytest

import flambeau as torch

x = torch.tensor([[4.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize(
    "name, compute, fields",
    [
        ("max", lambda: x.max(0), "values indices"),
        ("histogram", lambda: torch.histogram(x, 2), "hist bin_edges"),
        ("frexp", lambda: torch.frexp(x), "mantissa exponent"),
        ("slogdet", lambda: torch.slogdet(x), "sign logabsdet"),
        ("linalg_slogdet", lambda: torch.linalg.slogdet(x), "sign logabsdet"),
        ("qr", lambda: torch.qr(x), "Q R"),
        ("linalg_qr", lambda: torch.linalg.qr(x), "Q R"),
        ("svd", lambda: torch.svd(x), "U S V"),
        ("linalg_svd", lambda: torch.linalg.svd(x), "U S Vh"),
        ("linalg_eigh", lambda: torch.linalg.eigh(x), "eigenvalues eigenvectors"),
    ],
)
def test_results_are_of_these_types(name, compute, fields):
    result = compute()
    kind = getattr(torch.return_types, name)
    assert type(result) is kind and kind in torch.return_types.all_return_types and result._fields == (*fields.split(),)
    assert repr(result).startswith(f"torch.return_types.{name}(\n{fields.split()[0]}=tensor(")
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is kind and all(torch.equal(a, b) for a, b in zip(again, result, strict=True))


def test_calls_with_out_give_the_same():
    out = (torch.empty(2), torch.empty(2, dtype=torch.int64))
    assert isinstance(torch.max(x, 0, out=out), torch.return_types.max_out)
