"""Names that are private to PyTorch and that published libraries use all the same."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import _C, _tensor_str, _utils, jit, onnx
from flambeau.distributed import rpc
from flambeau.distributions.utils import _sum_rightmost


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_check", RuntimeError),
        ("_check_index", IndexError),
        ("_check_not_implemented", NotImplementedError),
        ("_check_type", TypeError),
        ("_check_value", ValueError),
    ],
)
def test_checks(name, kind):
    check = getattr(torch, name)
    check(True)
    with pytest.raises(kind, match="seven"):
        check(False, lambda: "seven")
    with pytest.raises(kind, match="Expected cond to be True"):
        check(False)
    with pytest.raises(TypeError, match="cond must be a bool"):
        check(torch.tensor(True))
    with pytest.raises(TypeError, match="message must be a callable"):
        check(False, "seven")


def test_assertions_about_tensors():
    torch._assert_async(torch.tensor(1.0))
    with pytest.raises(RuntimeError, match="seven"):
        torch._assert_async(torch.tensor(False), "seven")


def test_tensors_made_one_and_taken_apart():
    tensors = [torch.ones(2, 2), torch.zeros(3)]
    flat = _utils._flatten_dense_tensors(tensors)
    assert flat.shape == (7,)
    for part, tensor in zip(_utils._unflatten_dense_tensors(flat, tensors), tensors, strict=True):
        assert torch.equal(part, tensor)


def test_parts_of_a_text():
    text = _tensor_str._tensor_str(torch.arange(3.0, requires_grad=True), 6)
    assert text == "[0., 1., 2.]"
    assert _tensor_str._add_suffixes(f"index({text}", ["dim_size=3"], 6, False) == "index([0., 1., 2.], dim_size=3)"
    assert _tensor_str._add_suffixes("index([]", ["n=3"], 6, True) == "index([],\n      n=3)"
    assert _tensor_str.PRINT_OPTS.threshold == 1000


def test_the_arguments_of_a_conversion():
    device, dtype, non_blocking, memory_format = _C._nn._parse_to("cpu", torch.float64)
    assert (device.type, dtype, non_blocking, memory_format) == ("cpu", torch.float64, False, None)


def test_what_runs_now():
    assert _C._get_tracing_state() is None and _C._get_default_device() == "cpu" and not _C._has_xpu
    seen = []
    torch.vmap(lambda a: seen.append(_C._are_functorch_transforms_active()) or a)(torch.ones(2))
    assert seen == [True] and not _C._are_functorch_transforms_active()


def test_what_never_happens():
    assert not onnx.is_in_onnx_export() and not rpc.is_available() and not hasattr(rpc, "api")
    assert torch.autograd.forward_ad.unpack_dual(torch.ones(1)).tangent is None
    with pytest.raises(NotImplementedError, match="nearest is torch.save"):
        _ = onnx.export
    for kind in (torch.Stream, torch.Event):
        assert not isinstance(torch.ones(1), kind)
        with pytest.raises(NotImplementedError, match="there are no streams"):
            kind()


def test_a_dtype_that_only_has_a_name():
    assert torch.complex32 != torch.complex64 and torch.complex32.is_complex
    assert str(torch.complex32) == "torch.complex32"
    with pytest.raises(NotImplementedError, match="not implemented for 'ComplexHalf'"):
        torch.ones(1).to(torch.complex32)
    with pytest.raises(NotImplementedError, match="not implemented for 'ComplexHalf'"):
        torch.empty(1, dtype=torch.complex32)


def test_signatures_for_scripts_change_nothing():
    @jit._overload
    def f(x: int) -> int: ...

    assert f(1) is None and jit._overload_method is jit._overload and torch.ScriptModule is jit.ScriptModule


def test_sums_over_the_last_dimensions():
    ones = torch.ones(2, 3, 4)
    assert _sum_rightmost(ones, 0) is ones and _sum_rightmost(ones, 2).tolist() == [12.0, 12.0]
