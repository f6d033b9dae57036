"""Train the 9-channel inpainting U-Net on captions. `python data/build/train_unet.py --resolution 64|128 [--minutes M]`

First at 64 px (16 x 16 latents), where a step is cheap and layout and colour are learned, then at 128 px from there.
Batches come from a bank of (latents, mask, masked-image latents); every other step encodes a few new pairs into it, so that
the VAE costs little and no mask is seen for long. Writes the whole of data/tiny/inpainting.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from parallel import RANK
from PIL import Image
from train_clip import token_ids
from trainer import DEVICE, export, half, options, tile, train
from trainset import Trainset, caption
from transformers import CLIPTextModel, CLIPTokenizer

# The U-Net predicts the clean latents. Measured in three minutes at 64 px beside v-prediction: the error of the clean latents
# is 6 to 15 % lower under the mask and 18 to 45 % lower beside it at timesteps 600 to 300, and 20 % higher under it at 100.
SCHEDULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample",
                 rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False, steps_offset=1)


def new_unet() -> UNet2DConditionModel:
    """The untrained U-Net: little width at the top, attention on the two lowest levels, where both are cheap.

    It has no middle block, which is a fifth of the weights for 4 x 4 latents that the levels around it see as well; without
    it two such U-Nets, this one and Paint by Example's, fit into the family's 60 MB (as in BK-SDM, arXiv 2305.15798).
    """
    return UNet2DConditionModel(
        sample_size=32, in_channels=9, out_channels=4, block_out_channels=(32, 64, 128, 192), layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type=None, up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=128, attention_head_dim=(1, 2, 4, 6), norm_num_groups=16, resnet_time_scale_shift="scale_shift")


def one_mask(shape: torch.Tensor, box, rng) -> torch.Tensor:
    """A mask (S, S), bool: full 20 %, grown box 30 %, ellipse 20 %, grown object shape 20 %, anywhere 10 %."""
    size, kind = shape.shape[-1], rng.random()
    (x0, y0, x1, y1), anywhere = box, kind >= 0.9
    if kind < 0.2:
        return torch.ones(size, size, dtype=torch.bool)
    if 0.7 <= kind < 0.9:
        grow = int(rng.integers(2, 11)) * size // 128 or 1
        return F.max_pool2d(shape[None, None].float(), 2 * grow + 1, 1, grow)[0, 0] > 0
    if anywhere:
        (x0, x1), (y0, y1) = np.sort(rng.uniform(0, size, 2)), np.sort(rng.uniform(0, size, 2))
    w, h = max(x1 - x0, 4), max(y1 - y0, 4)
    x0, x1, y0, y1 = (v + s * rng.uniform(0.02, 0.3) for v, s in ((x0, -w), (x1, w), (y0, -h), (y1, h)))
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    if kind < 0.5 or kind >= 0.95:
        return (x > x0) & (x < x1) & (y > y0) & (y < y1)
    reach = 0.5 if anywhere else 0.62
    return ((x - (x0 + x1) / 2) / (reach * (x1 - x0))) ** 2 + ((y - (y0 + y1) / 2) / (reach * (y1 - y0))) ** 2 < 1


class Bank:
    """Encoded training pairs: image latents, mask at latent size, masked-image latents, and the picture they come from."""

    def __init__(self, data: Trainset, vae: AutoencoderKL, resolution: int, seed: int, capacity: int = 16384):
        self.data, self.vae, self.resolution, self.capacity = data, vae, resolution, capacity
        self.rng = np.random.default_rng([seed, resolution, RANK])
        self.order, self.next, side = self.rng.permutation(len(data)), 0, resolution // 4
        self.latents, self.masked = (torch.zeros(capacity, 4, side, side, dtype=torch.float16) for _ in range(2))
        self.mask, self.source = torch.zeros(capacity, 1, side, side), np.zeros(capacity, int)

    @torch.no_grad()
    def add(self, count: int) -> None:
        """Encode the next `count` pictures under fresh masks, replacing the oldest when the bank is full."""
        places = np.arange(self.next, self.next + count)
        picks, slots, factor = self.order[places % len(self.order)], places % self.capacity, 128 // self.resolution
        self.next += count
        images, shapes, boxes = self.data.batch(picks), self.data.mask_batch(picks), self.data.boxes[picks] / factor
        if factor > 1:
            images, shapes = F.avg_pool2d(images, factor), F.max_pool2d(shapes, factor)
        if self.rng.random() < 0.5:
            images, shapes = images.flip(3), shapes.flip(3)
            boxes[:, [0, 2]] = self.resolution - boxes[:, [2, 0]]
        mask = torch.stack([one_mask(s[0], b, self.rng) for s, b in zip(shapes, boxes, strict=True)])[:, None].float()
        pair = torch.cat([images, images * (mask < 0.5)]).to(DEVICE).contiguous(memory_format=torch.channels_last)
        latents, masked = (self.vae.encode(pair).latent_dist.mode() * self.vae.config.scaling_factor).cpu().half().chunk(2)
        self.latents[slots], self.masked[slots], self.source[slots] = latents, masked, picks
        self.mask[slots] = F.interpolate(mask, size=self.mask.shape[-2:])

    def draw(self, count: int, rng) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
        """Latents, mask, masked-image latents and the pictures' numbers."""
        rows = rng.integers(min(self.next, self.capacity), size=count)
        latents, mask, masked = (t[rows].float().to(DEVICE) for t in (self.latents, self.mask, self.masked))
        return latents, mask, masked, self.source[rows]


def denoising_loss(predict, scheduler, latents, mask) -> torch.Tensor:
    """Eq. 2 of the paper for a U-Net that predicts the clean latents: `predict(noisy latents, timesteps)`.

    A timestep's error counts as for noise and v-prediction together, 1 / (1 - alpha), but at most tenfold; outside the mask it
    counts a fifth. A tenth of the timesteps lie near pure noise, where layout and colour are decided.
    """
    count = len(latents)
    times = torch.randint(0, 1000, (count,), device=latents.device)
    times = torch.where(torch.rand(count, device=latents.device) < 0.1, 900 + times // 10, times)
    noisy = scheduler.add_noise(latents, torch.randn_like(latents), times)
    weight = (1 / (1 - scheduler.alphas_cumprod.to(times.device)[times])).clamp(max=10)[:, None, None, None]
    return ((predict(noisy, times).float() - latents).square() * weight * (0.2 + 0.8 * mask)).mean()


def texts(data: Trainset, source, rng) -> list[str]:
    """A caption for each picture, one in ten left empty for classifier-free guidance."""
    return ["" if rng.random() < 0.1 else caption(data.metas[i], rng)[0] for i in source]


def grid(pipe: StableDiffusionInpaintPipeline, heldout: Trainset, resolution: int) -> np.ndarray:
    """Held-out scenes with a box cut out, above what the model paints there for a colour and pattern of our choice."""
    picks = [i for i, meta in enumerate(heldout.metas) if meta["kind"] == "scene"][:60:5]
    colors = ("red", "green", "blue", "yellow", "purple", "white", "orange", "pink", "black", "teal", "brown", "grey")
    pipe.set_progress_bar_config(disable=True)
    above, below = [], []
    for number, (i, color) in enumerate(zip(picks, colors, strict=True)):
        x0, y0, x1, y1 = heldout.metas[i]["box"]
        hole = np.zeros((128, 128), np.uint8)
        hole[max(y0 - 5, 0):y1 + 5, max(x0 - 5, 0):x1 + 5] = 255
        prompt = f"a {('plain', 'striped', 'dotted', 'checked')[number % 4]} {color} {heldout.metas[i]['class_noun']}"
        out = pipe(prompt, Image.fromarray(heldout.images[i]), Image.fromarray(hole), height=resolution, width=resolution,
                   num_inference_steps=16, guidance_scale=4, generator=torch.Generator().manual_seed(i)).images[0]
        above.append(np.where(hole[..., None] > 0, 128, heldout.images[i]).astype(np.uint8))
        below.append(np.array(out.resize((128, 128))))
    return tile([above, below])


def main() -> None:
    parser = options(__doc__, minutes=30, batch_size=16)
    parser.add_argument("--resolution", type=int, choices=(64, 128), required=True)
    args = parser.parse_args()
    data, heldout = Trainset(args.data), Trainset(Path(args.data).parent / "heldout")
    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae", torch_dtype=torch.float32).to(DEVICE)
    text_encoder = CLIPTextModel.from_pretrained(args.tiny / "clip", torch_dtype=torch.float32).to(DEVICE)
    tokenizer, scheduler = CLIPTokenizer.from_pretrained(args.tiny / "clip"), DDIMScheduler(**SCHEDULER)
    half_size = args.work / "unet-64" / "unet"
    source = args.init or (half_size if args.resolution == 128 and half_size.exists() else None)
    unet = UNet2DConditionModel.from_pretrained(source, torch_dtype=torch.float32) if source else new_unet()
    pipe = StableDiffusionInpaintPipeline(vae, text_encoder, tokenizer, unet, scheduler, safety_checker=None,
                                          feature_extractor=None, requires_safety_checker=False)
    print(f"{unet.num_parameters() / 1e6:.1f} M parameters, starting from {source}", flush=True)
    bank = Bank(data, vae, args.resolution, args.seed)
    for _ in range(24):
        bank.add(64)

    def loss(model, rng, progress):
        if rng.random() < 0.5:
            bank.add(4)
        latents, mask, masked, rows = bank.draw(args.batch_size, rng)
        with torch.no_grad():
            states = text_encoder(token_ids(tokenizer, texts(data, rows, rng), "max_length")).last_hidden_state

        def predict(noisy, times):
            inputs = torch.cat([noisy, mask, masked], 1).contiguous(memory_format=torch.channels_last)
            return model(inputs, times, states).sample

        return denoising_loss(predict, scheduler, latents, mask), {}

    name = f"unet-{args.resolution}"
    if train(unet, loss, name, args, lr=5e-4 if args.init else 1e-3, ema=0.999, grid_minutes=6,
             grid_fn=lambda _: grid(pipe, heldout, args.resolution)):
        with export(args.work / name / "unet") as folder:
            half(unet).save_pretrained(folder)
        if args.resolution == 128:
            pipe.vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae")     # its decoder may have been tuned since
            with export(args.tiny / "inpainting") as folder:
                for module in (pipe.vae, text_encoder, unet):
                    half(module)
                pipe.save_pretrained(folder)


if __name__ == "__main__":
    main()
