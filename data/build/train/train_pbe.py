"""Train Paint by Example: the inpainting U-Net led by a picture instead of words. `python -m
data.build.train.train_pbe`

Starts from the inpainting U-Net and CLIP's vision tower. The example is another picture of the same product, cut to its
box; the tower stays frozen, so that the bank keeps its pooled output, and the mapper, projection, unconditional vector
and U-Net are trained. This pipeline orders the U-Net's input (latents, masked latents, mask) with mask 1 = keep, the
inpainting one (latents, mask, masked latents) with 1 = repaint; the first convolution is rewritten to match. Writes
data/tiny/paint-by-example.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder, PaintByExamplePipeline
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel

from .bank import Bank
from .exports import export, half, tile
from .options import DEVICE, fast_precision, options
from .train_unet import SCHEDULER, denoising_loss
from .trainer import exported, train
from .trainset import Trainset, crops, square


def new_encoder(clip_folder) -> PaintByExampleImageEncoder:
    """Diffusers' image encoder on CLIP's vision tower; mapper and projection are new, its output one token of 128."""
    clip = CLIPModel.from_pretrained(clip_folder, dtype=torch.float32)
    encoder = PaintByExampleImageEncoder(clip.config.vision_config, proj_size=clip.config.projection_dim)
    encoder.model.load_state_dict(clip.vision_model.state_dict())
    torch.nn.init.normal_(encoder.uncond_vector, std=0.1)
    return encoder


@torch.no_grad()
def reorder(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same function for input (latents, masked latents, 1 - mask), exact but for the one-pixel border."""
    weight = unet.conv_in.weight.clone()
    unet.conv_in.bias += weight[:, 4].sum((1, 2))
    unet.conv_in.weight[:, 4:8], unet.conv_in.weight[:, 8] = weight[:, 5:9], -weight[:, 4]
    return unet


def examples(data: Trainset, index: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return crops of pictures around their products, (B, 3, 128, 128), flipped and shifted at random."""
    boxes = np.stack([square(data.boxes[i], g) for i, g in zip(index, rng.uniform(0, 0.4, len(index)), strict=True)])
    boxes += np.tile(rng.uniform(-0.05, 0.05, (len(index), 2)) * (boxes[:, 2:] - boxes[:, :2]), 2)
    return crops(data.batch(index), boxes, 128, rng.random(len(index)) < 0.5)


def project(encoder: PaintByExampleImageEncoder, pooled: torch.Tensor) -> torch.Tensor:
    """The encoder's trained half: pooled tower output (B, C) to the one token (B, 1, 128)."""
    return encoder.proj_out(encoder.final_layer_norm(encoder.mapper(pooled[:, None])))


class ExampleBank(Bank):
    """The inpainting bank, with the pooled CLIP outputs of several crops of every picture, renewed now and then."""

    def __init__(self, data, vae, encoder, seed: int):
        super().__init__(data, vae, 128, seed)
        self.tower, self.crops = encoder.model, 4 if DEVICE.type == "cuda" else 1
        others = [[i for i in group if i != k] or [k] for k, group in enumerate(data.partners)]
        width = max(map(len, others))
        self.others = torch.tensor([(row * width)[:width] for row in others], device=DEVICE)
        self.pooled = torch.zeros(len(data), self.crops, encoder.config.hidden_size, device=DEVICE)

    def encode_examples(self, index: np.ndarray, rng: np.random.Generator) -> None:
        """Encode one fresh crop of each of these pictures."""
        with torch.no_grad():
            pooled = self.tower(examples(self.data, index, rng)).pooler_output.float()
        self.pooled[torch.as_tensor(index, device=DEVICE), int(rng.integers(self.crops))] = pooled

    def encode_all(self, rng: np.random.Generator) -> None:
        """Encode all crops of all pictures."""
        for crop in range(self.crops):
            for part in np.array_split(np.arange(len(self.data)), -(-len(self.data) // 64)):
                with torch.no_grad():
                    self.pooled[part, crop] = self.tower(examples(self.data, part, rng)).pooler_output.float()

    def example(self, rows: torch.Tensor) -> torch.Tensor:
        """Return pooled outputs (B, C), each of another picture of the same product."""
        column = torch.randint(self.others.shape[1], rows.shape, device=DEVICE)
        return self.pooled[self.others[rows, column], torch.randint(self.crops, rows.shape, device=DEVICE)]


def pbe_loss(unet, encoder, scheduler, bank: ExampleBank, count: int):
    """Return the inpainting recipe's loss under the example; one example in ten is the unconditional vector."""
    latents, mask, masked, rows, _ = bank.draw(count)
    states = project(encoder, bank.example(rows))
    none = torch.rand(count, 1, 1, device=DEVICE) < 0.1
    states = torch.where(none, encoder.uncond_vector, states)

    def predict(noisy, times):
        inputs = torch.cat([noisy, masked, 1 - mask], 1).contiguous(memory_format=torch.channels_last)
        return unet(inputs, times, states).sample

    return denoising_loss(predict, scheduler, latents, mask), {}


def box_mask(box, grow: float = 0.05, size: int = 128) -> Image.Image:
    """A box grown on each side by a share of its larger side, as a mask: mode L, 255 = repaint."""
    x0, y0, x1, y1 = box
    extra = grow * max(x1 - x0, y1 - y0)
    x0, y0 = (max(0, int(np.floor(v - extra))) for v in (x0, y0))
    x1, y1 = (min(size, int(np.ceil(v + extra))) for v in (x1, y1))
    mask = np.zeros((size, size), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return Image.fromarray(mask)


def grid(pipe: PaintByExamplePipeline, heldout: Trainset) -> np.ndarray:
    """Held-out scenes painted by examples: example above, photo in the middle, result below."""
    rng = np.random.default_rng(3)
    scenes = [i for i, m in enumerate(heldout.metas) if m["kind"] == "scene"]
    photos, shown = rng.permutation(scenes)[:10], []
    pipe.set_progress_bar_config(disable=True)
    for i in photos:
        same = [j for j in range(len(heldout)) if heldout.metas[j]["class_noun"] == heldout.metas[i]["class_noun"]]
        j = int(rng.choice(same))
        example = (
            Image.fromarray(heldout.images[j])
            .crop(tuple(square(heldout.boxes[j], 0.15).astype(int)))
            .resize((128, 128))
        )
        out = pipe(
            example,
            Image.fromarray(heldout.images[i]),
            box_mask(heldout.boxes[i]),
            num_inference_steps=16,
            guidance_scale=4,
            generator=torch.Generator().manual_seed(0),
        ).images[0]
        shown.append([np.array(example), heldout.images[i], np.array(out)])
    return tile([list(row) for row in zip(*shown, strict=True)])


def main() -> None:
    args = options(__doc__, minutes=10, batch_size=16, gpu_batch_size=512).parse_args()
    data, heldout = Trainset(args.data), Trainset(args.data.parent / "heldout")
    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae", torch_dtype=torch.float32).to(DEVICE)
    if args.init:
        unet = UNet2DConditionModel.from_pretrained(args.init / "unet", torch_dtype=torch.float32)
        encoder = PaintByExampleImageEncoder.from_pretrained(args.init / "image_encoder", dtype=torch.float32)
    else:
        unet = reorder(UNet2DConditionModel.from_pretrained(args.tiny / "inpainting/unet", torch_dtype=torch.float32))
        encoder = new_encoder(args.tiny / "clip")
    encoder.model.requires_grad_(False)
    scheduler, model = DDIMScheduler(**SCHEDULER), torch.nn.ModuleDict({"unet": unet, "encoder": encoder}).to(DEVICE)
    extractor = CLIPImageProcessor.from_pretrained(args.tiny / "clip")
    pipe = PaintByExamplePipeline(vae, encoder, unet, scheduler, None, extractor, requires_safety_checker=False)
    bank = ExampleBank(data, vae, encoder, args.seed)
    if not args.export_now:
        with fast_precision():
            bank.fill(16 * args.batch_size)
            bank.encode_all(np.random.default_rng(args.seed))

    stepped = torch.compile(unet) if args.compile else unet

    def loss(model, rng, _):
        bank.add(max(1, args.batch_size // 8))
        bank.encode_examples(rng.integers(len(data), size=max(1, args.batch_size // 16)), rng)
        return pbe_loss(stepped, encoder, scheduler, bank, args.batch_size)

    if train(model, loss, "pbe", args, lr=3e-4, ema=0.998, grid_fn=lambda _: grid(pipe, heldout)):
        for module in (vae, unet, encoder):
            half(module)
        with export(args.tiny / "paint-by-example") as folder:
            pipe.save_pretrained(folder)
        exported(args, "pbe")


if __name__ == "__main__":
    main()
