"""Train Paint by Example: the inpainting U-Net led by a picture instead of words. `python data/build/train_pbe.py`

Starts from the inpainting U-Net and CLIP's vision tower. The example is another picture of the same product, cut to its
box; the tower stays frozen, so that the bank keeps its pooled output, and the mapper, projection, unconditional vector
and U-Net are trained. This pipeline orders the U-Net's input (latents, masked latents, mask) with mask 1 = keep, the
inpainting one (latents, mask, masked latents) with 1 = repaint; the first convolution is rewritten to match.
Writes data/tiny/paint-by-example.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder, PaintByExamplePipeline
from PIL import Image
from train_unet import SCHEDULER, Bank, denoising_loss
from trainer import DEVICE, export, half, options, tile, train
from trainset import Trainset, crops, square
from transformers import CLIPImageProcessor, CLIPModel


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
    """For each picture the crop of another picture of its product, (B, 3, 128, 128); flipped and shifted at random."""
    other = np.array([data.partner(int(i), rng) for i in index])
    boxes = np.stack([square(data.boxes[i], g) for i, g in zip(other, rng.uniform(0, 0.4, len(other)), strict=True)])
    boxes += np.tile(rng.uniform(-0.05, 0.05, (len(other), 2)) * (boxes[:, 2:] - boxes[:, :2]), 2)
    return crops(data.batch(other), boxes, 128, rng.random(len(other)) < 0.5)


def project(encoder: PaintByExampleImageEncoder, pooled: torch.Tensor) -> torch.Tensor:
    """The encoder's trained half: pooled tower output (B, C) to the one token (B, 1, 128)."""
    return encoder.proj_out(encoder.final_layer_norm(encoder.mapper(pooled[:, None])))


class ExampleBank(Bank):
    """The inpainting bank, with the pooled CLIP output of an example for every picture, renewed now and then."""

    def __init__(self, data, vae, encoder, seed: int):
        super().__init__(data, vae, 128, seed)
        self.tower = encoder.model
        self.pooled = torch.zeros(len(data), encoder.config.hidden_size)
        self.known = np.zeros(len(data), bool)

    @torch.no_grad()
    def example(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Pooled outputs (B, C) for the examples of pictures `rows`; a tenth are drawn anew."""
        fresh = np.unique(rows[~self.known[rows] | (rng.random(len(rows)) < 0.1)])
        if len(fresh):
            self.pooled[fresh] = self.tower(examples(self.data, fresh, rng).to(DEVICE)).pooler_output.float().cpu()
            self.known[fresh] = True
        return self.pooled[rows].to(DEVICE)


def pbe_loss(model, scheduler, bank: ExampleBank, count: int, rng):
    """The inpainting recipe's loss under the example; one example in ten is the unconditional vector."""
    latents, mask, masked, rows = bank.draw(count, rng)
    states = project(model["encoder"], bank.example(np.asarray(rows), rng))
    none = torch.from_numpy(rng.random(count) < 0.1).to(DEVICE)[:, None, None]
    states = torch.where(none, model["encoder"].uncond_vector, states)

    def predict(noisy, times):
        inputs = torch.cat([noisy, masked, 1 - mask], 1).contiguous(memory_format=torch.channels_last)
        return model["unet"](inputs, times, states).sample

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
        example = Image.fromarray(heldout.images[j]).crop(tuple(square(heldout.boxes[j], 0.15).astype(int))).resize((128, 128))
        out = pipe(example, Image.fromarray(heldout.images[i]), box_mask(heldout.boxes[i]), num_inference_steps=16,
                   guidance_scale=4, generator=torch.Generator().manual_seed(0)).images[0]
        shown.append([np.array(example), heldout.images[i], np.array(out)])
    return tile([list(row) for row in zip(*shown, strict=True)])


def main() -> None:
    args = options(__doc__, minutes=10, batch_size=16).parse_args()
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
    for _ in range(0 if args.export_now else 16):
        bank.add(32)

    def loss(model, rng, _):
        if rng.random() < 0.5:
            bank.add(4)
        return pbe_loss(model, scheduler, bank, args.batch_size, rng)

    if train(model, loss, "pbe", args, lr=3e-4, ema=0.998, grid_fn=lambda _: grid(pipe, heldout)):
        for module in (vae, unet, encoder):
            half(module)
        with export(args.tiny / "paint-by-example") as folder:
            pipe.save_pretrained(folder)


if __name__ == "__main__":
    main()
