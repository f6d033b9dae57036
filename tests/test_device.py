"""Device, precision and attention, for machines that this one is not as well."""

import pytest
import torch

from dp_helpers import device
from dp_helpers.errors import InputError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_the_given_device_is_taken():
    assert device.pick_device("cpu") == CPU and device.pick_device(CUDA) == CUDA


@pytest.mark.parametrize(("cuda", "mps", "wanted"), [(1, 0, "cuda"), (1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu")])
def test_a_gpu_is_taken_if_there_is_one(monkeypatch, cuda, mps, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(mps))
    assert device.pick_device().type == wanted


def test_half_precision_is_for_cuda_alone():
    assert device.inference_dtype(CUDA) is torch.float16
    assert device.inference_dtype(CPU) is device.inference_dtype(torch.device("mps")) is torch.float32


@pytest.mark.parametrize("choice", ["no", "fp16", "bf16"])
def test_a_chosen_precision_is_taken(choice):
    assert device.mixed_precision(choice, CPU) == choice


@pytest.mark.parametrize(("fast", "wanted"), [(True, "bf16"), (False, "no")])
def test_auto_takes_bf16_on_a_cpu_that_is_fast_in_it(monkeypatch, fast, wanted):
    monkeypatch.setattr(device, "bf16_is_fast", lambda: fast)
    assert device.mixed_precision("auto", CPU) == wanted
    assert device.mixed_precision("auto", torch.device("mps")) == "no"


@pytest.mark.parametrize(("real", "wanted"), [(True, "bf16"), (False, "fp16")])
def test_auto_takes_fp16_on_a_gpu_that_only_emulates_bf16(monkeypatch, real, wanted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: real or including_emulation)
    assert device.mixed_precision("auto", CUDA) == wanted


def test_bf16_is_measured_here():
    assert device.bf16_is_fast() in (True, False)


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_bf16_is_measured_where_no_gradients_are_computed(without_gradients):
    device.bf16_is_fast.cache_clear()
    with without_gradients():
        assert device.bf16_is_fast() in (True, False)


def test_the_fused_attention_is_avoided_for_bf16_on_a_cpu():
    before = torch.backends.cuda.flash_sdp_enabled()
    for precision, where, fused in (("bf16", CPU, False), ("no", CPU, before), ("bf16", CUDA, before)):
        with device.attention(precision, where):
            assert torch.backends.cuda.flash_sdp_enabled() == fused


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_full_memory_is_told_with_what_to_lower(error):
    @device.told_when_memory_is_full("lower batch_size")
    def work():
        raise error

    with pytest.raises(InputError, match=r"^The memory is full \(.*\): lower batch_size\.$"):
        work()


def test_a_real_allocation_that_is_too_large_is_told():
    with pytest.raises(InputError, match="The memory is full"), device.told_when_memory_is_full("lower it"):
        torch.empty(2**50)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), device.told_when_memory_is_full("lower it"):
        raise RuntimeError("shape mismatch")


def test_weights_are_channels_last_but_in_fp32_on_a_cpu():
    assert device.layout("no", CPU) is torch.contiguous_format
    for precision, kind in (("bf16", CPU), ("no", CUDA), ("fp16", CUDA)):
        assert device.layout(precision, kind) is torch.channels_last
