"""What programs ask about devices: there is the CPU."""

from __future__ import annotations

import pytest

import flambeau as torch


def test_questions_about_gpus_are_answered():
    cuda = torch.cuda
    assert not cuda.is_available() and cuda.device_count() == cuda.memory_allocated() == 0
    assert cuda.memory_stats() == cuda.host_memory_stats() == {} and cuda.get_rng_state_all() == []
    cuda.get_arch_list().append("changed")
    assert cuda.get_arch_list() == [] and cuda.default_generators == () and not cuda.has_magma
    with cuda.device(0), cuda.device_of(torch.ones(1)), cuda.stream(None), cuda.caching_allocator_disabled():
        assert not isinstance(torch.ones(1), cuda.FloatTensor)


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
@pytest.mark.parametrize(
    "call",
    [
        lambda cuda: cuda.current_device(),
        lambda cuda: cuda.synchronize(),
        lambda cuda: cuda.Stream(),
        lambda cuda: cuda.CUDAGraph(),
        lambda cuda: cuda.FloatStorage(3),
        lambda cuda: cuda.set_per_process_memory_fraction(0.5),
    ],
)
def test_what_only_a_gpu_can_do_is_refused(call, kind):
    """PyTorch raises one or the other, depending on the function."""
    with pytest.raises(kind, match="this version of Flambeau has no CUDA backend"):
        call(torch.cuda)


def test_tensors_of_gpus_cannot_be_made():
    with pytest.raises(TypeError, match="type torch.cuda.FloatTensor not available"):
        torch.cuda.FloatTensor(3)
    with pytest.raises(NotImplementedError, match="torch.cuda.nvtx is not implemented: there is no GPU"):
        _ = torch.cuda.nvtx


def test_no_accelerator():
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    with torch.accelerator.device_index(None):
        pass
    with pytest.raises(RuntimeError, match="Cannot access accelerator device when none is available"):
        torch.accelerator.current_device_index()
    with pytest.raises(RuntimeError, match="device_index"), torch.accelerator.device_index(0):
        pass


def test_the_cpu_as_a_device():
    cpu = torch.cpu
    assert cpu.is_available() and cpu.device_count() == 1 and cpu.current_device() == "cpu"
    usual, mine = cpu.current_stream(), cpu.Stream()
    with cpu.stream(mine):
        assert cpu.current_stream() is mine
        with cpu.stream(None):
            assert cpu.current_stream() is mine
    assert cpu.current_stream() is usual and cpu.Event().query()
    assert torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512")


def test_switches_are_remembered():
    cuda, mha = torch.backends.cuda, torch.backends.mha
    assert cuda.flash_sdp_enabled() and mha.get_fastpath_enabled() and not cuda.is_flash_attention_available()
    cuda.enable_flash_sdp(False)
    mha.set_fastpath_enabled(False)
    try:
        assert not cuda.flash_sdp_enabled() and cuda.math_sdp_enabled() and not mha.get_fastpath_enabled()
    finally:
        cuda.enable_flash_sdp(True)
        mha.set_fastpath_enabled(True)
    with pytest.raises(NotImplementedError, match="torch.backends.cuda.cufft_plan_cache is not implemented"):
        _ = cuda.cufft_plan_cache
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = torch.backends.mkl.no_such_name
