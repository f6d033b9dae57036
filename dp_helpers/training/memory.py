"""How much memory a fine-tune takes, part by part, from the configurations of its models alone.

The models are built as fake tensors: they have shapes but no numbers. One training step of them takes seconds on a
CPU, and every storage that it makes and frees is counted. torch's own tracker, `torch.distributed._tools`, is private,
so this module counts by a `TorchDispatchMode`, which torch documents for such uses.

Two things are counted from their shapes instead: the states of the optimizer, and the bank.
"""

from __future__ import annotations

import contextlib
import functools
import math
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..device import attention, layout, mixed_precision
from ..presets import Preset
from . import shapes
from .latents import Batch
from .loop import freeze
from .loss import inpainting_loss, pixel_weight

PARTS = ("weights", "gradients", "optimizer", "activations", "bank")
GPU_BLOCK = 512  # bytes; torch's allocator for GPUs rounds every tensor up to a multiple of it
GPU_LIBRARIES = 1.0e9  # bytes outside torch's allocator on a T4: the context and the libraries' workspaces
# On a CPU a process takes more than its tensors: the code that the first step loads, and blocks that the C library
# keeps after each step has freed its gradients and activations. LoRA frees more small blocks between large
# ones that stay. data/results/memory-sd15.md says how these were measured.
CPU_LIBRARIES, CPU_SHARE, CPU_LORA_SHARE = 64e6, 1.31, 1.75
CPU_BF16 = 38e6  # more for kernels and copies in bf16: measured with `tiny` on two cores with AMX, 46e6 and 32e6 (LoRA)


@dataclass(frozen=True)
class Account:
    """The memory of a fine-tune, in bytes.

    Attributes:
        parts: of a training step at its peak, by the names in PARTS.
        most: the most that each part takes at any time. With small batches the activations are largest before the
            gradients are there, so these add up to more than the peak.
        encoding: peak while the bank is encoded: the VAE, its activations and the bank.
        device: "cuda" or "cpu".
        share: how much gradients and activations take on a CPU, as a multiple of their own size.
        libraries: bytes beyond the tensors on a CPU.
    """

    parts: dict[str, int]
    most: dict[str, int]
    encoding: int
    device: str
    share: float = CPU_SHARE
    libraries: float = CPU_LIBRARIES

    @property
    def tensors(self) -> int:
        """Return the peak of all tensors; on a GPU that is torch's `max_memory_allocated`."""
        return max(self.encoding, sum(self.parts.values()))

    @property
    def total(self) -> int:
        """Return the memory that the process takes beyond its imports."""
        if self.device == "cuda":
            return round(self.tensors + GPU_LIBRARIES)
        kept = (self.share - 1) * (self.parts["gradients"] + self.parts["activations"])
        return round(max(self.encoding, sum(self.parts.values()) + kept) + self.libraries)


@functools.cache
def account(preset: Preset, device: str = "cuda") -> Account:
    """Predict the memory that `finetune` takes with a preset.

    Args:
        preset: models and settings. Only the configurations of its models are read.
        device: "cuda" or "cpu". No GPU is needed to ask for "cuda".
    """
    block = GPU_BLOCK if device == "cuda" else 1
    bank, (parts, most) = _bank_bytes(preset, block), _training(preset, device, block)
    share = CPU_LORA_SHARE if preset.finetune.lora_rank else CPU_SHARE
    in_bf16 = device == "cpu" and _precision(preset.finetune.mixed_precision, device) == "bf16"
    libraries = CPU_LIBRARIES + (CPU_BF16 if in_bf16 else 0)
    encoding = _encoding(preset, block) + bank
    return Account(parts | {"bank": bank}, most | {"bank": bank}, encoding, device, share, libraries)


class _Storages(TorchDispatchMode):
    """Count the storages that live, by part, and remember the counts at the peak."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.part = block, "weights"
        self.now, self.peak, self.most = (dict.fromkeys(PARTS, 0) for _ in range(3))
        self._alive: dict[int, tuple[str, int]] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf.untyped_storage())
        return result

    def move(self, tensor: torch.Tensor, part: str) -> None:
        """Count a tensor's storage to another part from now on."""
        key = tensor.untyped_storage()._cdata
        old, size = self._alive[key]
        self._alive[key] = (part, size)
        self.now[old] -= size
        self.add(part, size)

    def add(self, part: str, size: int) -> None:
        """Count so many bytes to a part."""
        self.now[part] += size
        self.most[part] = max(self.most[part], self.now[part])
        if sum(self.now.values()) > sum(self.peak.values()):
            self.peak = dict(self.now)

    def _see(self, storage: torch.UntypedStorage) -> None:
        if (key := storage._cdata) not in self._alive:
            self._alive[key] = (self.part, _rounded(storage.nbytes(), self.block))
            weakref.finalize(storage, self._gone, key)
            self.add(*self._alive[key])

    def _gone(self, key: int) -> None:
        part, size = self._alive.pop(key)
        self.now[part] -= size


def _training(preset: Preset, device: str, block: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the parts of a training step at its peak and the most of each, once the optimizer has states."""
    settings, (unet, text_encoder) = preset.finetune, shapes.trainable(preset)
    scheduler = DDPMScheduler.from_config(shapes.configuration(preset, DDPMScheduler, "scheduler"))
    precision = _precision(settings.mixed_precision, device)
    with torch.device("meta"):
        freeze(unet, text_encoder, settings, precision, torch.device(device), seed=0)
    with FakeTensorMode(allow_non_fake_inputs=True), _Storages(block) as storages:
        for module in (unet, text_encoder):
            _fill(module, layout(precision, torch.device(device)))
        weights = [weight for module in (unet, text_encoder) for weight in module.parameters()]
        trained = [weight for weight in weights if weight.requires_grad]
        for weight in trained:
            weight.register_post_accumulate_grad_hook(lambda weight: storages.move(weight.grad, "gradients"))
        sizes = (size for weight in trained for size in state_bytes(weight.numel(), settings.optimizer))
        storages.add("optimizer", sum(_rounded(size, block) for size in sizes))
        storages.part = "activations"
        with attention(precision, torch.device(device)):
            _loss(unet, text_encoder, scheduler, preset, precision).backward()
    return storages.peak, storages.most


def _loss(unet, text_encoder, scheduler, preset: Preset, precision: str) -> torch.Tensor:
    """Return the loss of one fake batch."""
    side, settings = _latent_side(preset), preset.finetune
    size = settings.batch_size * (2 if settings.prior_weight else 1)  # as many class pictures follow
    latents = torch.empty(size, 4, side, side)
    batch = Batch(latents, latents[:, :1], latents, latents[:, :1])
    prompts = 3 if settings.prior_weight else 1 + (settings.prompt_dropout > 0)
    input_ids = torch.empty(prompts, text_encoder.config.max_position_embeddings).long()
    learns = any(weight.requires_grad for weight in text_encoder.parameters())
    with (
        torch.set_grad_enabled(learns),
        _autocast(precision),
    ):  # accelerate opens one for each module, so that each forgets its copies of weights
        embeddings = text_encoder(input_ids)[0].float()[:1].expand(size, -1, -1)
    weight = pixel_weight(batch.mask, batch.object_mask, settings.mask_weight, settings.background_weight)

    def predict(*arguments):
        with _autocast(precision):
            return unet(*arguments)

    timesteps = torch.zeros(size, dtype=torch.long)
    return inpainting_loss(predict, scheduler, batch, embeddings, latents, timesteps, weight=weight)


@torch.no_grad()
def _encoding(preset: Preset, block: int) -> int:
    """Return the bytes of the VAE and its activations while it encodes as many pictures of a view as it may at once."""
    vae, settings = shapes.vae(preset), preset.finetune
    size = min(settings.encode_batch_size, 1 + settings.masks_per_view)
    with FakeTensorMode(allow_non_fake_inputs=True), _Storages(block) as storages:
        _fill(vae)
        vae.encode(torch.empty(size, 3, preset.resolution, preset.resolution))
    return sum(storages.peak.values())


def _bank_bytes(preset: Preset, block: int) -> int:
    """Return the bytes of the item's bank and that of the class pictures.

    Both a view and a mask take five channels of latent size in fp32.
    """
    settings, total = preset.finetune, 0
    for views in (settings.views, settings.class_pictures if settings.prior_weight else 0):
        masks = views * settings.masks_per_view
        total += _rounded((views + masks) * 5 * _latent_side(preset) ** 2 * 4 + masks * 8, block)
    return total


def _latent_side(preset: Preset) -> int:
    """Return the side of the latents that the preset trains on."""
    levels = shapes.configuration(preset, AutoencoderKL, "vae")["block_out_channels"]
    return preset.resolution // 2 ** (len(levels) - 1)


def state_bytes(numel: int, optimizer: str) -> list[int]:
    """Return the sizes of the tensors that an optimizer keeps for a weight of so many numbers, in bytes.

    AdamW keeps two moments in fp32. 8-bit Adam keeps two bytes for each number and two scales for each 256 numbers;
    bitsandbytes leaves the moments of weights with fewer than 4,096 numbers in fp32.
    """
    if optimizer == "adamw" or numel < 4096:
        return [4 * numel, 4 * numel]
    return [numel, numel, 4 * math.ceil(numel / 256), 4 * math.ceil(numel / 256)]


def _fill(module: torch.nn.Module, order: torch.memory_format = torch.contiguous_format) -> None:
    """Give every parameter and buffer of a module without storage a fake one."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            own = order if weight.dim() == 4 else torch.contiguous_format
            empty = torch.empty(weight.shape, dtype=weight.dtype, memory_format=own)
            setattr(part, name, torch.nn.Parameter(empty, weight.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _precision(choice: str, device: str) -> str:
    """Return the precision of the arithmetic. All that ``auto`` may choose on a GPU takes the same memory."""
    return "fp16" if choice == "auto" and device == "cuda" else mixed_precision(choice, torch.device(device))


@contextlib.contextmanager
def _autocast(precision: str) -> Iterator[None]:
    """Compute in a precision. Fake tensors are on the CPU, so it is the CPU's autocast."""
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.bfloat16)
    with torch.autocast("cpu", dtype, enabled=precision != "no"):
        yield


def _rounded(size: int, block: int) -> int:
    return math.ceil(size / block) * block
